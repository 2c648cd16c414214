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
	"Cross-Origin-Resource-Policy": "cross-origin", // pages of other origins may connect, too
})

// Script returns the handler of carillon.js, which gives the official JavaScript client a
// WebSocket with a time limit. An endpoint with a hub serves it at {path}/carillon.js. A
// script tag sends no token: applications that authenticate requests to the endpoint can
// serve the script elsewhere.
func Script() http.Handler { return scriptFile }
