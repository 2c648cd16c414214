package gateway

import (
	"net/http"
	"strings"
	"testing"
)

func TestRule(t *testing.T) {
	r := start(t, func(c *Config) { c.Rule = []string{"192.0.2.0/24=WebSockets", "127.0.0.0/8=longpolling,WebSockets"} })
	if got := r.negotiate().AvailableTransports; len(got) != 2 || got[0].Transport != "LongPolling" || got[1].Transport != "WebSockets" {
		t.Error(got)
	}
}

// A network where a handshake came stripped is offered WebSockets last, unless told not
// to learn.
func TestLearns(t *testing.T) {
	for want, learning := range map[string]bool{"ServerSentEvents": true, "WebSockets": false} {
		r := start(t, func(c *Config) { c.NoLearning = !learning })
		stripped := r.do(http.MethodGet, "/hubs/clock?id="+r.negotiate().ConnectionToken, "",
			"Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
		if text(t, stripped) != "" || stripped.StatusCode != http.StatusBadRequest {
			t.Error(stripped.Status)
		}
		answer := r.do(http.MethodPost, "/hubs/clock/negotiate", "")
		if body := text(t, answer); !strings.Contains(body, `"availableTransports":[{"transport":"`+want) {
			t.Errorf("learning %v: %s", learning, body)
		}
		if told := answer.Header.Get("Carillon-Transport-Reason") != ""; told != learning {
			t.Errorf("learning %v: the reason is told: %v", learning, told)
		}
	}
}

// A script tag sends no token.
func TestScriptIsPublic(t *testing.T) {
	r := guarded(t, nil)
	if answer := r.do(http.MethodGet, "/hubs/clock/carillon.js", ""); !strings.Contains(text(t, answer), "CarillonWebSocket") {
		t.Error(answer.Status)
	}
}
