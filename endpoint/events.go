package endpoint

import (
	"context"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// Events says who may listen to a hub at GET {path}/events with nothing but an event
// stream: EventSource, curl -N. Each invocation of the client is an event with the
// method's name, whose data are the arguments as a JSON array. The client is a member of
// the hub like any other, but one that says nothing and is asked for nothing. What is sent
// while it is away is lost to it, but for what History keeps.
type Events struct {
	// Enabled serves the path. Default false.
	Enabled bool
	// Groups that the client of a request becomes a member of, by its query or its user.
	// A request for more than 100 is answered 400: each takes memory, and a URL names many.
	// Default: none.
	Groups func(r *http.Request) []string
	// History is how many events are kept for clients that come back with Last-Event-ID, or
	// with ?lastEventId= in the URL if there is no such header; if more are missed, an event
	// carillon-gap comes before those that are kept. Default 0: none, and events have no ids.
	History int
	// HistoryBytes that they may have together. Default 262144.
	HistoryBytes int
}

// maxListenerGroups is the number of groups that a listener may be in.
const maxListenerGroups = 100

type groupsKey struct{}

// admit asks for the groups of a listener before its stream begins, and refuses too many.
func (e Events) admit(next http.Handler) http.Handler {
	if e.Groups == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		groups := e.Groups(r)
		if len(groups) > maxListenerGroups {
			transports.Text(w, http.StatusBadRequest, "Too many groups")
			return
		}
		kept := make([]string, len(groups))
		for i, group := range groups {
			kept[i] = strings.Clone(group) // and not the URL that it may be a part of
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), groupsKey{}, kept)))
	})
}

// groupsOf returns the groups of the listener whose request had a context.
func groupsOf(ctx context.Context) []string {
	groups, _ := ctx.Value(groupsKey{}).([]string)
	return groups
}

// lastEventID returns the id of the event that a listener got last; "" if it names none. An
// EventSource that comes back by itself sends it in a header. A page can only put it into the URL
// of a new EventSource, whose later requests have both: then the header is newer. One that is too
// long to be the hub's is no id of it, which the listener is told, and is not kept.
func lastEventID(r *http.Request) string {
	const maxEventID, unknown = 64, "-"
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id, _ = transports.Parameter(r, "lastEventId")
	}
	if len(id) > maxEventID {
		return unknown
	}
	return id
}

// keep has the hub keep what e says.
func (e Events) keep(h *hub.Hub) {
	if e.HistoryBytes == 0 {
		e.HistoryBytes = 262144
	}
	if e.History > 0 {
		h.KeepEvents(e.History, e.HistoryBytes)
	}
}
