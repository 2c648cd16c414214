package endpoint

import (
	_ "embed" // the script

	"github.com/carillon-go/carillon/internal/static"
)

// script gives the official JavaScript client a WebSocket with a time limit.
//
//go:embed carillon.js
var script []byte

var scriptFile = static.New(script, map[string]string{
	"Content-Type":                 "text/javascript; charset=utf-8",
	"Cache-Control":                "public, max-age=3600",
	"Cross-Origin-Resource-Policy": "cross-origin", // pages of other origins may connect, too
})
