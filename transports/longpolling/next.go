package longpolling

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"
)

// maxHead is the longest request head that is read here, in bytes.
const maxHead = 4 << 10

// next serves the request at the beginning of b: a poll here, any other request in the HTTP
// server.
func (l *line) next(b []byte) (over bool) {
	r := l.read(b)
	if r == nil {
		l.handOver(b)
		return true
	}
	l.conn.Keep(nil)
	l.mu.Lock()
	l.busy = true
	l.mu.Unlock()
	return l.serve(r)
}

// handOver returns the connection to the HTTP server.
func (l *line) handOver(b []byte) {
	prefix := bytes.Clone(b)
	l.conn.Keep(nil)
	l.server.forget(l)
	_ = l.conn.SetDeadline(time.Time{})
	l.server.serve(&l.conn, prefix)
}

// read parses a poll for the same path as before. It returns nil for any other request, and
// if more data follows.
func (l *line) read(b []byte) *http.Request {
	if len(b) > maxHead || !bytes.HasPrefix(b, []byte("GET ")) || bytes.Index(b, []byte("\r\n\r\n")) != len(b)-4 {
		return nil
	}
	h := heads.Get().(*head)
	defer heads.Put(h)
	h.bytes.Reset(b)
	h.buffer.Reset(&h.bytes)
	r, err := http.ReadRequest(h.buffer)
	if err != nil || h.buffer.Buffered() > 0 || !plain(r) || r.Host != l.host || pathOf(r) != l.path || hasBadName(r.Header) {
		return nil
	}
	return r
}

// hasBadName reports whether the HTTP server would refuse a header that ReadRequest accepts.
// A proxy may take a Content-Length with a space after its name for the length of a body,
// while that body would be another request here.
func hasBadName(h http.Header) bool {
	for name := range h {
		if strings.Contains(name, " ") {
			return true
		}
	}
	return false
}

// head holds the buffers for reading a request, which are reused.
type head struct {
	bytes  bytes.Reader
	buffer *bufio.Reader
}

var heads = sync.Pool{New: func() any { return &head{buffer: bufio.NewReaderSize(nil, maxHead)} }}

func pathOf(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	return path
}

// serve serves a request like the HTTP server.
func (l *line) serve(r *http.Request) (over bool) {
	ctx, cancel := context.WithCancel(context.WithValue(l.server.ctx, http.LocalAddrContextKey, l.conn.LocalAddr()))
	defer cancel()
	r.RemoteAddr = l.conn.RemoteAddr().String()
	w := &response{line: l, header: http.Header{}, length: -1}
	exits := true
	defer func() {
		if exits {
			w.abandon()
		}
	}()
	ok := l.handle(w, r.WithContext(ctx))
	exits = false
	if !ok && !w.isGone() {
		l.end()
		return true
	}
	return w.finish()
}

// abandon is called when the handler called runtime.Goexit. The handler's goroutine was the
// line's reader.
func (w *response) abandon() {
	switch {
	case w.waiting:
		w.line.wait()
	case w.taken:
		w.line.server.forget(w.line)
	default:
		w.line.end()
	}
}

// handle calls the server's handler. ok is false if it panicked.
func (l *line) handle(w *response, r *http.Request) (ok bool) {
	defer func() {
		p := recover()
		if err, _ := p.(error); p != nil && !errors.Is(err, http.ErrAbortHandler) {
			l.server.logf("http: panic serving %v: %v\n%s", r.RemoteAddr, p, debug.Stack())
		}
	}()
	handler := l.server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	handler.ServeHTTP(w, r)
	return true
}

func (s *server) logf(format string, args ...any) {
	if s.ErrorLog != nil {
		s.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}

// idleTimeout returns the time limit of the wait for the next request; 0: no limit.
func (s *server) idleTimeout() time.Duration {
	if s.IdleTimeout != 0 {
		return s.IdleTimeout
	}
	return s.ReadTimeout
}
