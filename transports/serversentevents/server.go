// Package serversentevents carries the server's messages as an event stream. The client's
// messages arrive by POST.
//
// It writes the format itself, because the r3labs/sse server keeps every event forever by
// default, stops a stream at one slow subscriber, and does not see failed writes.
package serversentevents

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// Carry returns a function that carries c over the response of r. Under HTTP/1.1 the function
// returns after the beginning of the stream. Otherwise it returns at the end of the stream,
// and the request's goroutine writes the stream.
func Carry(registry *connection.Registry) connection.Carry {
	p := registry.Poller()
	return func(w http.ResponseWriter, r *http.Request, c *connection.Connection) {
		if _, err := c.Claim(transports.ServerSentEvents, r); err != nil && c.Listens() {
			connection.PutOff(w)
			return
		} else if err != nil {
			connection.Refuse(w, err)
			return
		}
		taken := false
		defer func() { // also if the writer of a middleware panics
			if !taken {
				c.Abandon(transports.ErrCut)
			}
		}()
		if conn, ok := hijack(w, r, c); ok {
			taken = true
			connection.EventStream(w.Header())
			serveHijacked(conn, w.Header(), r, c, p)
			return
		}
		end := connection.LetWait(w, r)
		if c.CannotStream(w, !end.IsZero()) {
			connection.NotSupported(w, transports.ServerSentEvents)
			return
		}
		taken = true
		connection.EventStream(w.Header())
		serve(w, r, c, end)
	}
}

func serve(w http.ResponseWriter, r *http.Request, c *connection.Connection, end time.Time) {
	s := &stream{
		c:       c,
		end:     end,
		w:       w,
		control: http.NewResponseController(w),
		wake:    notify.NewSignal(),
		cut:     make(chan struct{}),
	}
	cause := s.carry(r)
	switch {
	case r.Context().Err() != nil:
	case errors.Is(cause, transports.ErrHeld):
		s.reset()
	case errors.Is(cause, transports.ErrCut):
		s.abort()
	}
}

// abort ends the stream so that its end does not look orderly. A deadline in the past resets an
// HTTP/2 stream, and prevents the end of the body from being written under HTTP/1.1. The panic,
// from which a middleware may recover, is for a writer that does not support deadlines.
func (s *stream) abort() {
	if s.control.SetWriteDeadline(past) != nil {
		panic(http.ErrAbortHandler)
	}
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// carry serves the stream and then detaches it, even if the writer of a middleware panics.
func (s *stream) carry(r *http.Request) (cause error) {
	cause = transports.ErrCut
	defer s.release()
	defer context.AfterFunc(s.c.Cutting(), func() { s.Cut(transports.ErrCut) })()
	defer func() {
		if s.opened {
			s.c.Detach(s, cause)
		} else {
			s.c.Abandon(cause)
		}
	}()
	return s.serve(r)
}

type stream struct {
	c       *connection.Connection
	end     time.Time // time at which the stream must end; zero: none
	opened  bool      // the connection was opened
	w       http.ResponseWriter
	control *http.ResponseController
	wake    notify.Signal
	cut     chan struct{}

	mu       sync.Mutex
	ended    bool      // cut, or the request has ended
	deadline time.Time // of writes
	last     time.Time // time of the last write
}

// Wake implements connection.Carrier.
func (s *stream) Wake() { s.wake.Notify() }

// Cut implements connection.Carrier. It also interrupts a blocked write.
func (s *stream) Cut(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.cut)
	_ = s.control.SetWriteDeadline(past)
}

// release prevents a late Cut from using the response after its handler has returned. It sets
// a deadline for anything that middleware writes afterwards.
func (s *stream) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.c.Limit(s.control)
	}
	s.ended = true
}

func (s *stream) serve(r *http.Request) error {
	s.w.WriteHeader(http.StatusOK)
	if err := s.write([]byte(connection.Prelude)); err != nil {
		s.c.Abandon(connection.WriteCause(err))
		return transports.ErrCut
	}
	s.unlimit()
	s.opened = true
	if err := s.c.Open(s, connection.Resumption(r)); err != nil {
		return err
	}
	begun := time.Now()
	limit := holdTimeout(s.c)
	held, stop := startTimer(limit > 0, limit)
	defer stop()
	ending, stopEnding := startTimer(!s.end.IsZero(), time.Until(s.end))
	defer stopEnding()
	for {
		select {
		case <-s.wake:
			if done, err := s.drain(); done {
				return err
			}
		case <-s.cut:
			return transports.ErrCut
		case <-held:
			if err := checkHold(s.c); err != nil {
				return err
			}
			held = nil
		case <-ending:
			return transports.ErrDeadline
		case <-r.Context().Done():
			if errors.Is(r.Context().Err(), context.DeadlineExceeded) {
				return transports.ErrDeadline
			}
			return clientLeft(s.c, begun, time.Since(s.last))
		}
	}
}

// unlimit removes the deadline while nothing is written, because under HTTP/2 it would reset
// an idle stream.
func (s *stream) unlimit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.deadline = time.Time{}
		_ = s.control.SetWriteDeadline(s.deadline)
	}
}

// limit sets the deadline of the next write. It moves the deadline only if less than the send
// time-out remains, because moving it costs as much as a small write. It does nothing after
// Cut.
func (s *stream) limit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, timeout := time.Now(), s.c.Options().SendTimeout
	s.last = now
	if s.ended || s.deadline.Sub(now) >= timeout {
		return
	}
	s.deadline = now.Add(timeout + timeout/2)
	_ = s.control.SetWriteDeadline(s.deadline)
}

func (s *stream) write(b []byte) error {
	s.limit()
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.control.Flush()
}

// plain frames events without chunks: the HTTP server adds the chunks, or the frames of
// HTTP/2.
var plain = &socket.Framing{
	Append: (*frame.Frame).AppendEventStream,
	Whole:  (*frame.Frame).EventStream,
}

// drain writes until the queue is empty. Each frame is one event.
func (s *stream) drain() (done bool, cause error) {
	defer s.unlimit()
	outcome, err := socket.Drain(s.c, s, plain, s.write)
	switch {
	case err != nil:
		return true, connection.WriteCause(err)
	case outcome == connection.Idle:
		return false, nil
	case outcome == connection.Finished:
		return true, transports.ErrApplication
	default:
		return true, transports.ErrCut
	}
}
