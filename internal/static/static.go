// Package static serves files that are embedded in the program.
package static

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the style
	"encoding/base64"
	"net/http"
	"time"
)

// BaseCSS is the style that all pages share: colours, type, panels, forms.
//
//go:embed base.css
var BaseCSS string

// File is one file. It has an entity tag and no date: browsers revalidate it, and get 304
// as long as the program is the same.
type File struct {
	content []byte
	header  map[string]string
}

// New returns a file with its content type and caching headers.
func New(content []byte, header map[string]string) *File {
	sum := sha256.Sum256(content)
	header["ETag"] = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	header["X-Content-Type-Options"] = "nosniff"
	return &File{content, header}
}

// ServeHTTP answers GET and HEAD.
func (f *File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	for name, value := range f.header {
		w.Header().Set(name, value)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
}
