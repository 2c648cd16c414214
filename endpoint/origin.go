package endpoint

import (
	"net/http"
	"slices"

	"github.com/carillon-go/carillon/transports"
)

// origins decides which pages may use an endpoint. Browsers say from which one a request
// comes, and pages cannot change what they say; other clients say nothing and pass.
type origins struct {
	allowed  []string
	any      bool
	registry *transports.Registry
}

func newOrigins(allowed []string, registry *transports.Registry) *origins {
	o := &origins{registry: registry}
	for _, origin := range allowed {
		o.any = o.any || origin == "*"
		o.allowed = append(o.allowed, transports.NormalOrigin(origin))
	}
	return o
}

// admit tells whether a request may pass. Of a foreign page no WebSocket may, for it
// brings the user's cookies along and may be read by whoever opened it, and nothing else
// that bears credentials. A WebSocket with the token of a negotiation that passed comes
// from the page that made it: another page cannot read the answer.
func (o *origins) admit(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if o.any || origin == "" || o.isOurs(r, origin) {
		return true
	}
	if !transports.IsHandshake(r) {
		return r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == ""
	}
	c := o.registry.Find(transports.Token(r))
	return c != nil && c.Origin() == origin
}

func (o *origins) isOurs(r *http.Request, origin string) bool {
	if slices.Contains(o.allowed, transports.NormalOrigin(origin)) {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "": // an old browser, or a page without TLS
		return transports.SameOrigin(r, origin)
	case "same-origin", "none":
		return true
	}
	return false
}
