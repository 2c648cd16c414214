package negotiate_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// moved returns the observer that e makes of a negotiation of another process.
func moved(e *negotiate.Evidence, r *http.Request, there transports.Observer) transports.Observer {
	return negotiate.Policies{negotiate.Rules{}, e}.Adopt(r, there.(interface{ Offer() json.RawMessage }).Offer())
}

// An offer that is not valid has no observer, and harms nothing.
func TestAdoptInvalidOffer(t *testing.T) {
	e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	r := from("198.51.100.7:4000", chrome)
	for _, offer := range []string{"", "null", "{}", `{"first":"x"}`, `{"age":-1}`, `{"age":"x"}`, "[]", "{"} {
		if o := e.Adopt(r, json.RawMessage(offer)); o != nil {
			for kind := transports.Stripped; kind <= transports.Moved; kind++ {
				o.Observe(transports.Event{Kind: kind, Transport: transports.WebSockets, Request: r})
			}
		}
	}
	if o := e.Adopt(from("nowhere", chrome), json.RawMessage("{}")); o != nil {
		t.Errorf("%v observes a client without an address", o)
	}
}
