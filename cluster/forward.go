package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// forward returns a function that lets the owner of a connection answer a request.
func (h *Hub) forward(key string, owner process) connection.Forward {
	return func(w http.ResponseWriter, r *http.Request) error {
		if !h.node.enter() {
			return http.ErrServerClosed
		}
		defer h.node.running.Done()
		h.forwardsTo.add(owner, 1)
		defer h.forwardsTo.add(owner, -1)
		p := &passage{hub: h, w: w, r: r, owner: owner, delivered: func() {}}
		err := p.pass(key)
		switch {
		case err == nil:
			h.node.counts.forwarded.Add(1)
		case r.Context().Err() == nil:
			h.node.counts.unreachable.Add(1)
			h.node.log.Warn("request not forwarded", "hub", h.name, "node", owner.address, "error", err)
		}
		switch {
		case errors.Is(err, errGone):
			h.owners.remove(key)
		case err != nil && !p.isGet() && !errors.Is(err, errBody):
			h.node.endAt(owner, ending{h.name, key})
		}
		return err
	}
}

// passage is a request on its way to the owner of its connection, and the answer on its way
// back.
type passage struct {
	hub       *Hub
	w         http.ResponseWriter
	r         *http.Request
	owner     process
	cancel    context.CancelFunc
	outlive   func() bool // lets the exchange go on when the client leaves, or this process ends; false: it has ended
	delivered func()      // called when the client has got an answer that the owner flushed as a whole
}

// pass sends the request and passes the answer on. A request with a short body shares a network
// connection with others; a WebSocket and a request with a long body have their own.
func (p *passage) pass(key string) error {
	f := p.forwarded(key)
	body, err := p.body(f)
	if err != nil {
		return refuseBody(p.w, err)
	}
	ctx, end := p.begin()
	defer end()
	f.Wait = p.letWait()
	f.Acks = f.isShort() && p.isGet() && !p.upgrades()
	var head bytes.Buffer
	if err := writeMessage(&head, f); err != nil {
		return err
	}
	length := int64(head.Len())
	request, err := p.hub.node.request(ctx, p.owner, forwardPath, io.MultiReader(&head, body))
	if err != nil {
		return err
	}
	peer := p.hub.node.peers.to(p.owner.address)
	switch {
	case p.upgrades():
		request.ContentLength = length
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", "websocket")
		return p.exchange(peer.doAlone, request)
	case f.Acks:
		request.ContentLength = length + 1
		return p.exchangePoll(peer, request)
	case f.isShort():
		request.ContentLength = length + f.Length
		return p.exchange(peer.do, request)
	}
	if f.Length > 0 {
		request.ContentLength = length + f.Length
	}
	defer p.abandonBody()
	return p.exchange(peer.doAlone, request)
}

// isGet ignores the case of methods, as ASP.NET Core does.
func isGet(method string) bool { return strings.ToUpper(method) == http.MethodGet }

func (p *passage) isGet() bool { return isGet(p.r.Method) }

func (p *passage) upgrades() bool { return connection.IsHandshake(p.r) }

// forwarded describes the request.
func (p *passage) forwarded(key string) *forwarded {
	r := p.r
	f := &forwarded{
		Asking: p.hub.node.self.place(), Hub: p.hub.name, Key: key,
		Method: raw(r.Method), URI: raw(r.RequestURI), Path: raw(r.URL.Path), Host: raw(r.Host), Proto: r.Proto, Header: header(r.Header),
		Length: r.ContentLength, Remote: raw(r.RemoteAddr), Scheme: raw(r.URL.Scheme), TLS: r.TLS != nil,
		User: encodeUser(auth.UserFrom(r.Context())), Answer: header(p.w.Header()),
	}
	if p.upgrades() || p.isGet() && !f.isShort() {
		f.Length = 0 // all bytes of the client belong to the WebSocket, and the body of a poll does not matter
	}
	if !strings.HasPrefix(r.RequestURI, "/") {
		f.URI = raw(r.URL.RequestURI())
	}
	return f
}

// body returns the body of the request. A short one is read as a whole, so that it does not hold
// up others on the network connection to the owner.
func (p *passage) body(f *forwarded) (io.Reader, error) {
	if !f.isShort() {
		return longBody{p.r.Body}, nil
	}
	short := make([]byte, f.Length)
	_, err := io.ReadFull(p.r.Body, short)
	return bytes.NewReader(short), err
}

// errBody means that the client has not sent its body completely. The owner takes the part that
// has arrived, as if it came from the client directly.
var errBody = errors.New("cluster: the body of the client is not complete")

// longBody is the body of a client. net/http returns its error as that of the request.
type longBody struct{ io.Reader }

func (b longBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: %w", errBody, err)
	}
	return n, err
}

// refuseBody answers a POST after its body has failed to arrive. Nothing of it was delivered.
func refuseBody(w http.ResponseWriter, err error) error {
	status := http.StatusBadRequest
	if errors.Is(err, os.ErrDeadlineExceeded) {
		status = http.StatusRequestTimeout
	}
	connection.Empty(w, status)
	return nil
}

// abandonBody ends the reading of a long body, which can outlive the exchange if the owner has
// answered early: net/http would wait for it.
func (p *passage) abandonBody() {
	var b [1]byte
	control := http.NewResponseController(p.w)
	_ = control.SetReadDeadline(time.Now())
	if _, err := p.r.Body.Read(b[:]); errors.Is(err, io.EOF) {
		_ = control.SetReadDeadline(time.Time{}) // it was complete
	}
}

// begin returns the context of the request of the link. The client of a POST may leave before
// the answer: its data still counts.
func (p *passage) begin() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.r.Context()))
	p.cancel, p.outlive = cancel, func() bool { return true }
	stop := context.AfterFunc(p.hub.node.closing, cancel)
	if p.isGet() {
		leave := context.AfterFunc(p.r.Context(), cancel)
		p.outlive = func() bool { return leave() && stop() }
	}
	return ctx, func() {
		_ = p.outlive()
		stop()
		cancel()
	}
}

// letWait prepares the request for a wait. It returns the longest wait, or 0 for no limit.
func (p *passage) letWait() time.Duration {
	if !p.isGet() {
		return 0
	}
	end := connection.LetWait(p.w, p.r)
	if end.IsZero() {
		return 0
	}
	return max(time.Until(end), time.Millisecond)
}
