package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// patience bounds what a test waits for; nothing is asserted about it.
const patience = time.Minute

// site is a hub behind a stack.
type site struct {
	hub       *hub.Hub
	http      *httptest.Server
	connected chan struct{}
	ended     chan error
	log       *record
}

// record is what was logged.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(b)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func newSite(t *testing.T, s stack, p protocol, o transports.Options) *site {
	t.Helper()
	h := &site{connected: make(chan struct{}, 10), ended: make(chan error, 10), log: &record{}}
	h.hub = hub.New(hub.Options{})
	h.hub.OnConnected(func(context.Context) error { h.connected <- struct{}{}; return nil })
	h.hub.OnDisconnected(func(_ context.Context, err error) { h.ended <- err })
	h.hub.Handle("Echo", hub.Func1(func(_ context.Context, s string) (string, error) { return s, nil }))
	o.PollTimeout = 2 * requestTimeout
	o.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	e := endpoint.New(h.hub, endpoint.Options{Options: o, Events: endpoint.Events{Enabled: true}})
	h.http = httptest.NewUnstartedServer(s.wrap(e))
	h.http.Config.ErrorLog = log.New(h.log, "", 0)
	if s.configure != nil {
		s.configure(h.http.Config)
	}
	p.start(h.http)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = e.Shutdown(ctx)
		h.http.CloseClientConnections()
		h.http.Close()
		if strings.Contains(h.log.String(), "panic") {
			t.Error(h.log)
		}
	})
	return h
}

func (h *site) broadcast(ctx context.Context) error {
	return h.hub.Clients().All().Send(ctx, "Tell", "news")
}

// ask makes a request, and returns the answer.
func (h *site) ask(ctx context.Context, method, path, accept, body string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, h.http.URL+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body == "" {
		r.Body = nil
	}
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	return h.http.Client().Do(r)
}

// say makes a request, and returns status and body of the answer.
func (h *site) say(ctx context.Context, method, path, body string) (status int, text string, err error) {
	answer, err := h.ask(ctx, method, path, "", body)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(b), err
}

// token negotiates.
func (h *site) token(ctx context.Context) (string, error) {
	status, body, err := h.say(ctx, http.MethodPost, "/hub/negotiate?negotiateVersion=1", "")
	if err != nil {
		return "", err
	}
	var answer struct{ ConnectionToken string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		return "", fmt.Errorf("negotiation: %d %q: %w", status, body, err)
	}
	return answer.ConnectionToken, nil
}

// dial starts a client.
func (h *site) dial(ctx context.Context, all []client.Transport, told chan<- string) (*client.HubConnection, error) {
	c := client.New(h.http.URL+"/hub", client.Options{Transports: all, HTTPClient: h.http.Client(), Memory: client.NewMemory()})
	c.On("Tell", client.Action1(func(_ context.Context, s string) error { told <- s; return nil }))
	return c, c.Start(ctx)
}

// await waits for something that happens.
func await[T any](ctx context.Context, c <-chan T, what string) (v T, err error) {
	select {
	case v = <-c:
		return v, nil
	case <-ctx.Done():
		return v, fmt.Errorf("%s: %w", what, ctx.Err())
	}
}

// pause is a silence for longer than requests may take.
func pause() { time.Sleep(requestTimeout + requestTimeout/4) } //nolint:forbidigo // longer than requests may take
