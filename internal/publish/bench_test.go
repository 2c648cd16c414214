package publish_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/internal/hosting"
)

// nowhere is a ResponseWriter that keeps the status.
type nowhere struct {
	header http.Header
	status int
}

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w *nowhere) WriteHeader(status int)      { w.status = status }

// BenchmarkPublish publishes to a connection, beside a handler that reads the same body.
func BenchmarkPublish(b *testing.B) {
	const url = "http://example.com/api/hubs/chat/connections/a/:send?" + version
	const body = `{"target":"newMessage","arguments":[{"id":123456,"user":"somebody","text":"a message of some length, as people write them"}]}`
	l := newLab(b, hosting.Options{})
	a := l.connect("a", "json", "")
	token := l.sign("http://example.com/api/hubs/chat/connections/a/:send")
	sink := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	})
	for name, run := range map[string]struct {
		handler http.Handler
		header  [2]string
	}{"sink": {sink, [2]string{"X-Api-Key", apiKey}}, "APIKey": {l.api, [2]string{"X-Api-Key", apiKey}}, "token": {l.api, [2]string{"Authorization", token}}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			r := httptest.NewRequest("POST", url, nil)
			r.Header.Set(run.header[0], run.header[1])
			r.Header.Set("Content-Type", "application/json")
			r.ContentLength = int64(len(body))
			w := &nowhere{header: http.Header{}}
			for b.Loop() {
				r.Body = io.NopCloser(strings.NewReader(body))
				if run.handler.ServeHTTP(w, r); w.status != http.StatusAccepted {
					b.Fatal(w.status)
				}
				a.mu.Lock()
				a.frames = a.frames[:0]
				a.mu.Unlock()
			}
		})
	}
}
