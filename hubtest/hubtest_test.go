package hubtest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/protocol"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// line is a value whose fields a client sees.
type line struct {
	From string
	Text string
	At   time.Time
}

// chat is a hub that an application would have.
type chat struct {
	clients hub.Context[hub.Sender]
}

func newChat(o hub.Options) (*hub.Hub, *chat) {
	h := hub.New(o)
	c := &chat{hub.NewContext(h, func(s hub.Sender) hub.Sender { return s })}
	h.Handle("Send", hub.Action2(c.Send))
	h.Handle("Join", hub.Action1(c.Join))
	h.Handle("Ask", hub.Func1(c.Ask))
	h.Handle("Count", hub.Stream1(c.Count))
	h.Handle("Sum", hub.Func1(func(_ context.Context, numbers hub.Upload[int]) (sum int, err error) {
		for n, err := range numbers.All() {
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}))
	return h, c
}

func (c *chat) Send(ctx context.Context, room, text string) error {
	if text == "" {
		return hub.NewError("say something")
	}
	from := hub.CallerFrom(ctx).UserID()
	return c.clients.Clients().OthersInGroup(ctx, room).Send(ctx, "Receive", line{from, text, time.Unix(1, 0)})
}

func (c *chat) Join(ctx context.Context, room string) error {
	if err := c.clients.Groups().Add(ctx, hub.CallerFrom(ctx).ConnectionID(), room); err != nil {
		return err
	}
	return c.clients.Clients().Caller(ctx).Send(ctx, "Joined", room)
}

func (c *chat) Ask(ctx context.Context, question string) (bool, error) {
	return hub.Invoke[bool](ctx, c.clients.Clients().Caller(ctx), "Confirm", question)
}

// Count counts one number a minute.
func (c *chat) Count(ctx context.Context, to int) (iter.Seq2[int, error], error) {
	return func(yield func(int, error) bool) {
		for i := range to {
			select {
			case <-time.After(time.Minute):
			case <-ctx.Done():
				return
			}
			if !yield(i, nil) {
				return
			}
		}
	}, nil
}

func want(t *testing.T, c *hubtest.Client, calls ...hubtest.Call) {
	t.Helper()
	if got := c.Received(); !reflect.DeepEqual(got, calls) {
		t.Errorf("received %v, want %v", got, calls)
	}
}

func TestADirectCallReachesTheGroup(t *testing.T) {
	h, chat := newChat(hub.Options{})
	ann, bob, eve := hubtest.Connect(t, h, hubtest.As("ann")), hubtest.Connect(t, h, hubtest.As("bob")), hubtest.Connect(t, h, hubtest.Options{})
	for _, c := range []*hubtest.Client{ann, bob} {
		if err := chat.Join(c.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
	}
	if err := chat.Send(ann.Context(), "lobby", "hello"); err != nil {
		t.Fatal(err)
	}
	want(t, ann, hubtest.Called("Joined", "lobby"))
	want(t, bob, hubtest.Called("Joined", "lobby"), hubtest.Called("Receive", line{"ann", "hello", time.Unix(1, 0)}))
	want(t, eve)
	if got := bob.Groups(); !slices.Equal(got, []string{"lobby"}) {
		t.Errorf("groups %q", got)
	}
}

func TestAnInvocationIsRecordedWhenItReturns(t *testing.T) {
	for _, p := range []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()} {
		t.Run(p.Name(), func(t *testing.T) {
			h, _ := newChat(hub.Options{})
			o := hubtest.As("ann")
			o.Client.Protocol = p
			ann := hubtest.Connect(t, h, o)
			for i := range 100 {
				if err := ann.Invoke(t.Context(), "Join", fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				if n := len(ann.Received()); n != i+1 {
					t.Fatalf("%d calls after %d invocations", n, i+1)
				}
			}
			refused := new(client.HubError)
			if err := ann.Invoke(t.Context(), "Send", "lobby", ""); !errors.As(err, &refused) || refused.Message != "An unexpected error occurred invoking 'Send' on the server. HubException: say something" {
				t.Errorf("Send: %v", err)
			}
			if err := ann.Invoke(t.Context(), "Send", "lobby", 5); !errors.As(err, &refused) || refused.Message != "Failed to invoke 'Send' due to an error on the server." {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

func TestTheCallerHasWhatTheOptionsSay(t *testing.T) {
	type key struct{}
	request := httptest.NewRequest(http.MethodGet, "/rooms/5?x=y", nil)
	request = request.WithContext(context.WithValue(request.Context(), key{}, "value"))
	request.SetPathValue("room", "5")
	user := &auth.User{ID: "ann", Claims: map[string]any{"role": "admin"}}
	h := hub.New(hub.Options{Authorize: []auth.Policy{func(ctx context.Context, u *auth.User) error {
		if u != user || auth.RequestFrom(ctx).PathValue("room") != "5" {
			t.Errorf("a policy sees %v and %v", u, auth.RequestFrom(ctx))
		}
		return nil
	}}})
	h.OnConnected(func(ctx context.Context) error {
		caller := hub.CallerFrom(ctx)
		item, _ := caller.Items().Get(key{})
		if r := caller.Request(); r.PathValue("room") != "5" || r.URL.RawQuery != "x=y" {
			t.Errorf("request %v", r)
		}
		if caller.User() != user || item != 7 || ctx.Value(key{}) != "value" {
			t.Errorf("user %v, item %v, value %v", caller.User(), item, ctx.Value(key{}))
		}
		return nil
	})
	hubtest.Connect(t, h, hubtest.Options{User: user, Request: request, Items: map[any]any{key{}: 7}})
}

func TestAClientAnswers(t *testing.T) {
	h, chat := newChat(hub.Options{})
	ann := hubtest.New(t, h, hubtest.As("ann"))
	ann.On("Confirm", client.Func1(func(_ context.Context, question string) (bool, error) { return question == "sure?", nil }))
	if err := ann.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sure, err := chat.Ask(ann.Context(), "sure?"); !sure || err != nil {
		t.Errorf("a direct call: %v, %v", sure, err)
	}
	if sure, err := client.Invoke[bool](t.Context(), ann.HubConnection, "Ask", "no?"); sure || err != nil {
		t.Errorf("an invocation: %v, %v", sure, err)
	}
	want(t, ann, hubtest.Called("Confirm", "sure?"), hubtest.Called("Confirm", "no?"))
}

func TestAHubMayRefuseAClient(t *testing.T) {
	h := hub.New(hub.Options{})
	h.OnConnected(func(context.Context) error { return hub.NewError("closed on Mondays") })
	ann := hubtest.New(t, h, hubtest.As("ann"))
	ended := make(chan error, 1)
	ann.OnStateChange(func(_ context.Context, change client.StateChange) {
		if change.To == client.Disconnected {
			ended <- change.Err
		}
	})
	if err := ann.Start(t.Context()); err == nil {
		err = <-ended
		closed := new(client.CloseError)
		if !errors.As(err, &closed) || closed.Message != "Connection closed with an error. HubException: closed on Mondays" {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestClientsLiveInABubble(t *testing.T) {
	for name, options := range map[string]client.Options{
		"WebSockets":         {},
		"stateful":           {StatefulReconnect: true},
		"server-sent events": {Transports: []client.Transport{client.ServerSentEvents}},
		"long polling":       {Transports: []client.Transport{client.LongPolling}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, chat := newChat(hub.Options{})
				o := hubtest.As("ann")
				o.Client = options
				ann := hubtest.New(t, h, o)
				joined := 0
				ann.On("Joined", client.Action1(func(context.Context, string) error { joined++; return nil }))
				if err := ann.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := chat.Join(ann.Context(), "lobby"); err != nil {
					t.Fatal(err)
				}
				if synctest.Wait(); joined != 1 {
					t.Errorf("joined %d times", joined)
				}
				stream(t, ann)
				begun := time.Now()
				var got []int
				for n, err := range client.Stream[int](t.Context(), ann.HubConnection, "Count", 60) {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, n)
				}
				if len(got) != 60 || time.Since(begun) != time.Hour {
					t.Errorf("%d numbers after %v", len(got), time.Since(begun))
				}
			})
		})
	}
}

// stream streams up, and down until it cancels.
func stream(t *testing.T, c *hubtest.Client) {
	t.Helper()
	sum, err := client.Invoke[int](t.Context(), c.HubConnection, "Sum", client.UploadSeq(slices.Values([]int{1, 2, 3})))
	if sum != 6 || err != nil {
		t.Errorf("sum %d, %v", sum, err)
	}
	for n, err := range client.Stream[int](t.Context(), c.HubConnection, "Count", 60) {
		if n != 0 || err != nil {
			t.Errorf("count %d, %v", n, err)
		}
		break
	}
}

func TestTheContextEndsWithTheConnection(t *testing.T) {
	h, _ := newChat(hub.Options{})
	ann := hubtest.Connect(t, h, hubtest.As("ann"))
	ctx := ann.Context()
	if err := ann.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if err := h.Clients().User("ann").Send(t.Context(), "Receive"); err != nil {
		t.Error(err)
	}
	want(t, ann)
}

func TestAnApplicationIsReachedInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newChat(hub.Options{})
		e := endpoint.New(h, endpoint.Options{})
		byHeader := auth.Func(func(r *http.Request) (*auth.User, error) {
			if id := r.Header.Get("X-User"); id != "" {
				return &auth.User{ID: id}, nil
			}
			return nil, nil
		})
		http := hubtest.HTTPClient(t, auth.Middleware(byHeader, auth.Require(nil, e)))
		t.Cleanup(func() {
			if err := e.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
		refused := new(client.HTTPError)
		if err := client.New("http://app/chat", client.Options{HTTPClient: http}).Start(t.Context()); !errors.As(err, &refused) || refused.StatusCode != 401 {
			t.Errorf("without a user: %v", err)
		}
		ann := client.New("http://app/chat", client.Options{HTTPClient: http, Header: map[string][]string{"X-User": {"ann"}}})
		if err := ann.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := ann.Invoke(t.Context(), "Join", "lobby"); err != nil {
			t.Error(err)
		}
		if err := ann.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
