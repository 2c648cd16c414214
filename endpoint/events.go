package endpoint

import "net/http"

// Events says who may listen to a hub at GET {path}/events with nothing but an event
// stream: EventSource, curl -N. Each invocation of the client is an event with the
// method's name, whose data are the arguments as a JSON array. The client is a member of
// the hub like any other, but one that says nothing and is asked for nothing. What is sent
// while it is away is lost to it.
type Events struct {
	// Enabled serves the path. Default false.
	Enabled bool
	// Groups that the client of a request becomes a member of, by its query or its user.
	// Default: none.
	Groups func(r *http.Request) []string
}

func (e Events) groups(r *http.Request) []string {
	if e.Groups == nil || r == nil {
		return nil
	}
	return e.Groups(r)
}
