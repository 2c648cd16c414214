// Package serversentevents carries what a server sends as an event stream; what the
// client sends comes by POST.
//
// It writes the format itself: the r3labs/sse server keeps every event for ever by
// default, stops a stream at one slow subscriber and does not see failed writes.
package serversentevents

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/internal/socket"
)

// Carry carries c over the response of r. Under HTTP/1.1 it returns when the stream is
// begun; what goes on is counted in running. Else it returns at the end of the stream,
// whose writer is the request's goroutine.
func Carry(running *sync.WaitGroup) transports.Carry {
	watch := socket.NewWatch(running)
	return func(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
		if _, err := c.Claim(transports.ServerSentEvents, r); err != nil && c.Listens() {
			transports.PutOff(w)
			return
		} else if err != nil {
			transports.Refuse(w, err)
			return
		}
		taken := false
		defer func() { // also if the writer of a middleware panics
			if !taken {
				c.Lost(transports.ErrCut)
			}
		}()
		transports.EventStream(w.Header())
		conn, ok := hijack(w, r)
		taken = true
		if ok {
			serveHijacked(conn, w.Header(), r, c, watch)
			return
		}
		serve(w, r, c)
	}
}

func serve(w http.ResponseWriter, r *http.Request, c *transports.Connection) {
	s := &stream{
		c:       c,
		w:       w,
		control: http.NewResponseController(w),
		wake:    make(chan struct{}, 1),
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

// abort ends the stream so that it does not look as if it had ended in order. A middleware may
// recover from the panic; the deadline resets a stream of HTTP/2, and keeps the end of the body
// from being written under HTTP/1.1.
func (s *stream) abort() {
	_ = s.control.SetWriteDeadline(time.Now())
	panic(http.ErrAbortHandler)
}

// carry serves the stream and then detaches it, also if the writer of a middleware panics.
func (s *stream) carry(r *http.Request) (cause error) {
	cause = transports.ErrCut
	defer s.end()
	defer context.AfterFunc(s.c.Cutting(), func() { s.Cut(transports.ErrCut) })()
	defer func() {
		if s.opened {
			s.c.Detach(s, cause)
		} else {
			s.c.Lost(cause)
		}
	}()
	return s.serve(r)
}

type stream struct {
	c       *transports.Connection
	opened  bool // the application was told
	w       http.ResponseWriter
	control *http.ResponseController
	wake    chan struct{}
	cut     chan struct{}

	mu       sync.Mutex
	ended    bool      // cut, or the request is over
	deadline time.Time // of writes
	last     time.Time // that something was written
}

// Wake implements transports.Carrier.
func (s *stream) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Cut implements transports.Carrier. It ends a write too that waits for the client.
func (s *stream) Cut(error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	close(s.cut)
	_ = s.control.SetWriteDeadline(time.Now())
}

// end keeps a late Cut from the response, which is not ours when its handler returned.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		transports.Unlimit(s.control)
	}
	s.ended = true
}

func (s *stream) serve(r *http.Request) error {
	s.w.WriteHeader(http.StatusOK)
	if err := s.write([]byte(transports.Prelude)); err != nil {
		s.c.Lost(transports.WriteCause(err))
		return transports.ErrCut
	}
	s.unlimit()
	s.opened = true
	if err := s.c.Open(s, transports.Resumption(r)); err != nil {
		return err
	}
	begun := time.Now()
	held, stop := s.watch()
	defer stop()
	for {
		select {
		case <-s.wake:
			if done, err := s.drain(); done {
				return err
			}
		case <-s.cut:
			return transports.ErrCut
		case <-held:
			if err := answered(s.c); err != nil {
				return err
			}
			held = nil
		case <-r.Context().Done():
			return left(s.c, begun, time.Since(s.last))
		}
	}
}

// unlimit takes the deadline back while nothing is written: under HTTP/2 it resets a stream
// that only waits.
func (s *stream) unlimit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.deadline = time.Time{}
		transports.Unlimit(s.control)
	}
}

// limit gives the next write its time. The deadline is moved only when less than the
// send time-out is left of it, because moving it costs as much as a small write, and
// not at all when the stream was cut.
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

// plain frames events as they are: the HTTP server makes chunks of them, or frames of
// HTTP/2.
var plain = &socket.Framing{
	Append: (*frame.Frame).AppendEventStream,
	Whole:  (*frame.Frame).EventStream,
}

// drain writes until the queue is empty. Each frame is an event of its own.
func (s *stream) drain() (done bool, cause error) {
	defer s.unlimit()
	outcome, err := socket.Drain(s.c, s, plain, s.write)
	switch {
	case err != nil:
		return true, transports.WriteCause(err)
	case outcome == transports.Idle:
		return false, nil
	case outcome == transports.Finished:
		return true, transports.ErrApplication
	default:
		return true, transports.ErrCut
	}
}
