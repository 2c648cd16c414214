package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

// combo is one way to talk to a hub.
type combo struct {
	transport Transport
	protocol  protocol.HubProtocol
}

func (c combo) String() string { return string(c.transport) + "-" + c.protocol.Name() }

func combos() []combo {
	json, pack := protocol.NewJSON(protocol.JSONOptions{AsDeclared: true}), protocol.NewMessagePack()
	return []combo{
		{WebSockets, json}, {WebSockets, pack},
		{ServerSentEvents, json},
		{LongPolling, json}, {LongPolling, pack},
	}
}

// rig is what a behaviour test works with.
type rig struct {
	*testing.T
	server string
	combo  combo
}

// patience is for what must happen; it is never waited for in full unless the test fails.
const patience = time.Minute

func (r *rig) options() Options {
	return Options{
		Transports: []Transport{r.combo.transport},
		Protocol:   r.combo.protocol,
		Memory:     NewMemory(),
		Logger:     slog.New(slog.DiscardHandler),
	}
}

func (r *rig) within() context.Context {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	r.Cleanup(cancel)
	return ctx
}

// open makes a connection that is stopped at the end.
func (r *rig) open(url string, o Options) *HubConnection {
	r.Helper()
	c := New(url, o)
	r.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := c.Stop(ctx); err != nil {
			r.Errorf("Stop: %v", err)
		}
	})
	return c
}

func (r *rig) start(c *HubConnection) *HubConnection {
	r.Helper()
	if err := c.Start(r.within()); err != nil {
		r.Fatalf("Start: %v", err)
	}
	return c
}

func (r *rig) connect(path string) *HubConnection {
	r.Helper()
	return r.start(r.open(r.server+path, r.options()))
}

func (r *rig) echo(c *HubConnection, text string) {
	r.Helper()
	got, err := Invoke[string](r.within(), c, "Echo", text)
	if err != nil || got != text {
		r.Fatalf("Echo(%.40q): %.40q, %v", text, got, err)
	}
}

func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			r.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(time.Millisecond) // a condition without an event of its own
	}
}

func receive[T any](r *rig, what string, ch <-chan T) T {
	r.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		r.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

func (r *rig) hubError(err error, want string) {
	r.Helper()
	answer := new(HubError)
	if !errors.As(err, &answer) || answer.Message != want {
		r.Fatalf("error is %v, want a HubError %q", err, want)
	}
}

// get asks the server over plain HTTP.
func (r *rig) get(path string) string {
	r.Helper()
	q, err := http.NewRequestWithContext(r.within(), http.MethodGet, r.server+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	response, err := http.DefaultClient.Do(q)
	if err != nil {
		r.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.Fatal(err)
	}
	return string(body)
}

func collect[T any](seq iter.Seq2[T, error]) (all []T, err error) {
	for item, err := range seq {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// behaviours hold against any server of the test hubs, on every transport and protocol.
var behaviours = map[string]func(*rig){
	"connect and stop":              connectAndStop,
	"restart":                       restart,
	"restart in the callback":       restartInCallback,
	"stop in a handler":             stopInHandler,
	"connection id and transport":   idAndTransport,
	"echo":                          echoes,
	"complex objects":               complexObjects,
	"results":                       results,
	"errors":                        hubErrors,
	"texts of errors":               errorTexts,
	"order":                         order,
	"headers of calls":              callHeaders,
	"many calls at once":            callsAtOnce,
	"handlers":                      handlersRun,
	"a handler calls the hub":       handlerCalls,
	"streams down":                  streamsDown,
	"stream cancelled":              streamCancelled,
	"streams up":                    streamsUp,
	"upload fails":                  uploadFails,
	"upload cancelled":              uploadCancelled,
	"results for the server":        clientResults,
	"calls in flight at the end":    inFlight,
	"a call is cancelled":           callCancelled,
	"the server closes":             serverCloses,
	"the server closes for a while": closedForAWhile,
	"reconnect":                     reconnects,
	"reconnect gives up":            givesUp,
	"no reconnect unless asked for": notAsked,
	"Run":                           runs,
	"wait until connected":          waitsUntilConnected,
	"call back when connected":      callsBackOnEachConnection,
	"token":                         tokens,
	"headers and cookies":           headersAndCookies,
	"redirects":                     redirects,
}

func runSuite(t *testing.T, server string) {
	t.Helper()
	for _, c := range combos() {
		t.Run(c.String(), func(t *testing.T) {
			for name, test := range behaviours {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					test(&rig{T: t, server: server, combo: c})
				})
			}
		})
	}
}

func TestOriginal(t *testing.T) { runSuite(t, original(t)) }

// TestOriginal10 does so with the long-term release, 10.0.12.
func TestOriginal10(t *testing.T) { runSuite(t, startServer(t, reference(t, "aspnet"), "testhub")) }

func TestCarillon(t *testing.T) { runSuite(t, carillon(t)) }

// TestServer does so with the server at the URL in CARILLON_TEST_SERVER.
func TestServer(t *testing.T) {
	server := os.Getenv("CARILLON_TEST_SERVER")
	if server == "" {
		t.Skip("there is no server")
	}
	runSuite(t, server)
}

func connectAndStop(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	for range 3 {
		r.start(c)
		if c.State() != Connected {
			r.Errorf("state after Start: %v", c.State())
		}
		if err := c.Start(r.within()); !errors.Is(err, ErrAlreadyStarted) {
			r.Errorf("second Start: %v", err)
		}
		if err := c.Stop(r.within()); err != nil {
			r.Errorf("Stop: %v", err)
		}
		var got []State
		for range 4 {
			change := receive(r, "a change of state", changes)
			if got = append(got, change.To); change.Err != nil {
				r.Errorf("%v with error %v", change.To, change.Err)
			}
		}
		if want := []State{Connecting, Connected, Disconnecting, Disconnected}; !slices.Equal(got, want) {
			r.Errorf("states %v, want %v", got, want)
		}
	}
	if err := c.Send(r.within(), "Echo", "x"); !errors.Is(err, ErrNotConnected) {
		r.Errorf("Send after Stop: %v", err)
	}
}

func idAndTransport(r *rig) {
	c := r.connect("/testhub")
	id, err := Invoke[string](r.within(), c, "GetCallerConnectionId")
	if err != nil || id != c.ConnectionID() || len(id) != 22 {
		r.Errorf("id %q, the server says %q, %v", c.ConnectionID(), id, err)
	}
	name, err := Invoke[Transport](r.within(), c, "GetActiveTransportName")
	if err != nil || name != r.combo.transport || c.Transport() != name {
		r.Errorf("transport %q, the server says %q, %v", c.Transport(), name, err)
	}
}

func tokens(r *rig) {
	c := r.open(r.server+"/authorizedhub", r.options())
	err := c.Start(r.within())
	if answer := new(HTTPError); !errors.As(err, &answer) || answer.StatusCode != http.StatusUnauthorized {
		r.Errorf("without a token: %v", err)
	}
	good := r.get("/generateJwtToken")
	var asked atomic.Int32
	o := r.options()
	o.AccessToken = func(context.Context) (string, error) {
		if n := asked.Add(1); n == 1 || n == 3 {
			return "not a token", nil // negotiation and the transport's request are refused once
		}
		return good, nil
	}
	c = r.open(r.server+"/authorizedhub", o)
	r.start(c)
	r.echo(c, "with a token")
	o.AccessToken = func(context.Context) (string, error) { return "", errors.New("no token today") }
	if err := r.open(r.server+"/authorizedhub", o).Start(r.within()); err == nil || !strings.Contains(err.Error(), "no token today") {
		r.Errorf("without a provider's token: %v", err)
	}
}

func headersAndCookies(r *rig) {
	o := r.options()
	o.Header = http.Header{"X-Test": {"a value"}, "user-agent": {"test agent"}}
	c := r.start(r.open(r.server+"/testhub", o))
	for name, want := range map[string]string{"X-Test": "a value", "User-Agent": "test agent"} {
		if got, err := Invoke[string](r.within(), c, "GetHeader", name); err != nil || got != want {
			r.Errorf("header %s: %q, %v", name, got, err)
		}
	}
	for name, want := range map[string]string{"testCookie": "testValue", "testCookie2": "testValue2", "expiredCookie": ""} {
		if got, err := Invoke[string](r.within(), c, "GetCookie", name); err != nil || got != want {
			r.Errorf("cookie %s: %q, %v", name, got, err)
		}
	}
}

func redirects(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	base := proxy.through(r.server)
	o := r.options()
	o.Reconnect = ReconnectForever(time.Millisecond, 10*time.Millisecond)
	c := r.open(r.server+"/redirect?numRedirects=0&baseUrl="+base, o)
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	r.start(c)
	before, err := Invoke[int](r.within(), c, "GetNumRedirects")
	if err != nil || before == 0 {
		r.Errorf("redirects: %d, %v", before, err)
	}
	proxy.fail()
	for receive(r, "the loss", changes).To != Reconnecting {
	}
	proxy.mend()
	receive(r, "the connection again", changes)
	after, err := Invoke[int](r.within(), c, "GetNumRedirects")
	if err != nil || after <= before {
		r.Errorf("redirects: %d after %d, %v", after, before, err)
	}
}
