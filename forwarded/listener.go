package forwarded

import (
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// headerTimeout is how long a proxy may take for its header, which it sends at once.
const headerTimeout = 5 * time.Second

// Listen returns a listener whose connections from the networks must begin with a header
// of the PROXY protocol, version 1 or 2, and have the client's address that it tells.
// Others are as they come: such a header of theirs is no HTTP, and refused as that.
func Listen(l net.Listener, networks []netip.Prefix) net.Listener {
	t := trusted(networks)
	return &proxyproto.Listener{
		Listener:          l,
		ReadHeaderTimeout: headerTimeout,
		ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
			if peer, err := netip.ParseAddrPort(o.Upstream.String()); err == nil && t.contains(peer.Addr()) {
				return proxyproto.REQUIRE, nil
			}
			return proxyproto.SKIP, nil
		},
	}
}
