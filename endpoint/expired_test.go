package endpoint_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
)

// byNameForever accepts the name "late alice" for alice with credentials that have expired.
func byNameForever(r *http.Request) (*auth.User, error) {
	u, err := byName(r)
	if u != nil && u.ID == "late-alice" {
		u = &auth.User{ID: "alice", Expired: true}
	}
	return u, err
}

// Credentials that have expired serve the requests of a connection that is open, over each
// transport, and open none.
func TestExpiredCredentialsServeOpenConnections(t *testing.T) {
	for name, o := range map[string]endpoint.Options{
		"": {}, "refresh": {EnableAuthenticationRefresh: true}, "tickets": {TicketLifetime: 30 * time.Second},
	} {
		o.Authenticator = auth.Func(byNameForever)
		s := startSite(t, o)
		for _, query := range []string{"?negotiateVersion=1", ""} {
			if status, text := s.do(http.MethodPost, "/negotiate"+query, "late-alice", ""); status != http.StatusUnauthorized || text != "" {
				t.Errorf("%s: a negotiation: %d %s", name, status, text)
			}
		}
		if _, status := s.dial("", "late-alice"); status != http.StatusUnauthorized {
			t.Errorf("%s: a WebSocket without negotiation: %d", name, status)
		}
		if o.TicketLifetime > 0 {
			continue
		}
		id := "?id=" + s.negotiate("alice").ConnectionToken
		for request, ask := range s.asked(id, "late-alice") {
			if status, _ := ask(); status == http.StatusOK || status == http.StatusSwitchingProtocols || request != "post" && request != "delete" && status != http.StatusUnauthorized {
				t.Errorf("%s: %s for a connection that is not open: %d", name, request, status)
			}
		}
		id = "?id=" + s.negotiate("alice").ConnectionToken
		s.do(http.MethodGet, id, "alice", "")
		s.do(http.MethodPost, id, "late-alice", shake+"\x1e"+askLife+"\x1e")
		if status, text := s.do(http.MethodGet, id, "late-alice", ""); status != http.StatusOK {
			t.Errorf("%s: a poll: %d %s", name, status, text)
		}
		if status, _ := s.do(http.MethodPost, "/refresh", "late-alice", "", connectionToken, strings.TrimPrefix(id, "?id=")); o.EnableAuthenticationRefresh && status != http.StatusForbidden {
			t.Errorf("%s: a refresh: %d", name, status)
		}
		if status, _ := s.do(http.MethodDelete, id, "late-alice", ""); status != http.StatusAccepted {
			t.Errorf("%s: the end: %d", name, status)
		}
		id = "?id=" + s.negotiate("alice").ConnectionToken
		stream := s.stream(id, "alice")
		if status, _ := s.do(http.MethodPost, id, "late-alice", shake+"\x1e"+askLife+"\x1e"); status != http.StatusOK {
			t.Errorf("%s: a POST beside an event stream: %d", name, status)
		}
		if got := result(t, stream); got != `""` {
			t.Errorf("%s: %s", name, got)
		}
	}
}
