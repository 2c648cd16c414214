package endpoint_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	sse "github.com/r3labs/sse/v2"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// listenable starts a hub at an endpoint, and tells when somebody has come.
func listenable(t *testing.T, o endpoint.Options, start func(*httptest.Server)) (*httptest.Server, *endpoint.Endpoint, *hub.Hub, <-chan struct{}) {
	t.Helper()
	h := hub.New(hub.Options{})
	came := make(chan struct{}, 16)
	h.OnConnected(func(context.Context) error { came <- struct{}{}; return nil })
	e := endpoint.New(h, o)
	server := httptest.NewUnstartedServer(e)
	start(server)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = e.Shutdown(ctx)
		server.Close()
	})
	return server, e, h, came
}

func byQuery(r *http.Request) []string { return r.URL.Query()["group"] }

var kinds = map[string]func(*httptest.Server){
	"HTTP/1.1": (*httptest.Server).Start,
	"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
}

func listen(t *testing.T, server *httptest.Server, query string, header ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/chat/events"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	return response
}

// A listener is a member of the hub and its groups; an orderly end is the end of the stream.
func TestEvents(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			server, e, h, came := listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true, Groups: byQuery}}, start)
			response := listen(t, server, "?group=a")
			if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
				t.Fatal(response.Status, got)
			}
			<-came
			all, ctx := h.Clients(), t.Context()
			for _, err := range []error{
				all.All().Send(ctx, "Tell", "x", 1),
				all.Group("b").Send(ctx, "Tell", "not for us"),
				all.Group("a").Send(ctx, "Tell", json.RawMessage("{\r\n\"a\":\n2}")),
			} {
				if err != nil {
					t.Error(err)
				}
			}
			if err := e.Shutdown(ctx); err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			want := ":\r\nretry: 2000\r\n\r\nevent: Tell\r\ndata: [\"x\",1]\r\n\r\nevent: Tell\r\ndata: [{\"a\":2}]\r\n\r\n"
			if err != nil || string(body) != want {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
}

// The stream of one who says nothing is not taken for one that is held back.
func TestEventsAreNotHeld(t *testing.T) {
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			o := shortHold
			o.Events.Enabled = true
			server, _, h, came := listenable(t, o, start)
			response := listen(t, server, "")
			<-came
			held := openOf(t, server) // its time-out begins after ours
			if err := awaitCut(t, server, held); err == nil {
				t.Fatal("the other stream ends in order")
			}
			if err := h.Clients().All().Send(t.Context(), "Tell"); err != nil {
				t.Fatal(err)
			}
			want := ":\r\nretry: 2000\r\n\r\nevent: Tell\r\ndata: []\r\n\r\n"
			got := make([]byte, len(want))
			if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

// Another client's reader of the format agrees.
func TestEventsByAnotherClient(t *testing.T) {
	server, _, h, came := listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true}}, (*httptest.Server).Start)
	ctx, cancel := context.WithCancel(t.Context())
	got, ended := make(chan *sse.Event, 8), make(chan error, 1)
	go func() {
		ended <- sse.NewClient(server.URL+"/chat/events").SubscribeRawWithContext(ctx, func(e *sse.Event) {
			if len(e.Event) > 0 {
				got <- e
			}
		})
	}()
	<-came
	if err := h.Clients().All().Send(ctx, "ShowTime", "now"); err != nil {
		t.Fatal(err)
	}
	if e := <-got; string(e.Event) != "ShowTime" || string(e.Data) != `["now"]` {
		t.Errorf("%q: %q", e.Event, e.Data)
	}
	cancel()
	<-ended
}

// Who is not let in, and what is not there.
func TestEventsRefused(t *testing.T) {
	on := endpoint.Events{Enabled: true}
	for name, c := range map[string]struct {
		options endpoint.Options
		method  string
		want    int
	}{
		"off":                   {endpoint.Options{}, http.MethodGet, http.StatusBadRequest},
		"POST":                  {endpoint.Options{Events: on}, http.MethodPost, http.StatusMethodNotAllowed},
		"event streams are off": {endpoint.Options{Events: on, Transports: []transports.Type{transports.WebSockets}}, http.MethodGet, http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			server, _, _, _ := listenable(t, c.options, (*httptest.Server).Start)
			r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+"/chat/events", nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := server.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != c.want {
				t.Error(response.Status)
			}
		})
	}
}
