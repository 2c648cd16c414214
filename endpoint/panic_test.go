package endpoint_test

import (
	"context"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// What an application hooks into requests may panic: that ends one request.
func TestPanicsOfHooks(t *testing.T) {
	cautious := func(r *http.Request) { // panics where the query says so
		if r.URL.Query().Has("panic") {
			panic("hook")
		}
	}
	e := endpoint.NewRaw(echo{}, endpoint.Options{
		Options: transports.Options{SubprotocolSelector: func([]string) string { panic("hook") }},
		Policy:  negotiate.PolicyFunc(func(r *http.Request, _ *negotiate.Offer) { cautious(r) }),
		Redirect: func(r *http.Request) (url, accessToken string, ok bool) {
			return "", "", r.URL.Query().Get("panic") == "redirect" && panicking()
		},
	})
	policy := func(ctx context.Context, _ *auth.User) error {
		if auth.RequestFrom(ctx).URL.Query().Get("panic") == "require" {
			panic("hook")
		}
		return nil
	}
	who := auth.Func(func(r *http.Request) (*auth.User, error) {
		if r.URL.Query().Get("panic") == "authenticate" {
			panic("hook")
		}
		return &auth.User{ID: "alice"}, nil
	})
	server := httptest.NewUnstartedServer(auth.Middleware(who, auth.Require(policy, e)))
	server.Config.ErrorLog = log.New(new(strings.Builder), "", 0) // where net/http says what it recovered from
	server.Start()
	defer server.Close()
	for _, hook := range []string{"authenticate", "require", "redirect", "policy"} {
		response, err := http.Post(server.URL+"/echo/negotiate?panic="+hook, "", nil)
		if err == nil {
			_ = response.Body.Close()
			t.Errorf("%s: %s", hook, response.Status)
		}
	}
	url := open(t, server.URL+"/echo")
	dialer := websocket.Dialer{Subprotocols: []string{"any"}}
	if _, response, err := dialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil); err == nil {
		_ = response.Body.Close()
		t.Error("a WebSocket whose subprotocol could not be chosen was opened")
	}
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if err := conn.WriteMessage(websocket.TextMessage, []byte("the connection is not spoilt")); err != nil {
		t.Fatal(err)
	}
	if _, text, err := conn.ReadMessage(); string(text) != "the connection is not spoilt" {
		t.Errorf("%q, %v", text, err)
	}
	_ = conn.Close()
	if err := e.Shutdown(t.Context()); err != nil || e.Connections() != 0 {
		t.Errorf("%v, %d connections are left", err, e.Connections())
	}
}

func panicking() bool { panic("hook") }
