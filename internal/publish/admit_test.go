package publish_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/publish"
)

// sign returns a token that the access key of chat has signed.
func (l *lab) sign(audience string) string {
	l.t.Helper()
	token, err := l.keys.Sign(accesskey.Grant{Audience: audience, UserID: "server", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		l.t.Fatal(err)
	}
	return "Bearer " + token
}

// Azure's SDK signs the URL of the request as it is before it adds excluded, reason or ttl, and
// writes the names of properties with capitals. By the documents of Microsoft the audience has no
// query.
func TestRequestsAsSDKsFormThem(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	l.connect("a", "json", "u u", "g/1")
	const base, body, headers = "http://example.com/", `{"Target":"news","Arguments":[1]}`, "application/json; charset=utf-8"
	for _, row := range []struct {
		method, signed, added string
		status                int
	}{
		{"POST", "api/hubs/chat/:send?api-version=2022-06-01", "&excluded=a&excluded=b", 202},
		{"POST", "api/hubs/chat/groups/g%2F1/:send?api-version=2022-06-01", "&excluded=b", 202},
		{"POST", "api/hubs/chat/users/u%20u/:send?api-version=2022-06-01", "", 202},
		{"POST", "api/hubs/chat/connections/a/:send?api-version=2022-06-01", "", 202},
		{"PUT", "api/hubs/chat/groups/g%2F1/connections/a?api-version=2022-06-01", "", 200},
		{"DELETE", "api/hubs/chat/groups/g%2F1/connections/a?api-version=2022-06-01", "", 200},
		{"DELETE", "api/hubs/chat/connections/a/groups?api-version=2022-06-01", "", 200},
		{"PUT", "api/hubs/chat/users/u%20u/groups/g%2F1?api-version=2022-06-01", "&ttl=10", 200},
		{"GET", "api/hubs/chat/users/u%20u/groups/g%2F1?api-version=2022-06-01", "", 200},
		{"DELETE", "api/hubs/chat/users/u%20u/groups/g%2F1?api-version=2022-06-01", "", 204},
		{"DELETE", "api/hubs/chat/users/u%20u/groups?api-version=2022-06-01", "", 204},
		{"HEAD", "api/hubs/chat/connections/a?api-version=2022-06-01", "", 200},
		{"HEAD", "api/hubs/chat/users/u%20u?api-version=2022-06-01", "", 200},
		{"HEAD", "api/hubs/chat/groups/none?api-version=2022-06-01", "", 404},
		{"POST", "api/v1/hubs/chat", "?excluded=a", 202},
		{"POST", "api/v1/hubs/chat/users/u%20u", "", 202},
		{"POST", "api/hubs/chat/:send?api-version=2024-12-01", "", 202},
		{"DELETE", "api/hubs/chat/connections/a?api-version=2022-06-01", "&reason=no%20time", 200},
	} {
		withoutQuery, _, _ := strings.Cut(row.signed, "?")
		for _, audience := range []string{row.signed, withoutQuery} {
			l.want(row.status, "", row.method, "/"+row.signed+row.added, body, "Content-Type", headers, "X-Api-Key", "", "Authorization", l.sign(base+audience))
		}
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	key := strings.ReplaceAll(accessKey, " ", "-")
	const audience = "http://example.com/api/hubs/chat/:send"
	sign := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		token, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + token
	}
	soon, ago := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	for _, ok := range []string{
		sign(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"aud": audience, "exp": soon}),
		sign(jwt.SigningMethodHS512, []byte(key), jwt.MapClaims{"aud": audience, "exp": soon}),
		strings.Replace(l.sign(audience), "Bearer", "bearer", 1),
	} {
		l.want(http.StatusAccepted, "", "POST", sendURL, news, "X-Api-Key", "", "Authorization", ok)
	}
	for name, token := range map[string]string{
		"none":                   "",
		"no token":               "Bearer ",
		"another scheme":         "Basic eDp5",
		"an API key as a token":  "Bearer " + apiKey,
		"another key":            sign(jwt.SigningMethodHS256, []byte(strings.Repeat("x", 40)), jwt.MapClaims{"aud": audience, "exp": soon}),
		"no signature":           sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"aud": audience, "exp": soon}),
		"expired":                sign(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"aud": audience, "exp": ago}),
		"without an end":         sign(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"aud": audience}),
		"without an audience":    sign(jwt.SigningMethodHS256, []byte(key), jwt.MapClaims{"exp": soon}),
		"of a client":            l.sign("http://example.com/client/?hub=chat"),
		"of another operation":   l.sign("http://example.com/api/hubs/chat/:closeConnections"),
		"of another hub":         l.sign("http://example.com/api/hubs/other/:send"),
		"of another path's case": l.sign("http://example.com/api/hubs/CHAT/:send"),
		"of another version":     l.sign(audience + "?api-version=2022-06-01"),
		"of the server":          l.sign("http://example.com/"),
	} {
		w := l.want(http.StatusUnauthorized, "Error.Request.Unauthorized", "POST", sendURL, news, "X-Api-Key", "", "Authorization", token)
		if challenge := w.Header().Get("WWW-Authenticate"); !strings.HasPrefix(challenge, "Bearer") {
			t.Errorf("%s: the challenge is %q", name, challenge)
		}
	}
	l.want(http.StatusUnauthorized, "", "POST", sendURL, news, "X-Api-Key", apiKey+"x")
	l.want(http.StatusUnauthorized, "", "POST", sendURL, news, "X-Api-Key", key) // an access key is no API key
	l.want(http.StatusUnauthorized, "", "POST", sendURL, news, "X-Api-Key", apiKey+"x", "Authorization", l.sign(audience))
}

// A page of a group can be asked for with a token for its path, whatever its query.
func TestTheTokenOfAQuery(t *testing.T) {
	t.Parallel()
	l := newLab(t, hosting.Options{})
	const path = "/api/hubs/other/:send"
	l.want(http.StatusUnauthorized, "", "POST", path+"?application=app&"+version, news, "X-Api-Key", "", "Authorization", l.sign("http://example.com"+path+"?"+version))
}

// The keys of each hub tell that a hub does not exist, as long as a stranger's request costs little.
func TestTheKeysOfManyHubs(t *testing.T) {
	t.Parallel()
	var all []*hosting.Hub
	keyOf := func(i int) string { return fmt.Sprintf("an-API-key-of-one-of-many-hubs-%04d", i) }
	const hubs, tried = 1000, 100
	for i := range hubs {
		h := hosting.New(fmt.Sprintf("h%d", i), hosting.Options{})
		h.SetKeys(newKeys(t, "", keyOf(i)))
		all = append(all, h)
		t.Cleanup(func() { _ = h.Hub.Shutdown(context.Background()) })
	}
	l := &lab{t: t, api: publish.New(publish.Options{Hubs: hosting.NewHubs(all...), Logger: slog.New(slog.DiscardHandler)})}
	const url = "/api/hubs/none/:send?" + version
	for _, i := range []int{0, 8, tried} {
		l.want(http.StatusNotFound, "Error.Hub.NotExisted", "POST", url, news, "X-Api-Key", keyOf(i))
	}
	l.want(http.StatusUnauthorized, "", "POST", url, news, "X-Api-Key", keyOf(hubs-1))
	l.want(http.StatusUnauthorized, "", "POST", url, news, "X-Api-Key", keyOf(hubs))
}

// 10,000 wrong keys are refused, and leave few lines in the log, without a secret.
func TestManyWrongKeys(t *testing.T) { // not parallel: it sets the default logger
	l := newLab(t, hosting.Options{})
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	wrong := l.sign("http://example.com/api/hubs/chat/:closeConnections")
	secrets := []string{apiKey + "x", wrong[len("Bearer "):]}
	for i := range 5000 {
		url := sendURL
		if i%2 == 1 {
			url = "/api/hubs/none/:send?" + version
		}
		l.want(http.StatusUnauthorized, "", "POST", url, news, "X-Api-Key", secrets[0])
		l.want(http.StatusUnauthorized, "", "POST", url, news, "X-Api-Key", "", "Authorization", wrong)
	}
	if lines := strings.Count(log.String(), "\n"); lines > 500 {
		t.Errorf("the log has %d lines", lines)
	}
	for _, secret := range secrets {
		if strings.Contains(log.String(), secret) {
			t.Error("the log has a secret")
		}
	}
}
