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
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/transports"
)

// A client that negotiates with credentials is redirected to the same endpoint with a
// ticket instead. Official clients then negotiate anew with the ticket and use it, in
// place of their own token, for everything else of that connection: the only thing that
// they put into a URL.
//
// A ticket negotiates until a connection is open that was negotiated with it, so that a
// client whose first transport fails can try the next. From then on it is good for that one
// connection.

// maxTickets bounds those that wait for their first negotiation, and those that may negotiate
// again.
const maxTickets = 10_000

// ticketPrefix tells tickets from other tokens.
const ticketPrefix = "ticket."

// tickets are those that may negotiate, by digest: what is kept does not open anything.
type tickets struct {
	lifetime time.Duration
	url      *url.URL    // of the endpoint as clients know it; nil: as they ask for it
	over     atomic.Bool // none are handed out any more

	mu         sync.Mutex
	waiting    ticketQueue // have not negotiated
	negotiated ticketQueue
}

func newTickets(o Options) *tickets {
	return &tickets{
		lifetime: o.TicketLifetime, url: o.PublicURL,
		waiting: ticketQueue{byKey: map[string]ticket{}}, negotiated: ticketQueue{byKey: map[string]ticket{}},
	}
}

type ticket struct {
	user *auth.User // who comes by the ticket
	ends time.Time
}

// ticketQueue holds the newest maxTickets of some tickets, each until it ends.
type ticketQueue struct {
	byKey map[string]ticket
	order []string // oldest first; some are not in byKey any more
}

// add puts in a ticket. One too many costs the oldest.
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
	if len(q.order) >= 2*maxTickets { // one that is there may be older than many that are not
		q.order = slices.DeleteFunc(q.order, func(key string) bool { _, ok := q.byKey[key]; return !ok })
	}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return string(sum[:])
}

// issue returns a ticket for u.
func (t *tickets) issue(u *auth.User) (text string) {
	text = ticketPrefix + rand.Text()
	key, now := digest(text), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting.add(key, ticket{u.WithTicket(auth.NewTicket(key)), now.Add(t.lifetime)}, now)
	return text
}

// redeem returns the user whom a ticket brings to a negotiation; nil: there is none, it has
// ended, or a connection is open with it.
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

// bearer is who holds the ticket that a request came with, nil for nobody. What opens a
// connection of its own takes none but for a negotiation, whatever else the request names.
func (e *Endpoint) bearer(r *http.Request, key string) *auth.User {
	switch last := lastSegment(r); {
	case fold.Equal(last, "negotiate"):
		return e.tickets.redeem(key)
	case e.events != nil && fold.Equal(last, "events"):
		return nil
	}
	token := transports.Token(r)
	if fold.Equal(lastSegment(r), "refresh") {
		token = transports.RefreshedToken(r)
	}
	if c := e.registry.Find(token); c != nil && c.Bears(key) {
		return c.User()
	}
	return nil
}

// Authenticator accepts the tickets that the endpoint hands out, refuses other tokens
// in the URL, and leaves the rest to next. Without Options.TicketLifetime it is next.
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
		user := e.bearer(r, digest(text))
		switch {
		case user == nil:
			return nil, &auth.TokenError{Reason: "The ticket is not valid"}
		case hasEnded(user, time.Now()):
			return nil, &auth.TokenError{Reason: "The token expired"}
		}
		return user, nil
	})
}

// hasEnded reports whether the credentials that a ticket stands for are not accepted any
// more.
func hasEnded(u *auth.User, now time.Time) bool {
	end := u.End(now)
	return !end.IsZero() && !now.Before(end)
}

// redirect sends whom credentials of their own brought here to the same endpoint, as long
// as negotiations are answered there.
func (t *tickets) redirect(r *http.Request) (url, accessToken string, ok bool) {
	user := auth.UserFrom(r.Context())
	if user == nil || user.Ticket() != nil || t.over.Load() {
		return "", "", false
	}
	return t.target(r), t.issue(user), true
}

// target is the endpoint's URL as the client knows it, with what its query says beyond
// the parameters of negotiation, which the client adds again, and the token, which it
// is to forget.
func (t *tickets) target(r *http.Request) string {
	to := url.URL{Scheme: transports.Scheme(r), Host: r.Host, Path: r.URL.Path}
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
		to.Path = asked.Path // with what a mux took off
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

// prefix is the path that a proxy in front took off, as that proxy says. It need not be
// trusted: who says so without one misleads itself only, and on this host.
func prefix(r *http.Request) string {
	path := r.Header.Get("X-Forwarded-Prefix")
	if !strings.HasPrefix(path, "/") {
		return ""
	}
	return strings.TrimRight(path, "/")
}
