package endpoint

import (
	"net/http"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// origins decides which pages may use an endpoint. Browsers send the origin of the page with
// each request, and pages cannot change it. Other clients send no origin and pass.
type origins struct {
	allowed  *httpreq.Origins
	registry *connection.Registry
}

// newOrigins requires that o has a Logger.
func newOrigins(o *transports.Options, registry *connection.Registry) *origins {
	for _, entry := range o.AllowedOrigins {
		if err := transports.CheckOrigin(entry); err != nil {
			o.Logger.Warn("allowed origin not valid", "error", err)
		}
	}
	return &origins{httpreq.NewOrigins(o.AllowedOrigins, o.AllowOrigin), registry}
}

// AllowsOrigin reports whether AllowedOrigins or AllowOrigin let the pages of an origin use the
// endpoint. A CORS middleware in front asks it which pages may read the answers.
func (e *Endpoint) AllowsOrigin(origin string) bool { return e.origins.allowed.Allows(origin) }

// admit reports whether a request may pass. A foreign page may not open a WebSocket: the
// browser sends the user's cookies with the handshake, and the page can read the messages.
// Nor may it make another request with credentials. A WebSocket with the token of an admitted
// negotiation with the same origin passes, because another page cannot read the negotiation's
// answer.
func (o *origins) admit(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || o.isOurs(r, origin) {
		return true
	}
	if !connection.IsHandshake(r) {
		return r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == ""
	}
	c := o.registry.Find(connection.Token(r))
	return c != nil && c.Origin() == origin
}

func (o *origins) isOurs(r *http.Request, origin string) bool {
	if o.allowed.Allows(origin) {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "": // an old browser, or a page without TLS
		return httpreq.SameOrigin(r, origin)
	case "same-origin", "none":
		return true
	}
	return false
}
