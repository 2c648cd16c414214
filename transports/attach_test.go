package transports

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

// resuming is an application whose connections may be resumed.
type resuming struct{}

func (resuming) Connect(*Connection) (Receiver, error) { return resuming{}, nil }
func (resuming) Receive([]byte) error                  { return nil }
func (resuming) Disconnected(error)                    {}
func (resuming) Interrupted()                          {}
func (resuming) Resumed()                              {}

// waiting is a poll that waits.
type waiting struct{ Carrier }

// A poll may be let in, and the client resume, before it waits: it must not take what is for
// the client's next poll.
func TestStalePollDoesNotAttach(t *testing.T) {
	registry := NewRegistry(resuming{}, Options{AllowStatefulReconnect: true})
	poll := httptest.NewRequest(http.MethodGet, "/hub?id=x", nil)
	resumes := httptest.NewRequest(http.MethodGet, "/hub?id=x&carillonResume=1", nil)
	c, err := registry.Create(poll, true, LongPolling)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(r *http.Request) {
		t.Helper()
		if _, err := c.Claim(LongPolling, r); err != nil {
			t.Fatal(err)
		}
	}
	claim(poll)
	if err := c.Open(nil); err != nil {
		t.Fatal(err)
	}
	claim(poll)
	claim(resumes)
	if _, err := c.Attach(waiting{}, poll); !errors.Is(err, ErrActive) {
		t.Errorf("the poll of before: %v", err)
	}
	if _, err := c.Attach(waiting{}, resumes); err != nil {
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
	registry := NewRegistry(resuming{}, Options{AllowStatefulReconnect: true})
	request := httptest.NewRequest(http.MethodGet, "/hub", nil)
	c, err := registry.Create(request, true, WebSockets)
	if err != nil {
		t.Fatal(err)
	}
	open := func(k Carrier) {
		t.Helper()
		if _, err := c.Claim(WebSockets, request); err != nil {
			t.Fatal(err)
		}
		if err := c.Open(k); err != nil {
			t.Fatal(err)
		}
		if err := c.Receive(k, []byte("half")); err != nil {
			t.Fatal(err)
		}
	}
	first, second := &mute{}, &mute{new(mute)}
	open(first)
	c.Detach(first, ErrCut)
	if err := c.Receive(first, []byte("the rest")); !errors.Is(err, ErrEnded) {
		t.Errorf("after the break: %v", err)
	}
	open(second)
	if err := c.Receive(first, []byte("the rest")); !errors.Is(err, ErrEnded) {
		t.Errorf("after the next one was opened: %v", err)
	}
}
