package endpoint

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the script
	"encoding/base64"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/transports"
)

//go:embed carillon.js
var script []byte

var scriptTag = func() string {
	sum := sha256.Sum256(script)
	return `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
}()

// Script serves carillon.js, which gives the official JavaScript client a WebSocket with
// a time limit. An endpoint with a hub serves it at {path}/carillon.js; this is for those
// who let in only users there, for a script tag sends no token.
func Script() http.Handler { return http.HandlerFunc(serveScript) }

func serveScript(w http.ResponseWriter, r *http.Request) {
	serveFile(w, r, script, map[string]string{
		"Content-Type":                 "text/javascript; charset=utf-8",
		"Cache-Control":                "public, max-age=3600",
		"ETag":                         scriptTag,
		"Cross-Origin-Resource-Policy": "cross-origin", // as pages of other origins may connect
	})
}

// serveFile serves a file that stands in the program.
func serveFile(w http.ResponseWriter, r *http.Request, content []byte, header map[string]string) {
	h := w.Header()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		transports.Empty(w, http.StatusMethodNotAllowed)
		return
	}
	for name, value := range header {
		h.Set(name, value)
	}
	h.Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}
