package limit

import (
	"maps"
	"net/netip"
	"time"
)

// Network returns the address that identifies a client for limits: its address, or the first
// of its /64 in IPv6, where a site can use any number of addresses.
func Network(address netip.Addr) netip.Addr {
	if address = address.Unmap(); !address.Is6() {
		return address
	}
	network, _ := address.WithZone("").Prefix(64) // IPv6 always has 64 bits
	return network.Addr()
}

// IsPublic reports whether an address is that of one client. A private one may be that of a proxy.
func IsPublic(a netip.Addr) bool {
	return a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast()
}

// maxAddresses is the number of addresses that an Addresses remembers.
const maxAddresses = 65_536

// Addresses are budgets of addresses. The zero value is ready for use. It is not safe for
// concurrent use.
type Addresses struct{ budgets map[netip.Addr]Budget }

// Allow counts an event of an address. It reports false, and does not count it, if there were
// too many.
func (l *Addresses) Allow(a netip.Addr, perSecond int, burst, now time.Duration) bool {
	b := l.budgets[a]
	if b.Wait(now, burst) > 0 {
		return false
	}
	if len(l.budgets) >= maxAddresses {
		l.forgetRecovered(now)
	}
	if l.budgets == nil {
		l.budgets = map[netip.Addr]Budget{}
	}
	b.Spend(now, time.Second/time.Duration(perSecond))
	l.budgets[a] = b
	return true
}

// forgetRecovered drops the addresses with a fully recovered budget. If that frees less
// than half of the table, it clears the table, so that the table is not scanned at every
// event.
func (l *Addresses) forgetRecovered(now time.Duration) {
	maps.DeleteFunc(l.budgets, func(_ netip.Addr, b Budget) bool { return b.Wait(now, 0) == 0 })
	if len(l.budgets) >= maxAddresses/2 {
		clear(l.budgets)
	}
}
