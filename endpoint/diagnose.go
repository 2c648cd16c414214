package endpoint

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"
	"sync"

	"github.com/carillon-go/carillon/internal/remedies"
	"github.com/carillon-go/carillon/internal/static"
)

//go:embed diagnose
var diagnoseFiles embed.FS

// diagnosePage is the page of Options.Diagnose with its script and style inlined. Its
// Content-Security-Policy allows only these two.
var diagnosePage = sync.OnceValue(func() *static.File {
	file := func(name string) string {
		content, err := diagnoseFiles.ReadFile("diagnose/" + name)
		if err != nil {
			panic(err) // embedded files can always be read
		}
		return string(content)
	}
	style := static.BaseCSS + file("style.css")
	script := file("examination.js") + file("session.js") + file("page.js")
	html := strings.NewReplacer("{{.Style}}", style, "{{.Script}}", script, "{{.Remedies}}", string(remedies.JSON)).Replace(file("page.html"))
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
