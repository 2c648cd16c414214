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
// many wait at a time, so it is small, and has no pointers: it is none of the garbage
// collector's business.
type Negotiation struct {
	ids      [2 * idLength]byte // id and token
	hasToken bool               // that is not the id
	claimed  bool
	known    bool // where the client is
	address  [16]byte
	since    time.Duration // the registry's age
	place    int           // see negotiations
}

// terms are what not every client has.
type terms struct {
	user     *auth.User
	origin   string // see Connection.Origin
	stateful []Type
	observer Observer
	silence  time.Duration // see Connection.SilenceLimit
}

// newNegotiation notes whom the request comes from. The terms may be nil.
func (r *Registry) newNegotiation(request *http.Request, hasToken bool, stateful []Type) (Negotiation, *terms) {
	n := Negotiation{ids: newIDs(), hasToken: hasToken, since: time.Since(r.begun)}
	if a := Network(request); a.IsValid() {
		n.known, n.address = true, a.As16()
	}
	if !r.options.AllowStatefulReconnect {
		stateful = nil
	}
	user, origin := auth.UserFrom(request.Context()), foreignOrigin(request)
	if user == nil && origin == "" && stateful == nil {
		return n, nil
	}
	return n, &terms{user: user, origin: origin, stateful: stateful}
}

// Negotiate promises a connection to whoever comes with its token within
// DisconnectTimeout. Where the client has no token (version 0 of negotiation, or none at
// all) the id serves as one. stateful are the transports on which the connection may
// outlive its requests, if that is allowed.
//
// It belongs to the user and the page of the request. It fails with ErrStopped, or with
// ErrFull or ErrTooMany if a limit is reached.
func (r *Registry) Negotiate(request *http.Request, hasToken bool, stateful ...Type) (*Negotiation, error) {
	n, t := r.newNegotiation(request, hasToken, stateful)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.admit(n.client(t), n.since); err != nil {
		return nil, err
	}
	r.watch()
	return r.negotiated.add(n, t), nil
}

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

func (n *Negotiation) client(t *terms) (who client) {
	if n.known {
		who.address = netip.AddrFrom16(n.address).Unmap()
	}
	if t != nil && t.user != nil {
		who.user = t.user.ID
	}
	return who
}

// Arrange makes o, if there is one, the observer of what was negotiated, and says that the
// network cuts what is silent for a time; zero: none is known. It is for negotiation, before
// the client knows its token.
func (r *Registry) Arrange(n *Negotiation, o Observer, silence time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.negotiated.terms[n.place]
	if t == nil {
		t = &terms{}
		r.negotiated.terms[n.place] = t
	}
	t.observer, t.silence = o, silence
}

// foreignOrigin is the page that a request comes from, if a proxy has changed the host so
// much that it looks like another site's.
func foreignOrigin(r *http.Request) string {
	origin := r.Header.Get("Origin")
	if origin == "" || SameOrigin(r, origin) {
		return ""
	}
	return strings.Clone(origin)
}

// negotiations wait for their clients, all of them equally long. Each has a place, counted
// from the first that ever came.
type negotiations struct {
	places map[[idLength]byte]int // by token
	terms  map[int]*terms         // by place
	chunks []*chunk
	oldest int // place from which on some may wait, in the first chunk
	next   int // place of the next to come
}

// chunk are some that came one after the other.
type chunk [64]Negotiation

func newNegotiations() negotiations {
	return negotiations{places: map[[idLength]byte]int{}, terms: map[int]*terms{}}
}

func (w *negotiations) at(place int) *Negotiation {
	size := len(chunk{})
	return &w.chunks[place/size-w.oldest/size][place%size]
}

func (w *negotiations) add(n Negotiation, t *terms) *Negotiation {
	if len(w.chunks) == 0 || w.next%len(chunk{}) == 0 {
		w.chunks = append(w.chunks, new(chunk))
	}
	n.place = w.next
	w.next++
	w.places[n.key()] = n.place
	if t != nil {
		w.terms[n.place] = t
	}
	added := w.at(n.place)
	*added = n
	return added
}

// claim takes out the one with a token; nil if there is none.
func (w *negotiations) claim(token string) (*Negotiation, *terms) {
	if len(token) != idLength {
		return nil, nil
	}
	place, ok := w.places[[idLength]byte([]byte(token))]
	if !ok {
		return nil, nil
	}
	n := w.at(place)
	t := w.take(n)
	w.shorten()
	return n, t
}

// take takes n out.
func (w *negotiations) take(n *Negotiation) *terms {
	n.claimed = true
	delete(w.places, n.key())
	t := w.terms[n.place]
	delete(w.terms, n.place)
	return t
}

// expire takes out the oldest, if it came by a time; nil: it did not, or there is none.
func (w *negotiations) expire(by time.Duration) (*Negotiation, *terms) {
	w.shorten()
	if w.oldest == w.next || w.at(w.oldest).since > by {
		return nil, nil
	}
	n := w.at(w.oldest)
	return n, w.take(n)
}

// shorten lets go of the oldest as far as they are taken out.
func (w *negotiations) shorten() {
	for w.oldest < w.next && w.at(w.oldest).claimed {
		full := (w.oldest+1)%len(chunk{}) == 0
		if full {
			w.chunks[0] = nil
			w.chunks = w.chunks[1:]
		}
		w.oldest++
	}
}
