package publish_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/publish"
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

const (
	accessKey = "access key access key access key 1"
	apiKey    = "an-API-key-that-is-long-enough-01"
	otherKey  = "an-API-key-of-another-hub-000000002"
	version   = "api-version=2024-12-01"
)

// lab is the interface for the hub chat, beside which the hub other has keys of its own.
type lab struct {
	t    testing.TB
	chat *hosting.Hub
	api  http.Handler
	keys *accesskey.Keys
}

func newLab(t testing.TB, o hosting.Options) *lab {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &lab{t: t, keys: newKeys(t, strings.ReplaceAll(accessKey, " ", "-"), apiKey)}
	l.chat = hosting.New("chat", o)
	l.chat.SetKeys(l.keys)
	o.Backplane = nil
	other := hosting.New("app_other", o)
	other.SetKeys(newKeys(t, "", otherKey))
	l.api = publish.New(publish.Options{Hubs: hosting.NewHubs(l.chat, other), Logger: o.Logger})
	t.Cleanup(func() {
		for _, h := range []*hosting.Hub{l.chat, other} {
			if err := h.Hub.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func newKeys(t testing.TB, access, api string) *accesskey.Keys {
	t.Helper()
	var signing []string
	if access != "" {
		signing = []string{access}
	}
	keys, err := accesskey.Parse(signing, []string{api}, accesskey.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// ask makes a request. An answer of success has no body unless it is JSON.
func (l *lab) ask(method, url, body string, header ...string) *httptest.ResponseRecorder {
	l.t.Helper()
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.Header.Set("X-Api-Key", apiKey)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			r.Header.Del(header[i])
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	l.api.ServeHTTP(w, r)
	code := w.Header().Get("x-ms-error-code")
	if w.Code >= 400 != (code != "") {
		l.t.Errorf("%s %s: %d with the code %q", method, url, w.Code, code)
	}
	if w.Code >= 400 {
		var detail struct{ Code, Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &detail); err != nil || detail.Code != code || detail.Message == "" {
			l.t.Errorf("%s %s: %s", method, url, w.Body)
		}
	}
	return w
}

// want makes a request and checks the status and, unless it is "", the code.
func (l *lab) want(status int, code, method, url, body string, header ...string) *httptest.ResponseRecorder {
	l.t.Helper()
	w := l.ask(method, url, body, header...)
	if w.Code != status || code != "" && w.Header().Get("x-ms-error-code") != code {
		l.t.Errorf("%s %s: %d %s; want %d %s", method, url, w.Code, w.Body, status, code)
	}
	return w
}

// client is a client of the hub that records what is sent to it.
type client struct {
	t       testing.TB
	id      string
	session *hub.Session
	ctx     context.Context
	cancel  context.CancelCauseFunc

	mu     sync.Mutex
	frames []string
	answer func(frame string) string
}

// connect connects a client of a protocol, with a user and without if the id is empty.
func (l *lab) connect(id, protocol, user string, groups ...string) *client {
	l.t.Helper()
	c := &client{t: l.t, id: id}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	info := hub.ConnectInfo{Transport: "WebSockets", Binary: true}
	if user != "" {
		info.User = &auth.User{ID: user}
	}
	c.session = l.chat.Hub.Connect(c, info)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		<-c.ctx.Done()
		c.session.Disconnected(nil)
	}()
	l.t.Cleanup(func() {
		c.Close(nil)
		<-gone
	})
	if err := c.session.Receive(fmt.Appendf(nil, `{"protocol":%q,"version":1}`+"\x1e", protocol)); err != nil {
		l.t.Fatal(err)
	}
	for _, g := range groups {
		if err := l.chat.Hub.Groups().Add(l.t.Context(), id, g); err != nil {
			l.t.Fatal(err)
		}
	}
	l.t.Helper()
	eventually(l.t, func() bool {
		found, _, err := l.chat.Hub.Exists(l.t.Context(), hub.Audience{Kind: hub.ToConnections, Names: []string{id}})
		return found && err == nil
	})
	return c
}

func eventually(t testing.TB, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(deadline) {
			t.Fatal("it has not happened within 20 s")
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func (c *client) ID() string               { return c.id }
func (c *client) Context() context.Context { return c.ctx }
func (c *client) Close(cause error)        { c.cancel(cause) }
func (c *client) Abort(cause error)        { c.cancel(cause) }

func (c *client) Send(f *frame.Frame) error {
	text := string(f.Payload())
	c.mu.Lock()
	c.frames = append(c.frames, text)
	answer := c.answer
	c.mu.Unlock()
	if answer != nil && strings.Contains(text, `"invocationId"`) {
		return c.session.Receive([]byte(answer(text) + "\x1e"))
	}
	return nil
}

// answers sets how the client answers invocations.
func (c *client) answers(f func(frame string) string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

func (c *client) SendWait(_ context.Context, f *frame.Frame) error { return c.Send(f) }

// received returns the frames after the answer to the handshake, without pings, as one text, and
// forgets them.
func (c *client) received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := strings.Join(c.frames, "")
	c.frames = nil
	return strings.TrimPrefix(pings.Replace(all), "{}\x1e")
}

// pings are those of both protocols.
var pings = strings.NewReplacer(`{"type":6}`+"\x1e", "", "\x02\x91\x06", "")

func (c *client) want(text string) {
	c.t.Helper()
	if got := c.received(); got != text {
		c.t.Errorf("%s has received %q; want %q", c.id, got, text)
	}
}
