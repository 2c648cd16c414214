package hub

import (
	"context"
	"net/http"
	"sync"

	"github.com/carillon-go/carillon/auth"
)

// Caller is the connection that a method, OnConnected or OnDisconnected runs for.
// Its methods may be called concurrently, and after the connection has ended.
type Caller struct{ session *Session }

type callerKey struct{}

// CallerFrom returns the caller that ctx carries; nil if ctx was not made for one.
func CallerFrom(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// ConnectionID is the public id of the connection.
func (c *Caller) ConnectionID() string { return c.session.id }

// User is who opened the transport, as the client's freshest credentials describe it;
// nil if nobody in particular.
func (c *Caller) User() *auth.User { return c.session.user.Load() }

// UserID is the user's id; "" if there is none.
func (c *Caller) UserID() string { return c.session.userID() }

// Request is the HTTP request that opened the transport: the WebSocket handshake,
// the event stream's GET or the first poll. Each call makes it anew, without
// its body. May be nil.
func (c *Caller) Request() *http.Request {
	if request := c.session.info.Request; request != nil {
		return request()
	}
	return nil
}

// Transport is "WebSockets", "ServerSentEvents" or "LongPolling".
func (c *Caller) Transport() string { return c.session.info.Transport }

// Items are the application's own values of this connection.
func (c *Caller) Items() *Items { return c.session.itemsOf() }

// Abort ends the connection, with a close message that does not invite to
// reconnect. What the method sends from then on, its completion too, is dropped.
func (c *Caller) Abort() { c.session.abort() }

// Items are values that application code keeps with a connection; safe for
// concurrent use. Keys should be of types of their own, as with contexts.
type Items struct{ values sync.Map }

// Get returns the value of key.
func (i *Items) Get(key any) (value any, ok bool) { return i.values.Load(key) }

// Set sets the value of key.
func (i *Items) Set(key, value any) { i.values.Store(key, value) }

// Delete removes key.
func (i *Items) Delete(key any) { i.values.Delete(key) }
