package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/carillon-go/carillon/internal/authlog"
)

// ErrForbidden is the error of a Policy that refuses a user for no reason of its own.
var ErrForbidden = errors.New("auth: the user is not allowed to do this")

var errAnonymous = fmt.Errorf("%w: there is no user", ErrForbidden)

// Policy decides whether a user may do something: send requests ([Require]), connect to a
// hub (hub.Options.Authorize), or invoke a method (hub.Method.Authorize). It returns nil
// or the reason of the refusal, which is logged and which clients do not see. It is not
// called for anonymous callers: these are refused. [RequestFrom] returns the request; in
// a hub, hub.CallerFrom returns the caller. A Policy is called concurrently.
type Policy func(ctx context.Context, u *User) error

// Authenticated is a Policy that allows every user.
func Authenticated(context.Context, *User) error { return nil }

// Role returns a Policy that allows users with at least one of the roles. These are the
// values of the claims "role" and "roles", and of the claim that .NET writes for
// ClaimTypes.Role.
func Role(names ...string) Policy {
	refused := fmt.Errorf("%w: the user has none of the roles %q", ErrForbidden, names)
	return func(_ context.Context, u *User) error {
		if slices.ContainsFunc(roleClaims, func(claim string) bool { return hasValue(u.Claims[claim], names) }) {
			return nil
		}
		return refused
	}
}

var roleClaims = []string{"role", "roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"}

// Claim returns a Policy that allows users with a claim that has at least one of the
// values, or any value if none is given. A claim that is a list has all values in it, and
// null is no value. Numbers and truth values are compared by their JSON texts. A number of
// 2^53 or more is equal to no text, because decoding may have changed its digits.
func Claim(name string, values ...string) Policy {
	refused := fmt.Errorf("%w: the user has no claim %q", ErrForbidden, name)
	if len(values) > 0 {
		refused = fmt.Errorf("%w with one of the values %q", refused, values)
	}
	return func(_ context.Context, u *User) error {
		if claim := u.Claims[name]; len(values) == 0 && !isEmpty(claim) || hasValue(claim, values) {
			return nil
		}
		return refused
	}
}

// isEmpty reports whether a claim is missing or null, or a list without values.
func isEmpty(claim any) bool {
	switch c := claim.(type) {
	case nil:
		return true
	case []string:
		return len(c) == 0
	case []any:
		return !slices.ContainsFunc(c, func(v any) bool { return !isEmpty(v) })
	}
	return false
}

// maxExact is the largest number up to which each integer is a float64 of its own.
const maxExact = 1<<53 - 1

// hasValue reports whether a claim, or a value in it if it is a list, is one of values.
func hasValue(claim any, values []string) bool {
	switch c := claim.(type) {
	case string:
		return slices.Contains(values, c)
	case bool:
		return slices.Contains(values, strconv.FormatBool(c))
	case float64:
		return math.Abs(c) <= maxExact && slices.Contains(values, strconv.FormatFloat(c, 'f', -1, 64))
	case []string:
		return slices.ContainsFunc(c, func(v string) bool { return slices.Contains(values, v) })
	case []any:
		return slices.ContainsFunc(c, func(v any) bool { return hasValue(v, values) })
	}
	return false
}

// Authorize returns nil if there is a user and all policies allow it. Otherwise it returns
// an error that wraps ErrForbidden and the reason of the first policy that refuses.
func Authorize(ctx context.Context, u *User, policies ...Policy) error {
	if u == nil {
		return errAnonymous
	}
	for _, allows := range policies {
		if err := allows(ctx, u); errors.Is(err, ErrForbidden) {
			return err
		} else if err != nil {
			return fmt.Errorf("%w: %w", ErrForbidden, err)
		}
	}
	return nil
}

// RequestKey is the key of the request in the ctx of a Policy: see [RequestFrom].
type RequestKey struct{}

// RequestFrom returns the request of the ctx of a Policy: in a hub, that of
// hub.Caller.Request. For other contexts it returns nil.
func RequestFrom(ctx context.Context) *http.Request {
	r, _ := ctx.Value(RequestKey{}).(*http.Request)
	return r
}

// Require passes requests with a user that policy allows; a nil Policy allows every user. It
// answers 401 to an anonymous caller and 403 to a user that the policy refuses, both with an
// empty body, as ASP.NET Core does: the official client then shows the reason phrase. It logs
// the reason to slog.Default().
func Require(policy Policy, next http.Handler) http.Handler {
	if policy == nil {
		policy = Authenticated
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := UserFrom(r.Context())
		err := Authorize(context.WithValue(r.Context(), RequestKey{}, r), u, policy)
		switch {
		case u == nil:
			authlog.Refused(r, "", "no credentials", nil)
			refuse(w, nil)
		case err != nil:
			authlog.Refused(r, u.ID, "the policy refuses the user", err)
			w.WriteHeader(http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
