package longpolling

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/link"
	"github.com/carillon-go/carillon/transports"
)

// response is the http.ResponseWriter of a request that is served outside of the HTTP server.
// It behaves like that server's own writer for a GET under HTTP/1.1: a short body is sent
// with its length after the handler has returned, a longer or flushed one in chunks, with
// trailers. There is one difference: a disconnect of the client while the handler runs is
// noticed only at a write. Methods other than GET are not served here.
type response struct {
	line    *line
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
	waiting bool  // the answer is that of a pending poll
	taken   bool  // the handler has hijacked the connection
}

// portable reports whether a poll may be answered outside of the HTTP server: its connection
// stays open after it, no middleware has set how the answer is sent, and the next poll can be
// short enough to be read here.
func portable(header http.Header, r *http.Request) bool {
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

// find returns the response of this package that middleware may have wrapped. It returns nil
// for a writer of an HTTP server.
func find(w http.ResponseWriter) *response {
	for {
		switch t := w.(type) {
		case *response:
			return t
		case interface{ Unwrap() http.ResponseWriter }:
			w = t.Unwrap()
		default:
			return nil
		}
	}
}

// leave takes the connection from the HTTP server. It returns nil if the connection must stay
// there.
func (l *lines) leave(w http.ResponseWriter, r *http.Request, c *connection.Connection) *response {
	s := l.of(r)
	if s == nil {
		return nil
	}
	conn, rw, err := c.Hijack(w)
	if err != nil {
		return nil
	}
	link.LimitUnacknowledged(conn, c.Options().UnacknowledgedTimeout())
	early, _ := rw.Peek(rw.Reader.Buffered())
	return &response{line: s.add(conn, bytes.Clone(early), r), header: w.Header(), length: -1}
}

// park makes a poll wait. The headers that middleware has set are for its answer.
func (w *response) park(r *http.Request, c *connection.Connection) {
	l := w.line
	p := &poll{line: l, c: c, begun: time.Now()}
	_ = l.conn.SetReadDeadline(p.begun.Add(patience(c)))
	l.offer(p, w.header)
	older, err := c.Attach(p, r)
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	if w.waiting = err == nil || !l.claim(p); !w.waiting {
		connection.Refuse(w, err)
	}
}

// goOn continues on the connection that was taken from the HTTP server.
func (w *response) goOn() {
	if !w.finish() {
		w.line.wait()
	}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. An informational status is sent at once.
func (w *response) WriteHeader(status int) {
	switch {
	case w.isGone():
		w.line.server.logf("http: response.WriteHeader on hijacked connection")
	case w.status != 0:
		w.line.server.logf("http: superfluous response.WriteHeader call")
	case status < 100 || status > 999:
		panic(fmt.Sprintf("invalid WriteHeader code %v", status)) // as the HTTP server does
	case status < http.StatusOK && status != http.StatusSwitchingProtocols:
		w.transmit(appendHead(nil, status, w.header, withoutBody))
	default:
		w.status, w.sent, w.length = status, w.header.Clone(), w.declared()
	}
}

// isGone reports whether the handler may no longer write to the connection.
func (w *response) isGone() bool { return w.taken || w.waiting }

// declared returns the length that the handler declared, or -1.
func (w *response) declared() int64 {
	value := w.header.Get("Content-Length")
	if value == "" {
		return -1
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		w.line.server.logf("http: invalid Content-Length of %q", value)
		return -1
	}
	return n
}

// shortBody is the length up to which a body is kept until it is complete, as in the HTTP
// server.
const shortBody = 2 << 10

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if w.isGone() {
		return 0, http.ErrHijacked
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
func (w *response) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

// ReadFrom implements io.ReaderFrom.
func (w *response) ReadFrom(r io.Reader) (int64, error) { return io.Copy(struct{ io.Writer }{w}, r) }

// FlushError implements the flushing of http.ResponseController.
func (w *response) FlushError() error {
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
func (w *response) Flush() { _ = w.FlushError() }

// CloseNotify implements http.CloseNotifier for callers that require it. The channel never
// receives a value.
func (w *response) CloseNotify() <-chan bool { return make(chan bool) }

// SetReadDeadline is for http.ResponseController. It does nothing, because the request has
// been read.
func (w *response) SetReadDeadline(time.Time) error { return w.gone() }

// EnableFullDuplex is for http.ResponseController. It does nothing, because the request has
// no body.
func (w *response) EnableFullDuplex() error { return w.gone() }

// SetWriteDeadline is for http.ResponseController.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.isGone() {
		return http.ErrHijacked
	}
	w.timed = true
	return w.line.conn.SetWriteDeadline(t)
}

func (w *response) gone() error {
	if w.isGone() {
		return http.ErrHijacked
	}
	return nil
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.isGone() {
		return nil, nil, http.ErrHijacked
	}
	if w.status != 0 {
		w.send(false)
	}
	w.taken = true
	conn := w.line.conn.Conn
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), conn.SetDeadline(time.Time{})
}
