package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// serve starts an echo endpoint behind a server of the test's own making.
func serve(t *testing.T, o endpoint.Options, start func(*httptest.Server)) *httptest.Server {
	t.Helper()
	e := endpoint.NewRaw(echo{}, o)
	server := httptest.NewUnstartedServer(e)
	start(server)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx) // cuts what the test left
		server.Close()
	})
	return server
}

// raw sends a request as it is over a connection of its own.
func raw(t *testing.T, server *httptest.Server, request string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func path(url string) string {
	_, rest, _ := strings.Cut(url, "/echo")
	return "/echo" + rest
}

// Event streams and polls pass proxies that speak HTTP/1.0.
func TestHTTP10(t *testing.T) {
	server := serve(t, endpoint.Options{}, (*httptest.Server).Start)
	url := open(t, server.URL+"/echo")
	_, r := raw(t, server, "GET "+path(url)+" HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	post(t, url, "x")
	want := ":\r\ndata: x\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want || len(response.TransferEncoding) > 0 {
		t.Errorf("%q, %v, %v", got, err, response.TransferEncoding)
	}

	url = open(t, server.URL+"/echo")
	for _, want := range []string{"", "x"} {
		if want != "" {
			post(t, url, want)
		}
		_, r := raw(t, server, "GET "+path(url)+" HTTP/1.0\r\n\r\n")
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != want || response.StatusCode != http.StatusOK {
			t.Errorf("%s %q, %v", response.Status, body, err)
		}
	}
}

// A POST of HTTP/1.0 without a length has no body, and one that comes in chunks any.
func TestPostsWithoutLength(t *testing.T) {
	server := serve(t, endpoint.Options{}, (*httptest.Server).Start)
	_, r := raw(t, server, "POST /echo/negotiate HTTP/1.0\r\n\r\n")
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response, err)
	}
	_ = response.Body.Close()

	url := open(t, server.URL+"/echo")
	_, r = raw(t, server, "GET "+path(url)+" HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
	response, err = http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw(t, server, "POST "+path(url)+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
	want := ":\r\ndata: abc\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// http2Client makes requests to a server that speaks HTTP/2.
type http2Client struct {
	t      *testing.T
	server *httptest.Server
}

func serveHTTP2(t *testing.T, o endpoint.Options) http2Client {
	return http2Client{t, serve(t, o, kinds["HTTP/2"])}
}

func (c http2Client) do(method, url, accept, body string) *http.Response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	response, err := c.server.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = response.Body.Close() })
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		c.t.Fatal(response.Proto, response.Status)
	}
	return response
}

// open negotiates and returns the connection's address.
func (c http2Client) open() string {
	c.t.Helper()
	body, err := io.ReadAll(c.do(http.MethodPost, c.server.URL+"/echo/negotiate", "", "").Body)
	if err != nil {
		c.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), `"connectionId":"`)
	return c.server.URL + "/echo?id=" + rest[:22]
}

// Over HTTP/2 event streams and polls share one connection with the posts.
func TestHTTP2(t *testing.T) {
	c := serveHTTP2(t, endpoint.Options{})
	url := c.open()
	stream := c.do(http.MethodGet, url, "text/event-stream", "")
	c.do(http.MethodPost, url, "", "x")
	want := ":\r\ndata: x\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(stream.Body, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}

	url = c.open()
	c.do(http.MethodGet, url, "", "")
	c.do(http.MethodPost, url, "", "x")
	if body, err := io.ReadAll(c.do(http.MethodGet, url, "", "").Body); err != nil || string(body) != "x" {
		t.Errorf("%q, %v", body, err)
	}
}

// A stream on which nothing is sent for longer than a write may take is nobody's who does not read.
func TestSilentStreamOverHTTP2(t *testing.T) {
	t.Parallel()
	c := serveHTTP2(t, endpoint.Options{Options: transports.Options{SendTimeout: time.Second, PollTimeout: 2 * time.Second}})
	url, poll := c.open(), c.open()
	stream := c.do(http.MethodGet, url, "text/event-stream", "")
	c.do(http.MethodGet, poll, "", "")
	for _, want := range []string{":\r\ndata: x\r\n\r\n", "data: x\r\n\r\n"} {
		c.do(http.MethodGet, poll, "", "") // until it times out
		c.do(http.MethodPost, url, "", "x")
		got := make([]byte, len(want))
		if _, err := io.ReadFull(stream.Body, got); err != nil || string(got) != want {
			t.Fatalf("%q, %v", got, err)
		}
	}
}

// The deadline of one answer is not that of the next on the same HTTP connection.
func TestDeadlineEndsWithTheAnswer(t *testing.T) {
	t.Parallel() // it waits most of the time
	server := serve(t, endpoint.Options{Options: transports.Options{
		SendTimeout: 2 * time.Second, PollTimeout: 4 * time.Second,
	}}, (*httptest.Server).Start)
	url := open(t, server.URL+"/echo")
	get := "GET " + path(url) + " HTTP/1.1\r\nHost: x\r\n\r\n"
	conn, r := raw(t, server, get)
	for _, want := range []string{"", "x", "", ""} { // the last two polls time out
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%q, %v, want %q", body, err, want)
		}
		if want == "" && response.Header.Get("Content-Type") == "application/octet-stream" {
			post(t, url, "x")
		}
		if _, err := io.WriteString(conn, get); err != nil {
			t.Fatal(err)
		}
	}
}

// A body that breaks off is kept as far as it came, and one that only stops does not
// keep the endpoint from ending.
func TestPostBrokenOff(t *testing.T) {
	server := serve(t, endpoint.Options{Options: transports.Options{CloseTimeout: time.Millisecond}}, (*httptest.Server).Start)
	url := open(t, server.URL+"/echo")
	poll := func() string {
		response, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response.Status, err)
		}
		return string(body)
	}
	half := "POST " + path(url) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nhalf"
	poll()
	conn, _ := raw(t, server, half)
	if got := poll(); got != "half" {
		t.Errorf("of a body under way came %q", got)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	post(t, url, " whole")
	if got := poll(); got != " whole" {
		t.Errorf("after a body that broke off came %q", got)
	}
	raw(t, server, half) // and stops; the end of the test does not wait for it
	if got := poll(); got != "half" {
		t.Errorf("of a body under way came %q", got)
	}
}

// clumsy panics when it is told to.
type clumsy struct{ on string }

func (a clumsy) Connect(c transports.Connection) (transports.Receiver, error) {
	if a.on == "Connect" {
		panic("Connect")
	}
	return &stumbling{c, a.on}, nil
}

type stumbling struct {
	c  transports.Connection
	on string
}

func (s *stumbling) Receive([]byte) error {
	if s.on == "Receive" {
		panic("Receive")
	}
	return s.c.Send(frame.New([]byte("well"), false))
}

func (s *stumbling) Disconnected(error) {
	if s.on == "Disconnected" {
		panic("Disconnected")
	}
}

// A panic in an application ends its connection and nothing else.
func TestPanics(t *testing.T) {
	for _, on := range []string{"Connect", "Receive", "Disconnected"} {
		e := endpoint.NewRaw(clumsy{on}, endpoint.Options{})
		server := httptest.NewServer(e)
		url := open(t, server.URL+"/echo")
		status := func(method, body string) int {
			r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			return response.StatusCode
		}
		// Its end is told by a goroutine, until when the token is known.
		ended := func(after string) {
			if on == after {
				awaitConnections(e, 0)
			}
		}
		get := status(http.MethodGet, "")
		ended("Connect")
		post := status(http.MethodPost, "x")
		ended("Receive")
		got := fmt.Sprint(get, post, status(http.MethodDelete, ""))
		want := map[string]string{"Connect": "200 404 404", "Receive": "200 200 404", "Disconnected": "200 200 202"}[on]
		if got != want {
			t.Errorf("a panic in %s: %s, want %s", on, got, want)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := e.Shutdown(ctx); err != nil || e.Connections() != 0 {
			t.Errorf("a panic in %s: %v, %d connections are left", on, err, e.Connections())
		}
		cancel()
		server.Close()
	}
}

func awaitConnections(e *endpoint.Endpoint, n int) {
	for e.Connections() != n {
		time.Sleep(time.Millisecond) //nolint:forbidigo // the endpoint has no event for it
	}
}
