package gateway

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"

	"github.com/carillon-go/carillon/internal/static"
)

//go:embed page
var pageFiles embed.FS

// pagePolicy lets the page load only files of its own server and run no inline script.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandler serves the page at / and its files at /assets/. It answers 404 to all other
// paths. The page connects to the hub at hubPath.
func pageHandler(hubPath string) (http.Handler, error) {
	index, err := renderIndex(hubPath)
	if err != nil {
		return nil, fmt.Errorf("gateway: page: %w", err)
	}
	files := map[string]http.Handler{
		"/":                newPageFile("index.html", index),
		"/assets/base.css": newPageFile("base.css", []byte(static.BaseCSS)),
	}
	err = fs.WalkDir(pageFiles, "page/assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := pageFiles.ReadFile(name)
		files["/assets/"+path.Base(name)] = newPageFile(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gateway: page: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		file.ServeHTTP(w, r)
	}), nil
}

func renderIndex(hubPath string) ([]byte, error) {
	index, err := template.ParseFS(pageFiles, "page/index.html")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = index.Execute(&out, struct{ HubPath string }{hubPath})
	return out.Bytes(), err
}

func newPageFile(name string, content []byte) http.Handler {
	return static.New(content, map[string]string{
		"Content-Type":            mime.TypeByExtension(path.Ext(name)),
		"Cache-Control":           "no-cache",
		"Content-Security-Policy": pagePolicy,
		"Referrer-Policy":         "no-referrer",
	})
}
