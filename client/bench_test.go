package client

import (
	"context"
	"log/slog"
	"testing"
)

// BenchmarkHandler is what one message from the server costs, from its bytes to the handler.
func BenchmarkHandler(b *testing.B) {
	c := New("http://tape", Options{Logger: slog.New(slog.DiscardHandler)})
	r := newRun(b.Context(), c)
	s := r.newSession(newTape(), LongPolling, target{})
	s.handshaken = true
	c.On("ReceiveMessage", Action2(func(context.Context, string, string) error { return nil }))
	message := []byte(`{"type":1,"target":"ReceiveMessage","arguments":["Ann","hello, world"]}` + record)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.feed(message); err != nil {
			b.Fatal(err)
		}
		next, _ := r.jobs.pop()
		next.session.invoked(r.ctx, next)
		r.budget.release(next.size)
	}
	s.abort(ErrStopped)
}

// BenchmarkInvoke is what a call costs on this side.
func BenchmarkInvoke(b *testing.B) {
	c := New("http://tape", Options{Logger: slog.New(slog.DiscardHandler)})
	r := newRun(b.Context(), c)
	s := r.newSession(newTape(), LongPolling, target{})
	s.handshaken = true
	c.session.Store(s)
	b.ReportAllocs()
	for b.Loop() {
		p := &reply{done: make(chan struct{})}
		id, err := s.startCall(b.Context(), p, s.protocol.AppendInvocation, "Echo", []any{"hello"})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.feed([]byte(`{"type":3,"invocationId":"` + id + `","result":"hello"}` + record)); err != nil {
			b.Fatal(err)
		}
		<-p.done
	}
	s.abort(ErrStopped)
}
