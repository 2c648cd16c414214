package gateway

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// hosts are the host names that requests to a listener may use. A page of another site can
// make its own host name resolve to this server (DNS rebinding), and could then read the
// answers like its own. It cannot change the Host header.
type hosts struct {
	names    []string // configured, in the form of normalHost
	loopback bool     // the listener has a loopback address
}

// newHosts returns the host names of a listener.
func (c *Config) newHosts(listener net.Addr) hosts {
	h := hosts{loopback: !isUnix(listener) && isLoopbackHost(listener.String())}
	for _, name := range c.Host {
		h.names = append(h.names, normalHost(name))
	}
	return h
}

// admit reports whether a request for a host, with or without a port, may be served: the host
// is a loopback name or a configured one.
func (h hosts) admit(host string) bool {
	return isLoopbackHost(host) || slices.Contains(h.names, normalHost(host))
}

// isLoopbackHost reports whether a host, with or without a port, means this machine for every
// name server: it is a loopback address, localhost, or a name below that.
func isLoopbackHost(host string) bool {
	name := normalHost(host)
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Unmap().IsLoopback()
	}
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

// normalHost returns a host in lower case, without its port and the dot of the root.
func normalHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func validateHost(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return nil
	}
	if name == "" || strings.ContainsAny(name, ":/*?#@[] ") {
		return fmt.Errorf("--host: %q is no host name; write it as example.com, without a port", name)
	}
	return nil
}

// checkHost refuses requests for other hosts. It checks hubs only where names are configured,
// because a proxy in front sends its public name. It never checks probes, because balancers
// send any name.
func (s *Server) checkHost(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := c.Request()
		checked := len(s.hosts.names) > 0 || s.hosts.loopback && !s.isHub(r.URL.Path)
		if checked && !isProbe(r.URL.Path) && !s.hosts.admit(r.Host) {
			return c.String(http.StatusMisdirectedRequest, otherHost)
		}
		return next(c)
	}
}

const otherHost = "Nothing is served by this host name. The setting --host adds names.\n"

// isProbe reports whether a path is a health check of a balancer.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" }

// onlyHosts refuses requests for other hosts if the listener has a loopback address.
func onlyHosts(h hosts, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.loopback && !h.admit(r.Host) {
			http.Error(w, strings.TrimSpace(otherHost), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
