package gateway

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/hubfile"
)

// webhooks is a backend that allows everybody as the user "ann" and completes invocations with its
// name.
func webhooks(t *testing.T, name string) (url string, events chan string) {
	events = make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events <- r.Header.Get("X-ASRS-Event")
		var in struct{ InvocationID string }
		switch err := json.NewDecoder(r.Body).Decode(&in); {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case r.Header.Get("X-ASRS-Event") == "connect":
			_, _ = io.WriteString(w, `{"userId":"ann","groups":["red"]}`)
		case in.InvocationID != "":
			_, _ = io.WriteString(w, `{"type":3,"invocationId":"`+in.InvocationID+`","result":"`+name+`"}`+"\x1e")
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, events
}

func TestHubOfTheFileHasABackend(t *testing.T) {
	first, events := webhooks(t, "first")
	second, _ := webhooks(t, "second")
	chat := hubfile.New("chat")
	chat.Clients.Connect = &hubfile.Connect{URL: first}
	chat.Upstream = []hubfile.Upstream{{URL: first}}
	r := &reloading{signal: make(chan os.Signal, 1)}
	var server *Server
	r.running = startWith(t, func(c *Config) {
		*c = Config{Hubs: []hubfile.Hub{chat}, MetricsAddr: "127.0.0.1:0", ShutdownTimeout: c.ShutdownTimeout}
		r.config = *c
	}, func(s *Server) {
		server = s
		s.Follow(Source{Settings: r.settings, Signal: r.signal, Level: &r.level})
	})
	c := client.New(r.url+"/hubs/chat", client.Options{})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if got, err := client.Invoke[string](t.Context(), c, "Who"); err != nil || got != want {
			t.Errorf("the backend is %q, %v, want %q", got, err, want)
		}
		if want == "first" {
			r.change("settings reloaded", func(c *Config) {
				changed := c.Hubs[0]
				changed.Upstream = []hubfile.Upstream{{URL: second, Categories: []string{"messages"}}, {URL: first}}
				c.Hubs = []hubfile.Hub{changed}
			})
		}
	}
	metrics, err := http.Get("http://" + server.metricsAt.String() + "/metrics") //nolint:noctx // a test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = metrics.Body.Close() }()
	if got, want := text(t, metrics), `carillon_upstream_request_duration_seconds_count{event="message",hub="chat",result="ok"} 2`; !strings.Contains(got, want) {
		t.Errorf("the metrics lack %s", want)
	}
	r.stop()
	if err := <-r.ended; err != nil {
		t.Error(err)
	}
	r.ended <- nil
	var got []string
	for len(events) > 0 {
		got = append(got, <-events)
	}
	if want := "connect connected Who disconnected"; strings.Join(got, " ") != want {
		t.Errorf("the events are %s, want %s", got, want)
	}
	_ = c.Stop(context.WithoutCancel(t.Context()))
}

func TestBackendOfTheFileIsChecked(t *testing.T) {
	for want, change := range map[string]func(*hubfile.Hub){
		"hubs.chat.upstream[1].url: ":     func(h *hubfile.Hub) { h.Upstream = []hubfile.Upstream{{URL: "http://a"}, {URL: "a"}} },
		"hubs.chat.clients.connect.url: ": func(h *hubfile.Hub) { h.Clients.Connect = &hubfile.Connect{URL: "http://a/{event}"} },
		"hubs.chat.upstream[0].timeout: ": func(h *hubfile.Hub) { h.Upstream = []hubfile.Upstream{{URL: "http://a", Timeout: 1 << 60}} },
		"hubs.chat.limits.upstream-request": func(h *hubfile.Hub) {
			h.Upstream, h.Limits.UpstreamRequests = []hubfile.Upstream{{URL: "http://a"}}, 1<<30
		},
	} {
		h := hubfile.New("chat")
		change(&h)
		c := Config{Hubs: []hubfile.Hub{h}}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want %s", err, want)
		}
	}
}

// An invocation that hangs at the end of the program leaves time for the last events.
func TestBackendThatHangsGetsTheLastEvents(t *testing.T) {
	hanging, events := make(chan struct{}), make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ASRS-Category") == "messages" {
			_, _ = io.Copy(io.Discard, r.Body)
			close(hanging)
			<-r.Context().Done()
			return
		}
		events <- r.Header.Get("X-ASRS-Event")
	}))
	t.Cleanup(server.Close)
	chat := hubfile.New("chat")
	chat.Upstream = []hubfile.Upstream{{URL: server.URL, Timeout: time.Minute}}
	r := start(t, func(c *Config) { *c = Config{Hubs: []hubfile.Hub{chat}, ShutdownTimeout: 4 * time.Second} })
	c := client.New(r.url+"/hubs/chat", client.Options{})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), "Hang"); err != nil {
		t.Fatal(err)
	}
	<-hanging
	r.stop()
	if err := <-r.ended; err == nil {
		t.Error("the end is orderly")
	}
	r.ended <- nil
	if <-events != "connected" || len(events) != 1 || <-events != "disconnected" {
		t.Errorf("the last event is missing\n%s", r.log)
	}
	_ = c.Stop(context.WithoutCancel(t.Context()))
}
