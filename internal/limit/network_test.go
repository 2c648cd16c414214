package limit_test

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/limit"
)

func TestAddressesHaveBudgetsOfTheirOwn(t *testing.T) {
	const second = time.Second
	var l limit.Addresses
	a, b := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	for n := range 21 {
		if !l.Allow(a, 10, 2*second, 0) {
			t.Fatalf("the burst ends after %d", n)
		}
	}
	if l.Allow(a, 10, 2*second, 0) || !l.Allow(b, 10, 2*second, 0) {
		t.Error("an address that has used its burst is allowed, or another one is not")
	}
	for i := range 100_000 {
		l.Allow(netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(1<<24+i)))), 10, 2*second, second)
	}
	if !l.Allow(a, 10, 2*second, 60*second) {
		t.Error("the budget does not recover")
	}
}

func TestPrivateAddressesAreNotOfOneClient(t *testing.T) {
	for text, public := range map[string]bool{
		"203.0.113.1": true, "2001:db8::1": true, "10.0.0.1": false, "127.0.0.1": false, "::1": false, "fe80::1": false, "169.254.1.1": false,
	} {
		if got := limit.IsPublic(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: %v", text, got)
		}
	}
	if limit.IsPublic(netip.Addr{}) {
		t.Error("an unknown address")
	}
}
