package cluster

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
)

// relay writes the answer to a forwarded request. It sends the header as the handler set it,
// so that the first node can make the same calls to its own writer, and all that net/http adds
// is as if the handler ran there. It sends a whole answer at the end, or parts at each flush.
type relay struct {
	w        http.ResponseWriter // of the link
	header   http.Header
	status   int         // 0: WriteHeader was not called
	sent     http.Header // as of WriteHeader
	body     bytes.Buffer
	begun    bool // the head is written
	hijacked bool
	streams  func()    // called when an answer begins that has no end in sight
	ack      io.Reader // gives a byte when the client has got the answer; nil: none does
}

// Header implements http.ResponseWriter.
func (r *relay) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *relay) WriteHeader(status int) {
	if r.status != 0 || status < http.StatusOK {
		return
	}
	r.status, r.sent = status, maps.Clone(r.header)
}

func (r *relay) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	if r.begun {
		return r.w.Write(b)
	}
	return r.body.Write(b)
}

// FlushError implements the method that http.ResponseController calls. An answer of a known
// length is complete: then FlushError fails if the client has not got it, so that a poll keeps
// its messages.
func (r *relay) FlushError() error {
	if err := r.begin(true); err != nil {
		return err
	}
	if err := http.NewResponseController(r.w).Flush(); err != nil {
		return err
	}
	if _, whole := contentLength(header(r.sent)); !whole || r.ack == nil {
		return nil
	}
	_, err := io.ReadFull(r.ack, make([]byte, 1))
	return err
}

// Flush implements http.Flusher.
func (r *relay) Flush() { _ = r.FlushError() }

// Hijack implements http.Hijacker. The owner then talks to the client, without an answer of the
// link.
func (r *relay) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(r.w).Hijack()
	if r.hijacked = err == nil; r.hijacked {
		r.streams()
	}
	return conn, rw, err
}

// Unwrap is for http.ResponseController, which sets deadlines.
func (r *relay) Unwrap() http.ResponseWriter { return r.w }

// finish sends an answer that was not flushed.
func (r *relay) finish() {
	if !r.hijacked {
		_ = r.begin(false)
	}
}

// begin writes the head, unless it is written, and the body that the handler has written up to
// now.
func (r *relay) begin(flushed bool) error {
	if r.begun {
		return nil
	}
	r.WriteHeader(http.StatusOK)
	r.begun = true
	if _, whole := contentLength(header(r.sent)); flushed && !whole {
		r.streams()
	}
	var head bytes.Buffer
	if err := writeMessage(&head, answer{r.status, header(r.sent), flushed}); err != nil {
		return err
	}
	_, _ = r.body.WriteTo(&head)
	r.w.Header().Set("Content-Type", "application/octet-stream")
	_, err := r.w.Write(head.Bytes())
	return err
}
