package endpoint_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// browser is the official client in Chromium, as far as a server that learns can tell.
type browser struct {
	*testing.T
	server *httptest.Server
	origin string
}

// behindStrip is a browser behind a proxy that takes Upgrade out, in front of a server that learns.
func behindStrip(t *testing.T, hold time.Duration) browser {
	o := endpoint.Options{Options: transports.Options{HoldTimeout: hold}, Policy: negotiate.NewEvidence(negotiate.EvidenceOptions{})}
	return browser{t, serve(t, o, (*httptest.Server).Start), "http://example.com"}
}

func (b browser) do(method, url, accept string) *http.Response {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, url, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 Chrome/156.0.0.0")
	r.Header.Set("Origin", b.origin)
	if accept != "" {
		r.Header.Set("Accept", accept)
	} else {
		r.Header.Set("Sec-WebSocket-Version", "13")
		r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	}
	response, err := b.server.Client().Do(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = response.Body.Close() })
	return response
}

func (b browser) negotiate() (url, reason string) {
	b.Helper()
	response := b.do(http.MethodPost, b.server.URL+"/echo/negotiate?negotiateVersion=0", "*/*")
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(body), `"connectionId":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return b.server.URL + "/echo?id=" + id, response.Header.Get("Carillon-Transport-Reason")
}

// handshake is one that lost its Upgrade.
func (b browser) handshake() *http.Response {
	b.Helper()
	url, _ := b.negotiate()
	return b.do(http.MethodGet, url, "")
}

// stream negotiates, opens an event stream and expects the status of the answer.
func (b browser) stream(status int) {
	b.Helper()
	url, reason := b.negotiate()
	if response := b.do(http.MethodGet, url, "text/event-stream"); response.StatusCode != status {
		b.Errorf("an event stream: %s (%s)", response.Status, reason)
	}
}

// Who waits until a stripped handshake is answered whole does not see the beginning of an answer: its event stream,
// which it would not see either, is refused. Whoever comes then is offered long polling first, but may insist.
func TestProbeHeld(t *testing.T) {
	b := behindStrip(t, 40*time.Millisecond)
	response := b.handshake()
	body, err := io.ReadAll(response.Body)
	if want := strings.Repeat(connection.Prelude, 4); err != nil || string(body) != want || response.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("the handshake is answered with %q, %v, %v", body, response.Header, err)
	}
	b.stream(http.StatusNotFound)
	if _, reason := b.negotiate(); !strings.Contains(reason, "ServerSentEvents is held back") {
		t.Errorf("then is offered what is for %q", reason)
	}
	b.stream(http.StatusOK)
}

// Who has seen the beginning goes on at once, and has its event stream.
func TestProbeSeen(t *testing.T) {
	b := behindStrip(t, 200*time.Millisecond)
	probe := b.handshake()
	b.negotiate()
	_, _ = io.ReadAll(probe.Body)
	b.stream(http.StatusOK)
}

// A handshake shows nothing of what the client does over HTTP/2.
func TestNoProbeWithTLS(t *testing.T) {
	b := behindStrip(t, time.Hour)
	b.origin = "https://example.com"
	if status := b.handshake().StatusCode; status != http.StatusBadRequest {
		t.Error(status)
	}
	b.stream(http.StatusOK)
}

// A stripped handshake for a connection with another transport is refused as a poll is.
func TestStrippedHandshakeOfAnotherTransport(t *testing.T) {
	b := behindStrip(t, time.Hour)
	url, _ := b.negotiate()
	b.do(http.MethodGet, url, "text/event-stream")
	response := b.do(http.MethodGet, url, "")
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusBadRequest || string(body) != "Cannot change transports mid-connection" ||
		response.Header.Get("Cache-Control") != "no-cache, no-store" {
		t.Errorf("%s, %v, %q, %v", response.Status, response.Header, body, err)
	}
}
