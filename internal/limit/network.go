package limit

import "net/netip"

// Network returns the address that identifies a client for limits: its address, or the first
// of its /64 in IPv6, where a site can use any number of addresses.
func Network(address netip.Addr) netip.Addr {
	if address = address.Unmap(); !address.Is6() {
		return address
	}
	network, _ := address.WithZone("").Prefix(64) // IPv6 always has 64 bits
	return network.Addr()
}
