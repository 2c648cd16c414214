package upstream

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const firstKey, secondKey = "0123456789-first-0123456789-first", "0123456789-second-0123456789-second"

func testKeys(t testing.TB) func() *accesskey.Keys {
	k, err := accesskey.Parse([]string{firstKey, secondKey}, nil, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return func() *accesskey.Keys { return k }
}

// backend is a backend on a real socket. It keeps its requests.
type backend struct {
	*httptest.Server
	requests chan *received
}

type received struct {
	path   string
	header http.Header
	body   string
}

// newBackend starts a backend. answer may be nil: 204 for everything.
func newBackend(t testing.TB, answer http.HandlerFunc) *backend {
	b := &backend{requests: make(chan *received, 10_000)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		b.requests <- &received{r.URL.RequestURI(), r.Header, string(body)}
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(b.Close)
	return b
}

// completeWith answers an invocation with a completion in JSON that has the result.
func completeWith(result string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var m struct{ InvocationID string }
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.InvocationID == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = io.WriteString(w, `{"type":3,"invocationId":"`+m.InvocationID+`","result":`+result+"}\x1e")
	}
}

// log is a log for tests.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// meter counts requests by event and result.
type meter struct {
	mu     sync.Mutex
	counts map[string]int
}

func (m *meter) Requested(event, result string, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[event+" "+result]++
}

func (m *meter) count(what string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts[what]
}

// lab is a hub with a backend.
type lab struct {
	*Upstream
	hub   *hub.Hub
	log   *log
	meter *meter
}

// newLab makes the hub "chat". It is shut down after its clients.
func newLab(t testing.TB, s Settings, o hub.Options) *lab {
	t.Helper()
	l := &lab{log: &log{}, meter: &meter{counts: map[string]int{}}}
	logger := slog.New(slog.NewTextHandler(l.log, nil))
	o.Name, o.Logger = "chat", logger
	l.hub = hub.New(o)
	var err error
	if l.Upstream, err = attach("chat", l.hub, testKeys(t), &s, Options{Logger: logger, Meter: l.meter}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.hub.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
		_ = l.Shutdown(t.Context())
	})
	return l
}

// patience is the time for what must happen.
const patience = 30 * time.Second

// next returns the next request.
func (b *backend) next(t testing.TB) *received {
	t.Helper()
	select {
	case r := <-b.requests:
		return r
	case <-time.After(patience):
		t.Fatal("the backend gets no request")
		return nil
	}
}
