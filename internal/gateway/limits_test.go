package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// raw is a connection on which something was sent that is no whole request.
func (r *running) raw(text string) (net.Conn, *bufio.Reader) {
	r.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = conn.Close() })
	// The server may answer and close before it has read everything.
	_, _ = io.WriteString(conn, text)
	return conn, bufio.NewReader(conn)
}

// A head without end costs what a head may have, and nobody else notices.
func TestLongHead(t *testing.T) {
	r := start(t, nil)
	_, next := r.stream()
	next()
	_, answer := r.raw("GET /hubs/clock HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 2<<20))
	response, err := http.ReadResponse(answer, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(response.Status)
	}
	if tick := next(); !strings.HasPrefix(tick, `{"type":1`) {
		t.Errorf("beside it: %q", tick)
	}
}

// Nor does a head that does not come hold its connection for ever.
func TestSlowHead(t *testing.T) {
	t.Parallel() // it takes headerTimeout
	r := start(t, nil)
	_, answer := r.raw("GET /hubs/clock HTTP/1.1\r\nHost: x\r\n")
	_, _ = io.Copy(io.Discard, answer) // ends when the server closes
	if response := r.do(http.MethodGet, "/healthz", ""); response.StatusCode != http.StatusOK {
		t.Error(response.Status)
	}
}

// Nor a body that nobody reads, be it of a request that is refused or that needs none.
func TestSlowRest(t *testing.T) {
	t.Parallel() // it takes restTimeout
	r := start(t, nil)
	answers := map[string]*bufio.Reader{}
	for _, request := range []string{"POST /hubs/clock/negotiate", "POST /hubs/clock?id=nobodys", "PUT /hubs/clock", "GET /", "POST /nowhere"} {
		_, answers[request] = r.raw(request + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n{")
	}
	for request, answer := range answers {
		if _, err := http.ReadResponse(answer, nil); err != nil {
			t.Errorf("%s: %v", request, err)
		}
		_, _ = io.Copy(io.Discard, answer) // ends when the server closes
	}
}
