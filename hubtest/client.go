// Package hubtest tests hubs without a network. Its clients are connected to a hub in
// memory, and record the hub's messages.
//
//	func TestSend(t *testing.T) {
//		h, chat := newChat() // the application's hub, and the implementation of its methods
//		ann, bob := hubtest.Connect(t, h, hubtest.As("ann")), hubtest.Connect(t, h, hubtest.As("bob"))
//		err := chat.Send(ann.Context(), "hello")
//		want := []hubtest.Call{hubtest.Called("Said", "ann", "hello")}
//		if got := bob.Received(); err != nil || !reflect.DeepEqual(got, want) {
//			t.Errorf("bob got %v, want %v; %v", got, want, err)
//		}
//	}
//
// A test calls a method directly, as above, or through the hub, as a client does:
//
//	err := ann.Invoke(t.Context(), "Send", "hello")
//	n, err := client.Invoke[int](t.Context(), ann.HubConnection, "Count")
//
// Through the hub, arguments are encoded and bound, authorization and filters run, and
// errors are those that clients see. Everything but the network is real. Package client
// documents calls, streams, and handlers with results.
//
// A call is recorded before the hub's Send returns. So a test does not have to wait: after
// a direct call, and after Invoke has returned, Received is complete. Handlers of a client
// run later.
//
// Clients end with their test, and wait until nothing runs for them any longer. They may
// be used in a bubble of testing/synctest if they and their hub are made in it. There, the
// pings of a connection keep time passing: let every wait end, with a ctx that has a
// deadline, for example.
package hubtest

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// Options describe a client. The zero value is an anonymous client by JSON.
type Options struct {
	// User is the user of the client. Default nil: anonymous.
	User *auth.User
	// Request is the request that [hub.Caller.Request] returns; policies see it too, and
	// methods the values of its context. Default: the request that the client makes.
	Request *http.Request
	// Items are the initial values of [hub.Caller.Items], also in OnConnected. Default
	// none.
	Items map[any]any
	// Client are the options of the connection. HTTPClient is replaced. Transports are
	// WebSockets by default, Memory is the client's own, and HandshakeTimeout is a minute.
	Client client.Options
}

// As returns the options of a client with a user that has an id and, as the claim "roles",
// the given roles: see [auth.Role].
func As(userID string, roles ...string) Options {
	u := &auth.User{ID: userID}
	if len(roles) > 0 {
		u.Claims = map[string]any{"roles": roles}
	}
	return Options{User: u}
}

// Client is a connection to a hub in memory. Its methods are safe for concurrent use.
type Client struct {
	*client.HubConnection
	t       testing.TB
	hub     *hub.Hub
	options Options

	mu       sync.Mutex
	session  *hub.Session // the newest; nil before the first connection
	received []Call
}

// Call is an invocation of a method on a client, with the arguments that the hub's code
// passed.
type Call struct {
	Method string
	Args   []any
}

// Called returns the Call of a method with arguments, for comparisons.
func Called(method string, args ...any) Call { return Call{method, args} }

// Connect returns a client that is connected to h. The test fails at once if it cannot
// connect. See New.
func Connect(t testing.TB, h *hub.Hub, o Options) *Client {
	t.Helper()
	c := New(t, h, o)
	if err := c.Start(t.Context()); err != nil {
		t.Fatalf("hubtest: %v", err)
	}
	return c
}

// New returns a client of h that is not started, for handlers that the first message must
// find, and for connections that h refuses. It ends with the test, and then fails the test
// if application code still runs for it after a minute.
func New(t testing.TB, h *hub.Hub, o Options) *Client {
	t.Helper()
	c := &Client{t: t, hub: h, options: o}
	e := endpoint.NewRaw(application{c}, endpoint.Options{Options: transports.Options{
		AllowStatefulReconnect: o.Client.StatefulReconnect,
		Logger:                 o.Client.Logger,
	}})
	o.Client.HTTPClient = HTTPClient(t, c.admit(e))
	if o.Client.Transports == nil {
		o.Client.Transports = []client.Transport{client.WebSockets}
	}
	if o.Client.Memory == nil {
		o.Client.Memory = client.NewMemory()
	}
	if o.Client.HandshakeTimeout == 0 {
		o.Client.HandshakeTimeout = patience
	}
	c.HubConnection = client.New("http://hub/", o.Client)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			t.Errorf("hubtest: a handler of the client has not returned: %v", err)
		}
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("hubtest: a method of the hub has not returned: %v", err)
		}
	})
	return c
}

// admit passes requests of the client's user that the hub allows. The hub's policies see
// the request that its methods see.
func (c *Client) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := r
		if c.options.Request != nil {
			seen = c.options.Request
		}
		c.hub.AuthorizeRequests(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			next.ServeHTTP(w, c.asUser(r))
		})).ServeHTTP(w, c.asUser(seen))
	})
}

// asUser returns r as a request of the client's user.
func (c *Client) asUser(r *http.Request) *http.Request {
	return r.WithContext(auth.WithUser(r.Context(), c.options.User))
}

// application passes the connections of a client to its hub.
type application struct{ *Client }

// Connect implements transports.Application.
func (c application) Connect(conn transports.Connection) (transports.Receiver, error) {
	kind := conn.Transport()
	info := hub.ConnectInfo{
		Request:           conn.Request,
		Context:           conn.RequestContext(),
		User:              conn.User(),
		Authorized:        true, // by admit
		Transport:         string(kind),
		Binary:            kind.Binary(),
		NoPings:           kind == transports.LongPolling,
		StatefulReconnect: conn.Stateful(),
	}
	if r := c.options.Request; r != nil {
		info.Request = func() *http.Request { return r.Clone(r.Context()) }
		info.Context = r.Context()
	}
	s := c.hub.Connect(recorder{conn.(*connection.Connection), c.Client}, info)
	items := hub.CallerFrom(s.Context()).Items()
	for key, value := range c.options.Items {
		items.Set(key, value)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	return s, nil
}

// recorder is a connection of a client that records calls.
type recorder struct {
	*connection.Connection
	client *Client
}

// Record implements hub.Recorder.
func (r recorder) Record(method string, args []any) {
	r.client.mu.Lock()
	defer r.client.mu.Unlock()
	r.client.received = append(r.client.received, Call{method, append([]any(nil), args...)})
}

// Context returns a ctx that carries the client as the caller, for direct calls of a hub's
// methods. It ends with the connection. The test fails at once if the client has not been
// connected.
func (c *Client) Context() context.Context {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil {
		c.t.Fatal("hubtest: the client has not been connected")
	}
	return c.session.Context()
}

// Received returns the calls that the hub has sent to the client so far, in order. Calls
// that wait for a result are among them. A connection that ends does not end the record.
func (c *Client) Received() []Call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Call(nil), c.received...)
}

// Groups returns the groups that the client is in, sorted.
func (c *Client) Groups() []string {
	c.t.Helper()
	return hub.CallerFrom(c.Context()).Groups()
}
