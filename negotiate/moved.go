package negotiate

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// Adopter is a Policy with observers that move to another process with their negotiation.
type Adopter interface {
	Policy
	// Adopt returns the observer of a negotiation that the policy of another process has
	// offered, or nil. r is the request that opens the connection. offer is what that observer
	// says about the offer; it is not trusted to be valid.
	Adopt(r *http.Request, offer json.RawMessage) transports.Observer
}

// Adopt implements Adopter. It returns the first observer of the policies.
func (all Policies) Adopt(r *http.Request, offer json.RawMessage) transports.Observer {
	for _, p := range all {
		if a, ok := p.(Adopter); ok {
			if o := a.Adopt(r, offer); o != nil {
				return o
			}
		}
	}
	return nil
}

// movedOffer is the part of an attempt that moves with its negotiation. The rest is about the
// network, and every process has its own evidence of that.
type movedOffer struct {
	Age     time.Duration   `json:"age"`
	First   transports.Type `json:"first"`
	Partial bool            `json:"partial"`
	Refuses bool            `json:"refuses"`
}

// Offer describes the offer for Evidence.Adopt.
func (w *attempt) Offer() json.RawMessage {
	b, err := json.Marshal(movedOffer{time.Since(w.since), w.first, w.partial, w.refuses})
	if err != nil { // cannot happen: strings, numbers and booleans always marshal
		return nil
	}
	return b
}

// Adopt implements Adopter.
func (e *Evidence) Adopt(r *http.Request, offer json.RawMessage) transports.Observer {
	var o movedOffer
	key, ok := networkOf(r)
	if !ok || json.Unmarshal(offer, &o) != nil {
		return nil
	}
	return &attempt{evidence: e, key: key, since: time.Now().Add(-o.Age), first: o.First, partial: o.Partial, refuses: o.Refuses}
}
