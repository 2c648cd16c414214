package reentry

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
)

// answerTimeout is the time limit of each write of the answer to a request that did not wait.
const answerTimeout = 10 * time.Second

// finish sends the rest of the answer. over reports that the network connection is closed or
// no longer belongs to this package.
func (w *Response) finish() (over bool) {
	c := w.conn
	switch {
	case w.taken:
		c.server.forget(c)
		return true
	case w.waiting:
		return false
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.send(true)
	short := w.length >= 0 && hasBody(w.status) && w.written != w.length
	if w.err != nil || w.last || short {
		return c.end()
	}
	_ = c.conn.SetWriteDeadline(time.Time{})
	c.conn.Await(c.server.idleTimeout())
	c.Release()
	return false
}

// send sends the head, unless it was sent before, and the written part of the body. With done
// set it also sends the end of the body.
func (w *Response) send(done bool) {
	var b []byte
	if !w.begun {
		w.begun = true
		b = appendHead(nil, w.status, w.head(done), nil)
	}
	switch {
	case !w.chunked:
		b = append(b, w.body...)
	case len(w.body) > 0:
		b = append(append(fmt.Appendf(b, "%x\r\n", len(w.body)), w.body...), "\r\n"...)
	}
	if w.chunked && done {
		b = w.appendTrailers(append(b, "0\r\n"...))
	}
	w.body = w.body[:0]
	w.transmit(b)
}

// transmit writes to the network connection, unless an earlier write has failed.
func (w *Response) transmit(b []byte) {
	if w.err != nil || len(b) == 0 {
		return
	}
	if !w.timed {
		_ = w.conn.conn.SetWriteDeadline(time.Now().Add(answerTimeout))
	}
	_, w.err = w.conn.conn.Write(b)
}

// head returns the header to send. done states that the body is complete.
func (w *Response) head(done bool) http.Header {
	h := w.sent
	coding := h.Get("Transfer-Encoding")
	h.Del("Transfer-Encoding")
	w.last = w.conn.server.closing.Load() || h.Get("Connection") == "close"
	if hasBody(w.status) {
		w.frame(coding, done)
	} else {
		h.Del("Content-Length")
		if w.status == http.StatusNotModified {
			h.Del("Content-Type")
		}
	}
	if w.last && !fold.Equal(h.Get("Connection"), "close") {
		h.Set("Connection", "close")
	}
	if _, ok := h["Date"]; !ok {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	return h
}

// frame decides how the end of the body is marked.
func (w *Response) frame(coding string, done bool) {
	h := w.sent
	if _, ok := h["Content-Type"]; !ok && h.Get("Content-Encoding") == "" && coding == "" && len(w.body) > 0 {
		h.Set("Content-Type", http.DetectContentType(w.body))
	}
	if _, declared := h["Content-Length"]; done && coding == "" && !declared && !hasTrailers(h) {
		w.length = w.written
		h.Set("Content-Length", strconv.FormatInt(w.length, 10))
	}
	switch {
	case w.length >= 0 && (coding == "" || coding == "identity"):
	case coding == "identity":
		w.last = true
	default:
		w.length, w.chunked = -1, true
		h.Del("Content-Length")
		h.Set("Transfer-Encoding", "chunked")
	}
}

// hasBody reports whether an answer with a status may have a body.
func hasBody(status int) bool {
	return status >= http.StatusOK && status != http.StatusNoContent && status != http.StatusNotModified
}

func hasTrailers(h http.Header) bool {
	if len(h["Trailer"]) > 0 {
		return true
	}
	for name := range h {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// appendTrailers appends the trailers that the handler set, and the end of the answer.
func (w *Response) appendTrailers(b []byte) []byte {
	trailers := http.Header{}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			trailers[name] = values
		}
	}
	for _, line := range w.sent["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if name != "Transfer-Encoding" && name != "Content-Length" && name != "Trailer" {
				trailers[name] = w.header[name]
			}
		}
	}
	var fields bytes.Buffer
	_ = trailers.Write(&fields) // a bytes.Buffer never fails
	return append(append(b, fields.Bytes()...), "\r\n"...)
}

// withoutBody are the headers that an informational answer must not have.
var withoutBody = map[string]bool{"Content-Length": true, "Transfer-Encoding": true}

// appendHead appends the head of an answer, without the excluded headers.
func appendHead(b []byte, status int, h http.Header, excluded map[string]bool) []byte {
	text := http.StatusText(status)
	if text == "" {
		text = "status code " + strconv.Itoa(status)
	}
	head := bytes.NewBuffer(fmt.Appendf(b, "HTTP/1.1 %03d %s\r\n", status, text))
	_ = h.WriteSubset(head, excluded) // leaves out names with TrailerPrefix; a bytes.Buffer never fails
	return append(head.Bytes(), "\r\n"...)
}
