package reentry

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Response is the http.ResponseWriter of a request that is served outside of the HTTP server.
// It behaves like that server's own writer for a GET under HTTP/1.1: a short body is sent
// with its length after the handler has returned, a longer or flushed one in chunks, with
// trailers. There is one difference: a disconnect of the client while the handler runs is
// noticed only at a write. Methods other than GET are not served here.
type Response struct {
	conn    *Conn
	header  http.Header
	status  int
	sent    http.Header // copy of header at WriteHeader
	length  int64       // declared length of the body, or -1
	written int64       // bytes that the handler has written
	body    []byte      // written by the handler and not sent yet
	begun   bool        // the head was sent
	chunked bool
	last    bool  // the connection closes after the answer
	timed   bool  // the handler has set the write deadline
	err     error // error of an earlier write
	waiting bool  // the answer is that of a waiting request
	taken   bool  // the handler has hijacked the connection
}

// Portable reports whether r may be answered outside of the HTTP server: its connection stays
// open after it, no middleware has set how the answer is sent, and the next request can be
// short enough to be read here.
func Portable(header http.Header, r *http.Request) bool {
	for _, name := range []string{"Connection", "Content-Encoding", "Date", "Trailer", "Transfer-Encoding"} {
		if _, ok := header[name]; ok {
			return false
		}
	}
	return r.TLS == nil && len(r.Host)+len(r.RequestURI) < maxHead && plain(r)
}

// plain reports whether a request is a GET without special demands on its connection.
func plain(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor == 1 && !r.Close &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil
}

// Find returns the Response of o that middleware may have wrapped in w. It returns nil for the
// writer of a request within an HTTP server.
func (o *Conns) Find(w http.ResponseWriter) *Response {
	for {
		switch t := w.(type) {
		case *Response:
			if t.conn.server.conns != o {
				return nil
			}
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// Take takes the connection of r from its HTTP server by hijack. It returns nil if the
// connection must stay there. Call Resume for the result.
func (o *Conns) Take(w http.ResponseWriter, r *http.Request, hijack func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error)) *Response {
	s := o.of(r)
	if s == nil {
		return nil
	}
	conn, rw, err := hijack(w)
	if err != nil {
		return nil
	}
	early, _ := rw.Peek(rw.Reader.Buffered())
	return &Response{conn: s.add(conn, early, r), header: w.Header(), length: -1}
}

// Conn returns the connection on which w is sent.
func (w *Response) Conn() *Conn { return w.conn }

// Park makes the request wait as waiter, for at most patience. The headers that middleware has
// set are for its answer. Any goroutine may then answer waiter, and w must not be used, except
// for Unpark and Resume.
func (w *Response) Park(waiter Waiter, patience time.Duration) {
	w.waiting = true
	w.conn.conn.Await(patience)
	w.conn.offer(waiter, w.header)
}

// Unpark undoes Park, so that w can be used. It reports false if waiter was claimed.
func (w *Response) Unpark(waiter Waiter) bool {
	if w.conn.Claim(waiter) {
		w.waiting = false
	}
	return !w.waiting
}

// Resume sends the answer, unless the request waits, and reads the next requests on the
// connection that Take took.
func (w *Response) Resume() {
	if !w.finish() {
		w.conn.conn.ServeParked((*reader)(w.conn))
	}
}

// Header implements http.ResponseWriter.
func (w *Response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. An informational status is sent at once.
func (w *Response) WriteHeader(status int) {
	switch {
	case w.gone() != nil:
		w.conn.server.logf("http: response.WriteHeader on hijacked connection")
	case w.status != 0:
		w.conn.server.logf("http: superfluous response.WriteHeader call")
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as the HTTP server does
	case status < http.StatusOK && status != http.StatusSwitchingProtocols:
		w.transmit(appendHead(nil, status, w.header, withoutBody))
	default:
		w.status, w.sent, w.length = status, w.header.Clone(), w.declared()
	}
}

// declared returns the length that the handler declared, or -1.
func (w *Response) declared() int64 {
	value := w.header.Get("Content-Length")
	if value == "" {
		return -1
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		w.conn.server.logf("http: invalid Content-Length of %q", value)
		return -1
	}
	return n
}

// shortBody is the length up to which a body is kept until it is complete, as in the HTTP
// server.
const shortBody = 2 << 10

// Write implements http.ResponseWriter.
func (w *Response) Write(b []byte) (int, error) {
	if err := w.gone(); err != nil {
		return 0, err
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.written += int64(len(b)); w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	if w.body = append(w.body, b...); len(w.body) > shortBody {
		w.send(false)
	}
	return len(b), w.err
}

// WriteString implements io.StringWriter.
func (w *Response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom implements io.ReaderFrom.
func (w *Response) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{w}, r) }

// FlushError implements the flushing of http.ResponseController.
func (w *Response) FlushError() error {
	if err := w.gone(); err != nil {
		return err
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.send(false)
	return w.err
}

// Flush implements http.Flusher.
func (w *Response) Flush() { _ = w.FlushError() }

// CloseNotify implements http.CloseNotifier for callers that require it. The channel never
// receives a value.
func (w *Response) CloseNotify() <-chan bool { return make(chan bool) }

// SetReadDeadline is for http.ResponseController. It does nothing, because the request has
// been read.
func (w *Response) SetReadDeadline(time.Time) error { return w.gone() }

// EnableFullDuplex is for http.ResponseController. It does nothing, because the request has
// no body.
func (w *Response) EnableFullDuplex() error { return w.gone() }

// SetWriteDeadline is for http.ResponseController.
func (w *Response) SetWriteDeadline(t time.Time) error {
	if err := w.gone(); err != nil {
		return err
	}
	w.timed = true
	return w.conn.conn.SetWriteDeadline(t)
}

// gone returns an error if the handler may no longer write to the connection.
func (w *Response) gone() error {
	if w.taken || w.waiting {
		return http.ErrHijacked
	}
	return nil
}

// Hijack implements http.Hijacker.
func (w *Response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.gone(); err != nil {
		return nil, nil, err
	}
	if w.status != 0 {
		w.send(false)
	}
	w.taken = true
	conn := w.conn.conn.Conn
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), conn.SetDeadline(time.Time{})
}
