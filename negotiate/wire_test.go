package negotiate

import (
	"encoding/json"
	"testing"

	"github.com/carillon-go/carillon/transports"
)

func TestResponseAppend(t *testing.T) {
	for _, r := range []Response{
		{ConnectionID: "a", AvailableTransports: []Transport{}},
		{
			UseStatefulReconnect: true, TokenLifetimeSeconds: 7, lifetime: true, NegotiateVersion: 1, ConnectionID: "a", ConnectionToken: "b",
			AvailableTransports: []Transport{{transports.WebSockets, []string{"Text", "Binary"}}, {transports.ServerSentEvents, []string{"Text"}}},
			StatefulTransports:  transports.All(),
		},
	} {
		want, err := json.Marshal(r)
		if got := r.append(nil); err != nil || string(got) != string(want) {
			t.Errorf("%s\nwant %s, %v", got, want, err)
		}
	}
}
