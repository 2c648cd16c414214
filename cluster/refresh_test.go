package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/signalr"
)

// lasting authenticates "ann-60" as ann, until an hour after begin.
func lasting(begin time.Time) auth.Authenticator {
	return auth.Func(func(r *http.Request) (*auth.User, error) {
		text, _ := auth.Token(r)
		name, number, _ := strings.Cut(text, "-")
		minutes, err := strconv.Atoi(number)
		if err != nil {
			return nil, &auth.TokenError{Reason: "The token is not valid"}
		}
		return &auth.User{ID: name, Expires: begin.Add(time.Duration(minutes) * time.Minute)}, nil
	})
}

// ask sends a request to a gateway, and returns status and body.
func (g *gateway) ask(t *testing.T, method, path, credentials, body string, header ...string) (int, string) {
	t.Helper()
	request, _ := http.NewRequestWithContext(t.Context(), method, g.server.URL+"/chat"+path, strings.NewReader(body))
	request.Header.Set("Authorization", "Bearer "+credentials)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := g.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (g *gateway) negotiate(t *testing.T, credentials string) (n signalr.Negotiation) {
	t.Helper()
	_, text := g.ask(t, http.MethodPost, "/negotiate?negotiateVersion=1", credentials, "")
	if err := json.Unmarshal([]byte(text), &n); err != nil || n.Error != "" {
		t.Fatal(text, err)
	}
	return n
}

// A connection is refreshed through every node, before it has a transport and afterwards, and the
// node that has it knows the new end. Other users and unknown connections are refused.
func TestRefreshAtEveryNode(t *testing.T) {
	t.Parallel()
	for _, tickets := range []bool{false, true} {
		t.Run(fmt.Sprintf("tickets %v", tickets), func(t *testing.T) {
			t.Parallel()
			begin, minutes := time.Now(), 60
			o := endpoint.Options{Authenticator: lasting(begin), EnableAuthenticationRefresh: true, CloseOnAuthenticationExpiration: true}
			if tickets {
				o.TicketLifetime = patience
			}
			_, all := newGateways(t, 3, o)
			ends := make(chan time.Time, 100)
			for _, g := range all {
				g.hub.OnAuthenticationRefreshed(func(ctx context.Context) { ends <- hub.CallerFrom(ctx).User().Expires })
			}
			credentials := "ann-60"
			n := all[0].negotiate(t, credentials)
			if tickets {
				credentials = n.AccessToken
				n = all[1].negotiate(t, credentials)
			}
			refresh := func() {
				for i, g := range all {
					minutes += 60
					status, text := g.ask(t, http.MethodPost, "/refresh", fmt.Sprintf("ann-%d", minutes), "", "X-SignalR-Connection-Token", n.ConnectionToken)
					var answer struct{ TokenLifetimeSeconds int }
					err := json.Unmarshal([]byte(text), &answer)
					if left := minutes*60 - answer.TokenLifetimeSeconds; status != http.StatusOK || err != nil || left < 0 || left > 120 {
						t.Errorf("at %d: %d %s, %v", i, status, text, err)
					}
					for _, refused := range []struct {
						credentials, token, answer string
						status                     int
					}{
						{"bob-60", n.ConnectionToken, "user_changed", http.StatusForbidden},
						{"ann-60", all[0].negotiate(t, "bob-60").ConnectionToken + "x", "connection_not_found", http.StatusNotFound},
					} {
						status, text := g.ask(t, http.MethodPost, "/refresh", refused.credentials, "", "X-SignalR-Connection-Token", refused.token)
						if status != refused.status || !strings.Contains(text, refused.answer) {
							t.Errorf("at %d: %d %s, want %d %s", i, status, text, refused.status, refused.answer)
						}
					}
				}
			}
			refresh()
			id := "?id=" + n.ConnectionToken
			if status, text := all[1].ask(t, http.MethodGet, id, credentials, ""); status != http.StatusOK || text != "" {
				t.Fatal(status, text)
			}
			if status, text := all[2].ask(t, http.MethodPost, id, credentials, "{\"protocol\":\"json\",\"version\":1}\x1e"); status != http.StatusOK {
				t.Fatal(status, text)
			}
			if status, text := all[0].ask(t, http.MethodGet, id, credentials, ""); status != http.StatusOK || text != "{}\x1e" {
				t.Fatal(status, text)
			}
			refresh()
			for last := begin.Add(time.Duration(minutes) * time.Minute); ; {
				select {
				case end := <-ends:
					if end.Equal(last) {
						return
					}
				case <-time.After(patience):
					t.Fatal("the hub does not know the new end")
				}
			}
		})
	}
}
