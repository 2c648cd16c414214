package longpolling

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// response is the answer to a request that is served outside of the HTTP server. It is
// sent when its handler has returned, unless that is a poll that waits.
type response struct {
	line    *line
	header  http.Header
	status  int
	sent    http.Header // header at the time of the status
	body    bytes.Buffer
	waiting bool // as a poll
	taken   bool // the handler has the connection
}

// portable tells whether a poll may be answered outside of the HTTP server: its
// connection goes on behind it, middleware says nothing of how it is sent, and the next
// poll can be short enough to be read there.
func portable(header http.Header, r *http.Request) bool {
	for _, name := range []string{"Connection", "Content-Encoding", "Date", "Trailer", "Transfer-Encoding"} {
		if _, ok := header[name]; ok {
			return false
		}
	}
	return r.TLS == nil && len(r.Host)+len(r.RequestURI) < maxHead && plain(r)
}

// plain tells whether a request is a GET with nothing special about its connection.
func plain(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor == 1 && !r.Close &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0 && r.Header["Upgrade"] == nil && r.Header["Expect"] == nil
}

// find returns our response, which middleware may have wrapped; nil: the answer is an HTTP
// server's.
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

// leave takes the connection from the HTTP server; nil: it has to stay there.
func (l *lines) leave(w http.ResponseWriter, r *http.Request) *response {
	s := l.of(r)
	if s == nil {
		return nil
	}
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil
	}
	early, _ := rw.Peek(rw.Reader.Buffered())
	return &response{line: s.add(conn, bytes.Clone(early), r), header: w.Header()}
}

// park has a poll wait. What middleware put into the header is for its answer.
func (w *response) park(r *http.Request, c *transports.Connection) {
	l := w.line
	p := &poll{line: l, c: c, begun: time.Now()}
	_ = l.conn.SetReadDeadline(p.begun.Add(patience(c)))
	l.offer(p, w.header)
	older, err := c.Attach(p, r)
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	if w.waiting = err == nil || !l.claim(p); !w.waiting {
		transports.Refuse(w, err)
	}
}

// goOn serves the connection that was taken from the HTTP server.
func (w *response) goOn() {
	if !w.finish() {
		w.line.wait()
	}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Nobody waits for an informational status.
func (w *response) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status, w.sent = status, w.header.Clone()
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.taken || w.waiting {
		return nil, nil, http.ErrHijacked
	}
	w.taken = true
	conn := w.line.conn.Conn
	return conn, bufio.NewReadWriter(bufio.NewReader(conn), bufio.NewWriter(conn)), conn.SetDeadline(time.Time{})
}

// answerTimeout is how long sending an answer may take that is no poll's.
const answerTimeout = 10 * time.Second

// finish sends the answer. It tells that the connection is over, or not ours any more.
func (w *response) finish() (over bool) {
	l := w.line
	switch {
	case w.taken:
		l.server.forget(l)
		return true
	case w.waiting:
		return false
	}
	w.WriteHeader(http.StatusOK)
	last := l.server.closing.Load() || strings.EqualFold(w.sent.Get("Connection"), "close")
	_ = l.conn.SetDeadline(time.Now().Add(answerTimeout))
	if err := w.send(last); err != nil || last {
		l.end()
		return true
	}
	_ = l.conn.SetDeadline(time.Time{})
	l.limit(l.server.idleTimeout())
	l.release()
	return false
}

// send writes the answer as the HTTP server would.
func (w *response) send(last bool) error {
	h := w.sent
	if _, ok := h["Date"]; !ok {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	if _, ok := h["Content-Type"]; !ok && w.body.Len() > 0 {
		h.Set("Content-Type", http.DetectContentType(w.body.Bytes()))
	}
	m := http.Response{StatusCode: w.status, ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: http.NoBody, Close: last}
	if w.body.Len() > 0 {
		m.Body, m.ContentLength = io.NopCloser(&w.body), int64(w.body.Len())
	}
	if slices.Contains(h["Transfer-Encoding"], "chunked") {
		m.ContentLength, m.TransferEncoding = -1, []string{"chunked"}
	}
	return m.Write(w.line.conn.Conn)
}
