package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// wire is a server that a test plays itself, byte by byte: it knows transports, but nothing of hubs,
// so that an error of the client is not hidden by the same error on the other side.
type wire struct {
	*testing.T
	url    string
	server *httptest.Server
	play   func(*link)
	// offer in negotiation; all three if empty.
	offer []Transport
	// before is asked first about each request; true: it has answered.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu       sync.Mutex
	requests []string // method, path and query, in the order in which they came
	headers  []http.Header
	links    map[string]*link
	made     int
	ended    chan struct{}
	scripts  sync.WaitGroup
}

// link is one connection as the server sees it.
type link struct {
	*wire
	transport Transport
	token     string
	up        *bufio.Reader
	received  *io.PipeWriter
	kinds     chan int      // types of the WebSocket messages that came
	down      chan []byte   // what goes to the client; closed: the transport ends in order
	gone      chan struct{} // closed: the transport is cut
	deleted   chan struct{} // closed by DELETE
	closed    chan error    // how the WebSocket ended
	playing   sync.Once
	cutting   sync.Once
}

const record = "\x1e"

// newWire starts a server whose connections each play a script.
func newWire(t *testing.T, play func(*link)) *wire {
	t.Helper()
	w := &wire{T: t, play: play, links: make(map[string]*link), ended: make(chan struct{})}
	w.listen(httptest.NewServer)
	return w
}

// newTLSWire does so over TLS, with HTTP/2 for clients that want it; they need the certificate.
func newTLSWire(t *testing.T, play func(*link)) *wire {
	t.Helper()
	w := &wire{T: t, play: play, links: make(map[string]*link), ended: make(chan struct{})}
	w.listen(func(h http.Handler) *httptest.Server {
		s := httptest.NewUnstartedServer(h)
		s.EnableHTTP2 = true
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		s.StartTLS()
		return s
	})
	return w
}

func (w *wire) listen(start func(http.Handler) *httptest.Server) {
	w.server = start(w)
	w.url = w.server.URL + "/hub"
	w.Cleanup(func() {
		close(w.ended)
		w.mu.Lock()
		for _, l := range w.links {
			l.received.Close()
		}
		w.mu.Unlock()
		w.server.CloseClientConnections()
		w.server.Close()
		w.scripts.Wait()
	})
}

func (w *wire) options() Options {
	return (&rig{combo: combos()[0]}).options()
}

// on makes options for one transport.
func (w *wire) on(t Transport) Options {
	o := w.options()
	o.Transports = []Transport{t}
	return o
}

func (w *wire) rig() *rig { return &rig{T: w.T, server: w.server.URL, combo: combos()[0]} }

func (w *wire) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	w.requests = append(w.requests, r.Method+" "+r.URL.RequestURI())
	w.headers = append(w.headers, r.Header.Clone())
	w.mu.Unlock()
	if w.before != nil && w.before(rw, r) {
		return
	}
	if strings.HasSuffix(r.URL.Path, "/negotiate") {
		w.negotiate(rw)
		return
	}
	l := w.link(r.URL.Query().Get("id"))
	switch {
	case l == nil:
		http.Error(rw, "No Connection with that ID", http.StatusNotFound)
	case websocket.IsWebSocketUpgrade(r):
		l.begin(WebSockets)
		l.serveWebSocket(rw, r)
	case r.Method == http.MethodPost:
		body, _ := io.ReadAll(r.Body)
		_, _ = l.received.Write(body)
	case r.Method == http.MethodDelete:
		close(l.deleted)
		l.received.Close()
		rw.WriteHeader(http.StatusAccepted)
	case r.Header.Get("Accept") == "text/event-stream":
		l.begin(ServerSentEvents)
		l.serveEvents(rw, r)
	default:
		l.servePoll(rw, r)
	}
}

// tokenTail makes the tokens need escaping.
const tokenTail = "+/=&?"

func (w *wire) negotiate(rw http.ResponseWriter) {
	w.mu.Lock()
	w.made++
	token := strings.Repeat("t", w.made) + tokenTail
	w.mu.Unlock()
	w.adopt(token)
	offer := w.offer
	if offer == nil {
		offer = []Transport{WebSockets, ServerSentEvents, LongPolling}
	}
	answer := map[string]any{"negotiateVersion": 1, "connectionId": "id of " + token, "connectionToken": token}
	var entries []any
	for _, t := range offer {
		formats := []string{"Text", "Binary"}
		if t == ServerSentEvents {
			formats = formats[:1]
		}
		entries = append(entries, map[string]any{"transport": t, "transferFormats": formats})
	}
	answer["availableTransports"] = entries
	_ = json.NewEncoder(rw).Encode(answer)
}

// adopt makes a connection with a token.
func (w *wire) adopt(token string) {
	l := &link{wire: w, token: token, kinds: make(chan int, 1000), down: make(chan []byte, 16),
		gone: make(chan struct{}), deleted: make(chan struct{}), closed: make(chan error, 1)}
	var pipe *io.PipeReader
	pipe, l.received = io.Pipe()
	l.up = bufio.NewReader(pipe)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[token] = l
}

func (w *wire) link(token string) *link {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.links[token]
}

func (w *wire) seen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.requests...)
}

// begin starts the script with the first request of a transport.
func (l *link) begin(t Transport) (first bool) {
	l.playing.Do(func() {
		first, l.transport = true, t
		l.scripts.Go(func() {
			defer l.received.Close()
			l.play(l)
		})
	})
	return first
}

func (l *link) serveWebSocket(rw http.ResponseWriter, r *http.Request) {
	conn, err := new(websocket.Upgrader).Upgrade(rw, r, nil)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		for {
			kind, data, err := conn.ReadMessage()
			if err != nil {
				l.closed <- err
				l.received.CloseWithError(err)
				return
			}
			l.kinds <- kind
			_, _ = l.received.Write(data)
		}
	}()
	for {
		select {
		case data, ok := <-l.down:
			if !ok {
				_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
				<-l.closed
				return
			}
			_ = conn.WriteMessage(websocket.BinaryMessage, data)
		case <-l.gone:
			if len(l.down) > 0 {
				continue // sent before the cut
			}
			reset(conn.NetConn())
			return
		case err := <-l.closed:
			l.closed <- err
			return
		case <-l.ended:
			return
		}
	}
}

func (l *link) serveEvents(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(rw, ":\r\n")
	flush := rw.(http.Flusher)
	flush.Flush()
	for {
		select {
		case data, ok := <-l.down:
			if !ok {
				return
			}
			_, _ = io.WriteString(rw, "data: "+strings.ReplaceAll(string(data), "\n", "\r\ndata: ")+"\r\n\r\n")
			flush.Flush()
		case <-l.gone:
			if len(l.down) > 0 {
				continue // sent before the cut
			}
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			l.received.CloseWithError(io.EOF)
			return
		case <-l.ended:
			return
		}
	}
}

func (l *link) servePoll(rw http.ResponseWriter, r *http.Request) {
	rw.Header().Set("Content-Type", "application/octet-stream")
	if l.begin(LongPolling) {
		return
	}
	select {
	case data, ok := <-l.down:
		if !ok {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = rw.Write(data)
	case <-l.gone:
		select {
		case data := <-l.down: // sent before the cut
			_, _ = rw.Write(data)
		default:
			panic(http.ErrAbortHandler)
		}
	case <-l.deleted:
		rw.WriteHeader(http.StatusNoContent)
	case <-r.Context().Done():
	case <-l.ended:
	}
}

// send passes bytes to the client.
func (l *link) send(data string) {
	select {
	case l.down <- []byte(data):
	case <-l.ended:
	}
}

// end ends the transport in order, behind what was sent.
func (l *link) end() { close(l.down) }

// cut resets the transport.
func (l *link) cut() {
	l.cutting.Do(func() {
		close(l.gone)
		l.received.Close()
	})
}

// next is the next text record of the client.
func (l *link) next() (string, error) {
	line, err := l.up.ReadString('\x1e')
	return strings.TrimSuffix(line, record), err
}

// expect compares the client's next records.
func (l *link) expect(want ...string) {
	for _, w := range want {
		got, err := l.next()
		if err != nil || got != w {
			l.Errorf("%s: got %.300q (%v), want %q", l.transport, got, err, w)
			l.cut()
			return
		}
	}
}

// expectBytes compares the client's next bytes.
func (l *link) expectBytes(want string) {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(l.up, got); err != nil || string(got) != want {
		l.Errorf("%s: got % x (%v), want % x", l.transport, got, err, want)
		l.cut()
	}
}

// shake does the server's part of the beginning.
func (l *link) shake() {
	l.expect(`{"protocol":"json","version":1}`)
	l.send("{}" + record)
	if l.transport != LongPolling {
		l.expect(`{"type":6}`)
	}
}

// untilGone reads until the client ends.
func (l *link) untilGone() { _, _ = io.Copy(io.Discard, l.up) }

// each runs a test on every transport.
func each(t *testing.T, test func(t *testing.T, transport Transport)) {
	t.Helper()
	for _, transport := range []Transport{WebSockets, ServerSentEvents, LongPolling} {
		t.Run(string(transport), func(t *testing.T) { test(t, transport) })
	}
}

// TestWire shows every kind of message on the wire, both ways, in JSON.
func TestWire(t *testing.T) {
	each(t, func(t *testing.T, transport Transport) {
		done, answered := make(chan struct{}), make(chan struct{})
		w := newWire(t, func(l *link) {
			defer close(done)
			l.shake()
			l.expect(`{"type":1,"target":"Send","arguments":[1,"two",null]}`)
			l.expect(`{"type":1,"invocationId":"1","target":"Echo","arguments":["x"]}`)
			l.send(`{"type":6}` + record + `{"type":3,"invocationId":"1","result":"y"}` + record + `{"type":99}` + record)
			l.expect(`{"type":4,"invocationId":"2","target":"Stream","arguments":[]}`)
			l.send(`{"type":2,"invocationId":"2","item":1}` + record + `{"type":2,"invoca`)
			l.send(`tionId":"2","item":2}` + record)
			l.expect(`{"type":5,"invocationId":"2"}`)
			l.send(`{"type":2,"invocationId":"2","item":3}` + record + `{"type":3,"invocationId":"2"}` + record)
			l.expect(`{"type":1,"invocationId":"3","target":"Up","arguments":["and"],"streamIds":["4","5"]}`)
			items := map[string]int{}
			for range 5 { // two uploads: each in order, between them any
				line, _ := l.next()
				items[line]++
			}
			for _, want := range []string{`{"type":2,"invocationId":"4","item":1}`, `{"type":2,"invocationId":"4","item":2}`, `{"type":3,"invocationId":"4"}`, `{"type":2,"invocationId":"5","item":"a"}`, `{"type":3,"invocationId":"5","error":"no b"}`} {
				if items[want] != 1 {
					l.Errorf("no %s in %v", want, items)
				}
			}
			l.send(`{"type":3,"invocationId":"3","error":"server's words"}` + record)
			l.send(`{"type":1,"target":"Handle","arguments":["h",[1,2]]}` + record)
			l.send(`{"type":1,"invocationId":"s1","target":"Ask","arguments":[20]}` + record)
			l.expect(`{"type":3,"invocationId":"s1","result":21}`)
			l.send(`{"type":1,"invocationId":"s2","target":"Ask","arguments":["text"]}` + record)
			l.expect(`{"type":3,"invocationId":"s2","error":"Client failed to parse argument(s)."}`)
			l.send(`{"type":1,"invocationId":"s3","target":"Nobody","arguments":[]}` + record)
			l.expect(`{"type":3,"invocationId":"s3","error":"Client didn't provide a result."}`)
			close(answered)
			l.expect(`{"type":7}`)
			if transport == LongPolling {
				<-l.deleted
			}
			l.untilGone()
		})
		r := w.rig()
		o := w.on(transport)
		o.Header = http.Header{"X-Own": {"mine"}}
		o.AccessToken = func(context.Context) (string, error) { return "secret", nil }
		c := r.open(w.url+"?a=%20b", o)
		handled := make(chan string, 1)
		c.On("handle", Action2(func(_ context.Context, s string, n []int) error { handled <- s; return nil }))
		c.On("Ask", Func1(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
		r.start(c)
		if err := c.Send(r.within(), "Send", 1, "two", nil); err != nil {
			t.Error(err)
		}
		if got, err := Invoke[string](r.within(), c, "Echo", "x"); err != nil || got != "y" {
			t.Errorf("Echo: %q, %v", got, err)
		}
		for n, err := range Stream[int](r.within(), c, "Stream") {
			if err != nil {
				t.Error(err)
			}
			if n == 2 {
				break
			}
		}
		err := c.Invoke(r.within(), "Up", UploadSeq(func(yield func(int) bool) { _ = yield(1) && yield(2) }), "and",
			UploadSeq2(func(yield func(string, error) bool) { _ = yield("a", nil) && yield("", errors.New("no b")) }))
		r.hubError(err, "server's words")
		receive(r, "Handle", handled)
		receive(r, "all answers at the server", answered)
		if err := c.Stop(r.within()); err != nil {
			t.Error(err)
		}
		receive(r, "the end of the script", done)
		w.checkRequests(transport)
	})
}

func (w *wire) checkRequests(transport Transport) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	const id = "id=t%2B%2F%3D%26%3F"
	var get string
	for i, request := range w.requests {
		h := w.headers[i]
		if h.Get("Authorization") != "Bearer secret" || h.Get("X-Own") != "mine" || !strings.HasPrefix(h.Get("User-Agent"), "Carillon") {
			w.Errorf("headers of %s: %v", request, h)
		}
		if stream := h.Get("Accept") == "text/event-stream"; stream != (h.Get("X-Requested-With") == "") || stream != (h.Get("Cache-Control") == "no-cache") {
			w.Errorf("%s does not say what it is: %v", request, h)
		}
		method, uri, _ := strings.Cut(request, " ")
		switch {
		case i == 0:
			if uri != "/hub/negotiate?a=%20b&negotiateVersion=1" || method != http.MethodPost {
				w.Errorf("negotiation: %s", request)
			}
			continue
		case method == http.MethodPost:
			if uri != "/hub?a=%20b&"+id || h.Get("Content-Type") != "text/plain;charset=UTF-8" {
				w.Errorf("%s, %v", request, h)
			}
		case method == http.MethodDelete:
			if uri != "/hub?a=%20b&"+id {
				w.Errorf("request %s", request)
			}
		case method == http.MethodGet:
			get = h.Get("Accept")
		}
		if !strings.HasPrefix(uri, "/hub?a=%20b&"+id) {
			w.Errorf("request %s", request)
		}
	}
	if (get == "text/event-stream") != (transport == ServerSentEvents) {
		w.Errorf("Accept: %q", get)
	}
	// A poll that was dropped may be seen behind it.
	if transport == LongPolling && !slices.Contains(w.requests, "DELETE /hub?a=%20b&"+id) {
		w.Errorf("no DELETE in %v", w.requests)
	}
}

// TestWireMessagePack shows the same in MessagePack, where frames and bodies are binary.
func TestWireMessagePack(t *testing.T) {
	for _, transport := range []Transport{WebSockets, LongPolling} {
		t.Run(string(transport), func(t *testing.T) {
			w := newWire(t, func(l *link) {
				l.expect(`{"protocol":"messagepack","version":1}`)
				l.send("{}" + record + "\x02\x91\x06")
				if l.transport != LongPolling {
					l.expectBytes("\x02\x91\x06")
				}
				l.expectBytes("\x0e\x96\x01\x80\xa1" + "1" + "\xa4" + "Echo" + "\x91\xa1" + "x" + "\x90")
				l.send("\x08\x95\x03\x80\xa1" + "1" + "\x03\xa1" + "y")
				l.expectBytes("\x0e\x96\x01\x80\xc0\xa4" + "Send" + "\x93\x01\xc3\xc0\x90")
				l.send("\x0f\x96\x01\x80\xa1" + "s" + "\xa6" + "Handle" + "\x91\x07\x90")
				l.expectBytes("\x07\x95\x03\x80\xa1" + "s" + "\x03\x08")
				l.send("\x04\x93\x07\xc0\xc2")
				l.end()
				l.untilGone()
			})
			o := w.on(transport)
			o.Protocol = combos()[1].protocol
			r := w.rig()
			c := r.open(w.url, o)
			ended := make(chan error, 1)
			c.OnStateChange(func(_ context.Context, s StateChange) {
				if s.To == Disconnected {
					ended <- s.Err
				}
			})
			c.On("Handle", Func1(func(_ context.Context, n int) (int, error) { return n + 1, nil }))
			r.start(c)
			if got, err := Invoke[string](r.within(), c, "Echo", "x"); err != nil || got != "y" {
				t.Errorf("Echo: %q, %v", got, err)
			}
			if err := c.Send(r.within(), "Send", 1, true, nil); err != nil {
				t.Error(err)
			}
			if err := receive(r, "the end", ended); err != nil {
				t.Errorf("ended with %v", err)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for i, h := range w.headers {
				if strings.HasPrefix(w.requests[i], "POST /hub?") && h.Get("Content-Type") != "application/octet-stream" {
					t.Errorf("%s with %s", w.requests[i], h.Get("Content-Type"))
				}
			}
		})
	}
}

// TestWebSocketFrames: text for JSON, binary for MessagePack, and a close frame 1000 at the end.
func TestWebSocketFrames(t *testing.T) {
	links := make(chan *link, 1)
	w := newWire(t, func(l *link) {
		links <- l
		l.shake()
		l.expect(`{"type":7}`)
		l.untilGone()
	})
	r := w.rig()
	c := r.start(r.open(w.url, w.on(WebSockets)))
	if err := c.Stop(r.within()); err != nil {
		t.Error(err)
	}
	l := <-links
	if kind := <-l.kinds; kind != websocket.TextMessage {
		t.Errorf("the handshake came in a message of type %d", kind)
	}
	if err := receive(r, "the end of the WebSocket", l.closed); !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
		t.Errorf("the WebSocket ended with %v", err)
	}
}
