package auth

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// Token returns the bearer token of a request, and whether it stood in the URL: where
// the Authorization header has none, WebSockets and event streams may carry it there.
// "" if there is none.
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

// isWebSocket reports whether a GET is a WebSocket handshake, for which a page cannot set
// headers: it has version 13 and a key of 16 bytes. Upgrade and Connection are not looked at, for
// proxies take them out.
func isWebSocket(r *http.Request) bool {
	const length = 24 // of 16 bytes
	key := r.Header.Get("Sec-WebSocket-Key")
	bytes, err := base64.StdEncoding.DecodeString(key)
	return len(key) == length && err == nil && len(bytes) == 16 && r.Header.Get("Sec-WebSocket-Version") == "13"
}

// isEventStream reports whether a GET asks for an event stream, for which a page cannot set
// headers either: one of the types that it accepts is that of event streams, without
// parameters. Or its Accept was lost on the way: an EventSource alone says no-cache without
// X-Requested-With.
func isEventStream(r *http.Request) bool {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return len(r.Header.Values("X-Requested-With")) == 0 && hasElement(r.Header.Values("Cache-Control"), "no-cache")
	}
	return hasElement(accept, "text/event-stream")
}

// hasElement reports whether one of the elements of a list is value, in whatever case.
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
