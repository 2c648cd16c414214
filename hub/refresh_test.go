package hub_test

import (
	"context"
	"net/http/httptest"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/hub"
)

func userWithRole(role string) *auth.User {
	return &auth.User{ID: "alice", Claims: map[string]any{"role": role}}
}

func asUser(u *auth.User) clientOptions {
	return clientOptions{info: hub.ConnectInfo{Transport: "WebSockets", Binary: true, User: u}}
}

func (c *client) refresh(u *auth.User) {
	c.session.Refresh(u)
	c.session.Refreshed()
}

func roleOf(ctx context.Context) any { return hub.CallerFrom(ctx).User().Claims["role"] }

// The application is told of each refresh, once and one after the other, while a method
// runs. User id and groups stay.
func TestRefreshesAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		h.Handle("Join", hub.Action0(func(ctx context.Context) error {
			return h.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), "group")
		}))
		h.Handle("Wait", hub.Action0(func(ctx context.Context) error { <-ctx.Done(); return nil }))
		var running atomic.Int32
		h.OnAuthenticationRefreshed(func(ctx context.Context) {
			if running.Add(1) > 1 {
				t.Error("it runs concurrently with itself")
			}
			time.Sleep(time.Second) // of the bubble
			running.Add(-1)
			_ = h.Clients().Group("group").Send(ctx, "Refreshed", roleOf(ctx))
			_ = h.Clients().User("alice").Send(ctx, "User")
		})
		c := connect(t, h, asUser(userWithRole("guest")))
		c.send(call("1", "Join", ""))
		c.want(`{"type":3,"invocationId":"1","result":null}`)
		c.send(call("2", "Wait", ""))
		for _, role := range []string{"a", "b", "admin"} {
			c.refresh(userWithRole(role))
		}
		for range 3 {
			c.want(`{"type":1,"target":"Refreshed","arguments":["admin"]}`, `{"type":1,"target":"User","arguments":[]}`)
		}
		synctest.Wait()
		time.Sleep(5 * time.Second) // of the bubble
		c.quiet()
	})
}

// What comes while OnConnected runs is told after it; what came before is seen by it.
func TestRefreshesBeforeOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		told := make(chan any, 10)
		proceed := make(chan struct{})
		h.OnConnected(func(ctx context.Context) error {
			told <- roleOf(ctx)
			<-proceed
			told <- "connected"
			return nil
		})
		h.OnAuthenticationRefreshed(func(ctx context.Context) { told <- roleOf(ctx) })
		c := dial(t, h, asUser(userWithRole("guest")))
		c.refresh(userWithRole("member"))
		c.send(`{"protocol":"json","version":1}`)
		c.want(`{}`)
		synctest.Wait()
		c.refresh(userWithRole("admin"))
		synctest.Wait()
		close(proceed)
		for _, want := range []any{"member", "connected", "admin"} {
			if got := <-told; got != want {
				t.Errorf("told %v, want %v", got, want)
			}
		}
		synctest.Wait()
		if len(told) > 0 {
			t.Error(<-told)
		}
	})
}

// A refresh is not told any more when OnDisconnected has begun, which waits for one that is
// being told; nor to a connection whose OnConnected failed.
func TestRefreshesAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hub.New(hub.Options{})
		told := make(chan string, 10)
		h.OnAuthenticationRefreshed(func(ctx context.Context) {
			told <- "begins"
			<-ctx.Done()
			time.Sleep(time.Second) // of the bubble
			told <- "ends"
		})
		h.OnDisconnected(func(context.Context, error) {
			told <- "disconnected"
			time.Sleep(time.Second) // of the bubble
		})
		c := connect(t, h, asUser(userWithRole("guest")))
		for range 3 {
			c.refresh(userWithRole("admin"))
		}
		synctest.Wait()
		go c.close()
		for range 5 {
			time.Sleep(time.Second / 2) // of the bubble
			c.refresh(userWithRole("late"))
		}
		c.close()
		c.refresh(userWithRole("later"))
		synctest.Wait()
		close(told)
		var all []string
		for event := range told {
			all = append(all, event)
		}
		if len(all) != 3 || all[0] != "begins" || all[1] != "ends" || all[2] != "disconnected" {
			t.Error(all)
		}
	})
}

// An application that panics, or ends the goroutine, while it is told is told of the next.
func TestRefreshHookFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newLab(hub.Options{})
		told := make(chan any, 10)
		h.OnAuthenticationRefreshed(func(ctx context.Context) {
			switch role := roleOf(ctx); role {
			case "panic":
				panic("hook")
			case "exit":
				runtime.Goexit()
			default:
				told <- role
			}
		})
		c := connect(t, h, asUser(userWithRole("guest")))
		for _, role := range []string{"panic", "exit", "admin"} {
			c.refresh(userWithRole(role))
			synctest.Wait()
		}
		if got := <-told; got != "admin" {
			t.Error(got)
		}
		c.send(call("1", "Text", `"x"`))
		c.want(result("1", `"x"`))
		if err := h.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestRefreshHookIsSetOnce(t *testing.T) {
	h := hub.New(hub.Options{})
	h.OnAuthenticationRefreshed(func(context.Context) {})
	defer func() {
		if recover() == nil {
			t.Error("the second one replaces the first")
		}
	}()
	h.OnAuthenticationRefreshed(func(context.Context) {})
}

// A token that is within the clock skew when a connection begins keeps it until the skew is
// over. A connection that began before ends with the token, or where the server bounds that,
// and a refresh counts to the end of its own token.
func TestConnectionsWithinTheClockSkew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := []byte("a secret of more than 32 bytes, for tests")
		keys, err := bearer.Secret(secret)
		if err != nil {
			t.Fatal(err)
		}
		bearer, err := bearer.New(bearer.Options{Keys: keys, ClockSkew: 30 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		authenticate := func(expires time.Time) *auth.User {
			text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": "alice", "exp": expires.Unix()}).SignedString(secret)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer "+text)
			u, err := bearer.Authenticate(r)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		h := newLab(hub.Options{KeepAliveInterval: -1})
		enter := func(id string, u *auth.User) *client {
			o := asUser(u)
			o.id, o.info.CloseOnExpiry = id, true
			return connect(t, h, o)
		}
		expires := time.Now().Add(time.Minute)
		before := enter("before", authenticate(expires))
		bounded := enter("bounded", authenticate(expires).EndingBy(time.Now().Add(30*time.Second)))
		refreshed := enter("refreshed", authenticate(expires))
		refreshed.refresh(authenticate(expires.Add(10 * time.Second)))
		time.Sleep(31 * time.Second) // of the bubble
		bounded.want(goodbye)
		bounded.wantEnd()
		before.quiet()
		time.Sleep(29 * time.Second) // of the bubble
		within := enter("within", authenticate(expires))
		time.Sleep(2 * time.Second) // of the bubble
		before.want(goodbye)
		before.wantEnd()
		refreshed.quiet()
		time.Sleep(10 * time.Second) // of the bubble
		refreshed.want(goodbye)
		refreshed.wantEnd()
		time.Sleep(17 * time.Second) // of the bubble, a second before the skew is over
		within.quiet()
		time.Sleep(2 * time.Second) // of the bubble
		within.want(goodbye)
		within.wantEnd()
	})
}
