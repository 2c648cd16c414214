package connection

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// Elsewhere finds the connections of the other processes that serve the same endpoint. Its
// methods are called concurrently.
type Elsewhere interface {
	// Join is called once, before the first request.
	Join(Local)
	// Seal returns the token of the connection with a key, for its client.
	Seal(key string) (token string)
	// Open returns the key in a token. ok is false if no process of the endpoint sealed it. Such
	// a token is looked up as a key: the clients of version 0 of negotiation have no other.
	Open(token string) (key string, ok bool)
	// Find finds the process that has the connection with a token that Open accepts and that is
	// not here. If it gets a Claimer, the request may open the connection here, and Find should
	// move its negotiation. forward serves the request in the other process. If forward and err
	// are nil, the connection is here now, or nowhere. err is that of the Claimer, or means that
	// the connection was not found. Find returns at the end of r's context.
	Find(r *http.Request, token string, c Claimer) (forward Forward, err error)
	// Drain is called by Registry.Stop, and more than once. Forwarded polls should end soon.
	Drain()
	// Share is called before the first request, if something learns from connections: the
	// processes should learn together.
	Share(Learner)
	// Tell tells the other processes at once what was learned here. It returns when they know
	// it, at the end of ctx, or after half a second.
	Tell(ctx context.Context)
}

// Learner learns from the connections of a process what other processes should know, too. It
// encodes and decodes that. Its methods are called concurrently, and do not block.
type Learner interface {
	// News returns what was learned here since the last call, or nil. It is called about once a
	// second and for each Tell, and returns nil at the first call. Its length is limited.
	News() json.RawMessage
	// Table returns what is known, also from other processes, for a process that has begun, or
	// nil. Its length is limited.
	Table() json.RawMessage
	// Learn takes over the news or the table of another process, which need not be valid. They
	// are no news here.
	Learn(json.RawMessage)
}

// Forward answers a request as the process does that has its connection, after LetWait for a
// GET. An error means that nothing was written, because that process does not answer.
type Forward func(w http.ResponseWriter, r *http.Request) error

// Claimer takes over a negotiation for a request.
type Claimer interface {
	// Admit asks the limits of this process for a connection. It fails like Registry.Admit. It
	// must be called before the other process hands anything over.
	Admit() error
	// Adopt takes over the negotiation after Admit.
	Adopt(Handover) error
}

// Local serves the requests of other processes.
type Local interface {
	// HandOver removes and returns the negotiation with a key for a request of a user. It
	// reports false, and removes nothing, if there is none, if it belongs to another user, or if
	// a request has come that opens it here.
	HandOver(key string, u *auth.User) (h Handover, ok bool)
	// Holds reports whether the connection or the negotiation with a key is here, and whether a
	// request has opened it.
	Holds(key string) (here, opened bool)
	// End ends the connection with a key, because a POST of its client was lost on the way here.
	// A connection that takes no POSTs, such as a WebSocket, goes on.
	End(key string)
	// ServeHTTP serves a forwarded request. Its context is of WithForwarded and has the user,
	// which the other process has authenticated.
	http.Handler
}

// Handover is a negotiation that moves to another process.
type Handover struct {
	ID, Key  string
	User     *auth.User // nil: anonymous
	Origin   string     // see Connection.Origin
	Stateful []transports.Type
	Silence  time.Duration // see Connection.SilenceLimit
	Age      time.Duration // time since the promise
	Offer    []byte        // see PortableObserver; nil: none
}

// PortableObserver is an observer of a negotiation that another process can make anew.
type PortableObserver interface {
	transports.Observer
	// Offer describes the offer of the negotiation.
	Offer() []byte
}

type forwardedKey struct{}

// WithForwarded returns the context of a request that another process has forwarded.
func WithForwarded(ctx context.Context) context.Context {
	return context.WithValue(ctx, forwardedKey{}, true)
}

// Forwarded reports whether another process has forwarded a request. It is not forwarded again.
func Forwarded(ctx context.Context) bool { return ctx.Value(forwardedKey{}) != nil }

// errHandover is the error of Adopt for a Handover that is not valid, or without Admit.
var errHandover = errors.New("transports: the negotiation cannot be taken over")

// SetElsewhere sets where connections are looked for that are not here. observe makes the
// observer of a negotiation that moves here, from its Handover.Offer and the request that opens
// it. SetElsewhere must be called before the first request.
func (r *Registry) SetElsewhere(e Elsewhere, observe func(*http.Request, []byte) transports.Observer) {
	r.elsewhere, r.observe = e, observe
}

// seals makes the tokens that clients get from the keys of connections, and the reverse.
type seals struct {
	elsewhere Elsewhere // nil: all connections are here, and tokens are keys
}

// Seal returns the token of a promised connection for its client. ok is false without
// Elsewhere: then it is n.Token().
func (s *seals) Seal(n *Negotiation) (token string, ok bool) {
	if s.elsewhere == nil {
		return "", false
	}
	return s.elsewhere.Seal(n.Token()), true
}

// open returns the key of the connection with a token. sealed reports that another process may
// have the connection.
func (s *seals) open(token string) (key string, sealed bool) {
	if s.elsewhere == nil {
		return token, false
	}
	if key, sealed = s.elsewhere.Open(token); !sealed {
		key = token
	}
	return key, sealed
}

// resolve looks up the token of a request, once per request and before anything else is done
// for it: the connection is here, or forward serves the request where it is, or both are nil.
// opens reports that the request may open the connection. resolve makes the connection of a
// negotiation. It fails like Admit if a limit prevents that a negotiation moves here. It
// returns at the end of the request's context.
func (r *Registry) resolve(request *http.Request, token string, opens bool) (c *Connection, forward Forward, err error) {
	key, sealed := r.open(token)
	if c = r.find(key, opens); c != nil || !sealed || Forwarded(request.Context()) {
		return c, nil, nil
	}
	claim := &claim{registry: r, request: request}
	defer claim.withdraw()
	var claimer Claimer
	if opens {
		claimer = claim
	}
	if forward, err = r.elsewhere.Find(request, token, claimer); forward != nil || err != nil {
		return nil, forward, err
	}
	return r.find(key, opens), nil, nil
}

// ServeElsewhere serves a request with a token in the process that has the connection, if that
// is another one. It reports whether it has answered the request. The request need not be
// authenticated: the other process must do that.
func (h *Handler) ServeElsewhere(w http.ResponseWriter, r *http.Request, token string) (answered bool) {
	answered = true
	h.serve(w, r, Unavailable, func(w http.ResponseWriter, r *http.Request) {
		_, ok := h.resolve(w, r, token, false)
		answered = !ok
	})
	return answered
}

// claim implements Claimer.
type claim struct {
	registry *Registry
	request  *http.Request
	n        *Negotiation // nil: not admitted
}

// Admit implements Claimer.
func (c *claim) Admit() (err error) {
	c.n, err = c.registry.Admit(c.request)
	return err
}

func (c *claim) withdraw() {
	if c.n != nil && !c.n.promised {
		c.registry.Withdraw(c.n)
	}
}

// Adopt implements Claimer.
func (c *claim) Adopt(h Handover) error {
	r, n := c.registry, c.n
	if n == nil || len(h.ID) != idLength || len(h.Key) != idLength {
		return errHandover
	}
	terms := Terms{HasToken: true, Stateful: h.Stateful, SilenceLimit: h.Silence}
	if r.observe != nil {
		terms.Observer = r.observe(c.request, h.Offer)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.leave(n.client())
	copy(n.ids[:], h.ID)
	copy(n.ids[idLength:], h.Key)
	n.user, n.origin = h.User, h.Origin
	r.counts.enter(n.client())
	return r.promiseLocked(n, terms, h.Age)
}

// Holds implements Local.
func (r *Registry) Holds(key string) (here, opened bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.connections[key]
	return c != nil || r.negotiated.find(key) != nil, c != nil && c.Transport() != ""
}

// End implements Local.
func (r *Registry) End(key string) {
	r.mu.Lock()
	c := r.connections[key]
	r.mu.Unlock()
	if c == nil {
		return
	}
	if kind := c.Transport(); kind == transports.ServerSentEvents || kind == transports.LongPolling {
		c.Abort(transports.ErrCut)
	}
}

// HandOver implements Local.
func (r *Registry) HandOver(key string, u *auth.User) (h Handover, ok bool) {
	n := r.handOver(key, u)
	if n == nil {
		return Handover{}, false
	}
	h = Handover{
		ID: n.ID(), Key: n.Token(), User: n.user, Origin: n.origin,
		Stateful: n.stateful, Silence: n.silence, Age: time.Since(r.begun) - n.since,
	}
	if o, ok := n.observer.(PortableObserver); ok {
		h.Offer = o.Offer()
	}
	if n.observer != nil {
		r.report(n.observer, transports.Event{Kind: transports.Moved})
	}
	return h, true
}

// handOver removes a negotiation, or a connection that no request has come to open, for a user.
// It returns nil if there is none. The connections of a ticket stay where the ticket is: of all of
// them only one may open.
func (r *Registry) handOver(key string, u *auth.User) *Negotiation {
	n, c := r.removeUnopened(key, u)
	if c == nil {
		return n
	}
	n = &Negotiation{hasToken: true, user: c.User(), origin: c.origin, stateful: c.stateful, observer: c.observer, silence: c.silence}
	copy(n.ids[:], c.id+c.token)
	c.end(transports.ErrEnded, false, func() bool {
		n.since = c.left.Sub(r.begun)
		return true
	})
	return n
}

func (r *Registry) removeUnopened(key string, u *auth.User) (*Negotiation, *Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.negotiated.find(key); n != nil {
		if !n.hasToken || n.user.Ticket() != nil || !sameUser(n.user, u) {
			return nil, nil
		}
		r.negotiated.claim(key)
		r.counts.leave(n.client())
		return n, nil
	}
	c := r.connections[key]
	if c == nil || c.wanted || !c.HasToken() || c.ticket != nil || !sameUser(c.User(), u) || c.hasEnded() {
		return nil, nil
	}
	delete(r.connections, key) // the next request asks Elsewhere
	return nil, c
}
