package longpolling_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/internal/connection/connectiontest"
	"github.com/carillon-go/carillon/transports"
	"github.com/carillon-go/carillon/transports/longpolling"
)

// slow is an application that takes its time.
type slow struct {
	http       *httptest.Server
	registry   *connection.Registry
	connecting chan struct{} // closed when Connect may return; nil: at once
	receiving  chan string   // is told what Receive got before that takes its time
	pause      time.Duration // of Receive
}

func (s *slow) Connect(transports.Connection) (transports.Receiver, error) {
	if s.connecting != nil {
		<-s.connecting
	}
	return s, nil
}

func (s *slow) Receive(b []byte) error {
	s.receiving <- string(b)
	time.Sleep(s.pause) //nolint:forbidigo // longer than the server's time-outs
	return nil
}

func (s *slow) Disconnected(error) {}

func (s *slow) start(t *testing.T, middleware func(http.Handler) http.Handler, start func(*httptest.Server)) {
	t.Helper()
	s.receiving = make(chan string, 10)
	s.registry = connection.NewRegistry(s, transports.Options{})
	s.http = httptest.NewUnstartedServer(middleware(connection.NewHandler(s.registry,
		map[transports.Type]connection.Carry{transports.LongPolling: longpolling.Carry(s.registry)})))
	start(s.http)
	t.Cleanup(func() {
		_ = s.registry.Shutdown(t.Context())
		s.http.Close()
	})
}

func (s *slow) url(t *testing.T) string {
	t.Helper()
	n := connectiontest.Promise(t, s.registry, nil)
	return s.http.URL + "/hub?id=" + n.Token()
}

// say makes a request and returns the status of its answer.
func (s *slow) say(t *testing.T, method, url string, body io.Reader) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.http.Client().Do(r)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func unchanged(next http.Handler) http.Handler { return next }

// serverTimeout also limits the TLS handshake, which takes long on a slow host.
const serverTimeout = 3 * time.Second

// withTimeouts are servers with time-outs.
func withTimeouts(start func(*httptest.Server)) func(*httptest.Server) {
	return func(s *httptest.Server) {
		s.Config.WriteTimeout, s.Config.ReadTimeout = serverTimeout, serverTimeout
		start(s)
	}
}

// The time that the application takes is not counted in the server's time-outs: the rest of a
// body that waited is read, and the POST answered.
func TestPostOutlastsServerTimeouts(t *testing.T) {
	t.Parallel()
	for name, start := range inside {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &slow{pause: serverTimeout + time.Second}
			s.start(t, unchanged, withTimeouts(start))
			url := s.url(t)
			if status := s.say(t, http.MethodGet, url, nil); status != http.StatusOK {
				t.Fatal(status)
			}
			body, write := io.Pipe()
			status := make(chan int, 1)
			go func() { status <- s.say(t, http.MethodPost, url, body) }()
			_, _ = io.WriteString(write, "a")
			await(t, s.receiving)
			_, _ = io.WriteString(write, "b")
			_ = write.Close()
			if got := await(t, status); got != http.StatusOK {
				t.Errorf("status %d", got)
			}
			if rest := await(t, s.receiving); rest != "b" {
				t.Errorf("the application got %q", rest)
			}
		})
	}
}

// A body that does not come within the server's ReadTimeout is not taken for a whole one.
func TestLateBody(t *testing.T) {
	t.Parallel()
	for name, start := range inside {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &slow{}
			s.start(t, unchanged, withTimeouts(start))
			url := s.url(t)
			if status := s.say(t, http.MethodGet, url, nil); status != http.StatusOK {
				t.Fatal(status)
			}
			body, write := io.Pipe()
			defer write.Close()
			status := make(chan int, 1)
			go func() { status <- s.say(t, http.MethodPost, url, body) }()
			_, _ = io.WriteString(write, "a")
			if got := await(t, status); got != http.StatusRequestTimeout {
				t.Errorf("status %d", got)
			}
		})
	}
}

// A first poll outlasts the server's time-outs while the application takes its time.
func TestFirstPollOutlastsServerTimeouts(t *testing.T) {
	t.Parallel()
	for name, start := range inside {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &slow{connecting: make(chan struct{})}
			s.start(t, unchanged, withTimeouts(start))
			url := s.url(t)
			time.AfterFunc(serverTimeout+time.Second, func() { close(s.connecting) })
			if status := s.say(t, http.MethodGet, url, nil); status != http.StatusOK {
				t.Errorf("status %d", status)
			}
		})
	}
}
