package gateway

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// Whatever the page loads is there, comes from its own server, and none of its
// code is inline: the policy would refuse it.
func TestPageIsWhole(t *testing.T) {
	page, err := pageHandler(`/hubs/"clock"`)
	if err != nil {
		t.Fatal(err)
	}
	index := get(t, page, "/")
	body := index.Body.String()
	if !strings.Contains(body, `data-hub="/hubs/&#34;clock&#34;"`) {
		t.Error("the path of the hub is not in the page, or not escaped")
	}
	if policy := index.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'self'") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if regexp.MustCompile(`<script[^>]*>[^<]|<style|style=|\son\w+=`).MatchString(body) {
		t.Error("the page has inline code or style")
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(links) < 7 {
		t.Fatalf("only %d links", len(links))
	}
	for _, link := range links {
		if strings.HasPrefix(link[1], "/hubs/%22clock%22/") { // the hub's own script and diagnosis
			continue
		}
		if !strings.HasPrefix(link[1], "/assets/") {
			t.Errorf("%s is not of this server", link[1])
		}
		if w := get(t, page, link[1]); w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("%s: %d, %d bytes", link[1], w.Code, w.Body.Len())
		}
	}
}

func TestPageIsRevalidated(t *testing.T) {
	page, err := pageHandler("/hubs/clock")
	if err != nil {
		t.Fatal(err)
	}
	first := get(t, page, "/assets/clock.js")
	if kind := first.Header().Get("Content-Type"); !strings.HasPrefix(kind, "text/javascript") {
		t.Errorf("type %q", kind)
	}
	again := get(t, page, "/assets/clock.js", "If-None-Match", first.Header().Get("ETag"))
	if again.Code != http.StatusNotModified {
		t.Errorf("again: %d", again.Code)
	}
	if w := get(t, page, "/assets/../index.html"); w.Code != http.StatusNotFound {
		t.Errorf("a path out of the page: %d", w.Code)
	}
}
