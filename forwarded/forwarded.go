// Package forwarded finds the client of a request that arrives through proxies. It reads the
// headers of the trusted proxies: Forwarded (RFC 7239), X-Forwarded-For, -Proto, -Host and
// -Prefix, or the PROXY protocol.
package forwarded

import (
	"maps"
	"net"
	"net/http"
	"net/netip"
)

// Names of the headers, as net/http spells them.
const (
	standardHeader = "Forwarded"
	forHeader      = "X-Forwarded-For"
	protoHeader    = "X-Forwarded-Proto"
	hostHeader     = "X-Forwarded-Host"
	// PrefixHeader states the path prefix that a proxy removed. Trust leaves it in the
	// request if the peer is trusted.
	PrefixHeader = "X-Forwarded-Prefix"
)

var headers = []string{standardHeader, forHeader, protoHeader, hostHeader, PrefixHeader}

// maxHops is the largest number of proxies that are followed. On a longer way the last proxy
// reached counts as the client.
const maxHops = 32

// Trust returns a middleware that sets RemoteAddr, Host and URL.Scheme of a request to those
// of the client, as the proxies in networks state them. It follows the way from the peer
// backwards and ends at the first address outside networks: any client can forge the entries
// before it. The headers of peers outside networks are ignored.
//
// The middleware removes the headers from every request, except PrefixHeader of a trusted
// peer, so that later handlers cannot read forged values. RemoteAddr is "address:port", with
// port 0 if no port was given. If Forwarded and X-Forwarded-For name different clients,
// neither is believed, because a proxy that writes one header passes the other one on
// unchanged. All such requests have the address 0.0.0.0.
func Trust(networks []netip.Prefix) func(http.Handler) http.Handler {
	t := trusted(networks)
	return t.middleware(t.containsPeer)
}

// TrustUnix is like Trust, and also trusts the peers of Unix sockets. They have no address; the
// mode of the socket's file says which programs can connect.
func TrustUnix(networks []netip.Prefix) func(http.Handler) http.Handler {
	t := trusted(networks)
	return t.middleware(func(r *http.Request) bool { return hasUnixPeer(r) || t.containsPeer(r) })
}

func hasUnixPeer(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// middleware reads the headers of the peers that isTrusted accepts.
func (t trusted) middleware(isTrusted func(*http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, t.resolve(r, isTrusted))
		})
	}
}

type trusted []netip.Prefix

func (t trusted) contains(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range t {
		if network.Contains(a) {
			return true
		}
	}
	return false
}

func (t trusted) containsPeer(r *http.Request) bool {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && t.contains(peer.Addr())
}

// resolve returns r, or a copy of it with the client's address, host and scheme.
func (t trusted) resolve(r *http.Request, isTrusted func(*http.Request) bool) *http.Request {
	if !carries(r.Header) {
		return r
	}
	told := r.Header
	r = r.WithContext(r.Context()) // WithContext copies r
	r.Header = maps.Clone(told)
	for _, name := range headers {
		delete(r.Header, name)
	}
	if !isTrusted(r) {
		return r
	}
	if prefix, ok := told[PrefixHeader]; ok {
		r.Header[PrefixHeader] = prefix
	}
	t.origin(told).apply(r)
	return r
}

func carries(h http.Header) bool {
	for _, name := range headers {
		if _, ok := h[name]; ok {
			return true
		}
	}
	return false
}

// origin returns the client as a trusted peer states it.
func (t trusted) origin(told http.Header) hop {
	standard, ok := t.walkForwarded(told[standardHeader])
	if !ok {
		return t.walkX(told)
	}
	if _, both := told[forHeader]; both && t.walkX(told).client.Addr() != standard.client.Addr() {
		return hop{client: unknownClient}
	}
	return standard
}

// unknownClient (0.0.0.0) is used when Forwarded and X-Forwarded-For disagree, which any
// client can cause. The proxy's address is not used instead: limits and rules may exempt it,
// and a client could forge the headers to get that exemption.
var unknownClient = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// hop is the client as one proxy states it. A missing value is zero.
type hop struct {
	client      netip.AddrPort
	proto, host string
}

// apply sets the client's address, host and scheme in r.
func (h hop) apply(r *http.Request) {
	if h.client.IsValid() {
		r.RemoteAddr = h.client.String()
	}
	if h.host != "" {
		r.Host = h.host
	}
	if h.proto != "" {
		u := *r.URL
		u.Scheme = h.proto
		r.URL = &u
	}
}
