// Package httpreq reads facts about a client from its request: the address, the page, the query.
package httpreq

import (
	"net"
	"net/http"
	"net/netip"
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

// Network returns the address that identifies a client for limits: its address, or the first
// of its /64 in IPv6, where a site can use any number of addresses.
func Network(r *http.Request) netip.Addr { return networkOf(Address(r)) }

// NetworkText is Network for the text of an address. It returns "" if that is none.
func NetworkText(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	return networkOf(parsed.Unmap()).String()
}

func networkOf(address netip.Addr) netip.Addr {
	if !address.Is6() {
		return address
	}
	network, _ := address.WithZone("").Prefix(64) // IPv6 always has 64 bits
	return network.Addr()
}
