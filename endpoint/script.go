package endpoint

import (
	_ "embed" // the script
	"net/http"

	"github.com/carillon-go/carillon/internal/static"
)

//go:embed carillon.js
var script []byte

var scriptFile = static.New(script, map[string]string{
	"Content-Type":                 "text/javascript; charset=utf-8",
	"Cache-Control":                "public, max-age=3600",
	"Cross-Origin-Resource-Policy": "cross-origin", // as pages of other origins may connect
})

// Script serves carillon.js, which gives the official JavaScript client a WebSocket with
// a time limit. An endpoint with a hub serves it at {path}/carillon.js; this is for those
// who let in only users there, for a script tag sends no token.
func Script() http.Handler { return scriptFile }
