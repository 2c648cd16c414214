package reentry

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

// next serves the request in b: one like the request before here, any other request in the
// HTTP server.
func (c *Conn) next(b []byte) (over bool) {
	r := c.read(b)
	if r == nil {
		c.handOver(b)
		return true
	}
	c.mu.Lock()
	c.busy = true
	c.mu.Unlock()
	return c.serve(r)
}

// handOver returns the connection to the HTTP server.
func (c *Conn) handOver(b []byte) {
	c.server.forget(c)
	_ = c.conn.SetDeadline(time.Time{})
	c.server.serve(&c.conn, bytes.Clone(b))
}

// read parses a GET for the same path as before. It returns nil for any other request, and
// if more data follows.
func (c *Conn) read(b []byte) *http.Request {
	if len(b) > maxHead || !bytes.HasPrefix(b, []byte("GET ")) || bytes.Index(b, []byte("\r\n\r\n")) != len(b)-4 {
		return nil
	}
	h := heads.Get().(*head)
	defer heads.Put(h)
	h.bytes.Reset(b)
	h.buffer.Reset(&h.bytes)
	r, err := http.ReadRequest(h.buffer)
	if err != nil || h.buffer.Buffered() > 0 || !plain(r) || r.Host != c.host || pathOf(r) != c.path || hasBadName(r.Header) {
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
func (c *Conn) serve(r *http.Request) (over bool) {
	ctx, cancel := context.WithCancel(context.WithValue(c.server.ctx, http.LocalAddrContextKey, c.conn.LocalAddr()))
	defer cancel()
	r.RemoteAddr = c.conn.RemoteAddr().String()
	w := &Response{conn: c, header: http.Header{}, length: -1}
	c.serving = w
	ok := c.handle(w, r.WithContext(ctx))
	c.serving = nil
	if !ok && w.gone() == nil {
		return c.end()
	}
	return w.finish()
}

// handle calls the server's handler. ok is false if it panicked.
func (c *Conn) handle(w *Response, r *http.Request) (ok bool) {
	defer func() {
		p := recover()
		if err, _ := p.(error); p != nil && !errors.Is(err, http.ErrAbortHandler) {
			c.server.logf("http: panic serving %v: %v\n%s", r.RemoteAddr, p, debug.Stack())
		}
	}()
	handler := c.server.Handler
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
