package doctor

import (
	"net/http"
	"strings"
)

// marks are what boxes write into headers that say who they are, without case.
var marks = []struct{ mark, kind string }{
	{"nginx", "nginx"}, {"openresty", "nginx"},
	{"apache", "apache"},
	{"haproxy", "haproxy"},
	{"varnish", "varnish"},
	{"squid", "squid"},
	{"tinyproxy", "tinyproxy"},
	{"cloudflare", "cloudflare"},
	{"envoy", "envoy"},
	{"caddy", "caddy"},
	{"awselb", "awselb"},
	{"cloudfront", "cloudfront"},
	{"google frontend", "google"},
	{"microsoft-iis", "iis"},
	{"zscaler", "zscaler"},
	{"bluecoat", "bluecoat"},
	{"kestrel", "kestrel"},
}

// telling are the headers in which boxes give themselves away; own is the kind of who
// sends it at all.
var telling = []struct{ header, own string }{
	{"Via", "unknown"},
	{"Server", ""},
	{"X-Squid-Error", "squid"},
	{"X-Cache", "unknown"},
	{"X-Varnish", "varnish"},
	{"Cf-Ray", "cloudflare"},
	{"X-Amz-Cf-Id", "cloudfront"},
	{"Proxy-Agent", "unknown"},
	{"Proxy-Authenticate", "unknown"},
	{"X-Envoy-Upstream-Service-Time", "envoy"},
}

// identify tells who had a hand in an answer.
func identify(h http.Header) (boxes []Box) {
	for _, t := range telling {
		for _, value := range h.Values(t.header) {
			kind := kindOf(value)
			if kind == "" {
				kind = t.own
			}
			if kind == "" { // a server that is no box
				kind = "server"
			}
			boxes = append(boxes, Box{Kind: kind, Evidence: t.header + ": " + value})
		}
	}
	return boxes
}

func kindOf(text string) string {
	text = strings.ToLower(text)
	for _, m := range marks {
		if strings.Contains(text, m.mark) {
			return m.kind
		}
	}
	return ""
}

// identifyPage tells who wrote an error page. HAProxy signs neither headers nor pages,
// but its words are its own.
func identifyPage(page string) (boxes []Box) {
	switch {
	case strings.Contains(page, "The server didn't respond in time.") || strings.Contains(page, "No server is available to handle this request."):
		return []Box{{Kind: "haproxy", Evidence: "the words of its error page"}}
	case strings.Contains(page, "Guru Meditation"):
		return []Box{{Kind: "varnish", Evidence: "its error page"}}
	case strings.Contains(page, "<center>nginx"):
		return []Box{{Kind: "nginx", Evidence: "its error page"}}
	case strings.Contains(page, "<address>Apache"):
		return []Box{{Kind: "apache", Evidence: "its error page"}}
	}
	return nil
}

// isServer tells whether a kind is an application server rather than a box in between.
func isServer(kind string) bool { return kind == "kestrel" || kind == "server" }
