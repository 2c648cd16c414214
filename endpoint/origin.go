package endpoint

import (
	"net/http"

	"github.com/carillon-go/carillon/transports"
)

// origins decides which pages may use an endpoint. Browsers say from which one a request
// comes, and pages cannot change what they say; other clients say nothing and pass.
type origins struct {
	allowed  *transports.Origins
	registry *transports.Registry
}

// newOrigins takes options with a Logger.
func newOrigins(o *transports.Options, registry *transports.Registry) *origins {
	for _, entry := range o.AllowedOrigins {
		if err := transports.CheckOrigin(entry); err != nil {
			o.Logger.Warn("an allowed origin is none of the web", "error", err)
		}
	}
	return &origins{transports.NewOrigins(o.AllowedOrigins, o.AllowOrigin), registry}
}

// AllowsOrigin reports whether AllowedOrigins or AllowOrigin let the pages of an origin use the
// endpoint. A CORS middleware in front asks it which pages may read the answers.
func (e *Endpoint) AllowsOrigin(origin string) bool { return e.origins.allowed.Allows(origin) }

// admit tells whether a request may pass. Of a foreign page no WebSocket may, for it
// brings the user's cookies along and may be read by whoever opened it, and nothing else
// that bears credentials. A WebSocket with the token of a negotiation that passed comes
// from the page that made it: another page cannot read the answer.
func (o *origins) admit(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || o.isOurs(r, origin) {
		return true
	}
	if !transports.IsHandshake(r) {
		return r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == ""
	}
	c := o.registry.Find(transports.Token(r))
	return c != nil && c.Origin() == origin
}

func (o *origins) isOurs(r *http.Request, origin string) bool {
	if o.allowed.Allows(origin) {
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
