package endpoint

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"github.com/carillon-go/carillon/internal/cures"
)

//go:embed diagnose
var diagnoseFiles embed.FS

// DiagnosePage serves a page that measures, from the browser that shows it, which
// transports get through to the hub, what is held back or cut, and says what to change.
// Its place is {path}/diagnose, where an endpoint with Options.Diagnose serves it; this
// is for those who let in only users there, for an address bar sends no token.
func DiagnosePage() http.Handler { return http.HandlerFunc(serveDiagnosePage) }

// diagnosePage is the page in one piece, with a policy that lets run what stands in it
// and nothing else.
var diagnosePage = sync.OnceValues(func() (page []byte, policy string) {
	file := func(name string) string {
		content, err := diagnoseFiles.ReadFile("diagnose/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		return string(content)
	}
	style, script := file("style.css"), file("script.js")
	html := strings.NewReplacer("{{.Style}}", style, "{{.Script}}", script, "{{.Cures}}", string(cures.JSON)).Replace(file("page.html"))
	return []byte(html), "default-src 'none'; script-src '" + hashOf(script) + "'; style-src '" + hashOf(style) + "'; connect-src 'self'; " +
		"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
})

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func serveDiagnosePage(w http.ResponseWriter, r *http.Request) {
	page, policy := diagnosePage()
	serveFile(w, r, page, map[string]string{
		"Content-Type":            "text/html; charset=utf-8",
		"Cache-Control":           "no-cache",
		"Content-Security-Policy": policy,
		"Referrer-Policy":         "no-referrer",
	})
}
