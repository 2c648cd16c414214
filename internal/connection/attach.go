package connection

import (
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// The reasons for which Claim and Attach refuse a request.
var (
	ErrActive         = errors.New("transports: the connection has an open request already")
	ErrOtherTransport = errors.New("transports: the connection uses another transport")

	errTicket = errors.New("transports: another connection is open with the ticket")
)

// Claim reserves the connection for a request of a transport. first reports that this request
// opens the connection, or is the poll that resumes it. Claim fails with ErrActive,
// ErrOtherTransport or ErrEnded. A newer WebSocket or event stream of a stateful connection
// cuts the older one; a newer poll replaces the older one in Attach.
func (c *Connection) Claim(kind transports.Type, r *http.Request) (first bool, err error) {
	number := Resumption(r)
	older, first, resumes, err := c.claim(kind, r, number)
	if err != nil {
		return false, err
	}
	returned := false
	defer func() {
		if !returned { // an observer or the application called runtime.Goexit
			c.Abandon(transports.ErrApplication)
		}
	}()
	if kind != transports.LongPolling { // long polling is always in idle
		c.registry.updateIdle(c)
	}
	if first {
		if c.registry.logsDebug() {
			c.logTransport("transport opened", kind, slog.String("address", c.Address()))
		}
		c.Tell(transports.Event{Kind: transports.Opened, Request: r})
	}
	if older != nil {
		older.Cut(transports.ErrCut)
		c.interrupt(older)
	}
	if resumes && kind != transports.WebSockets {
		first, err = kind == transports.LongPolling, c.restart(number)
	}
	returned = true
	return first, err
}

// claim reserves the connection and returns the carrier that r replaces.
func (c *Connection) claim(kind transports.Type, r *http.Request, number int) (older Carrier, first, resumes bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock() // also if the Meter panics
	if resumes, err = c.admitLocked(kind, number); err != nil {
		return nil, false, false, err
	}
	if first = c.kind == ""; first {
		if err = c.beginLocked(kind, r, number); err != nil {
			return nil, false, false, err
		}
	}
	if kind != transports.LongPolling || resumes {
		older = c.carrier
	}
	if resumes {
		c.received = received(r)
	}
	if older != nil {
		c.detachLocked()
	}
	c.left = time.Time{}
	return older, first, resumes, nil
}

// admitLocked reports whether a request may have the connection, and whether it replaces the
// requests of a carrier that broke or is still open.
func (c *Connection) admitLocked(kind transports.Type, number int) (resumes bool, err error) {
	switch {
	case c.kind != "" && c.kind != kind:
		return false, ErrOtherTransport
	case c.state >= ended || c.kind == "" && c.isClosing():
		return false, transports.ErrEnded
	case c.kind == "", kind == transports.LongPolling && (!c.resumable || number == c.resumption):
		return false, nil
	default:
		return true, c.takeOverLocked(number)
	}
}

// beginLocked makes r the request that opens the connection. It fails if the credentials have
// expired, if another connection is open with the same ticket, or if there is no room for the
// request's head.
func (c *Connection) beginLocked(kind transports.Type, r *http.Request, number int) error {
	if u := auth.UserFrom(r.Context()); u != nil && u.Expired {
		return c.registry.refuseExpired(c.client.address)
	}
	if c.ticket != nil && !c.ticket.Take(c.id) {
		return errTicket
	}
	p, err := c.registry.keep(r)
	if err != nil {
		return c.registry.refuse(&c.registry.refused.heads, "bytes of heads", err)
	}
	c.advance(open)
	c.request.Store(p)
	c.kind, c.opened = kind, time.Since(c.registry.begun)
	c.resumption = number
	c.registry.options.Meter.Opened(kind)
	c.resumable = slices.Contains(c.stateful, kind)
	return nil
}

// Open passes the connection to the application: by Connect the first time, by Resumed after
// a break. From then on k is its carrier, and only k's data is received. k is nil for a first
// poll, which carries nothing. Open cuts an older carrier that was attached in the meantime.
// It fails as Attach does. resumption is that of the request.
func (c *Connection) Open(k Carrier, resumption int) error {
	c.receiving.Lock()
	defer c.receiving.Unlock()
	if !c.isCurrent(resumption) {
		return ErrActive
	}
	c.source = k
	switch {
	case c.ctx.Err() != nil:
	case c.receiver == nil:
		c.connectLocked()
	case c.kind == transports.WebSockets: // otherwise Claim has done it
		c.resumeLocked()
	}
	if k == nil {
		return nil
	}
	older, err := c.Attach(k, resumption)
	if older != nil {
		older.Cut(transports.ErrCut)
	}
	return err
}
