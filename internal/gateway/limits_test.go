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

// A head that is too long is refused as soon as it is, and nobody else notices. The original's
// server takes 32 KiB, too.
func TestLongHead(t *testing.T) {
	r := start(t, nil)
	_, next := r.stream()
	next()
	short := strings.Repeat("a:\r\n", 8<<10)
	for name, head := range map[string]string{
		"one long line":    "X: " + strings.Repeat("x", 40<<10),
		"many short lines": short + short,
		"a long cookie":    "Cookie: " + strings.Repeat("x", 33<<10),
	} {
		_, answer := r.raw("GET /hubs/clock HTTP/1.1\r\nHost: x\r\n" + head) // without its end
		response, err := http.ReadResponse(answer, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
	_, answer := r.raw("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + strings.Repeat("x", 27<<10) + "\r\n\r\n")
	if response, err := http.ReadResponse(answer, nil); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("a head of 27 KiB: %v, %v", response, err)
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
