package transports

import (
	"net/http"
	"strings"
)

// NormalOrigin is an origin in lower case and without the port that its scheme has anyway.
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

// SameOrigin tells whether an origin is the host that a request was sent to. A proxy in
// between may have ended TLS, so the page may have come by a better scheme than the request;
// by a worse one it may be anybody's who is on the way. What a proxy says of the host
// counts, trusted or not: no page can make a browser say it.
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

// Scheme is the one that the client used. A proxy need not be trusted to say https: who
// says so without one misleads itself only, and nobody comes to speak in clear by it.
func Scheme(r *http.Request) string {
	if r.URL.Scheme == "https" || r.URL.Scheme == "" && r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		return "https"
	}
	return "http"
}

// Origin is the page that negotiated, if a proxy has changed the host so much that it looks
// like another site's; else "".
func (c *Connection) Origin() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.origin
}
