package connection

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

// A token in the URL is taken for a GET that asks for a WebSocket, also one that a proxy has
// stripped, or for an event stream, and for no other method, whatever its headers are.
func TestTokenInURL(t *testing.T) {
	const key = "AAAAAAAAAAAAAAAAAAAAAA=="
	handshake := func(more ...string) http.Header {
		h := http.Header{"Sec-Websocket-Key": {key}, "Sec-Websocket-Version": {"13"}, "Connection": {"keep-alive, Upgrade"}, "Upgrade": {"WebSocket"}}
		for i := 0; i < len(more); i += 2 {
			if h.Set(more[i], more[i+1]); more[i+1] == "" {
				h.Del(more[i])
			}
		}
		return h
	}
	headers := map[string]struct {
		header http.Header
		want   bool // of a GET
	}{
		"nothing":                        {http.Header{}, false},
		"handshake":                      {handshake(), true},
		"handshake without Upgrade":      {handshake("Upgrade", ""), true},
		"handshake without Connection":   {handshake("Connection", ""), true},
		"handshake stripped of both":     {handshake("Upgrade", "", "Connection", ""), true},
		"handshake without a version":    {handshake("Sec-Websocket-Version", ""), false},
		"handshake of another version":   {handshake("Sec-Websocket-Version", "8"), false},
		"handshake without a key":        {handshake("Sec-Websocket-Key", ""), false},
		"a key alone":                    {http.Header{"Sec-Websocket-Key": {key}}, false},
		"a key that is no base64":        {handshake("Sec-Websocket-Key", "!AAAAAAAAAAAAAAAAAAAAA=="), false},
		"a key that is too short":        {handshake("Sec-Websocket-Key", "AAAA"), false},
		"a key that is too long":         {handshake("Sec-Websocket-Key", key+key), false},
		"a key with something behind it": {handshake("Sec-Websocket-Key", key+"\n"), false},
		"upgrade to something else":      {http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}, false},
		"event stream":                   {http.Header{"Accept": {"text/event-stream"}}, true},
		"event stream among others":      {http.Header{"Accept": {"text/html, Text/Event-Stream"}}, true},
		"event stream in a second line":  {http.Header{"Accept": {"text/html", "text/event-stream"}}, true},
		"event stream with a parameter":  {http.Header{"Accept": {"text/event-stream;q=0.9"}}, false},
		"something like it":              {http.Header{"Accept": {"text/event-streams"}}, false},
		"everything":                     {http.Header{"Accept": {"*/*"}}, false},
		"poll":                           {http.Header{"Accept": {"*/*"}, "X-Requested-With": {"XMLHttpRequest"}}, false},
		"lost Accept":                    {http.Header{"Cache-Control": {"no-cache"}}, true},
		"lost Accept, directives":        {http.Header{"Cache-Control": {"no-store, No-Cache"}}, true},
		"empty Accept":                   {http.Header{"Accept": {""}, "Cache-Control": {"no-cache"}}, false},
		"lost Accept of a poll":          {http.Header{"Cache-Control": {"no-cache"}, "X-Requested-With": {"XMLHttpRequest"}}, false},
	}
	for name, c := range headers {
		for _, method := range []string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "get"} {
			r := httptest.NewRequest(http.MethodGet, "/hub?id=x&access_token=secret", nil)
			r.Method, r.Header = method, c.header.Clone()
			text, inURL := auth.Token(r)
			if want := c.want && method == http.MethodGet; inURL != want || (text != "") != want {
				t.Errorf("%s %s: %q, %t", method, name, text, inURL)
			}
			if kind := choose(r); method == http.MethodGet && inURL != (kind != transports.LongPolling || isStripped(r)) {
				t.Errorf("%s: a token is taken (%t) for %s", name, inURL, kind)
			}
			r.Header.Set("Authorization", "Bearer other")
			if text, inURL := auth.Token(r); text != "other" || inURL {
				t.Error(fmt.Sprint(method, name, ": the header does not come first: ", text))
			}
		}
	}
}
