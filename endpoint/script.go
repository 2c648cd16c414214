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
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		transports.Empty(w, http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/javascript; charset=utf-8")
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("ETag", scriptTag)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin") // as pages of other origins may connect
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(script))
}
