// Package httpreq reads facts about a client from its request: the address, the page, the query.
package httpreq

import (
	"net"
	"net/http"
	"net/netip"

	"github.com/carillon-go/carillon/internal/limit"
)

// Address returns the client's address from the RemoteAddr of a request, or the zero Addr if
// that contains none.
func Address(r *http.Request) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap()
}

// Network returns the address that identifies a client for limits; see limit.Network.
func Network(r *http.Request) netip.Addr { return limit.Network(Address(r)) }
