package gateway

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"

	"github.com/carillon-go/carillon/forwarded"
)

// trustedProxies are the networks of proxies that tell who the client is.
func (c *Config) trustedProxies() ([]netip.Prefix, error) {
	if c.ProxyProtocol && len(c.TrustedProxies) == 0 {
		return nil, errors.New("--proxy-protocol: needs --trusted-proxies")
	}
	networks := make([]netip.Prefix, 0, len(c.TrustedProxies))
	for _, text := range c.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("--trusted-proxies: %q is no network such as 10.0.0.0/8", text)
		}
		networks = append(networks, network.Masked())
	}
	return networks, nil
}

// behindProxies has h see requests as the clients made them.
func (s *Server) behindProxies(h http.Handler) http.Handler {
	if len(s.proxies) == 0 {
		return h
	}
	return forwarded.Trust(s.proxies)(h)
}

// behindProxyProtocol has connections of l be those of the clients.
func (s *Server) behindProxyProtocol(l net.Listener) net.Listener {
	if !s.config.ProxyProtocol {
		return l
	}
	return forwarded.Listen(l, s.proxies)
}
