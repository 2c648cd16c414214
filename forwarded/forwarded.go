// Package forwarded finds out who makes a request that comes through proxies, from what
// the trusted ones among them say: Forwarded (RFC 7239), X-Forwarded-For, -Proto, -Host
// and -Prefix, or the PROXY protocol.
package forwarded

import (
	"maps"
	"net/http"
	"net/netip"
)

// Names of the headers, as net/http spells them.
const (
	standardHeader = "Forwarded"
	forHeader      = "X-Forwarded-For"
	protoHeader    = "X-Forwarded-Proto"
	hostHeader     = "X-Forwarded-Host"
	// PrefixHeader is the path that a proxy took off. Trust leaves it in the request if
	// the peer is trusted.
	PrefixHeader = "X-Forwarded-Prefix"
)

var headers = []string{standardHeader, forHeader, protoHeader, hostHeader, PrefixHeader}

// maxHops is how many proxies are followed. Of a longer way the last that was reached is
// taken for the client.
const maxHops = 32

// Trust returns a middleware that gives a request the RemoteAddr, Host and URL.Scheme of
// the client, as the proxies in the networks say. The way is followed from the peer back
// and ends at the first address that is in none of them: what stands before was written
// by somebody who may lie. From other peers the headers mean nothing.
//
// The headers are taken out of the request, whoever sent them, but for PrefixHeader of a
// trusted peer: what is behind reads the request and cannot be misled. RemoteAddr is
// "address:port" with port 0 where none was told. If Forwarded and X-Forwarded-For name
// different clients, neither is believed, for a proxy that writes one passes the other on
// as it came; such requests have the address 0.0.0.0 together.
func Trust(networks []netip.Prefix) func(http.Handler) http.Handler {
	t := trusted(networks)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, t.resolve(r))
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

// resolve returns r, or a copy of it as the client made it.
func (t trusted) resolve(r *http.Request) *http.Request {
	if !carries(r.Header) {
		return r
	}
	told := r.Header
	r = r.WithContext(r.Context()) // a copy
	r.Header = maps.Clone(told)
	for _, name := range headers {
		delete(r.Header, name)
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !t.contains(peer.Addr()) {
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

// origin is what a trusted peer says of the client.
func (t trusted) origin(told http.Header) hop {
	standard, ok := t.walkForwarded(told[standardHeader])
	if !ok {
		return t.walkX(told)
	}
	if _, both := told[forHeader]; both && t.walkX(told).client.Addr() != standard.client.Addr() {
		return hop{client: nobody}
	}
	return standard
}

// nobody is the client where the headers disagree, which anybody can have them do. It is
// not the proxy: what a limit or a rule spares that for is not for who hides so.
var nobody = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)

// hop is what one proxy says of the request that it got. What is not told is zero.
type hop struct {
	client      netip.AddrPort
	proto, host string
}

// apply makes r what the client asked for.
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
