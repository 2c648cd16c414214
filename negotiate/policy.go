package negotiate

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// Offer is what a client will be offered. Policies change it one after the other.
type Offer struct {
	// Transports in the order in which the client will try them.
	Transports []transports.Type
	// Reason says why it is not the endpoint's usual offer; it goes out as the header
	// Carillon-Transport-Reason, for people who look. Empty: it is.
	Reason string
	// Fixed is what a rule decided: evidence does not change it.
	Fixed bool
	// SilenceLimit is after how much silence the network cuts: polls end before, and
	// keep-alive pings come oftener. Zero: not known.
	SilenceLimit time.Duration
	// Observer is told how the connection fares. Default: none.
	Observer transports.Observer
}

// Only leaves those of the offered transports that are allowed, in the order of allowed.
func (o *Offer) Only(allowed []transports.Type, reason string) {
	var left []transports.Type
	for _, t := range allowed {
		if slices.Contains(o.Transports, t) {
			left = append(left, t)
		}
	}
	o.Transports, o.Reason = left, reason
}

// because adds to the reason.
func (o *Offer) because(reason string) {
	if o.Reason != "" {
		o.Reason += "; "
	}
	o.Reason += reason
}

// Policy decides per request what is offered and in which order. The answer stays
// valid SignalR: a policy can leave out and reorder what the endpoint allows. It is
// called concurrently.
type Policy interface {
	Offer(r *http.Request, o *Offer)
}

// PolicyFunc makes a Policy of a function.
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

// Rule says what clients of a network are offered.
type Rule struct {
	Network    netip.Prefix
	Transports []transports.Type
}

// Rules apply the first rule whose network holds the client's address.
type Rules []Rule

// Offer implements Policy.
func (rules Rules) Offer(r *http.Request, o *Offer) {
	address := transports.Address(r)
	for _, rule := range rules {
		if rule.Network.Contains(address) {
			o.Only(rule.Transports, "rule for "+rule.Network.String())
			o.Fixed = true
			return
		}
	}
}
