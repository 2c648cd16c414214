package endpoint_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/carillon-go/carillon/endpoint"
)

// A WebSocket over HTTP/2 (RFC 8441), which net/http announces with http2xconnect=1 only, is refused in a way that leaves
// the id for the transport that the client tries next.
func TestExtendedConnect(t *testing.T) {
	const setting = "http2xconnect=1" // net/http reads it when the process begins
	if !strings.Contains(os.Getenv("GODEBUG"), setting) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestExtendedConnect$", "-test.v")
		cmd.Env = append(os.Environ(), "GODEBUG="+setting)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	server := serve(t, endpoint.Options{}, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	config := server.Client().Transport.(*http.Transport).TLSClientConfig
	var transport http.RoundTripper = &http2.Transport{TLSClientConfig: config} //nolint:staticcheck // net/http's does not send such requests
	url := openOf(t, server)
	connect := func(url, protocol string) int {
		body, end := io.Pipe()
		defer end.Close()
		q, err := http.NewRequestWithContext(t.Context(), http.MethodConnect, url, body)
		if err != nil {
			t.Fatal(err)
		}
		q.Header[":protocol"] = []string{protocol}
		q.Header.Set("Sec-WebSocket-Version", "13")
		response, err := transport.RoundTrip(q)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	for _, protocol := range []string{"websocket", "connect-udp"} {
		if status := connect(url, protocol); status != http.StatusNotImplemented {
			t.Errorf("%s: status %d", protocol, status)
		}
	}
	q, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	q.Header.Set("Accept", "text/event-stream")
	response, err := transport.RoundTrip(q)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if line, err := bufio.NewReader(response.Body).ReadString('\n'); response.StatusCode != http.StatusOK || err != nil || !strings.HasPrefix(line, ":") {
		t.Errorf("an event stream with the same id: status %d, %q, %v", response.StatusCode, line, err)
	}
}
