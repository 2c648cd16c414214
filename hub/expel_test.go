package hub_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

const farewell = `{"type":7}`

func TestDisconnect(t *testing.T) {
	h := newLab(hub.Options{})
	first := connect(t, h, clientOptions{id: "1", user: "alice"})
	second := connect(t, h, clientOptions{id: "2", user: "alice"})
	other := connect(t, h, clientOptions{id: "3", user: "bob"})
	if err := h.Disconnect(t.Context(), "1", "nobody"); err != nil {
		t.Error(err)
	}
	first.want(farewell)
	first.wantEnd()
	second.send(call("1", "Text", `"still here"`))
	second.want(result("1", `"still here"`))
	if err := h.DisconnectUser(t.Context(), "alice", "nobody"); err != nil {
		t.Error(err)
	}
	second.want(farewell)
	second.wantEnd()
	other.send(call("1", "Text", `"x"`))
	other.want(result("1", `"x"`))
}

// A connection ends with its user's authentication, unless that is refreshed.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{KeepAliveInterval: -1})
		hourly := func() *auth.User { return &auth.User{ID: "alice", Expires: time.Now().Add(time.Hour)} }
		info := hub.ConnectInfo{Transport: "WebSockets", Binary: true, User: hourly(), CloseOnExpiry: true}
		c := connect(t, h, clientOptions{id: "1", info: info})
		refreshed := connect(t, h, clientOptions{id: "2", info: info})
		early := dial(t, h, clientOptions{id: "3", info: info})
		info.CloseOnExpiry = false
		kept := connect(t, h, clientOptions{id: "4", info: info})
		early.send(`{"protocol":"json","version":1}`)
		early.want(`{}`)

		time.Sleep(time.Hour - time.Minute) // of the bubble
		refreshed.session.Refresh(hourly())
		time.Sleep(time.Minute + time.Second) // of the bubble
		c.want(goodbye)
		c.wantEnd()
		early.want(goodbye)
		early.wantEnd()
		for _, c := range []*client{refreshed, kept} {
			c.send(call("1", "Text", `"x"`))
			c.want(result("1", `"x"`))
		}
		time.Sleep(time.Hour) // of the bubble
		refreshed.want(goodbye)
		refreshed.wantEnd()
	})
}

// What a method learns of its caller is what the newest credentials say.
func TestRefreshedClaims(t *testing.T) {
	h := hub.New(hub.Options{})
	h.Handle("Role", hub.Func0(func(ctx context.Context) (any, error) {
		return hub.CallerFrom(ctx).User().Claims["role"], nil
	}))
	user := func(role string) *auth.User { return &auth.User{ID: "alice", Claims: map[string]any{"role": role}} }
	c := connect(t, h, clientOptions{info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, User: user("guest")}})
	c.send(call("1", "Role", ""))
	c.want(result("1", `"guest"`))
	c.session.Refresh(user("admin"))
	c.send(call("2", "Role", ""))
	c.want(result("2", `"admin"`))
}

// An administrator throws a user out, and a connection.
func ExampleHub_DisconnectUser() {
	h := hub.New(hub.Options{})
	client := wire{id: "1", got: make(chan string, 10)}
	session := h.Connect(client, hub.ConnectInfo{Transport: "WebSockets", Binary: true, User: &auth.User{ID: "mallory"}})
	_ = session.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
	fmt.Println(<-client.got)

	_ = h.DisconnectUser(context.Background(), "mallory")
	fmt.Println(<-client.got)
	_ = h.Disconnect(context.Background(), "1") // has ended: no error
	session.Disconnected(nil)
	// Output:
	// {}
	// {"type":7}
}
