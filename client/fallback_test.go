package client

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// fails makes requests of a transport fail in one of the ways of restricted networks.
func (w *wire) fails(how map[Transport]func(*wire, http.ResponseWriter)) {
	w.before = func(rw http.ResponseWriter, q *http.Request) bool {
		var t Transport
		switch {
		case strings.HasSuffix(q.URL.Path, "/negotiate") || q.Method != http.MethodGet:
			return false
		case q.Header.Get("Upgrade") != "":
			t = WebSockets
		case q.Header.Get("Accept") == "text/event-stream":
			t = ServerSentEvents
		default:
			t = LongPolling
		}
		if f := how[t]; f != nil {
			f(w, rw)
			return true
		}
		return false
	}
}

func TestFallback(t *testing.T) {
	const enough = 2 * time.Second // for a transport that works, on a machine that is busy
	refuse := func(_ *wire, rw http.ResponseWriter) { http.Error(rw, "no", http.StatusForbidden) }
	hang := func(w *wire, _ http.ResponseWriter) { <-w.ended }
	page := func(_ *wire, rw http.ResponseWriter) {
		rw.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(rw, "<html>please log in</html>")
	}
	poll := func(_ *wire, rw http.ResponseWriter) { rw.Header().Set("Content-Type", "application/octet-stream") }
	held := func(w *wire, rw http.ResponseWriter) {
		rw.Header().Set("Content-Type", "text/event-stream")
		rw.(http.Flusher).Flush()
		<-w.ended
	}
	all := []Transport{WebSockets, ServerSentEvents, LongPolling}
	tests := map[string]struct {
		ws, sse func(*wire, http.ResponseWriter)
		want    Transport
	}{
		"nothing in the way":     {nil, nil, WebSockets},
		"Upgrade refused":        {refuse, nil, ServerSentEvents},
		"Upgrade swallowed":      {hang, nil, ServerSentEvents},
		"a page for Upgrade":     {page, nil, ServerSentEvents},
		"both refused":           {refuse, refuse, LongPolling},
		"the stream is held":     {refuse, hang, LongPolling},
		"its events are held":    {refuse, held, LongPolling},
		"Accept is dropped":      {refuse, poll, LongPolling},
		"a page for the stream":  {page, page, LongPolling},
		"everything hangs twice": {hang, held, LongPolling},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // some wait for what never comes
			w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
			w.fails(map[Transport]func(*wire, http.ResponseWriter){WebSockets: test.ws, ServerSentEvents: test.sse})
			o := w.options()
			o.Transports, o.TransportTimeout, o.CloseTimeout = all, enough, soon
			r := w.rig()
			tried := slices.Index(all, test.want) + 1
			for start := range 2 {
				before := len(w.seen())
				c := r.start(r.open(w.url, o))
				if c.Transport() != test.want {
					t.Errorf("start %d: %s", start, c.Transport())
				}
				negotiated := 0
				for _, request := range w.seen()[before:] {
					if strings.Contains(request, "/negotiate") {
						negotiated++
					}
				}
				// Each attempt negotiates anew; the second start remembers what works.
				if want := []int{tried, 1}[start]; negotiated != want {
					t.Errorf("start %d: %d negotiations, want %d", start, negotiated, want)
				}
				if err := c.Stop(r.within()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestFallbackEndsInErrors(t *testing.T) {
	w := newWire(t, func(l *link) { l.untilGone() })
	refuse := func(_ *wire, rw http.ResponseWriter) { http.Error(rw, "no", http.StatusForbidden) }
	w.fails(map[Transport]func(*wire, http.ResponseWriter){WebSockets: refuse, LongPolling: refuse})
	o := w.options()
	o.Transports = []Transport{WebSockets, LongPolling}
	r := w.rig()
	err := r.open(w.url, o).Start(r.within())
	const want = "client: unable to connect to the server with any of the available transports: ServerSentEvents failed: disabled by the client. " +
		"WebSockets failed: WebSocket handshake: no: status code '403'. LongPolling failed: poll: no: status code '403'."
	if err == nil || err.Error() != want {
		t.Errorf("Start: %v", err)
	}
	if answer := new(HTTPError); !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden {
		t.Errorf("the status is lost: %v", err)
	}
}

func TestTransferFormats(t *testing.T) {
	w := newWire(t, func(l *link) { l.untilGone() })
	o := w.on(ServerSentEvents)
	o.Protocol = combos()[1].protocol
	r := w.rig()
	err := r.open(w.url, o).Start(r.within())
	if !errors.Is(err, ErrNoTransport) || !strings.Contains(err.Error(), "ServerSentEvents failed: does not support the transfer format Binary") {
		t.Errorf("Start: %v", err)
	}
}

func TestSkipNegotiation(t *testing.T) {
	w := newWire(t, func(l *link) { l.shake(); l.untilGone() })
	w.before = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.URL.Query().Has("id") {
			t.Errorf("request %s", q.URL)
		}
		w.adopt("")
		return false
	}
	o := w.options()
	o.SkipNegotiation = true
	o.Transports = []Transport{LongPolling}
	if err := New(w.url, o).Start(t.Context()); err == nil || !strings.Contains(err.Error(), "WebSockets") {
		t.Errorf("skipping without WebSockets among the transports: %v", err)
	}
	o.Transports = nil
	r := w.rig()
	c := r.start(r.open(w.url, o))
	if c.ConnectionID() != "" || c.Transport() != WebSockets {
		t.Errorf("id %q, transport %s", c.ConnectionID(), c.Transport())
	}
	if n := len(w.seen()); n != 1 {
		t.Errorf("requests: %v", w.seen())
	}
}

// TestPollsThroughTrouble: a proxy that answers instead of the server does not end the connection, a
// poll that breaks does.
func TestPollsThroughTrouble(t *testing.T) {
	var polls atomic.Int32
	w := newWire(t, func(l *link) {
		l.shake()
		l.expect(`{"type":1,"invocationId":"1","target":"Echo","arguments":[]}`)
		l.send(`{"type":3,"invocationId":"1"}` + record)
		l.untilGone()
	})
	w.before = func(rw http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodGet {
			return false
		}
		status := map[int32]int{3: 502, 4: 503, 5: 504}[polls.Add(1)]
		if status == 0 {
			return false
		}
		http.Error(rw, "proxy", status)
		return true
	}
	r := w.rig()
	c := r.start(r.open(w.url, w.on(LongPolling)))
	if err := c.Invoke(r.within(), "Echo"); err != nil {
		t.Errorf("Invoke: %v", err)
	}
	if polls.Load() < 6 {
		t.Errorf("%d polls", polls.Load())
	}
}

func TestBrokenPollIsNotRepeated(t *testing.T) {
	proxied := newWire(t, func(l *link) { l.shake(); l.untilGone() })
	proxy := newTCPProxy(t, proxied.url)
	r := proxied.rig()
	c := r.start(r.open(proxy.through(proxied.url), proxied.on(LongPolling)))
	r.until("the poll that waits", func() bool { return len(proxied.seen()) >= 5 })
	before := len(proxied.seen())
	proxy.cut()
	r.until("the end", func() bool { return c.State() == Disconnected })
	if after := proxied.seen(); len(after) != before {
		t.Errorf("requests after the cut: %v", after[before:])
	}
}

// TestPollTimesOut: the next poll takes the place of one that was not answered.
func TestPollTimesOut(t *testing.T) {
	w := newWire(t, func(l *link) {
		l.shake()
		l.expect(`{"type":1,"invocationId":"1","target":"Echo","arguments":[]}`)
		l.send(`{"type":3,"invocationId":"1"}` + record)
		l.untilGone()
	})
	o := w.on(LongPolling)
	o.PollTimeout = 10 * time.Millisecond
	r := w.rig()
	c := r.start(r.open(w.url, o))
	r.until("several polls", func() bool { return len(w.seen()) > 10 })
	if err := c.Invoke(r.within(), "Echo"); err != nil {
		t.Errorf("Invoke: %v", err)
	}
}
