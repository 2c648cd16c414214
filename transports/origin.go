package transports

import (
	"net/http"
	"strings"
)

// SameOrigin tells whether an origin is the host that a request was sent to. A proxy in
// between may have ended TLS, so the scheme tells only which port is meant if none is
// named. What a proxy says of the host counts: no page can make a browser say it.
func SameOrigin(r *http.Request, origin string) bool {
	scheme, host, ok := strings.Cut(origin, "://")
	port := map[string]string{"http": ":80", "https": ":443"}[strings.ToLower(scheme)]
	if !ok || port == "" {
		return false
	}
	same := func(other string) bool {
		return strings.EqualFold(strings.TrimSuffix(host, port), strings.TrimSuffix(other, port))
	}
	return same(r.Host) || same(r.Header.Get("X-Forwarded-Host"))
}

// from notes the page that negotiated the connection, if a proxy has changed the host so
// much that it looks like another site's.
func (c *Connection) from(r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin == "" || SameOrigin(r, origin) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.origin = strings.Clone(origin)
}

// Origin is what from noted: the page, "" if it looks like one of this host.
func (c *Connection) Origin() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.origin
}
