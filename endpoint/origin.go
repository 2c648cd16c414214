package endpoint

import (
	"log/slog"
	"net/http"
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// origins decides which pages may use an endpoint. Browsers send the origin of the page with
// each request, and pages cannot change it. Other clients send no origin and pass.
type origins struct {
	allowed atomic.Pointer[httpreq.Origins]
	decide  func(origin string) bool
	log     *slog.Logger

	tokensOnly bool // see Options.TokensOnly
}

// newOrigins requires that o has a Logger.
func newOrigins(o *Options) *origins {
	made := &origins{decide: o.AllowOrigin, log: o.Logger, tokensOnly: o.TokensOnly}
	made.set(o.AllowedOrigins)
	return made
}

func (o *origins) set(allowed []string) {
	for _, entry := range allowed {
		if err := transports.CheckOrigin(entry); err != nil {
			o.log.Warn("allowed origin not valid", "error", err)
		}
	}
	o.allowed.Store(httpreq.NewOrigins(allowed, o.decide))
}

// SetAllowedOrigins replaces Options.AllowedOrigins. Connections that are open continue.
func (e *Endpoint) SetAllowedOrigins(origins []string) { e.origins.set(origins) }

// AllowsOrigin reports whether AllowedOrigins or AllowOrigin let the pages of an origin use the
// endpoint.
func (e *Endpoint) AllowsOrigin(origin string) bool { return e.origins.allowed.Load().Allows(origin) }

// preflightAge is the time in seconds for which a browser may keep the answer to a preflight
// request: the longest that Chromium accepts.
const preflightAge = "7200"

// allowOrigin is the header that lets the pages of an origin read an answer.
const allowOrigin = "Access-Control-Allow-Origin"

// isPreflight reports whether a browser asks if a page may make a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// share sets the headers that let pages of other allowed origins read the answer (CORS), and
// reports whether the request is a preflight request, which needs no other answer. The headers
// allow credentials, which the JavaScript client sends by default, except for the entry "*"
// without tokensOnly.
// Without allowed origins it does nothing, nor if a middleware has set the headers. kept says
// that caches may keep the answer, for pages of any origin.
func (o *origins) share(w http.ResponseWriter, r *http.Request, kept bool) (preflight bool) {
	allowed, header, origin := o.allowed.Load(), w.Header(), r.Header.Get("Origin")
	if allowed.None() || header.Get(allowOrigin) != "" {
		return false
	}
	admitted, anonymous := origin != "" && allowed.Allows(origin), allowed.Any() && !o.tokensOnly
	if kept || admitted && !anonymous {
		header.Add("Vary", "Origin")
	}
	if preflight = isPreflight(r); !admitted {
		return preflight
	}
	if anonymous {
		origin = "*"
	} else {
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	header.Set(allowOrigin, origin)
	if preflight {
		header.Set("Access-Control-Allow-Methods", "GET,POST,DELETE")
		header.Set("Access-Control-Max-Age", preflightAge)
		if headers := r.Header.Values("Access-Control-Request-Headers"); len(headers) > 0 {
			header["Access-Control-Allow-Headers"] = headers
		}
	}
	return preflight
}

// admit reports whether a request may pass. A foreign page may not open a WebSocket: the
// browser sends the user's cookies with the handshake, and the page can read the messages.
// Nor may it make another request with credentials. A WebSocket with the token of an admitted
// negotiation with the same origin passes, because another page cannot read the negotiation's
// answer. negotiated is the origin of that negotiation; "": there is none.
func (o *origins) admit(r *http.Request, negotiated string) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || o.isOurs(r, origin) {
		return true
	}
	if !connection.IsHandshake(r) {
		return r.Header.Get("Cookie") == "" && r.Header.Get("Authorization") == ""
	}
	return origin == negotiated
}

func (o *origins) isOurs(r *http.Request, origin string) bool {
	if o.allowed.Load().Allows(origin) {
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
