package transports

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// Negotiation is what a client was promised: the connection that its token opens. It
// becomes one when a request comes for it. Many never do, and in a crowd that comes back
// many wait at a time, so it is one small object.
type Negotiation struct {
	ids      [2 * idLength]byte // id and token
	hasToken bool               // that is not the id
	address  netip.Addr
	user     *auth.User
	origin   string // see Connection.Origin
	stateful []Type
	observer Observer      // guarded by the registry's lock, as the next
	silence  time.Duration // see Connection.SilenceLimit
	since    time.Duration // the registry's age
	place    int           // see negotiations
}

// newNegotiation notes whom the request comes from. stateful are the transports on which
// the connection may outlive its requests, if that is allowed.
func (r *Registry) newNegotiation(request *http.Request, hasToken bool, stateful []Type) *Negotiation {
	n := &Negotiation{
		ids: newIDs(), hasToken: hasToken, address: Network(request),
		user: r.bounded(auth.UserFrom(request.Context())), origin: foreignOrigin(request), since: time.Since(r.begun),
	}
	if r.options.AllowStatefulReconnect {
		n.stateful = stateful
	}
	return n
}

// Negotiate promises a connection to whoever comes with its token within
// DisconnectTimeout. Where the client has no token (version 0 of negotiation, or none at
// all) the id serves as one. stateful are the transports on which the connection may
// outlive its requests, if that is allowed.
//
// It belongs to the user and the page of the request. It fails with ErrStopped, or with
// ErrFull or ErrTooMany if a limit is reached.
func (r *Registry) Negotiate(request *http.Request, hasToken bool, stateful ...Type) (*Negotiation, error) {
	n := r.newNegotiation(request, hasToken, stateful)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(n); err != nil {
		return nil, err
	}
	r.negotiated.add(n)
	r.watch()
	return n, nil
}

// Withdraw takes back a promise of which the client does not know.
func (r *Registry) Withdraw(n *Negotiation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.negotiated.claim(n.Token()) != nil {
		r.census.leave(n.client())
	}
}

// User is who negotiated; nil for an anonymous client.
func (n *Negotiation) User() *auth.User { return n.user }

// ID is the public id of the connection.
func (n *Negotiation) ID() string { return string(n.ids[:idLength]) }

// Token is the secret that opens the connection.
func (n *Negotiation) Token() string {
	key := n.key()
	return string(key[:])
}

func (n *Negotiation) key() [idLength]byte {
	if !n.hasToken {
		return [idLength]byte(n.ids[:idLength])
	}
	return [idLength]byte(n.ids[idLength:])
}

func (n *Negotiation) client() client {
	if n.user == nil {
		return client{address: n.address}
	}
	return client{n.address, n.user.ID}
}

// Arrange makes o, if there is one, the observer of what was negotiated, and says that the
// network cuts what is silent for a time; zero: none is known. It is for negotiation, before
// the client knows its token.
func (r *Registry) Arrange(n *Negotiation, o Observer, silence time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.observer, n.silence = o, silence
}

// maxOrigin is longer than any origin: a scheme, a host of at most 253 bytes, a port.
const maxOrigin = 300

// foreignOrigin is the page that a request comes from, if a proxy has changed the host so
// much that it looks like another site's.
func foreignOrigin(r *http.Request) string {
	origin := r.Header.Get("Origin")
	if origin == "" || len(origin) > maxOrigin || SameOrigin(r, origin) {
		return ""
	}
	return strings.Clone(origin)
}

// negotiations wait for their clients, all of them equally long.
type negotiations struct {
	byToken map[[idLength]byte]*Negotiation
	order   []*Negotiation // in which they came; nil where one was claimed
	passed  int            // how many have gone from the front of order, ever
}

func (w *negotiations) add(n *Negotiation) {
	n.place = w.passed + len(w.order)
	w.order = append(w.order, n)
	w.byToken[n.key()] = n
}

// claim returns the one with a token, once; nil if there is none.
func (w *negotiations) claim(token string) *Negotiation {
	if len(token) != idLength {
		return nil
	}
	key := [idLength]byte([]byte(token))
	n := w.byToken[key]
	if n != nil {
		delete(w.byToken, key)
		w.order[n.place-w.passed] = nil
		if len(w.byToken) == 0 {
			w.passed, w.order = w.passed+len(w.order), w.order[:0]
		}
	}
	return n
}

// expire takes out those that came by a time.
func (w *negotiations) expire(by time.Duration) (late []*Negotiation) {
	gone := 0
	for ; gone < len(w.order); gone++ {
		n := w.order[gone]
		if n == nil {
			continue
		}
		if n.since > by {
			break
		}
		delete(w.byToken, n.key())
		late = append(late, n)
	}
	clear(w.order[:gone])
	w.order, w.passed = w.order[gone:], w.passed+gone
	return late
}
