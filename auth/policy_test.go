package auth_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/auth"
)

func TestPoliciesReadClaims(t *testing.T) {
	const dotnet = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
	for name, c := range map[string]struct {
		policy auth.Policy
		claims map[string]any
		allows bool
	}{
		"every user":                        {auth.Authenticated, nil, true},
		"a role without claims":             {auth.Role("admin"), nil, false},
		"a role":                            {auth.Role("admin"), map[string]any{"role": "admin"}, true},
		"one of two roles":                  {auth.Role("owner", "admin"), map[string]any{"role": "admin"}, true},
		"another role":                      {auth.Role("admin"), map[string]any{"role": "Admin"}, false},
		"a role of several":                 {auth.Role("admin"), map[string]any{"roles": []any{"member", "admin"}}, true},
		"a role of a list of strings":       {auth.Role("admin"), map[string]any{"roles": []string{"admin"}}, true},
		"a role of .NET":                    {auth.Role("admin"), map[string]any{dotnet: "admin"}, true},
		"no role at all":                    {auth.Role(), map[string]any{"role": "admin"}, false},
		"a claim with any value":            {auth.Claim("email"), map[string]any{"email": 7.0}, true},
		"a claim that is missing":           {auth.Claim("email"), map[string]any{"mail": "x"}, false},
		"a claim with the value":            {auth.Claim("email", "a", "b"), map[string]any{"email": "b"}, true},
		"a claim with another value":        {auth.Claim("email", "a", "b"), map[string]any{"email": "c"}, false},
		"a claim with a truth value":        {auth.Claim("verified", "true"), map[string]any{"verified": true}, true},
		"a claim with another truth value":  {auth.Claim("verified", "true"), map[string]any{"verified": false}, false},
		"a claim with a number":             {auth.Claim("level", "12"), map[string]any{"level": 12.0}, true},
		"a claim with a list of numbers":    {auth.Claim("level", "12"), map[string]any{"level": []any{1.5, 12.0}}, true},
		"a claim with an object":            {auth.Claim("level", "12"), map[string]any{"level": map[string]any{"12": "12"}}, false},
		"a claim with null":                 {auth.Claim("level", "null"), map[string]any{"level": nil}, false},
		"a claim with any value and a null": {auth.Claim("level"), map[string]any{"level": nil}, false},
		"a claim with an empty list":        {auth.Claim("level"), map[string]any{"level": []any{}}, false},
		"a claim with no strings":           {auth.Claim("level"), map[string]any{"level": []string{}}, false},
		"a claim with a list of nothing":    {auth.Claim("level"), map[string]any{"level": []any{[]any{}, nil}}, false},
		"a claim with a list of something":  {auth.Claim("level"), map[string]any{"level": []any{[]any{}, false}}, true},
		"a claim with an empty object":      {auth.Claim("level"), map[string]any{"level": map[string]any{}}, true},
		"a claim with a number not exact":   {auth.Claim("level", "9007199254740992"), map[string]any{"level": 9007199254740993.0}, false},
		"a claim with the largest number":   {auth.Claim("level", "-9007199254740991"), map[string]any{"level": -9007199254740991.0}, true},
		"a claim of the name of a property": {auth.Claim("12"), map[string]any{"level": "12"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			err := auth.Authorize(t.Context(), &auth.User{Claims: c.claims}, c.policy)
			if (err == nil) != c.allows || err != nil && !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("got %v, want allowed: %v", err, c.allows)
			}
		})
	}
}

func TestAuthorizeStopsAtTheFirstRefusal(t *testing.T) {
	reason := errors.New("not today")
	refuse := func(context.Context, *auth.User) error { return reason }
	never := func(context.Context, *auth.User) error { t.Error("asked"); return nil }
	if err := auth.Authorize(t.Context(), &auth.User{}, auth.Authenticated, refuse, never); !errors.Is(err, reason) || !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("a user: %v", err)
	}
	if err := auth.Authorize(t.Context(), nil, never); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
}

func TestRequireShowsThePolicyItsRequest(t *testing.T) {
	policy := func(ctx context.Context, _ *auth.User) error {
		if strings.HasPrefix(auth.RequestFrom(ctx).URL.Path, "/public/") {
			return nil
		}
		return errors.New("not public")
	}
	h := auth.Require(policy, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	for path, want := range map[string]int{"/public/chat": 200, "/private/chat": 403} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		h.ServeHTTP(w, r.WithContext(auth.WithUser(r.Context(), &auth.User{ID: "ann"})))
		if w.Code != want || w.Body.Len() > 0 {
			t.Errorf("%s: %d %q", path, w.Code, w.Body)
		}
	}
	if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, "user=ann") || !strings.Contains(line, "not public") {
		t.Errorf("the log has %q", line)
	}
	if auth.RequestFrom(t.Context()) != nil {
		t.Error("a request out of nothing")
	}
}
