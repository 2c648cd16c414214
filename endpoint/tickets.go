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
	"github.com/carillon-go/carillon/transports"
)

// A client that negotiates with credentials is redirected to the same endpoint with a
// ticket instead. Official clients then negotiate anew with the ticket and use it, in
// place of their own token, for everything else of that connection: the only thing that
// they put into a URL.
//
// A ticket is good for one negotiation, and from then on for that one connection.

// maxTickets bounds those that wait for their negotiation.
const maxTickets = 10_000

// ticketPrefix tells tickets from other tokens.
const ticketPrefix = "ticket."

// tickets are those that wait for their negotiation, by digest: what is kept does not
// open anything.
type tickets struct {
	lifetime time.Duration
	url      *url.URL    // of the endpoint as clients know it; nil: as they ask for it
	over     atomic.Bool // none are handed out any more

	mu      sync.Mutex
	waiting map[string]ticket
	order   []string // oldest first; some are not waiting any more
}

func newTickets(o Options) *tickets {
	return &tickets{lifetime: o.TicketLifetime, url: o.PublicURL, waiting: map[string]ticket{}}
}

type ticket struct {
	user *auth.User
	ends time.Time
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return string(sum[:])
}

// issue returns a ticket for u. One too many costs the oldest one that waits.
func (t *tickets) issue(u *auth.User) (text string) {
	text = ticketPrefix + rand.Text()
	key, now := digest(text), time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(now)
	t.waiting[key] = ticket{u, now.Add(t.lifetime)}
	t.order = append(t.order, key)
	return text
}

// drop forgets what has ended, and makes room for one. The lock is held.
func (t *tickets) drop(now time.Time) {
	n := 0
	for ; n < len(t.order); n++ {
		waits, ok := t.waiting[t.order[n]]
		if ok && now.Before(waits.ends) && len(t.waiting) < maxTickets {
			break
		}
		delete(t.waiting, t.order[n])
	}
	t.order = t.order[n:]
	if len(t.order) >= 2*maxTickets { // one that waits is before many that were redeemed
		t.order = slices.DeleteFunc(t.order, func(key string) bool { _, ok := t.waiting[key]; return !ok })
	}
}

// redeem takes a ticket out; nil: there is none, or it has ended.
func (t *tickets) redeem(key string) *auth.User {
	t.mu.Lock()
	defer t.mu.Unlock()
	waits, ok := t.waiting[key]
	delete(t.waiting, key)
	if !ok || !time.Now().Before(waits.ends) {
		return nil
	}
	return waits.user.WithTicket(key)
}

// bearer is who holds the ticket that a request came with, nil for nobody. What opens a
// connection of its own takes none but for the one negotiation, whatever else the request
// names.
func (e *Endpoint) bearer(r *http.Request, key string) *auth.User {
	switch last := lastSegment(r); {
	case strings.EqualFold(last, "negotiate"):
		return e.tickets.redeem(key)
	case e.events != nil && strings.EqualFold(last, "events"):
		return nil
	}
	if c := e.registry.Find(transports.Token(r)); c != nil && c.Bears(key) {
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
		case !user.Expires.IsZero() && !time.Now().Before(user.Expires):
			return nil, &auth.TokenError{Reason: "The token expired"}
		}
		return user, nil
	})
}

// redirect sends whom credentials of their own brought here to the same endpoint, as long
// as negotiations are answered there.
func (t *tickets) redirect(r *http.Request) (url, accessToken string, ok bool) {
	user := auth.UserFrom(r.Context())
	if user == nil || user.Ticket() != "" || t.over.Load() {
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
