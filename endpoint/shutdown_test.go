package endpoint_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// hanging is an application that does what its client says: "echo", "flood", which is more
// than any socket takes, or "hang"; it hangs when the client has gone after "stay".
type hanging struct {
	called chan struct{} // is told of Connect and Receive
	over   chan struct{} // ends what hangs
}

func (a hanging) Connect(c transports.Connection) (transports.Receiver, error) {
	a.called <- struct{}{}
	return &hangingReceiver{hanging: a, c: c}, nil
}

type hangingReceiver struct {
	hanging
	c     transports.Connection
	stays bool
}

func (r *hangingReceiver) Receive(b []byte) error {
	switch string(b) {
	case "flood":
		defer func() { r.called <- struct{}{} }()
		return r.c.Send(frame.New(make([]byte, 32<<20), false))
	case "hang":
		r.called <- struct{}{}
		<-r.over
	case "stay":
		r.stays = true
	}
	return r.c.Send(frame.New([]byte("well"), false))
}

func (r *hangingReceiver) Disconnected(error) {
	if r.stays {
		<-r.over
	}
}

// stuck is a writer of a middleware whose Hijack does not return.
type stuck struct {
	http.ResponseWriter
	over <-chan struct{}
}

func (s stuck) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	<-s.over
	return nil, nil, http.ErrNotSupported
}

// leaving are clients that do something and then nothing more: their network connections stay
// open. Their requests are as in failingRequests; "LET" goes on without an answer, "TELL" is
// a POST that is answered after what it has to wait for, "WAIT" waits for the application.
var leaving = []struct {
	name  string
	steps []string
	fails bool // Shutdown has to report that its time was over
}{
	{name: "negotiated only", steps: nil},
	{name: "long polling, between polls", steps: []string{"GET {}"}},
	{name: "long polling, with an answer to fetch", steps: []string{"GET {}", "TELL echo"}},
	{name: "long polling, while a poll waits", steps: []string{"GET {}", "LET {}"}},
	{name: "event stream", steps: []string{"LET {} Accept: text/event-stream\r\n", "WAIT"}},
	{name: "WebSocket", steps: []string{"LET {} " + webSocketHeaders, "WAIT"}},
	{name: "POST without its body", steps: []string{"GET {}", "BODY"}},
	{name: "event stream and a POST without its body", steps: []string{"LET {} Accept: text/event-stream\r\n", "WAIT", "BODY"}},
	{name: "event stream that nobody reads", fails: true, steps: []string{"LET {} Accept: text/event-stream\r\n", "WAIT", "TELL flood"}},
	{name: "WebSocket that nobody reads", fails: true, steps: []string{"LET {} " + webSocketHeaders, "WAIT", "FRAME flood", "WAIT"}},
	{name: "application that hangs in Receive", fails: true, steps: []string{"GET {}", "WAIT", "BODY hang", "WAIT"}},
	{name: "application that hangs in Disconnected", fails: true, steps: []string{"GET {}", "TELL stay"}},
	{name: "middleware that hangs", fails: true, steps: []string{"LET {} X-Stuck: 1\r\nAccept: text/event-stream\r\n"}},
}

// A shutdown does not wait for clients that are gone, and those that are no clients of this
// server any more are no failure. Whatever happens, it ends with its ctx.
func TestShutdownAfterClientsLeft(t *testing.T) {
	t.Parallel()
	for _, client := range leaving {
		for _, timeout := range []time.Duration{500 * time.Millisecond, 20 * time.Second} {
			if client.fails && timeout > time.Second {
				continue
			}
			t.Run(client.name+"/"+timeout.String(), func(t *testing.T) {
				t.Parallel()
				over := make(chan struct{})
				a := hanging{called: make(chan struct{}, 10), over: over}
				e := endpoint.NewRaw(a, endpoint.Options{Options: transports.Options{MaxQueueBytes: 64 << 20}})
				entered := make(chan struct{}, 1)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("X-Stuck") != "" {
						w = stuck{w, over}
						entered <- struct{}{}
					}
					e.ServeHTTP(w, r)
				}))
				defer server.Close()
				defer server.CloseClientConnections()
				defer close(over)
				l := &leaver{t: t, server: server, url: open(t, server.URL+"/echo"), app: a}
				for _, step := range client.steps {
					l.take(step)
				}
				if strings.Contains(client.name, "middleware") {
					<-entered
				}
				ctx, cancel := context.WithTimeout(context.Background(), timeout)
				defer cancel()
				err := e.Shutdown(ctx)
				switch {
				case client.fails && !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("%v, and the shutdown was not orderly", err)
				case !client.fails && (err != nil || e.Connections() > 0 || timeout > time.Second && ctx.Err() != nil):
					t.Errorf("%v, %d connections are left, %v", err, e.Connections(), ctx.Err())
				}
			})
		}
	}
}

type leaver struct {
	t      *testing.T
	server *httptest.Server
	url    string
	app    hanging
	last   net.Conn
}

func (l *leaver) take(step string) {
	l.t.Helper()
	verb, rest, _ := strings.Cut(step, " ")
	switch verb {
	case "WAIT":
		<-l.app.called
	case "LET":
		target, header, _ := strings.Cut(rest, " ")
		l.last, _ = raw(l.t, l.server, "GET "+strings.Replace(target, "{}", path(l.url), 1)+" HTTP/1.1\r\nHost: x\r\n"+header+"\r\n")
	case "TELL":
		post(l.t, l.url, rest)
	case "BODY":
		raw(l.t, l.server, "POST "+path(l.url)+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"+rest)
	case "FRAME":
		b := append([]byte{0x81, 0x80 | byte(len(rest)), 0, 0, 0, 0}, rest...)
		if _, err := l.last.Write(b); err != nil {
			l.t.Fatal(err)
		}
	default:
		takeStep(l.t, l.server, l.url, step, "")
	}
}

// A connection is cut if its method does not end within the time of the shutdown.
func TestEndedConnectionsAreCounted(t *testing.T) {
	h, over := hub.New(hub.Options{}), make(chan struct{})
	defer close(over)
	running := make(chan struct{}, 1)
	h.Handle("Hang", hub.Action0(func(context.Context) error {
		running <- struct{}{}
		<-over
		return nil
	}))
	e := endpoint.New(h, endpoint.Options{})
	server := httptest.NewServer(e)
	defer server.Close()
	var clients []*client.HubConnection
	for range 4 {
		c := client.New(server.URL, client.Options{Transports: []client.Transport{client.WebSockets}})
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	if err := clients[0].Stop(t.Context()); err != nil { // it has left before the shutdown
		t.Fatal(err)
	}
	for e.Connections() != 3 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // the connection ends concurrently
	}
	if err := clients[1].Send(t.Context(), "Hang"); err != nil {
		t.Fatal(err)
	}
	<-running
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := e.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if drained, cut := e.Ended(); drained != 2 || cut != 1 {
		t.Errorf("%d drained, %d cut", drained, cut)
	}
	for _, c := range clients[1:] {
		_ = c.Stop(t.Context()) // the server has gone
	}
}
