package forwarded

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

const versionTwo = beginV2 + "\x21\x11\x00\x0c\xc0\x00\x02\x01\x0a\x00\x00\x01\x00\x4d\x00\x50"

// remoteAddr is the address that an application sees of a client that says preface, or
// the status of the answer.
func remoteAddr(t *testing.T, preface, network string) string {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RemoteAddr) }))
	s.Listener = Listen(s.Listener, []netip.Prefix{netip.MustParsePrefix(network)})
	s.Start()
	defer s.Close()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, preface+"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed"
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.Status
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(string(body), ":")
	return host
}

func TestListen(t *testing.T) {
	const ours, others = "127.0.0.0/8", "10.0.0.0/8"
	for name, c := range map[string]struct{ preface, network, want string }{
		"version 1":              {"PROXY TCP4 192.0.2.1 10.0.0.1 77 80\r\n", ours, "192.0.2.1"},
		"version 1, of itself":   {"PROXY UNKNOWN\r\n", ours, "127.0.0.1"},
		"version 1, no end":      {"PROXY TCP4 192.0.2.1 10.0.0.1 77 80 " + strings.Repeat(" ", 100) + "\r\n", ours, "400 Bad Request"},
		"version 2":              {versionTwo, ours, "192.0.2.1"},
		"version 2, of itself":   {beginV2 + "\x20\x00\x00\x00", ours, "127.0.0.1"},
		"version 2, with more":   {beginV2 + "\x21\x11\x10\x0f\xc0\x00\x02\x01\x0a\x00\x00\x01\x00\x4d\x00\x50\x04\x10\x00" + strings.Repeat("x", 4096), ours, "192.0.2.1"},
		"version 2, too short":   {beginV2 + "\x21\x11\x00\x04\xc0\x00\x02\x01", ours, "400 Bad Request"},
		"a proxy that says none": {"", ours, "400 Bad Request"},
		"garbage":                {"PROXY TCP4 nobody\r\n", ours, "400 Bad Request"},
		"untrusted":              {"PROXY TCP4 192.0.2.1 10.0.0.1 77 80\r\n", others, "400 Bad Request"},
		"untrusted, says none":   {"", others, "127.0.0.1"},
	} {
		if got := remoteAddr(t, c.preface, c.network); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// Of what is behind a header nothing is read with it, whatever it says.
func FuzzHeader(f *testing.F) {
	for _, seed := range []string{"", "PROXY TCP4 192.0.2.1 10.0.0.1 77 80\r\nGET", versionTwo + "GET", "GET / HTTP/1.1\r\n", beginV2 + "\x21\x11\xff\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		rest := bytes.NewReader(sent)
		text, err := header(rest)
		if err == nil && len(text)+rest.Len() != len(sent) {
			t.Errorf("%d of %d bytes are a header, %d are left", len(text), len(sent), rest.Len())
		}
	})
}
