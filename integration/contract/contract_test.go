package contract

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// room is a room of one test. It has a history, and no end.
type room struct {
	clients ChatContext
	mu      sync.Mutex
	said    []Message
	streams sync.WaitGroup
}

var _ ChatHub = (*room)(nil)

var errNowhere = hub.NewError("there is no room nowhere")

func (r *room) Send(ctx context.Context, room, text string) error {
	m := Message{Room: room, Text: text, Kind: Spoken, At: time.Unix(1, 0).UTC()}
	r.mu.Lock()
	m.ID = len(r.said)
	r.said = append(r.said, m)
	r.mu.Unlock()
	return r.clients.Clients().All().Receive(ctx, m)
}

func (r *room) History(_ context.Context, _ string, n int) ([]Message, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said[max(0, len(r.said)-n):]), nil
}

func (r *room) Follow(ctx context.Context, room string) (iter.Seq2[Message, error], error) {
	if room == "nowhere" {
		return nil, errNowhere
	}
	all, _ := r.History(ctx, "", 100)
	r.streams.Add(1)
	return func(yield func(Message, error) bool) {
		defer r.streams.Done()
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
		<-ctx.Done()
	}, nil
}

func (r *room) Import(ctx context.Context, room string, lines iter.Seq2[string, error]) (n int, err error) {
	for line, err := range lines {
		if err != nil {
			return n, err
		}
		if err := r.Send(ctx, room, line); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (r *room) Echo(_ context.Context, values iter.Seq2[Values, error]) (iter.Seq2[Values, error], error) {
	return values, nil
}

func (r *room) Ask(ctx context.Context, question string) (bool, error) {
	return r.clients.Caller(ctx).Confirm(ctx, question)
}

func (r *room) RoundTrip(_ context.Context, v Values) (Values, error) { return v, nil }

func (r *room) Leave(_ context.Context, room string) error {
	if room == "nowhere" {
		return errNowhere
	}
	r.streams.Wait()
	return nil
}

func (r *room) Any(_ context.Context, v any) (any, error) { return v, nil }

// serve serves a room at /hub, the clock at /clock and the page of the browser. It returns
// the origin.
func serve(t *testing.T) string {
	t.Helper()
	rooms := hub.New(hub.Options{MaxParallelInvocations: 2, DetailedErrors: true})
	RegisterChatHub(rooms, &room{clients: NewChatContext(rooms)})
	clocks := hub.New(hub.Options{})
	clock.Register(clocks)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir("runners")))
	mux.Handle("/node_modules/", http.FileServer(http.Dir(".")))
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for path, h := range map[string]*hub.Hub{"/hub": rooms, "/clock": clocks} {
		e := endpoint.New(h, endpoint.Options{})
		mux.Handle(path, e)
		mux.Handle(path+"/", e)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			if err := e.Shutdown(ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
	return s.URL
}

// person is a Chat.
type person struct {
	Chat
	said chan string
}

func (p person) Receive(_ context.Context, m Message) error {
	p.said <- m.Text
	return nil
}

func (p person) Confirm(_ context.Context, question string) (bool, error) {
	return question == "sure?", nil
}

func sample() Values {
	three, next := 3, "next"
	message := Message{Header: Header{7}, Room: "r", Text: "t", Kind: Shouted, At: time.Date(2026, 2, 28, 23, 59, 59, 123456700, time.UTC)}
	return Values{
		Text: "ü", Truth: true, Small: -128, Long: 1<<63 - 1, Real: 1.5, Bytes: []byte{1, 2, 255}, At: message.At, Span: 26 * time.Hour,
		Level: High, Maybe: &three, Names: map[string]string{"a": "b"},
		Page: Page[Message]{Items: []Message{message}, Next: &next}, Children: []Values{{At: message.At, Level: Low, Anything: "x"}}, Anything: "two", Untagged: 5,
	}
}

// TestGo calls the methods through the generated Go client.
func TestGo(t *testing.T) {
	for _, p := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
		t.Run(p.Name(), func(t *testing.T) {
			conn := client.New(serve(t)+"/hub", client.Options{Protocol: p})
			said := make(chan string, 10)
			ReceiveChat(conn, person{said: said})
			if err := conn.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Stop(context.Background()) }()
			check(t, NewChatHubClient(conn), said)
		})
	}
}

func check(t *testing.T, c ChatHub, said chan string) {
	t.Helper()
	ctx := t.Context()
	lines := func(yield func(string, error) bool) { _ = yield("a", nil) && yield("b", nil) }
	if n, err := c.Import(ctx, "lobby", lines); n != 2 || err != nil {
		t.Errorf("imported %d, %v", n, err)
	}
	if got := []string{<-said, <-said}; !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("said %v", got)
	}
	if sure, err := c.Ask(ctx, "sure?"); !sure || err != nil {
		t.Errorf("asked: %v, %v", sure, err)
	}
	if got, err := c.RoundTrip(ctx, sample()); err != nil || !reflect.DeepEqual(got, sample()) {
		t.Errorf("round trip: %v\ngot  %+v\nwant %+v", err, got, sample())
	}
	echoed, err := c.Echo(ctx, func(yield func(Values, error) bool) { yield(sample(), nil) })
	if err != nil {
		t.Fatal(err)
	}
	for v, err := range echoed {
		if err != nil || !reflect.DeepEqual(v, sample()) {
			t.Errorf("echo: %+v, %v", v, err)
		}
	}
	refused := new(client.HubError)
	if err := c.Leave(ctx, "nowhere"); !errors.As(err, &refused) {
		t.Errorf("leave: %v", err)
	}
	followed, err := c.Follow(ctx, "lobby")
	if err != nil {
		t.Fatal(err)
	}
	for m, err := range followed {
		if err != nil || m.Kind != Spoken {
			t.Errorf("follow: %+v, %v", m, err)
		}
		break
	}
	if err := c.Leave(ctx, "lobby"); err != nil { // it waits for the end of the stream
		t.Error(err)
	}
}
