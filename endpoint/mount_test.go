package endpoint_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// diary holds events in their order.
type diary struct {
	mu     sync.Mutex
	events []string
}

func (d *diary) add(event string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, event)
}

func (d *diary) all() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func connect(t *testing.T, url string, transport client.Transport) *client.HubConnection {
	t.Helper()
	c := client.New(url, client.Options{Transports: []client.Transport{transport}})
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Stop(context.Background()) })
	return c
}

// A method of one hub still runs when the shutdown begins. Both hubs refuse new clients from the
// beginning, and the shutdown returns after the method and after every OnDisconnected.
func TestShutdownOfTwoHubs(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	var d diary
	running, finish := make(chan struct{}), make(chan struct{})
	named := func(name string) *hub.Hub {
		h := hub.New(hub.Options{})
		h.OnDisconnected(func(context.Context, error) { d.add(name + " disconnected") })
		h.Handle("Work", hub.Action0(func(context.Context) error {
			close(running)
			<-finish
			d.add(name + " worked")
			return nil
		}))
		return h
	}
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{
		"/chat": endpoint.New(named("chat"), endpoint.Options{}),
		"/news": endpoint.New(named("news"), endpoint.Recommended()),
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer server.CloseClientConnections()
	worker := connect(t, server.URL+"/chat", client.WebSockets)
	reader := connect(t, server.URL+"/news", client.LongPolling)
	if err := worker.Send(t.Context(), "Work"); err != nil {
		t.Fatal(err)
	}
	<-running
	ended := make(chan error, 1)
	go func() { ended <- hubs.Shutdown(t.Context()) }()
	for _, path := range []string{"/chat", "/news"} {
		awaitStatus(t, server.URL+path+"/negotiate", http.StatusServiceUnavailable)
	}
	for len(d.all()) == 0 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // the other hub's client ends concurrently
	}
	close(finish)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := d.all(); !slices.Equal(got, []string{"news disconnected", "chat worked", "chat disconnected"}) {
		t.Error(got)
	}
	for _, c := range []*client.HubConnection{worker, reader} {
		_ = c.Stop(t.Context()) // the server has gone
	}
	http.DefaultClient.CloseIdleConnections()
}

// awaitStatus posts to a URL until the answer has a status.
func awaitStatus(t *testing.T, url string, status int) {
	t.Helper()
	for {
		response, err := http.Post(url, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode == status {
			return
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // another goroutine begins the shutdown
	}
}

// An endpoint that cannot end in time is named in the error, and the others end in order.
func TestShutdownNamesTheEndpointThatHangs(t *testing.T) {
	t.Parallel()
	running, finish := make(chan struct{}), make(chan struct{})
	defer close(finish)
	stuck := hub.New(hub.Options{})
	stuck.Handle("Hang", hub.Action0(func(context.Context) error {
		close(running)
		<-finish
		return nil
	}))
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{
		"/stuck": endpoint.New(stuck, endpoint.Options{}),
		"/well":  endpoint.New(hub.New(hub.Options{}), endpoint.Options{}),
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	if err := connect(t, server.URL+"/stuck", client.WebSockets).Send(t.Context(), "Hang"); err != nil {
		t.Fatal(err)
	}
	<-running
	connect(t, server.URL+"/well", client.WebSockets)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := hubs.Shutdown(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "/stuck: ") || strings.Contains(err.Error(), "/well") {
		t.Error(err)
	}
}

// http.Server.Shutdown alone ends the clients of all hubs, on every transport.
func TestShutdownOfTheServerAloneBeginsTheEnd(t *testing.T) {
	t.Parallel()
	var d diary
	h := hub.New(hub.Options{})
	h.OnDisconnected(func(context.Context, error) { d.add("disconnected") })
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{"/a": endpoint.New(h, endpoint.Options{}), "/b": endpoint.New(h, endpoint.Options{})})
	server := httptest.NewServer(mux)
	defer server.Close()
	connect(t, server.URL+"/a", client.WebSockets)
	connect(t, server.URL+"/b", client.ServerSentEvents)
	connect(t, server.URL+"/a", client.LongPolling)
	if err := server.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for len(d.all()) < 3 {
		time.Sleep(time.Millisecond) //nolint:forbidigo // the clients end concurrently
	}
	if err := hubs.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// ListenAndServe returns the reason if it cannot listen.
func TestListenAndServe(t *testing.T) {
	t.Parallel()
	taken := listenTCP(t)
	defer func() { _ = taken.Close() }()
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{"/chat": endpoint.New(hub.New(hub.Options{}), endpoint.Options{})})
	err := hubs.ListenAndServe(t.Context(), &http.Server{Addr: taken.Addr().String(), Handler: mux})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error(err)
	}
}

// Serve ends the hubs with its ctx, and returns nil after an orderly end. With a certificate it
// serves TLS.
func TestServe(t *testing.T) {
	t.Parallel()
	trusted := httptest.NewTLSServer(http.NotFoundHandler()) // has a certificate, and a client that trusts it
	defer trusted.Close()
	for scheme, tlsConfig := range map[string]*tls.Config{"http": nil, "https": {Certificates: trusted.TLS.Certificates}} {
		mux := http.NewServeMux()
		hubs := endpoint.Mount(mux, endpoint.At{"/chat": endpoint.New(hub.New(hub.Options{}), endpoint.Options{})})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		listener := listenTCP(t)
		go func() { ended <- hubs.Serve(ctx, listener, &http.Server{Handler: mux, TLSConfig: tlsConfig}) }()
		left := make(chan struct{})
		conn := client.New(scheme+"://"+listener.Addr().String()+"/chat", client.Options{HTTPClient: trusted.Client()})
		conn.OnStateChange(func(_ context.Context, change client.StateChange) {
			if change.To == client.Disconnected {
				close(left)
			}
		})
		if err := conn.Start(t.Context()); err != nil {
			t.Fatal(scheme, err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(scheme, err)
		}
		<-left
	}
}

// listenTCP listens at a free port of the host.
func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// The wildcards of a path reach methods and OnConnected on every transport.
func TestPathValues(t *testing.T) {
	t.Parallel()
	tenant := func(ctx context.Context) string {
		r := hub.CallerFrom(ctx).Request()
		return fmt.Sprint(r.PathValue("tenant"), " ", r.PathValue("room"), " ", r.PathValue("other"))
	}
	var d diary
	h := hub.New(hub.Options{})
	h.OnConnected(func(ctx context.Context) error {
		d.add(tenant(ctx))
		return nil
	})
	h.Handle("Tenant", hub.Func0(func(ctx context.Context) (string, error) { return tenant(ctx), nil }))
	mux := http.NewServeMux()
	e := endpoint.New(h, endpoint.Options{})
	hubs := endpoint.Mount(mux, endpoint.At{"/t/{tenant}/{room}/chat": e})
	server := httptest.NewServer(mux)
	defer server.Close()
	defer func() {
		_ = hubs.Shutdown(context.Background())
		if n := e.HeadBytes(); n != 0 {
			t.Errorf("%d bytes of heads are counted", n)
		}
	}()
	for _, transport := range []client.Transport{client.WebSockets, client.ServerSentEvents, client.LongPolling} {
		c := connect(t, server.URL+"/t/a%2Fb%20c/7/chat", transport)
		for range 2 {
			if got, err := client.Invoke[string](t.Context(), c, "Tenant"); got != "a/b c 7 " || err != nil {
				t.Errorf("%s: %q, %v", transport, got, err)
			}
		}
	}
	if got := d.all(); len(got) != 3 || strings.Join(got, "") != strings.Repeat("a/b c 7 ", 3) {
		t.Errorf("%q", got)
	}
}

// The contract is served as it was given, and only where it was given.
func TestContract(t *testing.T) {
	t.Parallel()
	const contract = `{"hub":"ChatHub"}` + "\n"
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{
		"/with":    endpoint.New(hub.New(hub.Options{}), endpoint.Options{Contract: []byte(contract)}),
		"/without": endpoint.New(hub.New(hub.Options{}), endpoint.Options{}),
	})
	defer func() { _ = hubs.Shutdown(context.Background()) }()
	get := func(path string, headers ...string) *http.Response {
		return answerOf(mux, http.MethodGet, path, headers...)
	}
	answer := get("/with/contract.json")
	body, _ := io.ReadAll(answer.Body)
	tag := answer.Header.Get("ETag")
	if string(body) != contract || answer.Header.Get("Content-Type") != "application/json" || answer.Header.Get("Cache-Control") != "no-cache" || tag == "" {
		t.Errorf("%s %v %q", answer.Status, answer.Header, body)
	}
	if answer := get("/with/contract.json", "If-None-Match", tag); answer.StatusCode != http.StatusNotModified {
		t.Error(answer.Status)
	}
	if answer := get("/without/contract.json"); answer.StatusCode == http.StatusOK {
		t.Error(answer.Status)
	}
}

func answerOf(h http.Handler, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, "http://chat.example"+path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// A path that the mux or the endpoint cannot serve is refused at the start.
func TestMountRefusesPaths(t *testing.T) {
	t.Parallel()
	for path, refused := range map[string]bool{
		"/chat": false, "/chat/": false, "/": false, "chat.example/": false, "chat.example/a": false, "/t/{tenant}/chat": false,
		"/news/events": false, "/news/Negotiate": true, "/api/carillon.js/": true, "/{bad": true, "no-slash": true, "": true,
		"GET /chat": true, "GET chat.example/": true,
	} {
		func() {
			defer func() {
				if got := recover(); (got != nil) != refused {
					t.Errorf("%q: %v", path, got)
				}
			}()
			endpoint.Mount(http.NewServeMux(), endpoint.At{path: endpoint.New(hub.New(hub.Options{}), endpoint.Options{})})
		}()
	}
}
