package loadgen

import (
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// benchHub keeps the convention of bench/server.
func benchHub(t *testing.T) (url string) {
	t.Helper()
	h := hub.New(hub.Options{MaxInvocationsPerSecond: -1})
	h.Handle("Echo", hub.Func1(func(_ context.Context, text string) (string, error) { return text, nil }))
	h.Handle("Broadcast", hub.Action0(func(ctx context.Context) error {
		return h.Clients().All().Send(ctx, "ShowTime", time.Now().UTC().Format("2006-01-02T15:04:05.0000000Z"))
	}))
	h.Handle("Stamp", hub.Action0(func(ctx context.Context) error {
		return h.Clients().All().Send(ctx, "ShowTime", time.Now().UTC())
	}))
	e := endpoint.New(h, endpoint.Options{})
	mux := http.NewServeMux()
	mux.Handle("/bench/", e)
	mux.HandleFunc("POST /gc", func(http.ResponseWriter, *http.Request) { runtime.GC() })
	mux.HandleFunc("POST /fire", func(w http.ResponseWriter, r *http.Request) {
		if err := h.Clients().All().Send(r.Context(), "ShowTime", time.Now().UTC()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.Close()
	})
	return s.URL + "/bench/"
}

// short is a run of a moment.
func short(o Options) Options {
	if o.Connections == 0 {
		o.Connections = 4
	}
	o.Duration = 100 * time.Millisecond
	return o
}

// runShort runs for a moment, and for longer ones where nothing came of it on a busy
// machine.
func runShort(t *testing.T, o Options) *Report {
	t.Helper()
	for o = short(o); ; o.Duration *= 4 {
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Operations > 0 || !r.Healthy() || o.Mode == Idle || o.Duration > 30*time.Second {
			return r
		}
	}
}

func combinations() (all []Options) {
	for _, transport := range []Transport{WebSockets, ServerSentEvents, LongPolling} {
		for _, protocol := range []string{"json", "messagepack"} {
			if transport != ServerSentEvents || protocol == "json" {
				all = append(all, Options{Transport: transport, Protocol: protocol})
			}
		}
	}
	return all
}

func TestEveryModeByEveryTransport(t *testing.T) {
	url := benchHub(t)
	for _, o := range combinations() {
		for _, mode := range []Mode{Idle, Broadcast, Echo, Connect, Negotiate} {
			t.Run(string(o.Transport)+" "+o.Protocol+" "+string(mode), func(t *testing.T) {
				o.URL, o.Mode, o.PID = url, mode, os.Getpid()
				if mode == Idle {
					o.GC = strings.Replace(url, "/bench/", "/gc", 1)
				}
				if mode == Broadcast {
					o.InFlight = 2
				}
				if mode == Echo {
					o.InFlight, o.Payload = 3, 5000 // more than one read
				}
				r := runShort(t, o)
				if !r.Healthy() || r.Seconds <= 0 || r.Server == nil || r.Server.ResidentBytes == 0 || r.Client == nil {
					t.Errorf("%+v", r)
				}
				if mode != Idle && (r.Operations == 0 || r.Latency == nil || r.Latency.Max < r.Latency.P50) {
					t.Errorf("%d operations, %+v", r.Operations, r.Latency)
				}
				if mode == Idle && (r.Opened != 4 || r.Opening.Count != 4) {
					t.Errorf("%d opened, %+v", r.Opened, r.Opening)
				}
			})
		}
	}
}

// A broadcast's time is found as text and as MessagePack's time stamp, and it may be
// asked for by POST.
func TestBroadcastsAtARate(t *testing.T) {
	url := benchHub(t)
	for _, o := range combinations() {
		o.URL, o.Mode, o.Rate, o.Method = url, Broadcast, 50, "Stamp"
		if o.Transport == LongPolling {
			o.Method, o.Fire = "", strings.Replace(url, "/bench/", "/fire", 1)
		}
		r := runShort(t, o)
		if !r.Healthy() || r.Fired == 0 || r.Latency == nil || r.Latency.Count != r.Operations {
			t.Errorf("%s %s: %+v %+v", o.Transport, o.Protocol, r, r.Latency)
		}
	}
}

func TestWithoutNegotiation(t *testing.T) {
	if r := runShort(t, Options{URL: benchHub(t), Mode: Echo, SkipNegotiate: true}); !r.Healthy() || r.Operations == 0 {
		t.Errorf("%+v", r)
	}
}

func TestWhatGoesWrongIsTold(t *testing.T) {
	url := benchHub(t)
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{URL: "http://127.0.0.1:1/", Mode: Idle}, "refused"},
		{Options{URL: strings.Replace(url, "/bench/", "/fire", 1), Mode: Idle}, "404"},
		{Options{URL: url, Mode: Idle, Transport: ServerSentEvents, Protocol: "messagepack"}, "text"},
		{Options{URL: "ftp://x", Mode: Idle}, "http"},
		{Options{URL: url}, "mode"},
		{Options{URL: "http://127.0.0.1:1/", Mode: Connect}, "refused"},
		{Options{URL: "http://127.0.0.1:1/", Mode: Negotiate}, "refused"},
	} {
		if r, err := Run(t.Context(), short(c.o)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %+v, %v", c.o, r, err)
		}
	}
	r, err := Run(t.Context(), short(Options{URL: url, Mode: Echo, Method: "Nobody"}))
	if err != nil || r.Healthy() || r.Errors == 0 || r.FirstError == "" {
		t.Errorf("a method that is not there: %+v, %v", r, err)
	}
}

// A run that is ended early reports what it has seen.
func TestEndedEarly(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{URL: benchHub(t), Mode: Echo, Connections: 2, Duration: time.Hour, Progress: func(p Progress) {
		if p.Phase == "measuring" && p.Open == 2 && p.Operations > 0 {
			cancel()
		}
	}}
	if r, err := Run(ctx, o); err != nil || r.Operations == 0 || !r.Healthy() {
		t.Errorf("%+v, %v", r, err)
	}
}

// A connection that the server ends is lost, and the report says why.
func TestLostConnections(t *testing.T) {
	h := hub.New(hub.Options{})
	e := endpoint.New(h, endpoint.Options{})
	s := httptest.NewServer(e)
	defer s.Close()
	shut := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once bool
	r, err := Run(ctx, Options{URL: s.URL, Mode: Idle, Connections: 3, Duration: time.Hour, Progress: func(p Progress) {
		switch {
		case p.Phase == "measuring" && !once:
			once = true
			shut <- e.Shutdown(context.Background())
		case once && p.Open == 0:
			cancel()
		}
	}})
	if err != nil || r.Lost != 3 || !strings.Contains(r.FirstError, "lost a connection") {
		t.Errorf("%+v, %v", r, err)
	}
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	e := endpoint.New(hub.New(hub.Options{}), endpoint.Options{})
	s := httptest.NewUnstartedServer(e)
	s.EnableHTTP2 = true // which a load generator does not speak
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	defer s.Close()
	for _, o := range combinations() {
		o.URL, o.Mode, o.InsecureTLS = s.URL, Connect, true
		if r := runShort(t, o); !r.Healthy() || r.Operations == 0 {
			t.Errorf("%s %s: %+v", o.Transport, o.Protocol, r)
		}
	}
	if _, err := Run(t.Context(), short(Options{URL: s.URL, Mode: Idle})); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := e.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// Servers send clients on, with a token for there: services do, and endpoints with tickets.
func TestSentOn(t *testing.T) {
	url := benchHub(t)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"url":"`+url+`?asked=1","accessToken":"sesame"}`)
	}))
	defer front.Close()
	for _, o := range combinations() {
		o.URL, o.Mode = front.URL, Echo
		if r := runShort(t, o); !r.Healthy() || r.Operations == 0 {
			t.Errorf("%s %s: %+v", o.Transport, o.Protocol, r)
		}
	}
	round := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"url":"`+r.URL.Path+`"}`)
	}))
	defer round.Close()
	if _, err := Run(t.Context(), short(Options{URL: round.URL, Mode: Idle})); err == nil || !strings.Contains(err.Error(), "again and again") {
		t.Errorf("round and round: %v", err)
	}
}

// TestHangingPosts: a run ends with its ctx although the server answers no POST.
func TestHangingPosts(t *testing.T) {
	posted := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/negotiate"):
			_, _ = io.WriteString(w, `{"connectionId":"x"}`)
			return
		case r.Method == http.MethodGet:
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
		default:
			_, _ = io.Copy(io.Discard, r.Body)
			posted <- struct{}{}
		}
		<-r.Context().Done()
	}))
	defer s.Close()
	defer s.CloseClientConnections()
	for _, mode := range []Mode{Idle, Connect} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = Run(ctx, Options{URL: s.URL, Mode: mode, Transport: ServerSentEvents, Connections: 1})
		}()
		<-posted
		cancel()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", mode)
		}
	}
}

// TestForeignAnswers: a server may answer what was never asked.
func TestForeignAnswers(t *testing.T) {
	g, err := newGenerator(Options{URL: "http://x", Mode: Echo})
	if err != nil {
		t.Fatal(err)
	}
	l := g.newLink(0)
	for _, id := range []string{"-1", "1", "4294967296", "9223372036854775808", "18446744073709551616"} {
		if err := l.received([]byte(`{"type":3,"invocationId":"` + id + `","result":"x"}`)); err != nil || len(l.out) > 0 {
			t.Errorf("%s: %v, %q", id, err, l.out)
		}
	}
}
