package integration_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/signalr"
)

// The tokens that an ASP.NET Core application makes with the service's own SDK are those of their
// kinds: its servers', with which it connects here, and its clients'.
func TestTokensOfTheSDK(t *testing.T) {
	t.Parallel()
	dir := reference(t)
	key := accesskey.New()
	keys, err := accesskey.Parse([]string{key}, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	servers := make(chan *http.Request, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer conn.Close()
		if fromSDK := fold.Equal(r.URL.Query().Get("hub"), "ClockHub"); fromSDK {
			select {
			case servers <- r:
			default:
			}
		}
		for first := true; ; first = false {
			if _, _, err := conn.ReadMessage(); err != nil {
				return
			}
			if first {
				_ = conn.WriteMessage(websocket.BinaryMessage, []byte("\x03\x92\x02\xa0")) // the answer to the handshake
			}
		}
	}))
	defer service.Close()
	text, err := accesskey.ConnectionString(service.URL, key)
	if err != nil {
		t.Fatal(err)
	}
	application := startServer(t, false, filepath.Join(dir, "aspnet"), "testhub", "-azure", text)

	var server *http.Request
	select {
	case server = <-servers:
	case <-time.After(time.Minute):
		t.Fatal("no server came")
	}
	hub := server.URL.Query().Get("hub")
	bearer := strings.TrimPrefix(server.Header.Get("Authorization"), "Bearer ")
	token, err := keys.Token(bearer, accesskey.Server, hub, nil)
	if err != nil || !strings.Contains(token.UserID(), "_") || server.URL.Path != "/server/" {
		t.Errorf("a server's token at %s: %+v, %v", server.URL.Path, token, err)
	}
	if _, err := keys.Token(bearer, accesskey.Client, hub, nil); err == nil {
		t.Error("a server is a client")
	}

	var offer signalr.Negotiation
	for begun := time.Now(); offer.URL == "" && time.Since(begun) < time.Minute; { // until the SDK takes its connection for ready
		answer, err := http.Post(application.URL()+"/hubs/clock/negotiate?negotiateVersion=1&room=1", "", nil)
		if err == nil { // it listens to clients after it has connected to the service
			_ = json.NewDecoder(answer.Body).Decode(&offer)
			answer.Body.Close()
		}
		time.Sleep(100 * time.Millisecond) // between two requests
	}
	to, err := url.Parse(offer.URL)
	if err != nil || to.Path != "/client/" || !fold.Equal(to.Query().Get("hub"), hub) {
		t.Fatalf("redirected to %s, %v", offer.URL, err)
	}
	token, err = keys.Token(offer.AccessToken, accesskey.Client, to.Query().Get("hub"), nil)
	if err != nil || time.Until(token.Expires) < 50*time.Minute || slices.ContainsFunc(token.UserClaims(), func(c accesskey.Claim) bool { return strings.HasPrefix(c.Type, "asrs") }) {
		t.Errorf("a client's token: %+v, %v", token, err)
	}
	if _, err := keys.Token(offer.AccessToken, accesskey.Server, hub, nil); err == nil {
		t.Error("a client is a server")
	}
}
