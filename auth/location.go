package auth

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// Token returns the bearer token of a request, or "" if it has none. It reads the
// Authorization header. If that has no bearer token, WebSocket handshakes and event streams
// may carry the token in the URL; inURL reports that they do.
func Token(r *http.Request) (text string, inURL bool) {
	scheme, text, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if ok && fold.Equal(scheme, "Bearer") {
		return strings.TrimSpace(text), false
	}
	if r.Method == http.MethodGet && (isWebSocket(r) || isEventStream(r)) {
		text = r.URL.Query().Get("access_token")
		return text, text != ""
	}
	return "", false
}

// isWebSocket reports whether a GET is a WebSocket handshake, to which a page cannot add
// headers. A handshake has version 13 and a key of 16 bytes. Upgrade and Connection are not
// checked, because proxies remove them.
func isWebSocket(r *http.Request) bool {
	const length = 24 // of 16 bytes in base64
	key := r.Header.Get("Sec-WebSocket-Key")
	bytes, err := base64.StdEncoding.DecodeString(key)
	return len(key) == length && err == nil && len(bytes) == 16 && r.Header.Get("Sec-WebSocket-Version") == "13"
}

// isEventStream reports whether a GET requests an event stream, to which a page cannot add
// headers. One of its accepted types is text/event-stream without parameters. It also
// recognizes an EventSource from which a proxy removed Accept: only an EventSource sends
// Cache-Control: no-cache without X-Requested-With.
func isEventStream(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return len(r.Header.Values("X-Requested-With")) == 0 && hasElement(r.Header.Values("Cache-Control"), "no-cache")
	}
	return hasElement(accept, "text/event-stream")
}

// hasElement reports whether a list in header lines contains value. It ignores case.
func hasElement(lines []string, value string) bool {
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if fold.Equal(strings.TrimSpace(element), value) {
				return true
			}
		}
	}
	return false
}
