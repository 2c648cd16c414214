package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// failures are ways in which a method of a middleware ends the handler that calls it.
var failures = map[string]func(){
	"panic": func() { panic("middleware") },
	"abort": func() { panic(http.ErrAbortHandler) },
	"exit":  runtime.Goexit,
}

// failing is the writer of a middleware, one method of which fails.
type failing struct {
	http.ResponseWriter
	method string // which fails
	fail   func()
	within bool // the connection cannot be hijacked
}

func (w *failing) WriteHeader(status int) {
	w.at("WriteHeader")
	w.ResponseWriter.WriteHeader(status)
}

func (w *failing) Write(b []byte) (int, error) {
	w.at("Write")
	return w.ResponseWriter.Write(b)
}

func (w *failing) Flush() {
	w.at("Flush")
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *failing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.within {
		return nil, nil, http.ErrNotSupported
	}
	w.at("Hijack")
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w *failing) at(method string) {
	if w.method == method {
		w.fail()
	}
}

// failingServer is a server with a middleware whose writers fail for requests that say so in
// X-Fail: method, failure, and within.
func failingServer(t *testing.T, h http.Handler, served chan<- struct{}) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if how := strings.Fields(r.Header.Get("X-Fail")); len(how) > 0 {
			defer func() { served <- struct{}{} }()
			w = &failing{w, how[0], failures[how[1]], len(how) > 2}
		}
		h.ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	return server
}

const webSocketHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// failingRequests are the requests of all transports, each with the methods of its writer.
// {} is the path and query of a connection; steps before the last one do not fail. A step
// "text" is a POST of that.
var failingRequests = []struct {
	name    string
	methods string
	within  bool
	steps   []string
}{
	{"first poll", "WriteHeader Write Flush", false, []string{"GET {}"}},
	{"poll that finds something", "WriteHeader Write Flush", false, []string{"GET {}", "text", "GET {}"}},
	{"poll that waits", "Hijack", false, []string{"GET {}", "GET {}"}},
	{"poll that waits within the HTTP server", "WriteHeader Write Flush", true, []string{"GET {}", "GET {}"}},
	{"event stream", "Hijack", false, []string{"GET {} Accept: text/event-stream\r\n"}},
	{"event stream within the HTTP server", "WriteHeader Write Flush", true, []string{"GET {} Accept: text/event-stream\r\n"}},
	{"WebSocket", "Hijack", false, []string{"GET {} " + webSocketHeaders}},
	{"WebSocket without negotiation", "Hijack", false, []string{"GET /echo " + webSocketHeaders}},
	{"refused WebSocket", "WriteHeader", true, []string{"GET {} " + webSocketHeaders}},
	{"negotiation", "Write", false, []string{"POST /echo/negotiate"}},
	{"POST", "WriteHeader", false, []string{"GET {}", "POST {}"}},
	{"DELETE", "WriteHeader", false, []string{"GET {}", "DELETE {}"}},
}

// However a request fails, its connection is not kept: it ends, or the sweep finds it.
func TestFailingWriters(t *testing.T) {
	t.Parallel()
	for _, request := range failingRequests {
		t.Run(request.name, func(t *testing.T) {
			t.Parallel()
			e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{DisconnectTimeout: 500 * time.Millisecond}})
			served := make(chan struct{}, 1)
			server := failingServer(t, e, served)
			defer server.Close()
			for method := range strings.FieldsSeq(request.methods) {
				for failure := range failures {
					header := "X-Fail: " + method + " " + failure
					if request.within {
						header += " within"
					}
					failRequest(t, server, request.steps, header+"\r\n")
					<-served
				}
			}
			awaitConnections(e, 0)
			if err := e.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func failRequest(t *testing.T, server *httptest.Server, steps []string, header string) {
	t.Helper()
	url := open(t, server.URL+"/echo")
	last := len(steps) - 1
	for _, step := range steps[:last] {
		takeStep(t, server, url, step, "")
	}
	takeStep(t, server, url, steps[last], header)
	if strings.Contains(header, "within") && last > 0 {
		post(t, url, "x") // what the poll waits for
	}
}

// A connection that is made for one request is not counted when that is refused.
func TestRefusedWithoutNegotiation(t *testing.T) {
	t.Parallel()
	e := endpoint.NewRaw(echo{}, endpoint.Options{Options: transports.Options{
		DisconnectTimeout: time.Hour, SubprotocolSelector: func([]string) string { panic("hook") },
	}})
	served := make(chan struct{}, 1)
	server := failingServer(t, e, served)
	defer server.Close()
	for range 3 {
		takeStep(t, server, "", "GET /echo Sec-WebSocket-Protocol: any\r\n"+webSocketHeaders, "X-Fail: none panic\r\n")
		<-served
	}
	awaitConnections(e, 0)
	awaitEnd(t, e)
}

// takeStep makes a request, and reads the answer to one that does not fail.
func takeStep(t *testing.T, server *httptest.Server, url, step, header string) {
	t.Helper()
	if step == "text" {
		post(t, url, "x")
		return
	}
	method, rest, _ := strings.Cut(strings.Replace(step, "{}", path(url), 1), " ")
	target, more, _ := strings.Cut(rest, " ")
	conn, r := raw(t, server, fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n%s%s\r\n", method, target, more, header))
	if header != "" {
		return
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	_ = conn.Close()
}

// ending is an application that ends the goroutine of a call, or panics.
type ending struct {
	on   string
	fail func()
}

func (a ending) at(call string) {
	if a.on == call {
		a.fail()
	}
}

func (a ending) Connect(c transports.Connection) (transports.Receiver, error) {
	a.at("Connect")
	return &endingReceiver{a, c}, nil
}

type endingReceiver struct {
	ending
	c transports.Connection
}

func (r *endingReceiver) Receive([]byte) error {
	r.at("Receive")
	r.c.Close(nil)
	return r.c.Send(frame.New([]byte("well"), false))
}

func (r *endingReceiver) Disconnected(error) { r.at("Disconnected") }

// Opened and Ended implement transports.Meter.
func (a ending) Opened(transports.Type)                      { a.at("Opened") }
func (a ending) Ended(transports.Type, time.Duration, error) { a.at("Ended") }

// An application that panics, or ends the goroutine that calls it, ends one connection.
func TestFailingApplication(t *testing.T) {
	t.Parallel()
	for kind, header := range map[string]string{
		"WebSockets": webSocketHeaders, "ServerSentEvents": "Accept: text/event-stream\r\n", "LongPolling": "",
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for _, on := range []string{"Connect", "Receive", "Disconnected", "Opened", "Ended"} {
				for _, fail := range failures {
					a := ending{on, fail}
					e := endpoint.NewRaw(a, endpoint.Options{Options: transports.Options{DisconnectTimeout: time.Millisecond, Meter: a}})
					server := failingServer(t, e, nil)
					defer server.Close()
					talkTo(t, server, header)
					defer awaitEnd(t, e)
				}
			}
		})
	}
}

// talkTo opens a connection and sends something over it.
func talkTo(t *testing.T, server *httptest.Server, header string) {
	t.Helper()
	url := open(t, server.URL+"/echo")
	conn, r := raw(t, server, "GET "+path(url)+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n")
	if _, err := r.ReadByte(); err == nil && header == webSocketHeaders {
		_, _ = conn.Write([]byte{0x81, 0x81, 0, 0, 0, 0, 'x'})
	}
	go func() { _, _ = io.Copy(io.Discard, r) }() // until the end of the test
	if header == webSocketHeaders {
		return
	}
	if response, err := http.Post(url, "", strings.NewReader("x")); err == nil {
		_ = response.Body.Close()
	}
}

func awaitEnd(t *testing.T, e *endpoint.Endpoint) {
	t.Helper()
	awaitConnections(e, 0)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}
