package endpoint

import (
	"context"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// Events configures plain event streams at GET {path}/events, for clients such as EventSource
// and curl -N. Each invocation of the client is an event with the method's name. Its data are
// the arguments as a JSON array. The client is a member of the hub like any other, but it
// sends nothing and the hub requests no results from it. It misses messages sent while it is
// disconnected, except the events that History keeps.
type Events struct {
	// Enabled serves the path. Default false.
	Enabled bool
	// Groups returns the groups that the client joins, depending on the request's query or
	// user. A request with more than 100 groups is answered 400, because each group takes
	// memory and one URL can name many. Default: none.
	Groups func(r *http.Request) []string
	// History is the number of events kept for clients that reconnect with Last-Event-ID, or
	// with ?lastEventId= in the URL if that header is missing. If a client missed more, an
	// event carillon-gap precedes the kept events. Default 0: none, and events have no ids.
	History int
	// HistoryBytes is the limit of the kept events together. Default 262144.
	HistoryBytes int
}

// maxListenerGroups is the largest number of groups of a listener.
const maxListenerGroups = 100

type groupsKey struct{}

// admit calls Groups before a stream begins and refuses too many groups.
func (e Events) admit(next http.Handler) http.Handler {
	if e.Groups == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		groups := e.Groups(r)
		if len(groups) > maxListenerGroups {
			connection.Text(w, http.StatusBadRequest, "Too many groups")
			return
		}
		kept := make([]string, len(groups))
		for i, group := range groups {
			kept[i] = strings.Clone(group) // the copy does not keep the whole URL alive
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), groupsKey{}, kept)))
	})
}

// groupsOf returns the groups that admit stored in the request's context.
func groupsOf(ctx context.Context) []string {
	groups, _ := ctx.Value(groupsKey{}).([]string)
	return groups
}

// lastEventID returns the id of the last event that a listener received, or "" if the request
// names none. An EventSource that reconnects by itself sends the id in a header. A page can
// only put it into the URL of a new EventSource, whose later requests have both: then the
// header is newer. An id longer than any id of the hub is replaced by an unknown one: it is
// not kept, and the listener gets the gap event.
func lastEventID(r *http.Request) string {
	const maxEventID, unknown = 64, "-"
	id := r.Header.Get("Last-Event-ID")
	if id == "" {
		id, _ = httpreq.Parameter(r, "lastEventId")
	}
	if len(id) > maxEventID {
		return unknown
	}
	return id
}

// keep configures the hub's history of events.
func (e Events) keep(h *hub.Hub) {
	if e.HistoryBytes == 0 {
		e.HistoryBytes = 262144
	}
	if e.History > 0 {
		h.KeepEvents(e.History, e.HistoryBytes)
	}
}
