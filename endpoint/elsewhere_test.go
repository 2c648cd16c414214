package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

// The first request that opens a connection takes its negotiation over, wherever it arrives. The
// other requests find it from everywhere.
func TestConnectionMovesToItsFirstRequest(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b", "c")
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	token := a.negotiate()
	b.want(200, "", http.MethodGet, token, "")
	a.wantConnections(0)
	b.wantConnections(1)
	for _, n := range []*node{a, b, c} {
		n.want(200, "", http.MethodPost, token, "from "+n.name+";")
	}
	c.want(200, "from a;from b;from c;", http.MethodGet, token, "")
	a.want(202, "", http.MethodDelete, token, "")
	c.want(404, "No Connection with that ID", http.MethodGet, token, "")
	c.wantConnections(0)
}

func TestWebSocketMovesToItsFirstRequest(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b")
	token := nodes["a"].negotiate()
	c, _, err := nodes["b"].dial(token, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WriteMessage(websocket.TextMessage, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := c.ReadMessage(); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	nodes["a"].wantConnections(0)
	if _, response, err := nodes["a"].dial(token, nil); err == nil || response.StatusCode != http.StatusConflict {
		t.Errorf("a second WebSocket: %v", err)
	}
}

// Requests that cannot open the connection leave it where it is, and it may still move.
func TestOtherRequestsMoveNothing(t *testing.T) {
	nodes := startTown(t, endpoint.Options{EnableAuthenticationRefresh: true}, "a", "b")
	a, b := nodes["a"], nodes["b"]
	anna := []string{"Authorization", "Bearer anna"}
	token := a.negotiate(anna...)
	b.want(400, "", http.MethodPost, token, "early", anna...)
	b.want(400, "Cannot terminate this connection using the DELETE endpoint.", http.MethodDelete, token, "", anna...)
	b.want(200, "{}", http.MethodPost, "/refresh", "", append(anna, connectionToken, token)...)
	b.want(400, "", http.MethodGet, token, "", append(anna, handshakeHeaders[4:]...)...) // without Upgrade
	a.wantConnections(1)
	b.wantConnections(0)
	b.want(200, "", http.MethodGet, token, "", anna...)
	a.wantConnections(0)
	b.wantConnections(1)
	for _, n := range []*node{a, b} {
		n.want(409, `{"error":"authentication_refresh_required"}`, http.MethodGet, token, "", "Authorization", "Bearer bert")
	}
	a.want(403, "The user associated with this connection changed.", http.MethodPost, token, "x", "Authorization", "Bearer bert")
	a.want(200, "{}", http.MethodPost, "/refresh", "", append(anna, connectionToken, token)...)
}

// A connection does not move for the request of another user. That request may have begun to open
// it, so it stays.
func TestConnectionStaysForAnotherUser(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b")
	a, b := nodes["a"], nodes["b"]
	token := a.negotiate("Authorization", "Bearer anna")
	b.want(403, "The user associated with this connection changed.", http.MethodGet, token, "", "Authorization", "Bearer bert")
	b.want(200, "", http.MethodGet, token, "", "Authorization", "Bearer anna")
	a.wantConnections(1)
	b.wantConnections(0)
	b.want(202, "", http.MethodDelete, token, "", "Authorization", "Bearer anna")
}

// Of requests that race for a connection one opens it, and it is in one place.
func TestOneOfRacingRequestsOpens(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b", "c")
	for range 50 {
		token := nodes["a"].negotiate()
		var opened, refused atomic.Int32
		var all sync.WaitGroup
		for _, n := range nodes {
			all.Go(func() {
				switch _, response, err := n.dial(token, nil); {
				case err == nil:
					opened.Add(1)
				case response != nil && response.StatusCode == http.StatusConflict:
					refused.Add(1)
				default:
					t.Errorf("%s: %v", n.name, err)
				}
			})
		}
		all.Wait()
		if opened.Load() != 1 || refused.Load() != 2 {
			t.Errorf("%d have opened the connection, %d were refused", opened.Load(), refused.Load())
		}
	}
}

// A process without room refuses before it takes a negotiation, so another one can have it.
func TestLimitsPrecedeTheMove(t *testing.T) {
	nodes := startTown(t, endpoint.Options{Options: transports.Options{Limits: transports.Limits{Connections: 1}}}, "a", "b", "c")
	a, b, c := nodes["a"], nodes["b"], nodes["c"]
	_ = b.negotiate()
	token := a.negotiate()
	b.want(503, "", http.MethodGet, token, "")
	c.want(200, "", http.MethodGet, token, "")
	b.want(200, "", http.MethodPost, token, "x") // the limit is for connections
}

// The limits count a connection where it is.
func TestLimitsFollowTheMove(t *testing.T) {
	o := endpoint.Options{Options: transports.Options{Limits: transports.Limits{ConnectionsPerUser: 1}}}
	nodes := startTown(t, o, "a", "b")
	anna := []string{"Authorization", "Bearer anna"}
	token := nodes["a"].negotiate(anna...)
	nodes["b"].want(200, "", http.MethodGet, token, "", anna...)
	_ = nodes["a"].negotiate(anna...)
	nodes["b"].want(429, "", http.MethodPost, "/negotiate?negotiateVersion=1", "", anna...)
	nodes["a"].want(202, "", http.MethodDelete, token, "", anna...)
}

// The terms of a negotiation move with it, and the policy there makes the observer.
func TestTermsMove(t *testing.T) {
	told := make(chan string, 100)
	o := endpoint.Options{Policy: portable{told}}
	o.AllowStatefulReconnect = true
	nodes := startTown(t, o, "a", "b")
	token := nodes["a"].negotiate("Origin", "http://page.example")
	if got := <-told; got != "offered" {
		t.Error(got)
	}
	foreign := http.Header{"Origin": {"http://page.example"}, "Cookie": {"a=b"}}
	if _, response, err := nodes["b"].dial(token, http.Header{"Origin": {"http://evil.example"}}); err == nil || response.StatusCode != http.StatusForbidden {
		t.Errorf("another page: %v", err)
	}
	for _, want := range []string{"moved", "adopted the offer"} {
		if got := <-told; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	c, _, err := nodes["b"].dial(token, foreign)
	if err != nil {
		t.Fatal(err)
	}
	if got := <-told; got != "opened" {
		t.Error(got)
	}
	_ = c.NetConn().Close() // the connection waits for another WebSocket
	for deadline := time.Now().Add(time.Minute); ; {
		again, response, err := nodes["a"].dial(token, foreign)
		if err == nil {
			_ = again.Close()
			break
		}
		if time.Now().After(deadline) || response == nil || response.StatusCode != http.StatusConflict {
			t.Fatalf("the connection does not resume: %v", err)
		}
	}
}

// portable is a policy whose observers move. It records events.
type portable struct{ told chan string }

func (p portable) Offer(_ *http.Request, o *negotiate.Offer) {
	p.told <- "offered"
	o.Observer = moving{p}
}

func (p portable) Adopt(_ *http.Request, offer []byte) transports.Observer {
	p.told <- "adopted " + string(offer)
	return moving{p}
}

type moving struct{ portable }

func (m moving) Offer() []byte { return []byte("the offer") }
func (m moving) Observe(e transports.Event) {
	switch e.Kind {
	case transports.Moved:
		m.told <- "moved"
	case transports.Opened:
		m.told <- "opened"
	}
}

// Processes learn together if their policy learns, also behind rules.
func TestEvidenceIsSharedWithOtherProcesses(t *testing.T) {
	evidence := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	for _, c := range []struct {
		policy negotiate.Policy
		want   connection.Learner
	}{
		{nil, nil},
		{negotiate.Rules{}, nil},
		{negotiate.Policies{negotiate.Rules{}}, nil},
		{evidence, evidence},
		{negotiate.Policies{negotiate.Rules{}, negotiate.Policies{nil, evidence}}, evidence},
	} {
		if n := startTown(t, endpoint.Options{Policy: c.policy}, "a")["a"]; n.learn != c.want {
			t.Errorf("%v: shares %v", c.policy, n.learn)
		}
	}
}

// The other processes know that a client does not see event streams before its handshake is
// answered whole, because it then negotiates at one of them.
func TestProbeIsToldToOtherProcesses(t *testing.T) {
	evidence := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	nodes := startTown(t, endpoint.Options{Options: transports.Options{HoldTimeout: 40 * time.Millisecond}, Policy: evidence}, "a", "b")
	a, b := nodes["a"], nodes["b"]
	chrome := []string{"User-Agent", "Mozilla/5.0 Chrome/156.0.0.0"}
	stripped := append([]string{"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}, chrome...)
	b.want(200, strings.Repeat(connection.Prelude, 4), http.MethodGet, a.negotiate(chrome...), "", stripped...)
	if a.told.Load() != 1 || b.told.Load() != 0 {
		t.Errorf("told %d times by the home, %d by the other one", a.told.Load(), b.told.Load())
	}
}

// Nothing is asked elsewhere about tokens that no process has made, and about connections that
// are here. A forwarded request is not forwarded again.
func TestWhatIsNotAskedElsewhere(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b")
	a, b := nodes["a"], nodes["b"]
	token := a.negotiate()
	a.want(200, "", http.MethodGet, token, "")
	a.want(200, "", http.MethodPost, token, "x")
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		a.want(404, "No Connection with that ID", method, "0123456789012345678901", "")
		a.want(404, "No Connection with that ID", method, "c!0123456789012345678901", "")
	}
	_, key, _ := strings.Cut(token, "!")
	b.want(404, "No Connection with that ID", http.MethodGet, key, "")
	if n := a.finds.Load() + b.finds.Load(); n != 0 {
		t.Errorf("asked %d times", n)
	}
	b.want(404, "No Connection with that ID", http.MethodGet, "a!0123456789012345678901", "")
	if n := b.finds.Load(); n != 1 || a.finds.Load() != 0 {
		t.Errorf("asked %d times at b, %d at a", n, a.finds.Load())
	}
}

// The id of version 0 opens its connection at the process that negotiated, if that is accepted.
func TestVersion0InACluster(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a")
	nodes["a"].want(200, `{"error":"The client requested version '0', but the server does not support this version."}`, http.MethodPost, "/negotiate", "")
	nodes = startTown(t, endpoint.Options{MinimumProtocolVersion: -1}, "a", "b")
	_, text := nodes["a"].ask(http.MethodPost, "/negotiate", "")
	var offer signalr.Negotiation
	if err := json.Unmarshal([]byte(text), &offer); err != nil || offer.ConnectionID == "" {
		t.Fatal(text, err)
	}
	nodes["b"].want(404, "No Connection with that ID", http.MethodGet, offer.ConnectionID, "")
	nodes["a"].want(200, "", http.MethodGet, offer.ConnectionID, "")
	nodes["a"].want(202, "", http.MethodDelete, offer.ConnectionID, "")
}

// A search ends with its request, and takes nothing.
func TestSearchEndsWithItsRequest(t *testing.T) {
	nodes := startTown(t, endpoint.Options{}, "a", "b")
	token := nodes["a"].negotiate()
	ctx, cancel := context.WithCancel(t.Context())
	nodes["b"].claim = func() error { cancel(); return nil }
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/echo?id="+token, nil)
	w := httptest.NewRecorder()
	nodes["b"].e.ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Error(w.Code)
	}
	nodes["b"].claim = func() error { return errors.New("nobody answers") }
	nodes["b"].want(404, "No Connection with that ID", http.MethodGet, token, "")
	nodes["b"].claim = nil
	nodes["b"].want(200, "", http.MethodGet, token, "")
}

// A connection whose POST was lost between the processes ends as if the network had cut it. One
// that takes no POSTs goes on, and so does a negotiation.
func TestEndOfALostPost(t *testing.T) {
	n := startTown(t, endpoint.Options{}, "a")["a"]
	end := func(token string) {
		key, _ := n.Open(token)
		n.local.End(key)
	}
	stream, poll, socket, unopened := n.negotiate(), n.negotiate(), n.negotiate(), n.negotiate()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, n.url+"?id="+stream, nil)
	r.Header.Set("Accept", "text/event-stream")
	events, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	end(stream)
	_, _ = io.Copy(io.Discard, events.Body)
	// The answers have a text when the application has returned.
	if status, _ := n.ask(http.MethodPost, stream, "x"); status != http.StatusNotFound {
		t.Errorf("POST after the end: %d", status)
	}
	n.want(http.StatusOK, "", http.MethodGet, poll, "")
	end(poll)
	if status, _ := n.ask(http.MethodGet, poll, ""); status != http.StatusNotFound {
		t.Errorf("poll after the end: %d", status)
	}
	c, _, err := n.dial(socket, nil)
	if err != nil {
		t.Fatal(err)
	}
	end(socket)
	_ = c.WriteMessage(websocket.TextMessage, []byte("hello"))
	if _, text, err := c.ReadMessage(); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
	end(unopened)
	n.want(http.StatusOK, "", http.MethodGet, unopened, "")
	end("a!unknown")
}
