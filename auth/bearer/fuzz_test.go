package bearer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/auth"
)

// Whatever is sent as a token: one that is accepted was signed, is good now and names
// somebody; a refusal repeats nothing of it.
func FuzzBearer(f *testing.F) {
	keys, err := Secret(testSecret)
	if err != nil {
		f.Fatal(err)
	}
	bearer, err := New(Options{Keys: keys, Audience: "hub", ClockSkew: -1})
	if err != nil {
		f.Fatal(err)
	}
	seed := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	good := jwt.MapClaims{"sub": "alice", "aud": "hub", "exp": time.Now().Add(time.Hour).Unix()}
	signed := seed(jwt.SigningMethodHS256, testSecret, good)
	for _, text := range []string{
		signed, signed[:len(signed)-3], signed + ".x", strings.ToUpper(signed), "", ".", "..", "...", "a.b.c", "e30.e30.", "bnVsbA.bnVsbA.",
		seed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good),
		seed(jwt.SigningMethodHS256, testSecret, jwt.MapClaims{"sub": 7, "aud": []any{1, nil}, "exp": "soon"}),
		seed(jwt.SigningMethodHS256, testSecret, jwt.MapClaims{"sub": "alice", "aud": "hub", "exp": 1e300}),
		seed(jwt.SigningMethodHS512, testSecret, jwt.MapClaims{"sub": "alice", "aud": "hub", "exp": -1}),
	} {
		f.Add("Bearer "+text, "access_token="+text)
	}
	f.Fuzz(func(t *testing.T, header, query string) {
		for _, r := range []*http.Request{
			{Method: http.MethodPost, Header: http.Header{"Authorization": {header}}},
			{Method: http.MethodGet, Header: http.Header{"Accept": {"text/event-stream"}}},
		} {
			r.URL = httptest.NewRequest(http.MethodGet, "/hub", nil).URL
			r.URL.RawQuery = query
			text, _ := auth.Token(r)
			u, err := bearer.Authenticate(r)
			switch {
			case text == "" && (u != nil || err != nil):
				t.Errorf("without a token: %v, %v", u, err)
			case err != nil && len(text) > 40 && strings.Contains(err.Error(), text):
				t.Errorf("the refusal repeats the token: %v", err)
			case u != nil && (u.ID == "" || !time.Now().Before(u.Expires)):
				t.Errorf("accepted %+v", u)
			case u != nil && !isSigned(text):
				t.Errorf("accepted %q", text)
			}
		}
	})
}

// isSigned tells whether one of the algorithms signed text with the test's secret.
func isSigned(text string) bool {
	i := strings.LastIndexByte(text, '.')
	signature, err := jwt.NewParser().DecodeSegment(text[i+1:])
	if i < 0 || err != nil {
		return false
	}
	for _, method := range []*jwt.SigningMethodHMAC{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
		if method.Verify(text[:i], signature, testSecret) == nil {
			return true
		}
	}
	return false
}
