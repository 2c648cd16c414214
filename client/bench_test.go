package client

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

// BenchmarkLongMessage is one message that comes in pieces of 8 KiB. The time of twice the length is twice the time.
func BenchmarkLongMessage(b *testing.B) {
	for _, size := range []int{1 << 20, 2 << 20, 4 << 20, 8 << 20, 16 << 20} {
		message := []byte(`{"type":6,"x":"` + strings.Repeat("x", size) + `"}` + record)
		b.Run(fmt.Sprintf("records/%dMiB", size>>20), func(b *testing.B) {
			r := newRun(b.Context(), New("http://tape", Options{Logger: slog.New(slog.DiscardHandler), MaxMessageSize: -1}))
			s := r.newSession(newTape(), LongPolling, target{})
			s.handshaken = true
			b.SetBytes(int64(size))
			for b.Loop() {
				for piece := range slices.Chunk(message, 8<<10) {
					if err := s.feed(piece); err != nil {
						b.Fatal(err)
					}
				}
			}
			s.abort(ErrStopped)
		})
		event := slices.Concat([]byte("data: "), message, []byte("\r\n\r\n"))
		b.Run(fmt.Sprintf("events/%dMiB", size>>20), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				if data, err := newEventReader(&pieces{left: event, size: 8 << 10}, 2*size).next(); err != nil || len(data) != len(message) {
					b.Fatal(err)
				}
			}
		})
	}
}
