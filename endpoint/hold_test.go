package endpoint_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/transports"
)

// awaitCut opens an event stream that nothing is posted after, and returns how it ends.
func awaitCut(t *testing.T, server *httptest.Server, url string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	response, err := server.Client().Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body)
	return err
}

func statusOfPost(t *testing.T, server *httptest.Server, url string) int {
	t.Helper()
	response, err := server.Client().Post(url, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

var shortHold = endpoint.Options{Options: transports.Options{HoldTimeout: 50 * time.Millisecond}}

// A stream that nobody follows up does not end in order, and its connection is gone.
func TestHeldStream(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"TLS":      (*httptest.Server).StartTLS,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, shortHold, start)
			url := openOf(t, server)
			if err := awaitCut(t, server, url); err == nil {
				t.Error("the stream ends in order")
			}
			if status := statusOfPost(t, server, url); status != http.StatusNotFound {
				t.Errorf("a POST afterwards: %d", status)
			}
		})
	}
}

// In HTTP/1.0 only a reset is no orderly end.
func TestHeldStreamHTTP10(t *testing.T) {
	server := serve(t, shortHold, (*httptest.Server).Start)
	_, r := raw(t, server, "GET "+path(open(t, server.URL+"/echo"))+" HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
	if _, err := io.ReadAll(r); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v", err)
	}
}

// A stream whose client posted stays.
func TestStreamNotHeld(t *testing.T) {
	o := endpoint.Options{Options: transports.Options{HoldTimeout: time.Second}} // in which a busy host posts, too
	server := serve(t, o, (*httptest.Server).Start)
	url := open(t, server.URL+"/echo")
	_, r := raw(t, server, "GET "+path(url)+" HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	post(t, url, "x")
	_ = awaitCut(t, server, open(t, server.URL+"/echo")) // by then its time is over too
	post(t, url, "y")
	want := ":\r\ndata: x\r\n\r\ndata: y\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

// openOf negotiates with the server's own client and returns the connection's URL.
func openOf(t *testing.T, server *httptest.Server) string {
	t.Helper()
	response, err := server.Client().Post(server.URL+"/echo/negotiate?negotiateVersion=0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), `"connectionId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return server.URL + "/echo?id=" + id
}
