package connection

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// resuming is an application whose connections may be resumed.
type resuming struct{}

func (resuming) Connect(transports.Connection) (transports.Receiver, error) { return resuming{}, nil }
func (resuming) Receive([]byte) error                                       { return nil }
func (resuming) Disconnected(error)                                         {}
func (resuming) Interrupted()                                               {}
func (resuming) Resumed()                                                   {}

// waiting is a poll that waits.
type waiting struct{ Carrier }

// A poll may be let in, and the client resume, before it waits: it must not take what is for
// the client's next poll.
func TestStalePollDoesNotAttach(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	poll := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
	resumes := httptest.NewRequest(http.MethodGet, "/hub?id=x&carillonResume=1", nil)
	c, err := registry.Create(poll, true, transports.LongPolling)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(r *http.Request) {
		t.Helper()
		if _, err := c.Claim(transports.LongPolling, r); err != nil {
			t.Fatal(err)
		}
	}
	claim(poll)
	if err := c.Open(nil, 0); err != nil {
		t.Fatal(err)
	}
	claim(poll)
	claim(resumes)
	if _, err := c.Attach(waiting{}, Resumption(poll)); !errors.Is(err, ErrActive) {
		t.Errorf("the poll of before: %v", err)
	}
	if _, err := c.Attach(waiting{}, Resumption(resumes)); err != nil {
		t.Errorf("the poll of now: %v", err)
	}
}

// mute is a WebSocket that sends nothing.
type mute struct{ Carrier }

func (mute) Wake()     {}
func (mute) Cut(error) {}

// What a broken WebSocket had in its buffers may still be read when the writer has noticed
// the break: the application has forgotten half of it by then.
func TestBrokenCarrierIsNotHeard(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	request := httptest.NewRequest(http.MethodGet, "/hub", nil)
	c, err := registry.Create(request, true, transports.WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	open := func(k Carrier) {
		t.Helper()
		if _, err := c.Claim(transports.WebSockets, request); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(k, 0); err != nil {
			t.Fatal(err)
		}
		if err := c.Receive(k, []byte("half")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := &mute{}, &mute{new(mute)}
	open(first)
	c.Detach(first, transports.ErrCut)
	if err := c.Receive(first, []byte("the rest")); !errors.Is(err, transports.ErrEnded) {
		t.Errorf("after the break: %v", err)
	}
	open(second)
	if err := c.Receive(first, []byte("the rest")); !errors.Is(err, transports.ErrEnded) {
		t.Errorf("after the next one was opened: %v", err)
	}
}

// closes is an application that tells of the end.
type closes struct {
	resuming
	over chan struct{}
}

func (a closes) Connect(transports.Connection) (transports.Receiver, error) { return a, nil }
func (a closes) Disconnected(error)                                         { close(a.over) }

// cuts is a carrier that does something when it is cut.
type cuts struct {
	mute
	cut func()
}

func (k *cuts) Cut(error) { k.cut() }

// A connection may be closed while a request takes it over. What is left to say is for that
// request, for there is no other: the connection would stay for ever.
func TestClosedWhileItIsTakenOver(t *testing.T) {
	for _, kind := range []transports.Type{transports.ServerSentEvents, transports.LongPolling} {
		t.Run(string(kind), func(t *testing.T) {
			app := closes{over: make(chan struct{})}
			registry := NewRegistry(app, transports.Options{AllowStatefulReconnect: true})
			request := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
			c, err := registry.Create(request, true, kind)
			if err != nil {
				t.Fatal(err)
			}
			open := func(r *http.Request, k Carrier) {
				t.Helper()
				if _, err := c.Claim(kind, r); err != nil {
					t.Fatal(err)
				}
				if err := c.Open(k, Resumption(r)); err != nil {
					t.Fatal(err)
				}
			}
			open(request, &cuts{cut: func() {
				c.Close(transports.ErrApplication)
				<-app.over
			}})
			second := &mute{}
			open(httptest.NewRequest(http.MethodGet, "/hub?id=x&carillonResume=1", nil), second)
			if _, outcome := c.Next(second, nil); outcome != Finished {
				t.Errorf("the next one finds %d", outcome)
			}
		})
	}
}

// An event stream may be let in, and the client resume, before it begins: it must neither cut
// the client's next one nor take what is for that.
func TestStaleStreamDoesNotOpen(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	stream := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
	resumes := httptest.NewRequest(http.MethodGet, "/hub?id=x&carillonResume=1", nil)
	c, err := registry.Create(stream, true, transports.ServerSentEvents)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{stream, resumes} {
		if _, err := c.Claim(transports.ServerSentEvents, r); err != nil {
			t.Fatal(err)
		}
	}
	late, now := &mute{}, &mute{new(mute)}
	if err := c.Open(late, Resumption(stream)); !errors.Is(err, ErrActive) {
		t.Errorf("the stream of before: %v", err)
	}
	if err := c.Open(now, Resumption(resumes)); err != nil {
		t.Errorf("the stream of now: %v", err)
	}
	if err := c.Open(late, Resumption(stream)); !errors.Is(err, ErrActive) {
		t.Errorf("the stream of before, behind it: %v", err)
	}
	if _, outcome := c.Next(now, nil); outcome != Idle {
		t.Errorf("the stream of now finds %d", outcome)
	}
}

// A WebSocket whose handshake fails late ends nothing of the one that came behind it.
func TestLostBehindTheNext(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	request := httptest.NewRequest(http.MethodGet, "/hub", nil)
	c, err := registry.Create(request, true, transports.WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := c.Claim(transports.WebSockets, request); err != nil {
			t.Fatal(err)
		}
	}
	second := &mute{}
	if err := c.Open(second, 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(frame.New([]byte("last words"), false)); err != nil {
		t.Fatal(err)
	}
	c.Close(transports.ErrApplication)
	c.Abandon(transports.ErrCut)
	if frames, outcome := c.Next(second, nil); outcome != Frames {
		t.Errorf("the next one finds %d, %d frames", outcome, len(frames))
	}
}

// A request may be late in taking the connection from under the sweep, and one that came and
// broke behind it have put it there: it must not stay for ever.
func TestLateForTheSweep(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	request := httptest.NewRequest(http.MethodGet, "/hub", nil)
	c, err := registry.Create(request, true, transports.WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Claim(transports.WebSockets, request); err != nil {
		t.Fatal(err)
	}
	c.Abandon(transports.ErrCut)
	registry.updateIdle(c)
	if c.place == 0 {
		t.Error("nobody looks at it any more")
	}
}

// The handshake of a WebSocket that its client has given up may come behind the one of the
// next: it must not cut that. Official clients tell no number, and the last one counts.
func TestStaleWebSocketDoesNotTakeOver(t *testing.T) {
	registry := NewRegistry(resuming{}, transports.Options{AllowStatefulReconnect: true})
	request := func(query string) *http.Request { return httptest.NewRequest(http.MethodGet, "/hub?id=x"+query, nil) }
	c, err := registry.Create(request(""), true, transports.WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		query string
		want  error
	}{{"", nil}, {"", nil}, {"&carillonResume=2", nil}, {"&carillonResume=1", ErrActive}, {"&carillonResume=3", nil}} {
		if _, err := c.Claim(transports.WebSockets, request(test.query)); !errors.Is(err, test.want) {
			t.Errorf("%q: %v", test.query, err)
		}
	}
}
