package httpreq

import (
	"net/http"
	"slices"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// Origins decides which pages may use an endpoint and, for CORS, read its answers. It is safe
// for concurrent use.
type Origins struct {
	any     bool
	exact   []string
	parents []parent
	decide  func(origin string) bool
}

// parent matches the subdomains of a host.
type parent struct {
	scheme string
	host   string // with a leading dot, and with the port
}

// NewOrigins returns the decision for Options.AllowedOrigins and Options.AllowOrigin. An
// entry that CheckOrigin refuses matches only an identical origin.
func NewOrigins(allowed []string, decide func(origin string) bool) *Origins {
	o := &Origins{any: slices.Contains(allowed, "*"), decide: decide}
	for _, entry := range allowed {
		entry = NormalOrigin(entry)
		scheme, host, _ := strings.Cut(entry, "://")
		if host, ok := strings.CutPrefix(host, "*."); ok {
			o.parents = append(o.parents, parent{scheme, "." + host})
		} else {
			o.exact = append(o.exact, entry)
		}
	}
	return o
}

// Any reports whether every origin is allowed by the entry "*".
func (o *Origins) Any() bool { return o.any }

// None reports whether no origin can be allowed.
func (o *Origins) None() bool {
	return !o.any && len(o.exact) == 0 && len(o.parents) == 0 && o.decide == nil
}

// Allows reports whether the pages of an origin may use the endpoint. It does not depend on
// the endpoint's own host.
func (o *Origins) Allows(origin string) bool {
	if o.any {
		return true
	}
	origin = NormalOrigin(origin)
	isBelow := func(p parent) bool { return p.has(origin) }
	return slices.Contains(o.exact, origin) || slices.ContainsFunc(o.parents, isBelow) || o.decide != nil && o.decide(origin)
}

// has reports whether an origin is a subdomain of the host, with the same scheme and port.
func (p parent) has(origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	if !ok || scheme != p.scheme {
		return false
	}
	below, ok := strings.CutSuffix(host, p.host)
	if !ok {
		return false
	}
	for label := range strings.SplitSeq(below, ".") {
		if label == "" || strings.ContainsFunc(label, isNoLetterOfHost) {
			return false
		}
	}
	return true
}

func isNoLetterOfHost(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
}

// NormalOrigin returns an origin in lower case, without the default port of its scheme.
func NormalOrigin(origin string) string {
	origin = strings.ToLower(origin)
	switch {
	case strings.HasPrefix(origin, "http://"):
		return strings.TrimSuffix(origin, ":80")
	case strings.HasPrefix(origin, "https://"):
		return strings.TrimSuffix(origin, ":443")
	}
	return origin
}

// SameOrigin reports whether an origin has the host that a request was sent to. If a proxy
// terminated TLS, the page may have the scheme https although the request does not. The
// opposite is not accepted: any attacker on the way could have written a page without TLS.
// X-Forwarded-Host counts even from an untrusted proxy, because a page cannot make a browser
// send it.
func SameOrigin(r *http.Request, origin string) bool {
	scheme, _, ok := strings.Cut(strings.ToLower(origin), "://")
	if !ok || scheme != "https" && scheme != Scheme(r) {
		return false
	}
	is := func(host string) bool {
		return host != "" && NormalOrigin(scheme+"://"+host) == NormalOrigin(origin)
	}
	return is(r.Host) || is(r.Header.Get("X-Forwarded-Host"))
}

// Scheme returns the scheme that the client used. X-Forwarded-Proto counts even from an
// untrusted proxy: a client that forges it only affects its own request, and can never
// downgrade to http.
func Scheme(r *http.Request) string {
	if r.URL.Scheme == "https" || r.URL.Scheme == "" && r.TLS != nil || fold.Equal(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}
