package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/carillon-go/carillon/auth"
)

// An application authenticates by sessions of its own. A request without credentials and one
// with a session that does not exist are answered 401; the policy answers 403.
func ExampleMiddleware() {
	sessions := map[string]*auth.User{"abc": {ID: "ann"}, "def": {ID: "bob"}}
	bySession := auth.Func(func(r *http.Request) (*auth.User, error) {
		cookies := r.CookiesNamed("session")
		if len(cookies) == 0 {
			return nil, nil // no credentials
		}
		user := sessions[cookies[0].Value]
		if user == nil {
			return nil, errors.New("no such session")
		}
		return user, nil
	})
	onlyAnn := func(_ context.Context, u *auth.User) error {
		if u.ID != "ann" {
			return auth.ErrForbidden
		}
		return nil
	}
	hub := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // stands for an endpoint
		w.Header().Set("Hello", auth.UserFrom(r.Context()).ID)
	})
	guarded := auth.Middleware(bySession, auth.Require(onlyAnn, hub))

	for _, session := range []string{"", "xyz", "def", "abc"} {
		request := httptest.NewRequest(http.MethodPost, "/chat/negotiate", nil)
		if session != "" {
			request.AddCookie(&http.Cookie{Name: "session", Value: session})
		}
		response := httptest.NewRecorder()
		guarded.ServeHTTP(response, request)
		fmt.Println(response.Code, response.Header().Get("Hello") == "ann")
	}
	// Output:
	// 401 false
	// 401 false
	// 403 false
	// 200 true
}
