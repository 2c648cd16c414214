package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/carillon-go/carillon/auth"
)

func TestAuthenticatorChoosesTheStatus(t *testing.T) {
	for status, retryAfter := range map[int]string{403: "", 429: "1", 503: "1"} {
		refuses := auth.Func(func(*http.Request) (*auth.User, error) {
			return nil, fmt.Errorf("refused: %w", &auth.StatusError{Status: status, Err: errors.New("secret reason")})
		})
		w := httptest.NewRecorder()
		auth.Middleware(refuses, http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/chat/negotiate", nil))
		if w.Code != status || w.Header().Get("Retry-After") != retryAfter || w.Header().Get("WWW-Authenticate") != "" || w.Body.Len() > 0 {
			t.Errorf("%d: the answer is %d %v %q", status, w.Code, w.Header(), w.Body)
		}
	}
}
