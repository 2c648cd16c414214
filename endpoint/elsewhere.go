package endpoint

import (
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/fold"
)

// A ticket and its connections stay in the process that issued the ticket, which alone knows
// whether one of them is open. The other processes forward every request with the ticket to it,
// before authentication, and it authenticates the request. So a WebSocket with a ticket goes
// through two processes unless it arrives at that one.

// local implements connection.Local.
type local struct {
	*connection.Registry
	endpoint *Endpoint
}

// Holds implements connection.Local. The key may be that of a ticket, which is always opened: it
// never moves.
func (l *local) Holds(key string) (here, opened bool) {
	if t := l.endpoint.tickets; t != nil && t.has(digest(key)) {
		return true, true
	}
	return l.Registry.Holds(key)
}

// ServeHTTP implements connection.Local. It authenticates a request with a ticket even if this
// process issues none: the other process may issue tickets, and then has not authenticated it.
func (l *local) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if ticketOf(r) != "" {
		l.endpoint.guarded.ServeHTTP(w, r)
		return
	}
	l.endpoint.serve(w, r)
}

// bringTickets returns a handler that serves a request with a ticket in the process that has the
// ticket, or the connection, and all other requests by next.
func (e *Endpoint) bringTickets(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ticket := ticketOf(r); ticket == "" || connection.Forwarded(r.Context()) || !e.serveTicketElsewhere(w, r, ticket) {
			next.ServeHTTP(w, r)
		}
	})
}

func (e *Endpoint) serveTicketElsewhere(w http.ResponseWriter, r *http.Request, ticket string) (answered bool) {
	if fold.Equal(lastSegment(r), negotiatePart) {
		return !e.tickets.has(e.tickets.key(ticket)) && e.transports.ServeElsewhere(w, r, strings.TrimPrefix(ticket, ticketPrefix))
	}
	token := connectionToken(r)
	return e.registry.Lookup(token) == nil && e.transports.ServeElsewhere(w, r, token)
}

// ticketOf returns the ticket of a request, or "".
func ticketOf(r *http.Request) string {
	if text, _ := auth.Token(r); strings.HasPrefix(text, ticketPrefix) {
		return text
	}
	return ""
}
