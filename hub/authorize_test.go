package hub_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/auth"
	goclient "github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

const unauthorized = "Failed to invoke 'Ban' because user is unauthorized"

// wantError checks the error of an invocation, as the client sees it.
func wantError(t *testing.T, err error, want string) {
	t.Helper()
	if failed := new(goclient.HubError); !errors.As(err, &failed) || failed.Message != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPoliciesOfAMethodAddUp(t *testing.T) {
	h := hub.New(hub.Options{})
	h.Handle("Ban", hub.Action0(func(context.Context) error { return nil }).Authorize(auth.Role("admin")))
	h.Authorize("ban", auth.Claim("name"))
	h.Authorize("Ban", func(ctx context.Context, u *auth.User) error {
		caller := hub.CallerFrom(ctx)
		if caller.User() != u || auth.RequestFrom(ctx).URL.Path != caller.Request().URL.Path {
			t.Error("a policy does not see the caller")
		}
		if caller.UserID() == "eve" {
			return errors.New("it is Eve")
		}
		return nil
	})
	admin := func(id string) hubtest.Options {
		o := hubtest.As(id, "admin")
		o.User.Claims["name"] = id
		return o
	}
	if err := hubtest.Connect(t, h, admin("ann")).Invoke(t.Context(), "Ban"); err != nil {
		t.Error(err)
	}
	for _, o := range []hubtest.Options{{}, hubtest.As("ann"), hubtest.As("ann", "member"), hubtest.As("ann", "admin"), admin("eve")} {
		wantError(t, hubtest.Connect(t, h, o).Invoke(t.Context(), "Ban"), unauthorized)
	}
}

func TestFiltersSeeRefusals(t *testing.T) {
	var seen []error
	h := hub.New(hub.Options{Filters: []hub.Filter{{
		Invoke: func(ctx context.Context, inv *hub.Invocation, next func(context.Context) (any, error)) (any, error) {
			result, err := next(ctx)
			seen = append(seen, err)
			if inv.Method == "Panic" {
				panic("filter")
			}
			if err != nil {
				result = "replaced"
			}
			return result, nil // hides the error
		},
	}}})
	called := func(context.Context) error { t.Error("called"); return nil }
	reason := errors.New("only on Mondays")
	never := func(context.Context, *auth.User) error { return reason }
	h.Handle("Ban", hub.Action0(called).Authorize(never))
	h.Handle("Panic", hub.Action0(called).Authorize(never))
	h.Handle("Follow", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) { return nil, called(nil) }).Authorize(never))
	ann := hubtest.Connect(t, h, hubtest.As("ann"))
	wantError(t, ann.Invoke(t.Context(), "Ban"), unauthorized)
	wantError(t, ann.Invoke(t.Context(), "Panic"), "Failed to invoke 'Panic' because user is unauthorized")
	for _, err := range goclient.Stream[int](t.Context(), ann.HubConnection, "Follow") {
		wantError(t, err, "Failed to invoke 'Follow' because user is unauthorized")
	}
	if len(seen) != 3 {
		t.Fatalf("filters saw %v", seen)
	}
	for _, err := range seen {
		if !errors.Is(err, auth.ErrForbidden) || !errors.Is(err, reason) {
			t.Errorf("a filter saw %v", err)
		}
	}
}

func TestAHubAdmitsThoseWhomAllPoliciesAllow(t *testing.T) {
	for name, c := range map[string]struct {
		policies []auth.Policy
		client   hubtest.Options
		status   int
	}{
		"anybody without a policy": {nil, hubtest.Options{}, 200},
		"an anonymous client":      {[]auth.Policy{auth.Authenticated}, hubtest.Options{}, 401},
		"a user":                   {[]auth.Policy{auth.Authenticated}, hubtest.As("ann"), 200},
		"a user without the role":  {[]auth.Policy{auth.Role("admin")}, hubtest.As("ann"), 403},
		"a user with the role":     {[]auth.Policy{auth.Role("admin")}, hubtest.As("ann", "admin"), 200},
		"a user without the other": {[]auth.Policy{auth.Role("admin"), auth.Claim("name")}, hubtest.As("ann", "admin"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			h := hub.New(hub.Options{Authorize: c.policies})
			err := hubtest.New(t, h, c.client).Start(t.Context())
			refused := new(goclient.HTTPError)
			if c.status == 200 && err != nil || c.status != 200 && (!errors.As(err, &refused) || refused.StatusCode != c.status) {
				t.Errorf("got %v, want %d", err, c.status)
			}
		})
	}
}

// A carrier may not check requests.
func TestAHubClosesConnectionsOfOthers(t *testing.T) {
	request := httptest.NewRequest(http.MethodGet, "/?from=here", nil)
	for name, policy := range map[string]auth.Policy{
		"a refusal": func(ctx context.Context, _ *auth.User) error {
			if auth.RequestFrom(ctx) != request || hub.CallerFrom(ctx).UserID() != "ann" {
				t.Error("the policy does not see the request and the caller")
			}
			return errors.New("not today")
		},
		"a panic": func(context.Context, *auth.User) error { panic("policy") },
	} {
		t.Run(name, func(t *testing.T) {
			j, log := newJournal(slog.LevelInfo)
			h := newLab(hub.Options{Authorize: []auth.Policy{policy}, Logger: log})
			h.OnConnected(func(context.Context) error { t.Error("connected"); return nil })
			c := dial(t, h, clientOptions{user: "ann", info: hub.ConnectInfo{Request: func() *http.Request { return request }}})
			c.wantEnd()
			listens := dial(t, h, clientOptions{user: "ann", info: hub.ConnectInfo{Request: func() *http.Request { return request }, Listens: true}})
			listens.wantEnd()
			if lines := j.with("authentication refused"); len(lines) != 2 || lines[0]["user"] != "ann" || lines[0]["error"] == nil {
				t.Errorf("the log has %s", j)
			}
		})
	}
}
