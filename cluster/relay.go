package cluster

import (
	"bufio"
	"bytes"
	"errors"
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
	doubt    func()    // called if it remains unknown whether the client has got the answer
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
	err := http.NewResponseController(r.w).Flush()
	if _, whole := contentLength(header(r.sent)); !whole || r.ack == nil {
		return err
	}
	// Also after an error: the answer may have been sent completely.
	_, err = io.ReadFull(r.ack, make([]byte, 1))
	if err != nil && !isCancelled(err) {
		r.doubt()
	}
	return err
}

// isCancelled reports whether the node at the other end has reset the stream of a request, as the
// error of the request's body says. It does so only if its client has not got the answer.
func isCancelled(err error) bool {
	var reset streamReset
	return errors.As(err, &reset) && reset.Code == cancelled
}

// streamReset has the fields of the error type of net/http, so that errors.As can set it.
type streamReset struct {
	StreamID, Code uint32
	Cause          error
}

const cancelled = 8 // of RFC 9113, section 7

func (streamReset) Error() string { return "cluster: the stream was reset" }

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
	_, _ = r.w.Write(head.Bytes()) // Flush fails if this has failed
	return nil
}
