package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
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
const patience = 20 * time.Second

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
	"order":                         order,
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

func restart(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	seen := make(map[string]bool)
	for range 3 {
		r.start(c)
		r.echo(c, "again")
		if id := c.ConnectionID(); seen[id] {
			r.Errorf("id %s came twice", id)
		} else {
			seen[id] = true
		}
		if err := c.Stop(r.within()); err != nil {
			r.Errorf("Stop: %v", err)
		}
	}
}

func restartInCallback(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	again := make(chan error, 1)
	var ended atomic.Int32
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Disconnected && ended.Add(1) == 1 {
			again <- c.Start(ctx)
		}
	})
	r.start(c)
	go func() { _ = c.Stop(context.Background()) }()
	if err := receive(r, "Start in the callback", again); err != nil {
		r.Fatalf("Start in the callback: %v", err)
	}
	r.echo(c, "x")
}

func stopInHandler(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			ended <- s.Err
		}
	})
	c.On("Message", Action1(func(ctx context.Context, _ string) error { return c.Stop(ctx) }))
	r.start(c)
	if err := c.Send(r.within(), "InvokeWithString", "x"); err != nil {
		r.Fatal(err)
	}
	if err := receive(r, "the end", ended); err != nil {
		r.Errorf("ended with %v", err)
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

func echoes(r *rig) {
	c := r.connect("/testhub")
	for _, text := range []string{
		"", " ", `quote " backslash \ slash / <b>&amp;'</b> +%20?=&`, "line\nfeed\r\ncarriage\rreturn\ttab\x1e\x00",
		"data: x\n\ndata: y\r\n\r\n", "日本語 😀 👨‍👩‍👧‍👦 \ufeff\u2028\u2029", `{"type":7}`,
	} {
		r.echo(c, text)
	}
	for _, n := range []int{125, 126, 127, 4095, 4096, 4097, 16384, 30000} {
		r.echo(c, strings.Repeat("x", n))
	}
	null, err := Invoke[*string](r.within(), c, "Echo", nil)
	if err != nil || null != nil {
		r.Errorf("Echo(nil): %v, %v", null, err)
	}
}

type complexObject struct {
	String    string
	IntArray  []int
	ByteArray []byte
	Guid      string
	DateTime  time.Time
}

func complexObjects(r *rig) {
	c := r.connect("/testhub")
	want := complexObject{
		String: "hello world", IntArray: []int{1, 2, 3}, ByteArray: []byte{1, 2, 3},
		Guid: "00010203-0405-0607-0706-050403020100", DateTime: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	same := func(got complexObject, err error) {
		r.Helper()
		if err != nil || got.String != want.String || !slices.Equal(got.IntArray, want.IntArray) || !slices.Equal(got.ByteArray, want.ByteArray) ||
			got.Guid != want.Guid || !got.DateTime.Equal(want.DateTime) {
			r.Errorf("got %+v, %v", got, err)
		}
	}
	same(Invoke[complexObject](r.within(), c, "SendComplexObject"))
	want.DateTime = time.Date(2026, 2, 28, 23, 59, 59, 999999900, time.UTC)
	same(Invoke[complexObject](r.within(), c, "EchoComplexObject", want))
}

func results(r *rig) {
	c := r.connect("/testhub")
	if err := c.Invoke(r.within(), "InvokeWithString", "x"); err != nil {
		r.Errorf("a method without a result: %v", err)
	}
	if v, err := Invoke[any](r.within(), c, "InvokeWithString", "x"); err != nil || v != nil {
		r.Errorf("a method without a result, as any: %v, %v", v, err)
	}
	if err := c.Invoke(r.within(), "Echo", "ignored"); err != nil {
		r.Errorf("a result that is ignored: %v", err)
	}
	if n, err := Invoke[int](r.within(), c, "Echo", "no int"); err == nil {
		r.Errorf("a string as an int: %v", n)
	}
	r.echo(c, "still")
}

func hubErrors(r *rig) {
	c := r.connect("/testhub")
	r.hubError(c.Invoke(r.within(), "ThrowException", "test error"), "An unexpected error occurred invoking 'ThrowException' on the server. InvalidOperationException: test error")
	r.hubError(c.Invoke(r.within(), "NoSuchMethod"), "Failed to invoke 'NoSuchMethod' due to an error on the server. HubException: Method does not exist.")
	r.hubError(c.Invoke(r.within(), "Echo"), "Failed to invoke 'Echo' due to an error on the server. InvalidDataException: Invocation provides 0 argument(s) but target expects 1.")
	r.hubError(c.Invoke(r.within(), "Stream"), "The client attempted to invoke the streaming 'Stream' method with a non-streaming invocation.")
	_, err := collect(Stream[string](r.within(), c, "Echo", "x"))
	r.hubError(err, "The client attempted to invoke the non-streaming 'Echo' method with a streaming invocation.")
	if err := c.Invoke(r.within(), "Echo", make(chan int)); err == nil {
		r.Error("an argument that cannot be encoded was sent")
	}
	if err := c.Send(r.within(), "NoSuchMethod"); err != nil {
		r.Errorf("Send to no method: %v", err)
	}
	r.echo(c, "still")
}

func order(r *rig) {
	const n = 500
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, n)
	c.On("Message", Action1(func(_ context.Context, s string) error { got <- s; return nil }))
	r.start(c)
	for i := range n {
		if err := c.Send(r.within(), "InvokeWithString", strconv.Itoa(i)); err != nil {
			r.Fatal(err)
		}
	}
	for i := range n {
		if s := receive(r, "a message", got); s != strconv.Itoa(i) {
			r.Fatalf("message %d is %s", i, s)
		}
	}
}

func callsAtOnce(r *rig) {
	c := r.connect("/testhub")
	answers := make(chan error, 200)
	for i := range cap(answers) {
		go func() {
			want := fmt.Sprint(i, strings.Repeat("p", i))
			got, err := Invoke[string](r.within(), c, "Echo", want)
			if err == nil && got != want {
				err = fmt.Errorf("got %q, want %q", got, want)
			}
			answers <- err
		}()
	}
	for range cap(answers) {
		if err := <-answers; err != nil {
			r.Error(err)
		}
	}
}

func handlersRun(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, 20)
	on := func(mark string) func() {
		return c.On("Message", Action1(func(_ context.Context, s string) error { got <- mark + s; return nil }))
	}
	on("1")
	remove := on("2")
	c.On("message", Action1(func(_ context.Context, s string) error { panic("a handler that panics at " + s) }))
	c.On("Message", Action2(func(_ context.Context, _, _ string) error { got <- "wrong arity"; return nil }))
	c.On("Message", ActionAny(func(_ context.Context, args []any) error { got <- fmt.Sprint("3", args[0]); return nil }))
	r.start(c)
	invoke := func(s string) {
		if err := c.Invoke(r.within(), "InvokeWithString", s); err != nil {
			r.Fatal(err)
		}
	}
	expect := func(want ...string) {
		r.Helper()
		for _, w := range want {
			if g := receive(r, w, got); g != w {
				r.Fatalf("got %s, want %s", g, w)
			}
		}
	}
	invoke("a")
	expect("1a", "2a", "3a")
	remove()
	invoke("b")
	expect("1b", "3b")
	c.OnUnhandled(func(_ context.Context, method string, args []any) error {
		got <- fmt.Sprint(method, len(args))
		return nil
	})
	if err := c.Invoke(r.within(), "SendCustomObject", map[string]any{"Name": "n", "Value": 1}); err != nil {
		r.Fatal(err)
	}
	expect("CustomObject1")
}

func handlerCalls(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	got := make(chan string, 1)
	c.On("Message", Action1(func(ctx context.Context, s string) error {
		answer, err := Invoke[string](ctx, c, "Echo", s+" and back")
		got <- answer
		return err
	}))
	r.start(c)
	if err := c.Send(r.within(), "InvokeWithString", "there"); err != nil {
		r.Fatal(err)
	}
	if s := receive(r, "the echo within the handler", got); s != "there and back" {
		r.Errorf("got %q", s)
	}
}

func streamsDown(r *rig) {
	c := r.connect("/testhub")
	all, err := collect(Stream[string](r.within(), c, "Stream"))
	if err != nil || strings.Join(all, "") != "abc" {
		r.Errorf("Stream: %q, %v", all, err)
	}
	none, err := collect(Stream[int](r.within(), c, "EmptyStream"))
	if err != nil || len(none) != 0 {
		r.Errorf("EmptyStream: %v, %v", none, err)
	}
	_, err = collect(Stream[string](r.within(), c, "StreamThrowException", "test error"))
	r.hubError(err, "An unexpected error occurred invoking 'StreamThrowException' on the server. InvalidOperationException: test error")
	if _, err := collect(Stream[int](r.within(), c, "Stream")); err == nil {
		r.Error("strings were taken for ints")
	}
	for item := range Stream[string](r.within(), c, "Stream") {
		r.echo(c, "within a stream, "+item)
	}
	r.echo(c, "still")
}

func streamCancelled(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	seen := make(chan struct{}, 2)
	c.On("StreamCanceled", Action0(func(context.Context) error { seen <- struct{}{}; return nil }))
	r.start(c)
	ctx, cancel := context.WithCancel(r.within())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := collect(Stream[string](ctx, c, "InfiniteStream"))
		ended <- err
	}()
	r.until("the loop waits", func() bool {
		b := c.session.Load().run.budget
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.waiters > 0
	})
	cancel()
	if err := receive(r, "the end of the stream", ended); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled stream: %v", err)
	}
	receive(r, "StreamCanceled", seen)
	r.echo(c, "still")
}

func streamsUp(r *rig) {
	c := r.connect("/testhub")
	items := []string{"hello", " ", "world", "", "!"}
	concat := func(u Upload) {
		r.Helper()
		got, err := Invoke[string](r.within(), c, "StreamingConcat", u)
		if err != nil || got != "hello world!" {
			r.Errorf("StreamingConcat: %q, %v", got, err)
		}
	}
	concat(UploadSeq(slices.Values(items)))
	concat(UploadSeq2(func(yield func(string, error) bool) {
		for _, s := range items {
			if !yield(s, nil) {
				return
			}
		}
	}))
	ch := make(chan string)
	go func() {
		defer close(ch)
		for _, s := range items {
			ch <- s
		}
	}()
	concat(UploadChan(ch))
	many, err := Invoke[string](r.within(), c, "StreamingConcat", UploadSeq(slices.Values(slices.Repeat([]string{strings.Repeat("x", 999)}, 200))))
	if err != nil || len(many) != 999*200 {
		r.Errorf("StreamingConcat of 200 KB: %d, %v", len(many), err)
	}
}

func uploadFails(r *rig) {
	c := r.connect("/testhub")
	_, err := Invoke[string](r.within(), c, "StreamingConcat", UploadSeq2(func(yield func(string, error) bool) {
		_ = yield("a", nil) && yield("", errors.New("the upload failed"))
	}))
	r.hubError(err, "An unexpected error occurred invoking 'StreamingConcat' on the server. HubException: the upload failed")
	r.echo(c, "still")
}

func uploadCancelled(r *rig) {
	c := r.connect("/testhub")
	items := make(chan string)
	ctx, cancel := context.WithCancel(r.within())
	result := make(chan error, 1)
	go func() { result <- c.Invoke(ctx, "StreamingConcat", UploadChan(items)) }()
	items <- "a"
	cancel()
	if err := receive(r, "the cancelled call", result); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled call: %v", err)
	}
	r.echo(c, "still")
}

func clientResults(r *rig) {
	c := r.connect("/testhub")
	ask := func() string { return r.get("/clientresult/" + c.ConnectionID()) }
	if got := ask(); got != noResult {
		r.Errorf("without a handler: %q", got)
	}
	c.On("Result", Action0(func(context.Context) error { return nil }))
	if got := ask(); got != noResult {
		r.Errorf("with a handler that gives none: %q", got)
	}
	var value func(context.Context) (int, error)
	c.On("Result", Func0(func(ctx context.Context) (int, error) { return value(ctx) }))
	value = func(context.Context) (int, error) { return 0, errors.New("from callback") }
	if got := ask(); got != "from callback" {
		r.Errorf("a handler that fails: %q", got)
	}
	value = func(context.Context) (int, error) { panic("at the disco") }
	if got := ask(); got != handlerFailed {
		r.Errorf("a handler that panics: %q", got)
	}
	value = func(context.Context) (int, error) { return 0, (*HTTPError)(nil) }
	if got := ask(); got != handlerFailed {
		r.Errorf("a handler whose error is a nil pointer: %q", got)
	}
	value = func(ctx context.Context) (int, error) {
		_, err := Invoke[string](ctx, c, "Echo", "meanwhile")
		return -7, err
	}
	if got := ask(); got != "-7" {
		r.Errorf("got %q, want -7", got)
	}
}

func inFlight(r *rig) {
	c := r.connect("/testhub")
	items := make(chan string)
	calls := make(chan error, 2)
	go func() { calls <- c.Invoke(r.within(), "StreamingConcat", UploadChan(items)) }()
	items <- "x"
	go func() {
		_, err := collect(Stream[string](r.within(), c, "InfiniteStream"))
		calls <- err
	}()
	r.echo(c, "y")
	if err := c.Stop(r.within()); err != nil {
		r.Errorf("Stop: %v", err)
	}
	for range 2 {
		err := receive(r, "the end of a call in flight", calls)
		stopped := errors.Is(err, ErrConnectionLost) && errors.Is(err, ErrStopped)
		if !stopped && !errors.Is(err, ErrNotConnected) {
			r.Errorf("a call in flight ended with %v", err)
		}
	}
}

func callCancelled(r *rig) {
	c := r.connect("/lab")
	ctx, cancel := context.WithCancel(r.within())
	started := make(chan string, 1)
	c.On("Started", Action1(func(_ context.Context, s string) error { started <- s; return nil }))
	result := make(chan error, 1)
	go func() { result <- c.Invoke(ctx, "SendThenWait", 100, "s") }()
	receive(r, "the start of the method", started)
	cancel()
	if err := receive(r, "the cancelled call", result); !errors.Is(err, context.Canceled) {
		r.Errorf("the cancelled call: %v", err)
	}
	if got, err := Invoke[string](r.within(), c, "Text", "still"); err != nil || got != "still" {
		r.Errorf("Text: %q, %v", got, err)
	}
}

func serverCloses(r *rig) {
	c := r.open(r.server+"/uncreatable", r.options())
	c.options.Reconnect = ReconnectAfter(0, 0)
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	r.start(c)
	var last StateChange
	for last.To != Disconnected || last.From == Disconnected {
		if last = receive(r, "the end", changes); last.To == Reconnecting {
			r.Error("reconnects after a close that does not allow it")
		}
	}
	closed := new(CloseError)
	if !errors.As(last.Err, &closed) || !strings.HasPrefix(closed.Message, "Connection closed with an error. InvalidOperationException: Unable to resolve service") {
		r.Errorf("ended with %v", last.Err)
	}
}

func closedForAWhile(r *rig) {
	c := r.open(r.server+"/testhub", r.options())
	c.options.Reconnect = ReconnectAfter(0, time.Second)
	changes := make(chan StateChange, 10)
	c.OnStateChange(func(_ context.Context, s StateChange) { changes <- s })
	r.start(c)
	id := c.ConnectionID()
	err := c.Invoke(r.within(), "Echo", strings.Repeat("x", 40000))
	const tooBig = "Connection closed with an error. InvalidDataException: The maximum message size of 32768B was exceeded. The message size can be configured in AddHubOptions."
	closed := new(CloseError)
	if !errors.Is(err, ErrConnectionLost) || !errors.As(err, &closed) || closed.Message != tooBig || !closed.AllowReconnect {
		r.Errorf("the call that was too big: %v", err)
	}
	for receive(r, "the connection again", changes).From != Reconnecting {
	}
	r.echo(c, "still")
	if c.ConnectionID() == id {
		r.Error("the id did not change")
	}
}

func reconnects(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	c.options.Reconnect = ReconnectForever(10*time.Millisecond, 100*time.Millisecond)
	changes := make(chan StateChange, 20)
	c.OnStateChange(func(ctx context.Context, s StateChange) {
		if s.To == Connected {
			if _, err := Invoke[string](ctx, c, "Echo", "in the callback"); err != nil {
				r.Errorf("Echo in the callback: %v", err)
			}
		}
		changes <- s
	})
	got := make(chan string, 20)
	c.On("Message", Action1(func(_ context.Context, s string) error { got <- s; return nil }))
	r.start(c)
	next := func(from, to State) StateChange {
		r.Helper()
		s := receive(r, to.String(), changes)
		if s.From != from || s.To != to {
			r.Fatalf("%v to %v (%v), want %v to %v", s.From, s.To, s.Err, from, to)
		}
		return s
	}
	next(Disconnected, Connecting)
	id := next(Connecting, Connected).ConnectionID
	for i := range 3 {
		pending := make(chan error, 1)
		items := make(chan string)
		go func() { pending <- c.Invoke(r.within(), "StreamingConcat", UploadChan(items)) }()
		items <- "x"
		r.echo(c, "before")
		proxy.fail()
		if s := next(Connected, Reconnecting); s.Err == nil {
			r.Error("reconnecting without a reason")
		}
		if err := receive(r, "the call in flight", pending); !errors.Is(err, ErrConnectionLost) {
			r.Errorf("the call in flight: %v", err)
		}
		if i == 2 {
			refused := proxy.refused.Load()
			r.until("two refused attempts", func() bool { return proxy.refused.Load() >= refused+2 })
			if err := c.Invoke(r.within(), "Echo", "x"); !errors.Is(err, ErrNotConnected) {
				r.Errorf("Echo while reconnecting: %v", err)
			}
		}
		proxy.mend()
		s := next(Reconnecting, Connected)
		if s.ConnectionID == id || s.ConnectionID != c.ConnectionID() || s.Transport != r.combo.transport {
			r.Errorf("reconnected: %+v", s)
		}
		id = s.ConnectionID
		if err := c.Invoke(r.within(), "InvokeWithString", "after"); err != nil {
			r.Error(err)
		}
		receive(r, "a message after reconnecting", got)
	}
}

func givesUp(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	var attempts []int
	c.options.Reconnect = func(a Retry) (time.Duration, bool) {
		attempts = append(attempts, a.Attempts)
		return 0, a.Attempts < 2
	}
	ended := make(chan error, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected {
			ended <- s.Err
		}
	})
	r.start(c)
	proxy.fail()
	err := receive(r, "the end", ended)
	if err == nil || !strings.Contains(err.Error(), "exhausted after 2 failed attempts") || !slices.Equal(attempts, []int{0, 1, 2}) {
		r.Errorf("ended with %v after attempts %v", err, attempts)
	}
}

func notAsked(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	c := r.open(proxy.through(r.server)+"/testhub", r.options())
	ended := make(chan StateChange, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Disconnected || s.To == Reconnecting {
			ended <- s
		}
	})
	r.start(c)
	proxy.fail()
	if s := receive(r, "the end", ended); s.To != Disconnected || s.Err == nil {
		r.Errorf("got %v, %v", s.To, s.Err)
	}
	proxy.mend()
	r.start(c)
	r.echo(c, "again")
}

func runs(r *rig) {
	proxy := newTCPProxy(r.T, r.server)
	proxy.refuse.Store(true)
	c := New(proxy.through(r.server)+"/testhub", r.options())
	if err := c.Run(r.within()); err == nil {
		r.Error("Run without a policy went on although nothing is there")
	}
	c.options.Reconnect = ReconnectForever(time.Millisecond, 10*time.Millisecond)
	connected := make(chan struct{}, 1)
	c.OnStateChange(func(_ context.Context, s StateChange) {
		if s.To == Connected {
			connected <- struct{}{}
		}
	})
	ctx, cancel := context.WithCancel(r.within())
	result := make(chan error, 1)
	go func() { result <- c.Run(ctx) }()
	r.until("three refused attempts", func() bool { return proxy.refused.Load() >= 3 })
	proxy.refuse.Store(false)
	receive(r, "the connection", connected)
	r.echo(c, "x")
	cancel()
	if err := receive(r, "the end of Run", result); err != nil {
		r.Errorf("Run: %v", err)
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
