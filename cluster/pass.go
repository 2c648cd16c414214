package cluster

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// writeTimeout is the time limit of one write to a client.
const writeTimeout = 10 * time.Second

// exchangePoll is exchange for a GET. When the client has got the answer, a byte ends the body
// of the request.
func (p *passage) exchangePoll(to *peer, request *http.Request) error {
	ack, acknowledges := io.Pipe()
	defer acknowledges.CloseWithError(errShort)
	// While it reads the body, net/http does not see the end of the context.
	defer context.AfterFunc(request.Context(), func() { _ = acknowledges.CloseWithError(errShort) })()
	request.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(request.Body, ack), ack}
	request.GetBody = nil
	p.delivered = func() {
		_, _ = acknowledges.Write([]byte{1})
		_ = acknowledges.Close() // net/http sends the last byte when it knows that none follows
	}
	return p.exchange(to.do, request)
}

// exchange sends the request and passes the answer on.
func (p *passage) exchange(do func(*http.Request) (*http.Response, error), request *http.Request) error {
	response, err := do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		defer p.hub.whenDrained(p.cancel)() // not before: the client would take a failed handshake for the end of the connection
		return tunnel(request.Context(), p.w, response)
	}
	var head answer
	if err := readMessage(response.Body, &head); err != nil {
		return err
	}
	length, given := contentLength(head.Header)
	switch {
	case !head.Flushed:
		return p.passWhole(&head, response.Body, -1)
	case given:
		return p.passWhole(&head, response.Body, length)
	}
	p.passParts(&head, response.Body)
	return nil
}

// maxAnswer is the longest answer that is passed on as a whole. The answer to a poll has 1 MiB
// and one more message.
const maxAnswer = 64 << 20

func contentLength(h header) (n int64, ok bool) {
	values := h["Content-Length"]
	if len(values) != 1 {
		return -1, false
	}
	n, err := strconv.ParseInt(values[0], 10, 64)
	return n, err == nil && n >= 0
}

var (
	errShort = errors.New("cluster: the answer of the owner is not complete")
	errLong  = errors.New("cluster: the answer of the owner is too long")
)

// passWhole passes on an answer after it has arrived completely. length is that of an answer
// that the owner has flushed, or -1.
func (p *passage) passWhole(head *answer, body io.Reader, length int64) error {
	limit := int64(maxAnswer)
	if length >= 0 {
		limit = min(limit, length)
	}
	whole, err := io.ReadAll(io.LimitReader(body, limit))
	switch {
	case err != nil:
		return err
	case length >= 0 && int64(len(whole)) < limit:
		return errShort
	case length > maxAnswer:
		return errLong
	}
	if !p.outlive() { // a client that has got the answer may leave before the owner knows
		return context.Canceled
	}
	p.writeHead(head)
	_, err = p.w.Write(whole)
	if length < 0 {
		return nil
	}
	if flushed := http.NewResponseController(p.w).Flush(); err == nil && (flushed == nil || errors.Is(flushed, http.ErrNotSupported)) {
		p.delivered()
		_, _ = io.Copy(io.Discard, body) // until the owner has noted that
	}
	return nil
}

// passParts passes on each part of an answer as it arrives, until this process drains. It
// panics if the answer breaks off, so that the client sees that.
func (p *passage) passParts(head *answer, body io.Reader) {
	defer p.hub.whenDrained(p.cancel)()
	control := http.NewResponseController(p.w)
	p.writeHead(head)
	var b [4096]byte
	for {
		n, err := body.Read(b[:])
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := p.w.Write(b[:n]); err != nil || control.Flush() != nil {
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			panic(http.ErrAbortHandler)
		}
	}
}

// writeHead makes the head of the answer the one that the owner has sent.
func (p *passage) writeHead(head *answer) {
	_ = http.NewResponseController(p.w).SetWriteDeadline(time.Now().Add(writeTimeout))
	clear(p.w.Header())
	maps.Copy(p.w.Header(), http.Header(head.Header))
	p.w.WriteHeader(head.Status)
}
