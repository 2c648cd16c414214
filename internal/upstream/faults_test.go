package upstream

import (
	"context"
	"fmt"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
)

// fault is a backend's, with the error that the client gets.
type fault struct {
	answer http.HandlerFunc
	want   string
	result string // for metrics
}

var faults = map[string]fault{
	"status 500":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", 500) }, "Invocation failed, status code 500", "status"},
	"status 404":     {http.NotFound, "Invocation failed, status code 404", "status"},
	"status 201":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, "Invocation failed, status code 201", "status"},
	"redirect":       {http.RedirectHandler("/other", http.StatusTemporaryRedirect).ServeHTTP, "Invocation failed, status code 307", "status"},
	"20 MB":          {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, zeros{}, 20<<20) }, "Invocation failed, response too large.", "too_large"},
	"20 MB declared": {declare(20 << 20), "Invocation failed, response too large.", "too_large"},
	"hangs":          {hang, "Invocation failed, status code 500", "timeout"},
	"slow headers":   {drip(false), "Invocation failed, status code 500", "timeout"},
	"slow body":      {drip(true), "Invocation failed, status code 500", "timeout"},
	"dies":           {die, "Invocation failed, status code 500", "network"},
	"dies in the body": {func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, `{"type":3`)
		die(w, r)
	}, "Invocation failed, status code 500", "network"},
	"long headers":         {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "Invocation failed, status code 500", "network"},
	"another id":           {write(`{"type":3,"invocationId":"99","result":1}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"no id":                {write(`{"type":3,"result":1}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"two completions":      {write(`{"type":3,"invocationId":"1","result":1}` + "\x1e" + `{"type":3,"invocationId":"1"}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"two in one record":    {write(`{"type":3,"invocationId":"1","result":1}{"type":3}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"an invocation":        {write(`{"type":1,"target":"Evil","arguments":[]}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"a close message":      {write(`{"type":7}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"result and error":     {write(`{"type":3,"invocationId":"1","result":1,"error":"x"}` + "\x1e"), "Invocation failed, response not valid.", "invalid"},
	"no separator":         {write(`{"type":3,"invocationId":"1","result":1}`), "Invocation failed, response not valid.", "invalid"},
	"HTML":                 {write("<html>\x1e"), "Invocation failed, response not valid.", "invalid"},
	"another hub protocol": {write("\x05\x95\x03\x80\xa11\x02"), "Invocation failed, response not valid.", "invalid"},
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func declare(size int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(size))
		_, _ = io.CopyN(w, zeros{}, int64(size))
	}
}

func write(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func die(w http.ResponseWriter, _ *http.Request) {
	_ = http.NewResponseController(w).Flush()
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// drip sends headers, or a body, byte by byte until the client has gone.
func drip(body bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		if body {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		}
		for err == nil {
			_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nA: b"[:1])
			time.Sleep(10 * time.Millisecond) // the fault
		}
	}
}

func TestFaultyBackendsFailTheInvocation(t *testing.T) {
	for name, c := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, c.answer)
			timeout := time.Minute
			if c.result == "timeout" {
				timeout = 300 * time.Millisecond
			}
			l := newLab(t, Settings{Templates: []Template{{URL: b.URL, Categories: []string{"messages"}, Timeout: timeout}}}, hub.Options{})
			c.expect(t, l)
		})
	}
}

func (c *fault) expect(t *testing.T, l *lab) {
	t.Helper()
	conn := hubtest.Connect(t, l.hub, hubtest.Options{})
	if err := conn.Invoke(t.Context(), "Say", "secret"); err == nil || err.Error() != c.want {
		t.Errorf("the error is %v, want %s", err, c.want)
	}
	if l.meter.count("message "+c.result) != 1 {
		t.Errorf("the meter has %v, want message %s", l.meter.counts, c.result)
	}
	if log := l.log.String(); strings.Count(log, "webhook failed") != 1 || !strings.Contains(log, "hub=chat") {
		t.Errorf("the log has %s", log)
	}
	if s := l.Stats(); s != (Stats{}) {
		t.Errorf("afterwards there are %+v", s)
	}
}

func TestBackendThatIsAwayFailsTheInvocation(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	untrusted.Config.ErrorLog = stdlog.New(io.Discard, "", 0)
	defer untrusted.Close()
	plain := newBackend(t, nil)
	for _, url := range []string{gone.URL, untrusted.URL, strings.Replace(plain.URL, "http:", "https:", 1)} {
		l := newLab(t, Settings{Templates: []Template{{URL: url + "?secret", Categories: []string{"messages"}}}}, hub.Options{})
		(&fault{want: "Invocation failed, status code 500", result: "network"}).expect(t, l)
		if strings.Contains(l.log.String(), "secret") {
			t.Errorf("the log has a secret: %s", l.log)
		}
	}
}

// Each of many invocations is completed when the backend begins to die while it handles them.
func TestBackendDiesUnderLoad(t *testing.T) {
	var requests atomic.Int32
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) > 100 {
			die(w, r)
			return
		}
		completeWith("1")(w, r)
	})
	l := newLab(t, Settings{MaxRequests: 8, Templates: []Template{{URL: b.URL, Categories: []string{"messages"}}}}, hub.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var calling sync.WaitGroup
	var well, failed atomic.Int32
	for range 20 {
		c := hubtest.Connect(t, l.hub, hubtest.Options{})
		calling.Go(func() {
			for range 20 {
				switch err := c.Invoke(ctx, "Say"); {
				case err == nil:
					well.Add(1)
				case err.Error() == "Invocation failed, status code 500":
					failed.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	calling.Wait()
	if well.Load() != 100 || failed.Load() != 300 || l.Stats() != (Stats{}) {
		t.Errorf("%d succeed, %d fail, %+v", well.Load(), failed.Load(), l.Stats())
	}
}

// A backend that hangs takes no time from the clients of another hub, nor from broadcasts in its
// own.
func TestHangingBackendHarmsNoOtherHub(t *testing.T) {
	bad := newBackend(t, hang)
	good := newBackend(t, completeWith("1"))
	slow := newLab(t, Settings{MaxRequests: 8, Templates: []Template{{URL: bad.URL, Categories: []string{"messages"}, Timeout: maxTimeout}}}, hub.Options{})
	quick := newLab(t, Settings{MaxRequests: 8, Templates: []Template{{URL: good.URL, Categories: []string{"messages"}}}}, hub.Options{})
	var waiting []*hubtest.Client
	for range 20 {
		c := hubtest.Connect(t, slow.hub, hubtest.Options{})
		waiting = append(waiting, c)
		for range 3 {
			if err := c.Send(t.Context(), "Say"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 8 {
		_ = bad.next(t)
	}
	c := hubtest.Connect(t, quick.hub, hubtest.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 100 {
		if n, err := client.Invoke[int](ctx, c.HubConnection, "Say"); err != nil || n != 1 {
			t.Fatalf("the other hub answers %d, %v", n, err)
		}
		if err := slow.hub.Clients().All().Send(ctx, "tick"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range waiting {
		if n := len(c.Received()); n != 100 {
			t.Fatalf("a client of the slow hub got %d of 100 messages", n)
		}
	}
	if s := slow.Stats(); s.InFlight != 8 {
		t.Errorf("the slow hub has %+v", s)
	}
}
