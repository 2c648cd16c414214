package negotiate

import (
	"net/http"
	"net/netip"
	"strings"

	"github.com/carillon-go/carillon/internal/httpreq"
)

// networkKey identifies clients that share their path to the server: an address, or the /64
// of a site in IPv6, and the kind of client.
type networkKey struct {
	prefix netip.Addr // the first address of the network
	family family
}

func networkOf(r *http.Request) (networkKey, bool) {
	network := httpreq.Network(r)
	if !network.IsValid() {
		return networkKey{}, false
	}
	return networkKey{network, familyOf(r.Header)}, true
}

// family is the kind of client. There are few kinds, so one address has a bounded number of
// networks.
type family uint8

const (
	other family = iota
	chromium
	firefox
	safari
	node
	dotnet
	java
	carillon
)

// signs maps parts of a User-Agent to families, the more specific ones first.
var signs = []struct {
	text   string
	family family
}{
	{"Carillon", carillon},
	{"NodeJS", node},
	{"; Java;", java},
	{"; .NET;", dotnet},
	{"Firefox/", firefox},
	{"Chrome/", chromium},
	{"Safari/", safari},
}

func familyOf(h http.Header) family {
	for _, agent := range []string{h.Get("User-Agent"), h.Get("X-SignalR-User-Agent")} {
		for _, s := range signs {
			if strings.Contains(agent, s.text) {
				return s.family
			}
		}
	}
	return other
}

// pingsAtOnce reports whether the client is the JavaScript client, which sends a ping as soon
// as it has read the handshake response.
func (f family) pingsAtOnce() bool { return f.isBrowser() || f == node }

func (f family) isBrowser() bool { return f == chromium || f == firefox || f == safari }
