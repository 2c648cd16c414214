package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/carillon-go/carillon/forwarded"
)

// proxies are the trusted proxies.
type proxies struct {
	networks []netip.Prefix
	unix     bool // the peers of a Unix socket
}

// trustedProxies returns the trusted proxies.
func (c *Config) trustedProxies() (p proxies, err error) {
	for _, text := range c.TrustedProxies {
		if text == "unix" {
			p.unix = true
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return p, fmt.Errorf("--trusted-proxies: %q is neither a network such as 10.0.0.0/8 nor unix", text)
		}
		p.networks = append(p.networks, network.Masked())
	}
	if c.ProxyProtocol && len(p.networks) == 0 {
		return p, errors.New("--proxy-protocol: needs a network in --trusted-proxies")
	}
	if _, ok := unixPath(c.Addr); ok && c.ProxyProtocol {
		return p, errors.New("--proxy-protocol: is not for Unix sockets")
	}
	return p, nil
}

// behindProxies passes requests to h with the client's address, host and scheme, as trusted
// proxies state them.
func (s *Server) behindProxies(h http.Handler) http.Handler {
	switch {
	case s.proxies.unix:
		return forwarded.TrustUnix(s.proxies.networks)(h)
	case len(s.proxies.networks) > 0:
		return forwarded.Trust(s.proxies.networks)(h)
	}
	return h
}

// behindProxyProtocol returns l with the client's addresses, as trusted proxies state them.
func (s *Server) behindProxyProtocol(l net.Listener) net.Listener {
	if !s.config.ProxyProtocol {
		return l
	}
	return forwarded.Listen(l, s.proxies.networks)
}
