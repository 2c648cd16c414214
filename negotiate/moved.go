package negotiate

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/transports"
)

// Adopter is a Policy with observers that move to another process with their negotiation.
type Adopter interface {
	Policy
	// Adopt returns the observer of a negotiation that the policy of another process has
	// offered, or nil. r is the request that opens the connection. offer is the description
	// of the offer by that observer; it is not trusted to be valid.
	Adopt(r *http.Request, offer []byte) transports.Observer
}

// Adopt implements Adopter. It returns the first observer of the policies.
func (all Policies) Adopt(r *http.Request, offer []byte) transports.Observer {
	for _, p := range all {
		if a, ok := p.(Adopter); ok {
			if o := a.Adopt(r, offer); o != nil {
				return o
			}
		}
	}
	return nil
}

// The words of an offer that moves, after its age in nanoseconds and the transport that was
// offered first. A later release may append some.
const (
	partialWord = "partial"
	refusesWord = "refuses"
)

// Offer describes the offer for Evidence.Adopt. Only this part of an attempt moves with its
// negotiation: the rest is about the network, and every process has its own evidence of that. It
// is no JSON, because one belongs to each connection that moves.
func (w *attempt) Offer() []byte {
	b := append(strconv.AppendInt(nil, int64(time.Since(w.since)), 10), " "+string(w.first)...)
	if w.partial {
		b = append(b, " "+partialWord...)
	}
	if w.refuses {
		b = append(b, " "+refusesWord...)
	}
	return b
}

// Adopt implements Adopter.
func (e *Evidence) Adopt(r *http.Request, offer []byte) transports.Observer {
	words := strings.Split(string(offer), " ")
	age, err := strconv.ParseInt(words[0], 10, 64)
	key, ok := networkOf(r)
	if !ok || err != nil || len(words) < 2 {
		return nil
	}
	return &attempt{
		evidence: e, key: key, since: before(time.Now(), time.Duration(age)), first: transports.Type(words[1]),
		partial: slices.Contains(words[2:], partialWord), refuses: slices.Contains(words[2:], refusesWord),
	}
}
