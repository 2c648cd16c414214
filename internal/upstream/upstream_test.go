package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/hubtest"
	"github.com/carillon-go/carillon/protocol"
)

func TestEventsHaveTheFormOfTheService(t *testing.T) {
	b := newBackend(t, completeWith(`"sunny"`))
	l := newLab(t, Settings{Templates: []Template{{URL: b.URL + "/api/{hub}/{category}/{event}?code=1"}}}, hub.Options{})
	request := httptest.NewRequest(http.MethodGet, "/hubs/chat?room=a%20b&id=secret&Access_Token=secret&%69d=secret&x", nil)
	user := &auth.User{ID: "ann", Claims: map[string]any{"role": []any{"admin", "owner"}, "age": 30.0, "sub": "ann", "note": nil}}
	c := hubtest.Connect(t, l.hub, hubtest.Options{User: user, Request: request})
	id := c.ConnectionID()
	got, err := client.Invoke[string](t.Context(), c.HubConnection, "Weather", "Paris", 2)
	if err != nil || got != "sunny" {
		t.Errorf("the result is %q, %v", got, err)
	}
	if err := c.Send(t.Context(), "say"); err != nil {
		t.Error(err)
	}
	if err := c.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []struct{ path, category, event, body string }{
		{"/api/chat/connections/connected?code=1", "connections", "connected", `{"type":10}`},
		{"/api/chat/messages/Weather?code=1", "messages", "Weather", `{"type":1,"invocationId":"1","target":"Weather","arguments":["Paris",2]}`},
		{"/api/chat/messages/say?code=1", "messages", "say", `{"type":1,"target":"say","arguments":[]}`},
		{"/api/chat/connections/disconnected?code=1", "connections", "disconnected", `{"type":11}`},
	} {
		r := b.next(t)
		if r.path != want.path || r.body != want.body {
			t.Errorf("the backend gets %s %s, want %s %s", r.path, r.body, want.path, want.body)
		}
		for name, values := range map[string][]string{
			"Content-Type":         {"application/json"},
			"X-ASRS-Connection-Id": {id},
			"X-ASRS-Hub":           {"chat"},
			"X-ASRS-Category":      {want.category},
			"X-ASRS-Event":         {want.event},
			"X-ASRS-User-Id":       {"ann"},
			"X-ASRS-User-Claims":   {"age: 30", "role: admin", "role: owner", "sub: ann"},
			"X-ASRS-Client-Query":  {"room=a%20b&x"},
			"X-ASRS-Signature":     {testKeys(t)().Signature(id)},
		} {
			if got := r.header.Values(name); !slices.Equal(got, values) {
				t.Errorf("%s: %s is %q, want %q", want.event, name, got, values)
			}
		}
		if got := r.header.Get("Webhook-Signature"); strings.Count(got, "v1,") != 2 || !strings.HasPrefix(r.header.Get("Webhook-Id"), "msg_") {
			t.Errorf("%s: the signature is %q", want.event, got)
		}
		if strings.Contains(fmt.Sprint(r.header), "secret") {
			t.Errorf("%s: the headers have a secret", want.event)
		}
	}
	if l.log.String() != "" {
		t.Errorf("the log has %s", l.log)
	}
}

// Nothing that a client chooses ends a header or adds one.
func TestHeadersCannotBeInjected(t *testing.T) {
	b := newBackend(t, completeWith("1"))
	l := newLab(t, Settings{Templates: []Template{{URL: b.URL}}}, hub.Options{})
	user := &auth.User{ID: "a\r\nX-Evil: 1", Claims: map[string]any{"n\nX-Evil: 1": "v\r\n\r\nX-Evil: 1", " x: y": " 50% "}}
	for i := range 100 {
		user.Claims[fmt.Sprintf("z%03d", i)] = strings.Repeat("z", 100)
	}
	request := httptest.NewRequest(http.MethodGet, "/?a", nil)
	request.URL.RawQuery = "a=b\r\nX-Evil: 1"
	c := hubtest.Connect(t, l.hub, hubtest.Options{User: user, Request: request})
	if _, err := client.Invoke[int](t.Context(), c.HubConnection, "ü\r\nX-Evil: 1"); err != nil {
		t.Error(err)
	}
	err := c.Invoke(t.Context(), strings.Repeat("\n", 400))
	if err == nil || err.Error() != "Invocation failed, target not valid." {
		t.Errorf("a target that is too long: %v", err)
	}
	_ = b.next(t)
	r := b.next(t)
	if r.header.Get("X-Evil") != "" {
		t.Error("a header is injected")
	}
	claims := r.header.Values("X-ASRS-User-Claims")
	for name, want := range map[string]string{
		"X-ASRS-User-Id": "a%0D%0AX-Evil: 1", "X-ASRS-Event": "%C3%BC%0D%0AX-Evil: 1", "X-ASRS-Client-Query": "a=b%0D%0AX-Evil:%201",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(claims) < 3 || claims[0] != "%20x%3A y: %2050%25%20" || claims[1] != "n%0AX-Evil%3A 1: v%0D%0A%0D%0AX-Evil: 1" {
		t.Errorf("the claims are %q", claims)
	}
	size := 0
	for _, lines := range r.header {
		for _, line := range lines {
			size += len(line)
		}
	}
	if len(claims) > maxClaimsLines || size > 16<<10 {
		t.Errorf("%d claims, %d bytes of headers", len(claims), size)
	}
	if !strings.Contains(l.log.String(), "webhook without some headers") {
		t.Errorf("the log has %s", l.log)
	}
}

func TestAnswersComplete(t *testing.T) {
	pack := func() protocol.HubProtocol { return protocol.NewMessagePack() }
	for name, c := range map[string]struct {
		format   string
		protocol func() protocol.HubProtocol
		answer   http.HandlerFunc
		want     any
		err      string
	}{
		"JSON":                       {answer: completeWith(`{"a":[1,2.5]}`), want: map[string]any{"a": []any{1.0, 2.5}}},
		"an error":                   {answer: write(`{"type":3,"invocationId":"1","error":"no such city"}` + "\x1e"), err: "no such city"},
		"empty":                      {answer: write("")},
		"204":                        {answer: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
		"null":                       {answer: completeWith("null")},
		"without a result":           {answer: write(`{"type":3,"invocationId":"1"}` + "\x1e")},
		"large":                      {answer: completeWith(`"` + strings.Repeat("x", 1<<20) + `"`), want: strings.Repeat("x", 1<<20)},
		"MessagePack":                {protocol: pack, answer: write("\x07\x95\x03\x80\xa11\x03\x07"), want: int64(7)},
		"MessagePack, empty":         {protocol: pack, answer: write("")},
		"JSON for MessagePack":       {format: "json", protocol: pack, answer: completeWith(`{"a":[1,2.5]}`), want: map[string]any{"a": []any{int64(1), 2.5}}},
		"plain JSON for MessagePack": {format: "json", protocol: pack, answer: plainly("application/json; charset=utf-8"), want: int64(5)},
		"plain JSON":                 {format: "json", answer: plainly("application/json"), want: 5.0},
		"plain JSON of another type": {format: "json", answer: plainly("text/plain"), err: "Invocation failed, response not valid."},
		"plain JSON without format":  {answer: plainly("application/json"), err: "Invocation failed, response not valid."},
		"not for MessagePack":        {format: "json", protocol: pack, answer: completeWith(`"` + "\xff" + `"`), err: "An unexpected error occurred invoking 'Say' on the server."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBackend(t, c.answer)
			l := newLab(t, Settings{Templates: []Template{{URL: b.URL, Categories: []string{"messages"}, Format: c.format}}}, hub.Options{})
			var o hubtest.Options
			if c.protocol != nil {
				o.Client.Protocol = c.protocol()
			}
			conn := hubtest.Connect(t, l.hub, o)
			got, err := client.Invoke[any](t.Context(), conn.HubConnection, "Say", "x", 1)
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("the error is %v, want %s", err, c.err)
				}
			} else if err != nil || fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", c.want) {
				t.Errorf("the result is %#v, %v, want %#v", got, err, c.want)
			}
			r, isJSON := b.next(t), c.format == "json" || c.protocol == nil
			if want := `{"type":1,"invocationId":"1","target":"Say","arguments":["x",1]}`; isJSON && (r.body != want || r.header.Get("Content-Type") != "application/json") {
				t.Errorf("the backend gets %s %s", r.header.Get("Content-Type"), r.body)
			}
			if want := "\x96\x01\x80\xa11\xa3Say\x92\xa1x\x01\x90"; !isJSON && (r.body != want || r.header.Get("Content-Type") != "application/x-msgpack") {
				t.Errorf("the backend gets %s %q", r.header.Get("Content-Type"), r.body)
			}
		})
	}
}

func TestAnswersHaveALimit(t *testing.T) {
	l := newLab(t, Settings{}, hub.Options{})
	for size, ok := range map[int64]bool{0: true, smallAnswer: true, smallAnswer + 1: true, 4 * piece: true, maxAnswer: true, maxAnswer + 1: false} {
		for _, declared := range []int64{-1, size} {
			r := &http.Response{ContentLength: declared, Body: io.NopCloser(io.LimitReader(zeros{}, size))}
			got, err := l.read(t.Context(), r, maxAnswer)
			if (err == nil) != ok || ok && int64(len(got)) != size {
				t.Errorf("of %d bytes, %d declared, there are %d, %v", size, declared, len(got), err)
			}
		}
	}
	if len(l.large) > 0 {
		t.Error("a place is not given back")
	}
}

// plainly answers with a completion without the separator.
func plainly(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, ` {"type":3,"invocationId":"1","result":5} `+"\n")
	}
}

func TestEventThatNoTemplateMatches(t *testing.T) {
	b := newBackend(t, nil)
	l := newLab(t, Settings{Templates: []Template{{URL: b.URL, Events: []string{"Say"}}}}, hub.Options{})
	c := hubtest.Connect(t, l.hub, hubtest.Options{})
	if err := c.Invoke(t.Context(), "Shout"); err == nil || !strings.HasSuffix(err.Error(), "HubException: Method does not exist.") {
		t.Errorf("the error is %v", err)
	}
	for item, err := range client.Stream[int](t.Context(), c.HubConnection, "Say") {
		if err == nil || !strings.Contains(err.Error(), "streaming") {
			t.Errorf("a stream: %v, %v", item, err)
		}
	}
	if err := c.Stop(t.Context()); err != nil || len(b.requests) > 0 {
		t.Errorf("the backend gets %d requests, %v", len(b.requests), err)
	}
}

// The client that leaves cancels its request.
func TestClientThatLeavesCancelsItsRequest(t *testing.T) {
	canceled := make(chan struct{})
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-ASRS-Event") == "Say" {
			<-r.Context().Done()
			close(canceled)
		}
		w.WriteHeader(http.StatusNoContent)
	})
	l := newLab(t, Settings{Templates: []Template{{URL: b.URL, Timeout: maxTimeout}}}, hub.Options{})
	c := hubtest.Connect(t, l.hub, hubtest.Options{})
	if err := c.Send(t.Context(), "Say"); err != nil {
		t.Fatal(err)
	}
	_, _ = b.next(t), b.next(t)
	_ = c.Stop(t.Context())
	select {
	case <-canceled:
	case <-time.After(patience):
		t.Fatal("the request continues")
	}
	if r := b.next(t); r.header.Get("X-ASRS-Event") != "disconnected" {
		t.Errorf("the next event is %v", r.header)
	}
}

// More requests than the backend may get wait for their turn, within their timeout.
func TestRequestsWaitForTheirTurn(t *testing.T) {
	release := make(chan struct{})
	b := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		<-release
		completeWith("1")(w, r)
	})
	t.Cleanup(func() { // before the server's end
		select {
		case <-release:
		default:
			close(release)
		}
	})
	s := Settings{MaxRequests: 2, Templates: []Template{
		{URL: b.URL, Categories: []string{"messages"}, Events: []string{"impatient"}, Timeout: 200 * time.Millisecond},
		{URL: b.URL, Categories: []string{"messages"}, Timeout: patience},
	}}
	l := newLab(t, s, hub.Options{})
	results := make(chan error, 4)
	for range 4 {
		c := hubtest.Connect(t, l.hub, hubtest.Options{})
		go func() { results <- c.Invoke(t.Context(), "Say") }()
	}
	_, _ = b.next(t), b.next(t)
	c := hubtest.Connect(t, l.hub, hubtest.Options{})
	if err := c.Invoke(t.Context(), "impatient"); err == nil || err.Error() != "Invocation failed, status code 503" {
		t.Errorf("its turn does not come: %v", err)
	}
	if s := l.Stats(); s.InFlight != 2 || l.meter.count("message busy") != 1 {
		t.Errorf("there are %+v, %v", s, l.meter.counts)
	}
	if err := l.Set(&s); err != nil { // requests of before count on
		t.Fatal(err)
	}
	if err := c.Invoke(t.Context(), "impatient"); err == nil || err.Error() != "Invocation failed, status code 503" {
		t.Errorf("its turn comes by Set: %v", err)
	}
	s.MaxRequests = 4
	if err := l.Set(&s); err != nil {
		t.Fatal(err)
	}
	close(release)
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"type":3,"invocationId":"1","result":1}` + "\x1e", `{"type":3,"invocationId":"1","error":"x"}`,
		"\x07\x95\x03\x80\xa11\x03\x07", `{"type":3}{}` + "\x1e", "\x1e", "",
	} {
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, plain bool) {
		for name, p := range codecs {
			a := &answer{contentType: contentJSON, body: body}
			got, err := a.completion(name, "1", plain)
			if err != nil && !errors.Is(err, errAnswer) {
				t.Errorf("%s: %v", name, err)
			}
			if err == nil && got.Result != nil { // the hub fails the invocation if it cannot write the result
				_, _ = p.AppendResult(nil, "1", protocol.Raw{Protocol: name, Data: got.Result})
			}
		}
	})
}
