package transports

import (
	"net"
	"net/http"
	"net/netip"
)

// Address is the client's address, as RemoteAddr of a request tells it; the zero one if
// that names none.
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

// Network is the address of one client, as far as that can be told: in IPv6, where a
// site has as many as it likes, the first of its /64.
func Network(r *http.Request) netip.Addr {
	address := Address(r)
	if !address.Is6() {
		return address
	}
	network, _ := address.WithZone("").Prefix(64) // IPv6 has as many bits
	return network.Addr()
}
