package endpoint

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/carillon-go/carillon/internal/cures"
	"github.com/carillon-go/carillon/internal/static"
)

//go:embed diagnose
var diagnoseFiles embed.FS

// DiagnosePage serves a page that measures, from the browser that shows it, which
// transports get through to the hub, what is held back or cut, and says what to change.
// Its place is {path}/diagnose, where an endpoint with Options.Diagnose serves it; this
// is for those who let in only users there, for an address bar sends no token.
func DiagnosePage() http.Handler { return diagnosePage() }

// diagnosePage is the page in one piece, with a policy that lets run what stands in it
// and nothing else.
var diagnosePage = sync.OnceValue(func() *static.File {
	file := func(name string) string {
		content, err := diagnoseFiles.ReadFile("diagnose/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return string(content)
	}
	style, script := file("style.css"), file("script.js")
	html := strings.NewReplacer("{{.Style}}", style, "{{.Script}}", script, "{{.Cures}}", string(cures.JSON)).Replace(file("page.html"))
	return static.New([]byte(html), map[string]string{
		"Content-Type":  "text/html; charset=utf-8",
		"Cache-Control": "no-cache",
		"Content-Security-Policy": "default-src 'none'; script-src '" + hashOf(script) + "'; style-src '" + hashOf(style) + "'; connect-src 'self'; " +
			"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer",
	})
})

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}
