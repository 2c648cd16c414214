package hub

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// Caller is the connection on behalf of which a method, OnConnected or OnDisconnected
// runs. Its methods are safe for concurrent use and may be called after the connection
// has ended.
type Caller struct {
	session *Session
	id      string
	info    ConnectInfo
	begun   time.Time
	user    atomic.Pointer[auth.User] // with the most recent credentials
	items   atomic.Pointer[Items]     // nil until the first use
}

type callerKey struct{}

// Context returns a context that carries the caller and ends with the session, for calls
// of methods that no client has invoked.
func (s *Session) Context() context.Context { return s.ctx }

// CallerFrom returns the caller that ctx carries, or nil if it carries none.
func CallerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// HeadersFrom returns the headers of the message that invoked the method to which ctx
// belongs, for example a trace context. It returns nil if there are none. The map must not
// be modified.
func HeadersFrom(ctx context.Context) map[string]string {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c.headers
	}
	return nil
}

// ConnectionID returns the connection's public id.
func (c *Caller) ConnectionID() string { return c.id }

// User returns the user that opened the transport, with the claims of the most recent
// credentials. It returns nil for an anonymous client.
func (c *Caller) User() *auth.User { return c.user.Load() }

// UserID returns the user's id, or "" if there is none. Fresh credentials do not change it.
func (c *Caller) UserID() string {
	if c.info.User == nil {
		return ""
	}
	return c.info.User.ID
}

// isExpired reports whether the session must end because the user's authentication has
// expired.
func (c *Caller) isExpired(now time.Time) bool {
	if !c.info.CloseOnExpiry {
		return false
	}
	end := c.user.Load().End(c.begun)
	return !end.IsZero() && !now.Before(end)
}

// Request returns the HTTP request that opened the transport: the WebSocket handshake,
// the GET of the event stream or the first poll. Each call returns a new copy without the
// body, but with the wildcards of its path (http.Request.PathValue). It may return nil.
func (c *Caller) Request() *http.Request {
	if request := c.info.Request; request != nil {
		return request()
	}
	return nil
}

// Transport returns "WebSockets", "ServerSentEvents" or "LongPolling".
func (c *Caller) Transport() string { return c.info.Transport }

// Items returns the values that the application keeps with this connection.
func (c *Caller) Items() *Items {
	if items := c.items.Load(); items != nil {
		return items
	}
	c.items.CompareAndSwap(nil, &Items{})
	return c.items.Load()
}

// Groups returns the groups that the connection is in, sorted.
func (c *Caller) Groups() []string { return c.session.groups.list() }

// Abort ends the connection with a close message that does not allow the client to
// reconnect. Messages that the method sends afterwards, its completion included, are
// dropped.
func (c *Caller) Abort() { c.session.abort() }

// Items are values that application code keeps with a connection. They are safe for
// concurrent use. Keys should have a type of their own, like context keys.
type Items struct{ values sync.Map }

// Get returns the value of key.
func (i *Items) Get(key any) (value any, ok bool) { return i.values.Load(key) }

// Set sets the value of key.
func (i *Items) Set(key, value any) { i.values.Store(key, value) }

// Delete removes key.
func (i *Items) Delete(key any) { i.values.Delete(key) }
