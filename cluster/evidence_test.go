package cluster_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/signalr"
)

// offered negotiates at a gateway as a client that opens nothing, and returns the first transport
// and the reason for it.
func (g *gateway) offered(t *testing.T, agent string) (first signalr.Transport, reason string) {
	t.Helper()
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+"/chat/negotiate?negotiateVersion=1", nil)
	request.Header.Set("User-Agent", agent)
	response, err := g.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var n signalr.Negotiation
	if err := json.NewDecoder(response.Body).Decode(&n); err != nil || len(n.AvailableTransports) != 3 {
		t.Fatal(n, err)
	}
	return n.AvailableTransports[0].Transport, response.Header.Get("Carillon-Transport-Reason")
}

// A client whose WebSockets a proxy breaks tries them once, whatever nodes it negotiates at.
func TestBrokenWebSocketsAreTriedOnce(t *testing.T) {
	t.Parallel()
	b, all := newGateways(t, 3, endpoint.Options{})
	b.breaks.Store(true)
	if c := connect(t, b, client.Options{}); c.Transport() != client.ServerSentEvents || b.broken.Load() != 1 {
		t.Fatalf("%s after %d handshakes", c.Transport(), b.broken.Load())
	}
	for i, g := range all {
		for end := time.Now().Add(patience); g.evidence.Table() == nil; {
			if time.Now().After(end) {
				t.Fatalf("gateway %d has not learned it", i)
			}
			time.Sleep(5 * time.Millisecond) // nothing wakes this wait
		}
		if first, reason := g.offered(t, "Carillon"); first != signalr.ServerSentEvents || !strings.HasPrefix(reason, "WebSockets handshakes arrive without") {
			t.Errorf("gateway %d offers %s first: %s", i, first, reason)
		}
		if first, _ := g.offered(t, "Firefox/150.0"); first != signalr.WebSockets {
			t.Errorf("gateway %d offers other clients %s first", i, first)
		}
	}
	for range all {
		c := connect(t, b, client.Options{})
		if c.Transport() != client.ServerSentEvents || b.broken.Load() != 1 {
			t.Errorf("%s after %d handshakes", c.Transport(), b.broken.Load())
		}
		talk(t, c)
	}
}
