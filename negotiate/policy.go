package negotiate

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// Offer is the offer to one client. Policies change it one after the other.
type Offer struct {
	// Transports are the offered transports, in the order in which the client tries them.
	Transports []transports.Type
	// Reason states why the offer differs from the endpoint's usual one. It is sent as the
	// header Carillon-Transport-Reason, for debugging. Empty: the usual offer.
	Reason string
	// Fixed is true if a rule decided the offer: evidence then does not change it.
	Fixed bool
	// SilenceLimit is the time of silence after which the network cuts connections: polls end
	// earlier, and keep-alive pings are sent more often. Zero: unknown.
	SilenceLimit time.Duration
	// Observer receives events about the connection. Default: none.
	Observer transports.Observer
}

// Only keeps the offered transports that are in allowed, in the order of allowed, and sets
// the reason.
func (o *Offer) Only(allowed []transports.Type, reason string) {
	var left []transports.Type
	for _, t := range allowed {
		if slices.Contains(o.Transports, t) {
			left = append(left, t)
		}
	}
	o.Transports, o.Reason = left, reason
}

// addReason appends to the reason.
func (o *Offer) addReason(reason string) {
	if o.Reason != "" {
		o.Reason += "; "
	}
	o.Reason += reason
}

// Policy decides for each request which transports are offered and in which order. It can
// leave out and reorder the transports that the endpoint allows, so the answer stays valid
// SignalR. It is called concurrently.
type Policy interface {
	Offer(r *http.Request, o *Offer)
}

// PolicyFunc is a function as a Policy.
type PolicyFunc func(r *http.Request, o *Offer)

// Offer calls f.
func (f PolicyFunc) Offer(r *http.Request, o *Offer) { f(r, o) }

// Policies change an offer one after the other: rules first, then evidence.
type Policies []Policy

// Offer implements Policy.
func (all Policies) Offer(r *http.Request, o *Offer) {
	for _, p := range all {
		p.Offer(r, o)
	}
}

// Rule states the transports that clients of a network are offered.
type Rule struct {
	Network    netip.Prefix
	Transports []transports.Type
}

// Rules apply the first rule whose network holds the client's address.
type Rules []Rule

// Offer implements Policy.
func (rules Rules) Offer(r *http.Request, o *Offer) {
	address := httpreq.Address(r)
	for _, rule := range rules {
		if rule.Network.Contains(address) {
			o.Only(rule.Transports, "rule for "+rule.Network.String())
			o.Fixed = true
			return
		}
	}
}
