package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/carillon-go/carillon/forwarded"
)

// trustedProxies returns the networks of trusted proxies.
func (c *Config) trustedProxies() ([]netip.Prefix, error) {
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		return nil, errors.New("--proxy-protocol: needs --trusted-proxies")
	}
	networks := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is not a network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// behindProxies passes requests to h with the client's address, host and scheme, as trusted
// proxies state them.
func (s *Server) behindProxies(h http.Handler) http.Handler {
	if len(s.proxies) == 0 {
		return h
	}
	return forwarded.Trust(s.proxies)(h)
}

// behindProxyProtocol returns l with the client's addresses, as trusted proxies state them.
func (s *Server) behindProxyProtocol(l net.Listener) net.Listener {
	if !s.config.ProxyProtocol {
		return l
	}
	return forwarded.Listen(l, s.proxies)
}
