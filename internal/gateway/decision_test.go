package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/internal/hubfile"
)

// deciding are three programs in a cluster, whose backend decides about the clients of the hubs
// chat and other, and puts them in the group red.
type deciding struct {
	*testing.T
	all    []*running
	events chan string // of the backend
}

func startDeciding(t *testing.T) *deciding {
	url, events := webhooks(t, "backend")
	chat, other := hubfile.New("chat"), hubfile.New("other")
	for _, h := range []*hubfile.Hub{&chat, &other} {
		h.Clients.Connect, h.Upstream = &hubfile.Connect{URL: url}, []hubfile.Upstream{{URL: url}}
	}
	addresses, all := startCluster(t, withHubs(chat, other), func(c *Config) { c.APIKeyFile = secretFile(t, apiKey) })
	all[0].do(http.MethodGet, "/healthz", "") // it serves its metrics, too
	awaitMetrics(t, "http://"+addresses[3]+"/metrics",
		`carillon_cluster_node_up{address="`+addresses[1]+`"} 1`, `carillon_cluster_node_up{address="`+addresses[2]+`"} 1`)
	return &deciding{t, all, events}
}

// expect waits for events at the backend, in their order, and for no other.
func (d *deciding) expect(events ...string) {
	d.Helper()
	for _, want := range events {
		select {
		case got := <-d.events:
			if got != want {
				d.Fatalf("the event is %s, want %s of %q", got, want, events)
			}
		case <-time.After(time.Minute):
			d.Fatalf("there is no event %s of %q", want, events)
		}
	}
	if len(d.events) > 0 {
		d.Errorf("after %q there is %s", events, <-d.events)
	}
}

// publish sends a message from each program, because a cluster carries none without Redis.
func (d *deciding) publish(to, text string) {
	for _, r := range d.all {
		r.publish(to, text)
	}
}

// One program decides about a client by the connect call, and others open its connection and get
// its requests. The decision holds there, and the backend is asked once.
func TestOneProgramDecidesAndOthersServe(t *testing.T) {
	d := startDeciding(t)
	for name, o := range map[string]client.Options{
		"WebSockets":                     {Transports: []client.Transport{client.WebSockets}},
		"ServerSentEvents":               {Transports: []client.Transport{client.ServerSentEvents}},
		"LongPolling":                    {Transports: []client.Transport{client.LongPolling}},
		"WebSockets without negotiation": {Transports: []client.Transport{client.WebSockets}, SkipNegotiation: true},
	} {
		for first := range d.all { // the program that decides
			turn := &turns{targets: slices.Concat(d.all[first:], d.all[:first]), transport: http.DefaultTransport.(*http.Transport).Clone()}
			turn.next.Store(-1)
			turn.transport.DialContext, turn.transport.DisableKeepAlives = turn.dial, true // each request goes to another program
			o.HTTPClient, o.Memory = &http.Client{Transport: turn.transport}, client.NewMemory()
			l := &listener{client.New("http://hub/hubs/chat", o), make(chan string, 10)}
			l.On("news", client.Action1(func(_ context.Context, text string) error { l.got <- text; return nil }))
			if err := l.Start(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got, err := client.Invoke[string](t.Context(), l.HubConnection, "Who"); err != nil || got != "backend" {
				t.Errorf("%s: an invocation: %q, %v", name, got, err)
			}
			for _, to := range []string{"chat/groups/red", "chat/users/ann"} {
				d.publish(to, to)
				l.expect(t, to)
			}
			if err := l.Stop(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			d.expect("connect", "connected", "Who", "disconnected")
		}
	}
	for _, r := range d.all {
		ctx, cancel := context.WithCancel(t.Context())
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/hubs/chat/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		stream, err := r.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		d.expect("connect", "connected")
		d.publish("chat/groups/red", "events")
		for lines := bufio.NewScanner(stream.Body); lines.Scan() && lines.Text() != `data: ["events"]`; {
		}
		cancel()
		_ = stream.Body.Close()
		d.expect("disconnected")
	}
}

// A ticket, which carries the decision, opens one connection of one hub, at any program. At another
// hub, for a second connection, and after the end of its program it decides nothing: the backend is
// asked again.
func TestTicketsOfADecisionInACluster(t *testing.T) {
	d := startDeciding(t)
	ask := func(r *running, method, path, token string) (status int, answer struct{ AccessToken, ConnectionToken string }) {
		t.Helper()
		header := []string{"Authorization", "Bearer " + token}
		if token == "" {
			header = nil
		}
		response := r.do(method, path, "", header...)
		_ = json.Unmarshal([]byte(text(t, response)), &answer)
		return response.StatusCode, answer
	}
	const chat, other = "/hubs/chat/negotiate?negotiateVersion=1", "/hubs/other/negotiate?negotiateVersion=1"
	decide := func(r *running, path, token string) (ticket string) {
		t.Helper()
		status, answer := ask(r, http.MethodPost, path, token)
		if status != http.StatusOK || answer.ConnectionToken != "" || !strings.HasPrefix(answer.AccessToken, "ticket.") {
			t.Fatalf("the backend does not decide: %d %+v", status, answer)
		}
		d.expect("connect")
		return answer.AccessToken
	}
	ticket := decide(d.all[0], chat, "")
	for i, r := range d.all {
		decide(r, other, ticket)
		if status, _ := ask(r, http.MethodGet, "/hubs/chat/events", ticket); status != http.StatusUnauthorized {
			t.Errorf("program %d, an event stream: %d", i, status)
		}
	}
	_, offer := ask(d.all[1], http.MethodPost, chat, ticket)
	connection := "/hubs/chat?id=" + offer.ConnectionToken
	if status, _ := ask(d.all[2], http.MethodGet, connection, ""); status != http.StatusUnauthorized {
		t.Errorf("the connection without the ticket: %d", status)
	}
	if status, _ := ask(d.all[2], http.MethodGet, connection, ticket); status != http.StatusOK {
		t.Fatalf("the first poll: %d", status)
	}
	for _, r := range d.all {
		decide(r, chat, ticket)
	}
	if status, _ := ask(d.all[1], http.MethodDelete, connection, ticket); status != http.StatusAccepted {
		t.Errorf("the end: %d", status)
	}
	ticket = decide(d.all[2], chat, "")
	d.all[2].stop()
	err := <-d.all[2].ended
	d.all[2].ended <- err
	decide(d.all[0], chat, ticket)
}
