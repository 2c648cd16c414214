package gateway

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"time"
)

//go:embed page
var pageFiles embed.FS

// The page takes everything from its own server and runs no inline script.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pageHandler serves the page at / and what it loads at /assets/; anything else
// is not found. The page connects to the hub at hubPath.
func pageHandler(hubPath string) (http.Handler, error) {
	index, err := renderIndex(hubPath)
	if err != nil {
		return nil, fmt.Errorf("gateway: page: %w", err)
	}
	files := map[string]pageFile{"/": newPageFile("index.html", index)}
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

// pageFile is one file of the page. Embedded files have no date: browsers ask
// each time, with the tag, and get 304 while the program is the same.
type pageFile struct {
	contentType, tag string
	content          []byte
}

func newPageFile(name string, content []byte) pageFile {
	sum := sha256.Sum256(content)
	return pageFile{
		contentType: mime.TypeByExtension(path.Ext(name)),
		tag:         `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		content:     content,
	}
}

func (f pageFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
