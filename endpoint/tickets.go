package endpoint

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// A client that negotiates with credentials is redirected to the same endpoint with a ticket.
// Official clients then negotiate again with the ticket and use it instead of their own token
// for all requests of that connection. So the ticket is the only token that they put into a
// URL.
//
// A ticket can negotiate until a connection that was negotiated with it is open, so that a
// client whose first transport fails can try the next one. After that it is valid for that
// connection only.

// maxTickets is the limit of the tickets that have not negotiated yet, and of the tickets
// that may negotiate again.
const maxTickets = 10_000

// ticketPrefix distinguishes tickets from other tokens.
const ticketPrefix = "ticket."

// tickets holds the valid tickets by digest. A digest cannot be used as a ticket.
type tickets struct {
	lifetime time.Duration
	cluster  connection.Elsewhere // seals the tickets; nil: none does
	url      *url.URL             // of the endpoint for clients; nil: the URL of the request
	over     atomic.Bool          // redirect issues no more tickets

	mu         sync.Mutex
	waiting    ticketQueue // not used in a negotiation yet
	negotiated ticketQueue
}

func newTickets(o Options) *tickets {
	return &tickets{
		lifetime: o.TicketLifetime, cluster: o.Cluster, url: o.PublicURL,
		waiting: ticketQueue{byKey: map[string]ticket{}}, negotiated: ticketQueue{byKey: map[string]ticket{}},
	}
}

type ticket struct {
	user *auth.User // the user that the ticket authenticates
	ends time.Time
}

// ticketQueue holds the newest maxTickets tickets of one kind, each until it expires.
type ticketQueue struct {
	byKey map[string]ticket
	order []string // oldest first; some are no longer in byKey
}

// add adds a ticket. If the queue is full, it drops the oldest one.
func (q *ticketQueue) add(key string, t ticket, now time.Time) {
	n := 0
	for ; n < len(q.order); n++ {
		old, ok := q.byKey[q.order[n]]
		if ok && now.Before(old.ends) && len(q.byKey) < maxTickets {
			break
		}
		delete(q.byKey, q.order[n])
	}
	q.order = append(q.order[n:], key)
	q.byKey[key] = t
	if len(q.order) >= 2*maxTickets { // a valid ticket at the front can keep many removed keys in order
		q.order = slices.DeleteFunc(q.order, func(key string) bool { _, ok := q.byKey[key]; return !ok })
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return string(sum[:])
}

// key returns the digest of a ticket.
func (t *tickets) key(text string) string {
	if t.cluster != nil {
		if sealed, ok := t.cluster.Open(strings.TrimPrefix(text, ticketPrefix)); ok {
			text = sealed
		}
	}
	return digest(text)
}

// has reports whether the ticket with a digest was issued here and is not forgotten.
func (t *tickets) has(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.waiting.byKey[key].user != nil || t.negotiated.byKey[key].user != nil
}

// issue returns a ticket for u.
func (t *tickets) issue(u *auth.User) (text string) {
	text = rand.Text()
	if t.cluster != nil {
		text = t.cluster.Seal(connection.NewKey())
	}
	text = ticketPrefix + text
	key, now := t.key(text), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.add(key, ticket{u.WithTicket(auth.NewTicket(key)), now.Add(t.lifetime)}, now)
	return text
}

// redeem returns the user that a ticket authenticates for a negotiation. It returns nil if
// the ticket is unknown, has expired, or has opened a connection.
func (t *tickets) redeem(key string) *auth.User {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	found, first := t.waiting.byKey[key]
	if !first {
		found = t.negotiated.byKey[key]
	}
	if found.user == nil || !now.Before(found.ends) || !found.user.Ticket().Free() {
		return nil
	}
	if first {
		delete(t.waiting.byKey, key)
		t.negotiated.add(key, found, now)
	}
	return found.user
}

// ticketUser returns the user of the request's ticket, or nil. A ticket is accepted for
// negotiation and for the connection that it opened. Requests that open a connection without
// negotiation are refused even if they name such a connection.
func (e *Endpoint) ticketUser(r *http.Request, key string) *auth.User {
	switch last := lastSegment(r); {
	case fold.Equal(last, negotiatePart):
		return e.tickets.redeem(key)
	case e.events != nil && fold.Equal(last, eventsPart):
		return nil
	}
	if owner := e.registry.Lookup(connectionToken(r)); owner != nil && owner.HasTicket(key) {
		return owner.User()
	}
	return nil
}

// connectionToken returns the token of the connection that a request concerns, or "".
func connectionToken(r *http.Request) string {
	if fold.Equal(lastSegment(r), refreshPart) {
		return connection.RefreshedToken(r)
	}
	return connection.Token(r)
}

// Authenticator returns an authenticator that accepts the endpoint's tickets, refuses other
// tokens in the URL, and passes all other requests to next. Of a negotiation with a ticket that
// is no longer valid next gets the other credentials, such as cookies. Without
// Options.TicketLifetime it returns next.
func (e *Endpoint) Authenticator(next auth.Authenticator) auth.Authenticator {
	if e.tickets == nil {
		return next
	}
	return auth.Func(func(r *http.Request) (*auth.User, error) {
		text, inURL := auth.Token(r)
		if !strings.HasPrefix(text, ticketPrefix) {
			if inURL {
				return nil, &auth.TokenError{Reason: "A token in the URL is not accepted"}
			}
			return next.Authenticate(r)
		}
		user := e.ticketUser(r, e.tickets.key(text))
		if user == nil && !inURL && fold.Equal(lastSegment(r), negotiatePart) {
			// The JavaScript client without a token of its own reconnects with the ticket of its last connection.
			other := r.Clone(r.Context())
			other.Header.Del("Authorization")
			if found, err := next.Authenticate(other); found != nil || err != nil {
				return found, err
			}
		}
		switch {
		case user == nil:
			return nil, &auth.TokenError{Reason: "The ticket is not valid"}
		case hasEnded(user, time.Now()):
			return nil, &auth.TokenError{Reason: "The token expired"}
		}
		return user, nil
	})
}

// hasEnded reports whether the credentials behind a ticket have expired.
func hasEnded(u *auth.User, now time.Time) bool {
	end := u.End(now)
	return !end.IsZero() && !now.Before(end)
}

// redirect returns the same endpoint's URL and a ticket if the request has credentials of its
// own. After Drain it redirects no more.
func (t *tickets) redirect(r *http.Request) (url, accessToken string, ok bool) {
	user := auth.UserFrom(r.Context())
	if user == nil || user.Expired || user.Ticket() != nil || t.over.Load() {
		return "", "", false
	}
	return t.target(r), t.issue(user), true
}

// target returns the endpoint's URL for the client, with the request's query. It leaves out
// the parameters of negotiation, which the client adds again, and the access token, which the
// client must not use again.
func (t *tickets) target(r *http.Request) string {
	to := url.URL{Scheme: httpreq.Scheme(r), Host: r.Host, Path: r.URL.Path}
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
		to.Path = asked.Path // includes the prefix that a mux removed
	}
	to.Path = prefix(r) + to.Path
	to.Path = strings.TrimSuffix(to.Path, "/")
	to.Path = to.Path[:strings.LastIndexByte(to.Path, '/')]
	if t.url != nil {
		to = *t.url
	}
	query := r.URL.Query()
	for name := range query {
		switch strings.ToLower(name) {
		case "negotiateversion", "usestatefulreconnect", "statefultransports", "access_token":
			delete(query, name)
		}
	}
	to.RawQuery = query.Encode()
	return to.String()
}

// prefix returns the path that a proxy says it removed. The proxy need not be trusted: a
// client that forges the header misleads only itself, and only on this host.
func prefix(r *http.Request) string {
	path := r.Header.Get("X-Forwarded-Prefix")
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	return strings.TrimRight(path, "/")
}
