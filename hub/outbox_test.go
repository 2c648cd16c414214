package hub

import (
	"context"
	"errors"
	"testing"

	"github.com/carillon-go/carillon/frame"
)

// fullConnection takes no frame until it has room.
type fullConnection struct {
	ctx    context.Context
	room   bool
	sent   int
	aborts []error
}

func (c *fullConnection) ID() string               { return "id" }
func (c *fullConnection) Context() context.Context { return c.ctx }
func (c *fullConnection) Close(error)              {}
func (c *fullConnection) Abort(cause error)        { c.aborts = append(c.aborts, cause) }

func (c *fullConnection) Send(*frame.Frame) error {
	if !c.room {
		return errors.New("full")
	}
	c.sent++
	return nil
}

func (c *fullConnection) SendWait(_ context.Context, f *frame.Frame) error { return c.Send(f) }

func TestOutboxCutsASlowClient(t *testing.T) {
	for p, cuts := range map[phase]int{connecting: 1, open: 1, draining: 1, finishing: 0, closing: 0} {
		c := &fullConnection{ctx: t.Context()}
		o := outbox{conn: c}
		o.phase.Store(p)
		o.send(frame.New(nil, false))
		if len(c.aborts) != cuts {
			t.Errorf("phase %d: cut for %v", p, c.aborts)
		}
	}
}

func TestOutboxSendsNothingAfterTheEnd(t *testing.T) {
	c := &fullConnection{ctx: t.Context(), room: true}
	o := outbox{conn: c}
	o.phase.Store(closing)
	o.send(frame.New(nil, false))
	if err := o.sendWait(t.Context(), frame.New(nil, false)); !errors.Is(err, errEnded) || c.sent != 0 {
		t.Errorf("%d frames sent, %v", c.sent, err)
	}
}

// An error of a send is marked as a result of the connection's end only if it has ended.
func TestOutboxKnowsTheEndOfTheConnection(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := outbox{conn: &fullConnection{ctx: ctx}}
	o.phase.Store(open)
	if err := o.sendWait(t.Context(), frame.New(nil, false)); err == nil || errors.Is(err, errEnded) {
		t.Errorf("while it lives: %v", err)
	}
	cancel()
	if err := o.sendWait(t.Context(), frame.New(nil, false)); !errors.Is(err, errEnded) {
		t.Errorf("after its end: %v", err)
	}
}
