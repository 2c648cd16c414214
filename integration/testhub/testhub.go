package main

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/protocol"
	"github.com/carillon-go/carillon/transports"
)

// addTestHubs mounts the variants of the test hub, the hubs that require a token or a ticket,
// the hub that refuses every connection, the raw echo, and the clock.
func (s *site) addTestHubs(t timeouts, tokens *tokens) {
	s.testHub = newTestHub(s.hub("/testhub", t))
	s.serve("/testhub", s.testHub, endpoint.Options{Options: t.transports()}, tokens.welcome)
	s.serve("/testhub-nowebsockets", s.testHub, endpoint.Options{
		Options:    t.transports(),
		Transports: []transports.Type{transports.ServerSentEvents, transports.LongPolling},
	}, tokens.welcome)
	stateful := t.transports()
	stateful.AllowStatefulReconnect = true
	s.serve("/testhub-stateful", s.testHub, endpoint.Options{Options: stateful}, tokens.welcome)

	o := s.hub("/authorizedhub", t)
	o.Authorize = []auth.Policy{auth.Authenticated}
	authorized := hub.New(o)
	authorized.Handle("Echo", hub.Func1(echoText))
	s.serve("/authorizedhub", authorized, endpoint.Options{Options: t.transports()}, tokens.required)

	ticketed := endpoint.Options{TicketLifetime: 30 * time.Second, Authenticator: auth.Func(tokens.authenticate)}
	s.serve("/ticketedhub", authorized, ticketed, func(h http.Handler) http.Handler { return h })

	uncreatable := hub.New(s.hub("/uncreatable", t))
	uncreatable.OnConnected(func(context.Context) error {
		return invalidOperation("Unable to resolve service for type 'System.Object' while attempting to activate 'FunctionalTests.UncreatableHub'.")
	})
	s.serve("/uncreatable", uncreatable, endpoint.Options{Options: t.transports()}, tokens.welcome)
	raw := endpoint.Options{Options: t.transports()}
	s.node.join("/echo", &raw)
	s.add("/echo", endpoint.NewRaw(echo{}, raw), tokens.welcome)

	clocks := hub.New(s.hub("/clockhub", t))
	s.clocks = clock.Register(clocks)
	for _, path := range []string{"/clockhub", "/hubs/clock"} {
		s.serve(path, clocks, endpoint.Options{Options: transports.Options{AllowedOrigins: []string{"*"}}}, tokens.welcome)
	}
}

// hub returns the options of a hub.
func (s *site) hub(name string, t timeouts) hub.Options {
	o := t.hub()
	s.planes.join(name, &o)
	return o
}

// customObject is the argument of SendCustomObject.
type customObject struct {
	Name  *string
	Value int32
}

// complexObject holds the types that the two protocols encode differently. .NET's strings,
// arrays and references may be null.
type complexObject struct {
	String    *string
	IntArray  []int32
	ByteArray []byte
	Guid      protocol.Guid
	DateTime  time.Time
}

// testHub is the hub of the functional tests.
type testHub struct{ clients hub.Clients[hub.Sender] }

func newTestHub(o hub.Options) *hub.Hub {
	h := hub.New(o)
	t := testHub{h.Clients()}
	h.Handle("Echo", hub.Func1(echoText))
	h.Handle("GetCallerConnectionId", hub.Func0(t.callerConnectionID))
	h.Handle("GetNumRedirects", hub.Func0(t.numRedirects))
	h.Handle("ThrowException", hub.Action1(t.throwException))
	h.Handle("InvokeWithString", hub.Action1(t.invokeWithString))
	h.Handle("SendCustomObject", hub.Action1(t.sendCustomObject))
	h.Handle("Stream", hub.Stream0(t.stream))
	h.Handle("EmptyStream", hub.Stream0(t.emptyStream))
	h.Handle("InfiniteStream", hub.Stream0(t.infiniteStream))
	h.Handle("StreamThrowException", hub.Stream1(t.streamThrowException))
	h.Handle("StreamingConcat", hub.Func1(t.streamingConcat))
	h.Handle("GetActiveTransportName", hub.Func0(t.activeTransportName))
	h.Handle("EchoComplexObject", hub.Func1(t.echoComplexObject))
	h.Handle("SendComplexObject", hub.Func0(t.sendComplexObject))
	h.Handle("GetContentTypeHeader", hub.Func0(t.contentTypeHeader))
	h.Handle("GetHeader", hub.Func1(t.header))
	h.Handle("GetCookie", hub.Func1(t.cookie))
	return h
}

// echoText takes a pointer, so that .NET's null string stays null.
func echoText(_ context.Context, text *string) (*string, error) { return text, nil }

func request(ctx context.Context) *http.Request { return hub.CallerFrom(ctx).Request() }

// self returns the caller, addressed by its connection id as in ASP.NET Core's methods.
func (t testHub) self(ctx context.Context) hub.Sender {
	return t.clients.Client(hub.CallerFrom(ctx).ConnectionID())
}

func (t testHub) callerConnectionID(ctx context.Context) (string, error) {
	return hub.CallerFrom(ctx).ConnectionID(), nil
}

func (t testHub) numRedirects(ctx context.Context) (int, error) {
	query := request(ctx).URL.Query()
	if !query.Has("numRedirects") {
		return 0, typed{"ArgumentNullException", "Value cannot be null. (Parameter 's')"}
	}
	text := query.Get("numRedirects")
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, typed{"FormatException", "The input string '" + text + "' was not in a correct format."}
	}
	return n, nil
}

func (t testHub) throwException(_ context.Context, message *string) error {
	return thrown(message)
}

// thrown returns an InvalidOperationException. Without a message it has .NET's default text.
func thrown(message *string) error {
	if message == nil {
		return invalidOperation("Operation is not valid due to the current state of the object.")
	}
	return invalidOperation(*message)
}

func (t testHub) invokeWithString(ctx context.Context, message *string) error {
	return t.self(ctx).Send(ctx, "Message", message)
}

func (t testHub) sendCustomObject(ctx context.Context, o *customObject) error {
	return t.self(ctx).Send(ctx, "CustomObject", o)
}

func (t testHub) stream(context.Context) (iter.Seq2[string, error], error) {
	return items("a", "b", "c"), nil
}

func (t testHub) emptyStream(context.Context) (iter.Seq2[int, error], error) {
	return items[int](), nil
}

// items returns a stream of all, which ends without an error.
func items[T any](all ...T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

func (t testHub) infiniteStream(ctx context.Context) (iter.Seq2[string, error], error) {
	return func(func(string, error) bool) {
		<-ctx.Done()
		outlives := context.WithoutCancel(ctx)
		_ = t.clients.Caller(outlives).Send(outlives, "StreamCanceled") // fails if the client has left
	}, nil
}

func (t testHub) streamThrowException(_ context.Context, message *string) (iter.Seq2[string, error], error) {
	return nil, thrown(message)
}

func (t testHub) streamingConcat(_ context.Context, texts hub.Upload[*string]) (string, error) {
	var all strings.Builder
	for text, err := range texts.All() {
		if err != nil {
			return "", err
		}
		if text != nil {
			all.WriteString(*text)
		}
	}
	return all.String(), nil
}

func (t testHub) activeTransportName(ctx context.Context) (string, error) {
	return hub.CallerFrom(ctx).Transport(), nil
}

func (t testHub) echoComplexObject(_ context.Context, o *complexObject) (*complexObject, error) {
	return o, nil
}

func (t testHub) sendComplexObject(context.Context) (complexObject, error) {
	text := "hello world"
	return complexObject{
		String:    &text,
		IntArray:  []int32{1, 2, 3},
		ByteArray: []byte{1, 2, 3},
		Guid:      guid,
		DateTime:  time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
	}, nil
}

var guid = protocol.Guid{0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0x00}

func (t testHub) contentTypeHeader(ctx context.Context) (*string, error) {
	return headerOf(request(ctx), "Content-Type"), nil
}

func (t testHub) header(ctx context.Context, name *string) (*string, error) {
	if name == nil { // Kestrel's own header collection fails; the one that outlives a poll reports an error
		if hub.CallerFrom(ctx).Transport() == string(transports.LongPolling) {
			return nil, typed{"ArgumentNullException", "Value cannot be null. (Parameter 'key')"}
		}
		return nil, nullReference
	}
	return headerOf(request(ctx), *name), nil
}

// headerOf returns a header's values joined by commas, or nil if the header is missing.
// net/http keeps Host outside the headers.
func headerOf(r *http.Request, name string) *string {
	values := r.Header.Values(name)
	if fold.Equal(name, "Host") {
		values = []string{r.Host}
	}
	if len(values) == 0 {
		return nil
	}
	joined := strings.Join(values, ",")
	return &joined
}

// cookie finds a cookie. Names ignore case.
func (t testHub) cookie(ctx context.Context, name *string) (*string, error) {
	if name == nil {
		return nil, typed{"ArgumentNullException", "Value cannot be null. (Parameter 'key')"}
	}
	for part := range strings.SplitSeq(strings.Join(request(ctx).Header.Values("Cookie"), ";"), ";") {
		key, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || !fold.Equal(key, *name) {
			continue
		}
		if plain, err := url.PathUnescape(value); err == nil {
			value = plain
		}
		return &value, nil
	}
	return nil, nil //nolint:nilnil // no such cookie
}
