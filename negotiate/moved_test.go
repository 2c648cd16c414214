package negotiate_test

import (
	"net/http"
	"testing"

	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// moved returns the observer that e makes of a negotiation of another process.
func moved(e *negotiate.Evidence, r *http.Request, there transports.Observer) transports.Observer {
	return negotiate.Policies{negotiate.Rules{}, e}.Adopt(r, there.(interface{ Offer() []byte }).Offer())
}

// An offer that is not valid has no observer, and harms nothing.
func TestAdoptInvalidOffer(t *testing.T) {
	e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	r := from("198.51.100.7:4000", chrome)
	for _, offer := range []string{"", " ", "1", "{}", "x WebSockets", "1 x", "-1 WebSockets", "99999999999999999999 x", "1 WebSockets later partial", "1  \xff"} {
		if o := e.Adopt(r, []byte(offer)); o != nil {
			for kind := transports.Stripped; kind <= transports.Moved; kind++ {
				o.Observe(transports.Event{Kind: kind, Transport: transports.WebSockets, Request: r})
			}
		}
	}
	if o := e.Adopt(from("nowhere", chrome), []byte("1 WebSockets")); o != nil {
		t.Errorf("%v observes a client without an address", o)
	}
}
