package client

import (
	"bufio"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

// shake does the server's part of the beginning. The test may stop a client that reconnects before
// the client has sent anything.
func (l *link) shake() {
	switch got, err := l.next(); {
	case got == "" && err != nil:
		return
	case got != `{"protocol":"json","version":1}`:
		l.Errorf("%s: got %.300q (%v), want the handshake", l.transport, got, err)
		l.cut()
		return
	}
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
