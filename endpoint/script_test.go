package endpoint_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

func TestScript(t *testing.T) {
	h := endpoint.New(hub.New(hub.Options{}), endpoint.Options{})
	ask := func(method, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/any/hub/carillon.js", nil)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	got := ask(http.MethodGet, "")
	if got.Code != http.StatusOK || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/javascript") ||
		!strings.Contains(got.Body.String(), "CarillonWebSocket") {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	if again := ask(http.MethodGet, got.Header().Get("ETag")); again.Code != http.StatusNotModified {
		t.Error("with its tag: ", again.Code)
	}
	if post := ask(http.MethodPost, ""); post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") == "" {
		t.Error("by POST: ", post.Code)
	}
}

// What the script makes of a WebSocket, in Node: one that does not open is closed at the
// limit, one that opens is not.
func TestScriptLimits(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	script, err := os.ReadFile("carillon.js")
	if err != nil {
		t.Fatal(err)
	}
	const before = `globalThis.WebSocket = class extends EventTarget {
  constructor(url, protocols) { super(); this.url = url; if (url === "opens") queueMicrotask(() => this.dispatchEvent(new Event("open"))); }
  close() { console.log("closed " + this.url); }
};
`
	const behind = `
CarillonWebSocket.limit = 20;
new CarillonWebSocket("hangs");
new CarillonWebSocket("opens");
`
	out, err := exec.CommandContext(t.Context(), node, "-e", before+string(script)+behind).CombinedOutput()
	if err != nil || string(out) != "closed hangs\n" {
		t.Errorf("%v: %s", err, out)
	}
}
