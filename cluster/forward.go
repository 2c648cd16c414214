package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// writeTimeout is the time limit of one write to a client.
const writeTimeout = 10 * time.Second

// forward returns a function that lets the owner of a connection answer a request.
func (h *Hub) forward(key string, owner process) connection.Forward {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !h.node.enter() {
			return http.ErrServerClosed
		}
		defer h.node.running.Done()
		err := h.send(w, r, key, owner)
		switch {
		case err == nil:
			h.node.counts.forwarded.Add(1)
		case r.Context().Err() == nil:
			h.node.counts.unreachable.Add(1)
			h.node.log.Warn("request not forwarded", "hub", h.name, "node", owner.address, "error", err)
		}
		if errors.Is(err, errGone) {
			h.owners.remove(key)
		}
		return err
	}
}

// send sends a request to the owner of its connection and passes the answer on. A request with
// a short body shares a network connection with others; another one has its own.
func (h *Hub) send(w http.ResponseWriter, r *http.Request, key string, owner process) error {
	upgrades := connection.IsHandshake(r)
	f := newForwarded(h.name, key, w, r)
	var body io.Reader = r.Body
	if !upgrades && f.isShort() {
		short := make([]byte, f.Length)
		if _, err := io.ReadFull(r.Body, short); err != nil {
			return refuseBody(w, err)
		}
		body = bytes.NewReader(short)
	}
	ctx, end := h.begin(r, owner, upgrades)
	defer end()
	f.Asking, f.Wait = h.node.self.place(), letWait(w, r)
	shared := !upgrades && f.isShort()
	f.Acks = shared && r.Method == http.MethodGet
	var head bytes.Buffer
	if err := writeMessage(&head, f); err != nil {
		return err
	}
	length := int64(head.Len()) + f.Length
	request, err := h.node.request(ctx, owner, forwardPath, io.MultiReader(&head, body))
	if err != nil {
		return err
	}
	peer := h.node.peers.to(owner.address)
	switch {
	case f.Acks:
		return exchangePoll(peer, w, request, length)
	case shared:
		request.ContentLength = length
		return exchange(peer.do, w, request, func() {})
	case upgrades:
		request.ContentLength = int64(head.Len())
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "websocket")
	}
	return exchange(peer.doAlone, w, request, func() {})
}

// exchangePoll sends a GET and passes the answer on. When the client has got the answer, a byte
// ends the body of the request.
func exchangePoll(to *peer, w http.ResponseWriter, request *http.Request, length int64) error {
	ack, acknowledges := io.Pipe()
	request.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(request.Body, ack), ack}
	request.ContentLength = length + 1
	request.GetBody = nil
	err := exchange(to.do, w, request, func() {
		_, _ = acknowledges.Write([]byte{1})
		_ = acknowledges.Close() // net/http sends the last byte when it knows that none follows
	})
	_ = acknowledges.CloseWithError(errShort)
	return err
}

// begin returns the context of a forwarded request. The client of a POST may leave before the
// answer: its data still counts. A WebSocket ends when this process drains.
func (h *Hub) begin(r *http.Request, owner process, upgrades bool) (context.Context, context.CancelFunc) {
	ctx := r.Context()
	if r.Method != http.MethodGet {
		ctx = context.WithoutCancel(ctx)
	}
	until := h.node.closing
	if upgrades {
		until = h.leaving
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(until, cancel)
	h.forwardsTo.add(owner, 1)
	return ctx, func() {
		h.forwardsTo.add(owner, -1)
		stop()
		cancel()
	}
}

// letWait prepares a request for a wait. It returns the longest wait, or 0 for no limit.
func letWait(w http.ResponseWriter, r *http.Request) time.Duration {
	if r.Method != http.MethodGet {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
		return 0
	}
	end := connection.LetWait(w, r)
	if end.IsZero() {
		return 0
	}
	return max(time.Until(end), time.Millisecond)
}

// refuseBody answers a POST whose body did not arrive. Nothing of it was delivered.
func refuseBody(w http.ResponseWriter, err error) error {
	status := http.StatusBadRequest
	if errors.Is(err, os.ErrDeadlineExceeded) {
		status = http.StatusRequestTimeout
	}
	connection.Empty(w, status)
	return nil
}

func newForwarded(hub, key string, w http.ResponseWriter, r *http.Request) *forwarded {
	f := &forwarded{
		Hub: hub, Key: key, Method: raw(r.Method), URI: raw(r.RequestURI), Host: raw(r.Host), Header: header(r.Header),
		Length: r.ContentLength, Remote: raw(r.RemoteAddr), Scheme: raw(r.URL.Scheme), TLS: r.TLS != nil,
		User: encodeUser(auth.UserFrom(r.Context())), Answer: header(w.Header()), Path: raw(r.URL.Path),
	}
	if f.URI == "" || !strings.HasPrefix(r.RequestURI, "/") {
		f.URI = raw(r.URL.RequestURI())
	}
	return f
}

// exchange sends a request and passes the answer on. It calls delivered when the client has got
// an answer that the owner flushed as a whole.
func exchange(do func(*http.Request) (*http.Response, error), w http.ResponseWriter, request *http.Request, delivered func()) error {
	response, err := do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return tunnel(request.Context(), w, response)
	}
	var head answer
	if err := readMessage(response.Body, &head); err != nil {
		return err
	}
	length, given := contentLength(head.Header)
	switch {
	case !head.Flushed:
		return passWhole(w, &head, response.Body, -1, delivered)
	case given:
		return passWhole(w, &head, response.Body, length, delivered)
	}
	passParts(w, &head, response.Body)
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
func passWhole(w http.ResponseWriter, head *answer, body io.Reader, length int64, delivered func()) error {
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
	begin(w, head)
	_, err = w.Write(whole)
	if length < 0 {
		return nil
	}
	if flushed := http.NewResponseController(w).Flush(); err == nil && (flushed == nil || errors.Is(flushed, http.ErrNotSupported)) {
		delivered()
		_, _ = io.Copy(io.Discard, body) // until the owner has noted that
	}
	return nil
}

// passParts passes on each part of an answer as it arrives. It panics if the answer breaks off,
// so that the client sees that.
func passParts(w http.ResponseWriter, head *answer, body io.Reader) {
	control := http.NewResponseController(w)
	begin(w, head)
	var b [4096]byte
	for {
		n, err := body.Read(b[:])
		if n > 0 {
			_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := w.Write(b[:n]); err != nil || control.Flush() != nil {
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

// begin makes the head of the answer the one that the owner has sent.
func begin(w http.ResponseWriter, head *answer) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	clear(w.Header())
	maps.Copy(w.Header(), http.Header(head.Header))
	w.WriteHeader(head.Status)
}
