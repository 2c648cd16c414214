package connection

import (
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// Negotiation is the client of a negotiation: first admitted, then promised a connection, which
// a request with its token opens. Many negotiations are never opened, and many wait at the same
// time after an outage, so it is one small object.
type Negotiation struct {
	ids      [2 * idLength]byte // id and token
	hasToken bool               // the token differs from the id
	promised bool
	address  netip.Addr
	user     *auth.User
	origin   string // see Connection.Origin
	stateful []transports.Type
	observer transports.Observer
	silence  time.Duration // see Connection.SilenceLimit
	since    time.Duration // age of the registry at the admission, and from then on at the promise
	place    int           // see negotiations
}

// Terms are the terms of a promised connection.
type Terms struct {
	// HasToken gives the connection a token that differs from its id. Without it the id serves
	// as the token, as in version 0 of negotiation. Default false.
	HasToken bool
	// Stateful are the transports on which the connection may outlive its requests, if the
	// options of the registry allow that. Default: none.
	Stateful []transports.Type
	// Observer receives events about the connection. Default: none.
	Observer transports.Observer
	// SilenceLimit is the time of silence after which the network cuts connections. Zero:
	// unknown.
	SilenceLimit time.Duration
}

// newNegotiation returns a negotiation with the client of a request.
func (r *Registry) newNegotiation(request *http.Request) *Negotiation {
	return &Negotiation{
		ids: newIDs(), address: httpreq.Network(request), origin: foreignOrigin(request), since: time.Since(r.begun),
		user: r.refreshing.bounded(auth.UserFrom(request.Context())),
	}
}

// accept sets the terms.
func (n *Negotiation) accept(t Terms, allowStateful bool) {
	n.hasToken, n.observer, n.silence = t.HasToken, t.Observer, t.SilenceLimit
	if allowStateful {
		n.stateful = t.Stateful
	}
}

// Admit counts the client of a request as a connection, which belongs to the user and the page
// of the request. The caller then calls Promise, or Withdraw. Admit fails with ErrStopped, or
// with ErrFull or ErrTooMany if a limit is reached.
func (r *Registry) Admit(request *http.Request) (*Negotiation, error) {
	n := r.newNegotiation(request)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admitLocked(n); err != nil {
		return nil, err
	}
	return n, nil
}

// Promise promises a connection to an admitted client, which has to present its token within
// DisconnectTimeout. It fails with ErrStopped.
func (r *Registry) Promise(n *Negotiation, t Terms) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.promiseLocked(n, t, 0)
}

// promiseLocked is Promise at an earlier time, an age ago.
func (r *Registry) promiseLocked(n *Negotiation, t Terms, age time.Duration) error {
	if r.stopped {
		return ErrStopped
	}
	n.accept(t, r.options.AllowStatefulReconnect)
	n.promised, n.since = true, time.Since(r.begun)-age // the policy may have taken long
	r.negotiated.add(n)
	r.startSweepLocked()
	return nil
}

// Withdraw removes an admitted client that does not know of a promise.
func (r *Registry) Withdraw(n *Negotiation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !n.promised || r.negotiated.claim(n.Token()) != nil {
		r.counts.leave(n.client())
	}
}

// User returns the user that negotiated, or nil for an anonymous client.
func (n *Negotiation) User() *auth.User { return n.user }

// HasTicket reports whether the ticket with the digest authenticated the negotiation.
func (n *Negotiation) HasTicket(digest string) bool { return hasTicket(n.user.Ticket(), digest) }

// ID returns the public id of the connection.
func (n *Negotiation) ID() string { return string(n.ids[:idLength]) }

// Token returns the secret that opens the connection.
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

// maxOrigin is the longest accepted origin in bytes. Real ones are shorter: a scheme, a host
// of at most 253 bytes, a port.
const maxOrigin = 300

// foreignOrigin returns the origin of a request's page if a proxy has changed the host so
// much that the page looks like another site's, else "".
func foreignOrigin(r *http.Request) string {
	origin := r.Header.Get("Origin")
	if origin == "" || len(origin) > maxOrigin || httpreq.SameOrigin(r, origin) {
		return ""
	}
	return strings.Clone(origin)
}

// negotiations holds the negotiations that wait for their clients, all for the same time.
type negotiations struct {
	byToken map[[idLength]byte]*Negotiation
	order   []*Negotiation // by age; nil where one was claimed
	passed  int            // the number of entries ever removed from the front of order
}

func (w *negotiations) add(n *Negotiation) {
	n.place = w.passed + len(w.order)
	w.order = append(w.order, n)
	w.byToken[n.key()] = n
}

// find returns the negotiation with a key, or nil.
func (w *negotiations) find(key string) *Negotiation {
	if len(key) != idLength {
		return nil
	}
	return w.byToken[[idLength]byte([]byte(key))]
}

// claim removes and returns the negotiation with a key, or returns nil.
func (w *negotiations) claim(key string) *Negotiation {
	n := w.find(key)
	if n != nil {
		delete(w.byToken, n.key())
		w.order[n.place-w.passed] = nil
		if len(w.byToken) == 0 {
			w.passed, w.order = w.passed+len(w.order), w.order[:0]
		}
	}
	return n
}

// expire removes and returns the negotiations made at or before a time.
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
