package appserver

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/internal/serviceprotocol"
	"github.com/carillon-go/carillon/protocol"
)

// client is a client of an application server. It implements hub.Remote.
type client struct {
	servers   *Servers
	relayed   *hub.Relayed
	token     *accesskey.Token // nil: it had none
	handshake []byte           // as the client sent it
	tracker   *tracker         // nil: the client never moves
	link      *link            // nil: it waits for a server; written with order and servers.mu held
	questions int              // results that servers wait for; guarded by servers.mu

	// order is held while data is queued for the server, and while the client moves, so that the
	// server gets everything in order.
	order   sync.Mutex
	held    []byte // messages for the next server
	holding bool
	from    string      // the id of the server that the client leaves
	since   time.Time   // when it began to leave
	resumed notify.Gate // opens when the client has its next server

	opening  sync.Mutex  // held while answered and moved are set by data of the server
	answered atomic.Bool // the handshake is answered
	moved    atomic.Bool // the next data of the server is an answer to a handshake that the client did not send
}

// maxHeld is the limit in bytes of the data that is held for the next server of a client. Above it
// the client is not read.
const maxHeld = 64 << 10

// Receive implements hub.Remote.
func (c *client) Receive(ctx context.Context, data []byte) error {
	if c.tracker == nil {
		return c.pass(ctx, &record{bytes: data})
	}
	whole, raw := c.tracker.split(data)
	for i := range whole {
		if err := c.pass(ctx, &whole[i]); err != nil {
			return err
		}
	}
	if len(raw) == 0 {
		return nil
	}
	return c.pass(ctx, &record{bytes: raw})
}

// pass passes a message to the server, or holds it for the next one.
func (c *client) pass(ctx context.Context, r *record) error {
	for {
		full, err := c.tryPass(r)
		if full == nil {
			return err
		}
		select {
		case <-full:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryPass is pass. If no more can be queued or held, it returns a channel that is closed when that may
// have changed.
func (c *client) tryPass(r *record) (full <-chan struct{}, err error) {
	c.order.Lock()
	defer c.order.Unlock()
	switch {
	case !c.holding:
		if full = c.link.out.full(); full != nil {
			return full, nil
		}
		if c.tracker != nil && !c.tracker.passes(&r.message) {
			return nil, nil
		}
		err = c.link.out.put(c.data(r.bytes))
		if err != nil && c.movesAt(c.link, serviceprotocol.MigrateAlways) {
			err = nil // the loss of the server is about to be handled, and completes the invocation
		}
		return nil, err
	case !c.tracker.isFollowed():
		c.relayed.Lose(errServerLost)
		return nil, errServerLost
	case r.message.Type == protocol.Ping:
	case len(c.held) == 0 || len(c.held)+len(r.bytes) <= maxHeld:
		c.held = append(c.held, r.bytes...)
	default:
		return c.resumed.Wait(), nil
	}
	return nil, nil
}

// Ended implements hub.Remote.
func (c *client) Ended(cause error) {
	c.order.Lock() // the server has been told of the client
	defer c.order.Unlock()
	l, known := c.servers.forget(c)
	if !known || l == nil {
		return
	}
	m := &serviceprotocol.Message{Type: serviceprotocol.CloseConnection, Connection: c.relayed.ConnectionID()}
	if cause != nil {
		m.Text = cause.Error()
	}
	_ = l.out.put(m)
}

func (c *client) data(bytes []byte) *serviceprotocol.Message {
	return &serviceprotocol.Message{Type: serviceprotocol.ConnectionData, Connection: c.relayed.ConnectionID(), Data: bytes}
}

// handshakeAnswer is the answer of a server that accepts the handshake.
const handshakeAnswer = "{}\x1e"

// receive passes data of the server to the client.
func (c *client) receive(data []byte) {
	if c.isAnswer(data) {
		return
	}
	c.relayed.Send(data)
	if c.tracker != nil && c.tracker.follow(data) {
		c.servers.idle(c)
	}
}

// introduction returns the message that tells the server about the client.
func (c *client) introduction() *serviceprotocol.Message {
	m := &serviceprotocol.Message{
		Type: serviceprotocol.OpenConnection, Connection: c.relayed.ConnectionID(), Protocol: c.relayed.Protocol(),
	}
	if c.token != nil {
		for _, claim := range c.token.Claims {
			m.Claims = append(m.Claims, serviceprotocol.Claim{Type: claim.Type, Value: claim.Value})
		}
	}
	if r := c.relayed.Caller().Request(); r != nil {
		m.Headers, m.Query = headersOf(r), queryOf(r.URL.RawQuery)
	}
	return m
}

// headersOf returns the headers that the application may see. The SDK trusts those of its own: no
// client may send them. The address of the client is the one that was found here.
func headersOf(r *http.Request) []serviceprotocol.Header {
	hidden := map[string]bool{"Authorization": true, "Cookie": true, "X-Forwarded-For": true, "Host": true}
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		hidden[name] = true
	}
	for _, line := range r.Header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			hidden[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	var all []serviceprotocol.Header
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		if hidden[name] || strings.HasPrefix(lower, "asrs-") || strings.HasPrefix(lower, "x-asrs-") {
			continue
		}
		all = append(all, serviceprotocol.Header{Name: name, Values: values})
	}
	if address := httpreq.Address(r); address.IsValid() {
		all = append(all, serviceprotocol.Header{Name: "X-Forwarded-For", Values: []string{address.String()}})
	}
	return all
}

// queryOf returns a query without the secrets and the parameters that concern this server only.
func queryOf(raw string) string {
	query := httpreq.LeaveOut(raw, func(name string) bool {
		return name == "" || httpreq.IsSecret(name) || fold.Equal(name, "hub")
	})
	if query == "" {
		return ""
	}
	return "?" + query
}

// errServerLost is the cause of the end of a client after the loss of its server.
var errServerLost = errors.New("the application server was lost")
