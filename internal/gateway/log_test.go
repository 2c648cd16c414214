package gateway

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/carillon-go/carillon/internal/floodgate"
)

// A client that is refused for asking too often writes no line for each request.
func TestRequestLevel(t *testing.T) {
	for _, c := range []struct {
		path    string
		status  int
		traffic bool
		want    slog.Level
	}{
		{"/hub", http.StatusOK, true, slog.LevelDebug},
		{"/", http.StatusOK, false, slog.LevelInfo},
		{"/hub", http.StatusNotFound, true, slog.LevelInfo},
		{"/hub", http.StatusTooManyRequests, true, slog.LevelDebug},
		{"/", http.StatusTooManyRequests, false, slog.LevelDebug},
		{"/hub", http.StatusServiceUnavailable, true, slog.LevelInfo},
		{"/hub", http.StatusInternalServerError, true, slog.LevelError},
		{"/hub", http.StatusUnauthorized, true, slog.LevelDebug},
		{"/healthz", http.StatusOK, false, slog.LevelDebug},
		{"/readyz", http.StatusServiceUnavailable, false, slog.LevelDebug},
		{"/readyz", http.StatusInternalServerError, false, slog.LevelError},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		if got := requestLevel(r, c.status, c.traffic); got != c.want {
			t.Errorf("%d, traffic %v: %v, want %v", c.status, c.traffic, got, c.want)
		}
	}
}

func TestRedactedURI(t *testing.T) {
	for uri, want := range map[string]string{
		"/hub":                                  "/hub",
		"/hub?id=SECRET":                        "/hub?id=***",
		"/hub?ID=SECRET&_=1":                    "/hub?ID=***&_=1",
		"/hub?a=1&access_token=SECRET&id=":      "/hub?a=1&access_token=***&id=***",
		"/hub?i%64=SECRET":                      "/hub?i%64=***",
		"/hub?acc%zzess_token=SECRET":           "/hub?acc%zzess_token=***",
		"/hub?x=1;id=SECRET":                    "/hub?x=1&id=***",
		"/hub?id%00=0123456789abcdefghijkl":     "/hub?id%00=***",
		"/hub?id%3D0123456789abcdefghijkl":      "/hub?id%***",
		"/hub?0123456789abcdefghijkl&x=y":       "/hub?***&x=y",
		"/hub/negotiate?negotiateVersion=1&idx": "/hub/negotiate?negotiateVersion=1&idx",
		"/hub;id=0123456789abcdefghijkl":        "/hub;id=***",
		"/hub%3Fid=0123456789abcdefghijkl&x=1":  "/hub?id=***&x=1",
		"/hub/ABCDEFGHIJKLMNOPQRSTUV":           "/hub/***",
		"/the-hub-of-the-northern-office?x=1":   "/the-hub-of-the-northern-office?x=1",
		"/" + strings.Repeat("x.", maxURI):      "/" + strings.Repeat("x.", maxURI)[:maxURI-1] + "...",
	} {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := redactedURI(u); got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
}

// A client chooses the method of a request, too.
func TestLongTextsOfClientsAreCut(t *testing.T) {
	var written bytes.Buffer
	log := slog.New(slog.NewTextHandler(&written, nil))
	refuse := func(c echo.Context) error { return c.NoContent(http.StatusNotFound) }
	e := echo.New()
	line := logRequests(log, floodgate.New(log), func(*http.Request) bool { return false })(refuse)
	r := httptest.NewRequest(strings.Repeat("M", 20_000), "/"+strings.Repeat("p.", 10_000)+"?"+strings.Repeat("q.", 10_000), nil)

	if err := line(e.NewContext(r, httptest.NewRecorder())); err != nil {
		t.Fatal(err)
	}
	if text := written.String(); len(text) > 2_000 || !strings.Contains(text, "method=MMM") || !strings.Contains(text, "status=404") {
		t.Errorf("%d bytes: %.300s", len(text), text)
	}
}

// Whatever a query says, no value of a secret parameter is left in it, however the
// server that reads the log, or the hub, takes it apart.
func FuzzRedactedURI(f *testing.F) {
	for _, query := range []string{
		"id=SECRET", "ID=SECRET&x=1", "i%64=SECRET", "acc%65ss_token=SECRET", "x=1;id=SECRET", "id=SECRET=SECRET", "&id=SECRET", "%=SECRET",
		"access_token=SECRET%26id=SECRET", "id%3DSECRET", "id", "id=", "=id",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		redacted := redactedURI(&url.URL{Path: "/hub", RawQuery: query})
		u, err := url.Parse(redacted)
		if err != nil {
			return // what has control characters is no line of a log but for its quotes
		}
		for name, values := range u.Query() {
			for _, value := range values {
				if isSecret(url.QueryEscape(name)) && value != "***" && value != "" {
					t.Errorf("%q: %q is left", query, redacted)
				}
			}
		}
	})
}
