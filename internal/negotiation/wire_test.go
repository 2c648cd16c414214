package negotiation

import (
	"encoding/json"
	"testing"

	"github.com/carillon-go/carillon/signalr"
)

func TestResponseAppend(t *testing.T) {
	for _, r := range []response{
		{Negotiation: signalr.Negotiation{ConnectionID: "a", AvailableTransports: []signalr.Offer{}}},
		{hasLifetime: true, Negotiation: signalr.Negotiation{
			UseStatefulReconnect: true, TokenLifetimeSeconds: 7, NegotiateVersion: 1, ConnectionID: "a", ConnectionToken: "b",
			AvailableTransports: []signalr.Offer{
				{Transport: signalr.WebSockets, TransferFormats: []string{"Text", "Binary"}},
				{Transport: signalr.ServerSentEvents, TransferFormats: []string{"Text"}},
			},
			StatefulTransports: signalr.Transports(),
		}},
	} {
		want, err := json.Marshal(r.Negotiation)
		if got := r.append(nil); err != nil || string(got) != string(want) {
			t.Errorf("%s\nwant %s, %v", got, want, err)
		}
	}
}
