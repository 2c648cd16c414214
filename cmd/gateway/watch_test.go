package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// greeter is a hub that greets who connects.
func greeter(t *testing.T) (url string) {
	t.Helper()
	return greeterBehind(t, func(h http.Handler) http.Handler { return h })
}

// greeterBehind is a greeter behind what guards it.
func greeterBehind(t *testing.T, guard func(http.Handler) http.Handler) (url string) {
	t.Helper()
	h := hub.New(hub.Options{})
	h.OnConnected(func(ctx context.Context) error {
		return h.Clients().Caller(ctx).Send(ctx, "Greet", "hello", 1)
	})
	h.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	h.Handle("Fail", hub.Action0(func(context.Context) error { return hub.NewError("as asked") }))
	h.Handle("Paint", hub.Action0(func(ctx context.Context) error {
		return h.Clients().Caller(ctx).Send(ctx, "x\x1b]0;y\a\u009b1m\n12:00 connected")
	}))
	h.Handle("Blush", hub.Action0(func(context.Context) error { return hub.NewError("red\x1b[31m") }))
	e := endpoint.New(h, endpoint.Options{})
	s := httptest.NewServer(guard(e))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		s.Close()
	})
	return s.URL
}

func watchFor(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code = run(ctx, append([]string{"watch"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// What a hub sends is shown, and does nothing to the terminal.
func TestWatchIsNoDoorToTheTerminal(t *testing.T) {
	url := greeter(t)
	for _, protocol := range []string{"json", "messagepack"} {
		_, out, _ := watchFor(t, url, "--protocol", protocol, "--invoke", "Paint", "--target", "x\x1b]0;y\a\u009b1m\n12:00 connected", "--count", "1")
		if !strings.Contains(out, "x\uFFFD]0;y\uFFFD\uFFFD1m 12:00 connected\n") {
			t.Errorf("%q", out)
		}
		if _, _, errs := watchFor(t, url, "--protocol", protocol, "--invoke", "Blush"); !strings.Contains(errs, "red\uFFFD[31m") {
			t.Errorf("%q", errs)
		}
	}
}

func TestWatch(t *testing.T) {
	url := greeter(t)
	for transport, name := range transportNames {
		for _, protocol := range []string{"json", "messagepack"} {
			if transport == "sse" && protocol == "messagepack" {
				continue // a binary protocol on a text transport
			}
			code, out, _ := watchFor(t, url, "--count", "1", "--transport", transport, "--protocol", protocol)
			if code != exitOK || !strings.Contains(out, "connected by "+string(name)) || !strings.Contains(out, ` Greet "hello" 1`+"\n") || !strings.HasSuffix(out, "disconnected\n") {
				t.Errorf("%s, %s: exit code %d\n%s", transport, protocol, code, out)
			}
		}
	}
}

func TestWatchWithToken(t *testing.T) {
	url := greeterBehind(t, func(h http.Handler) http.Handler {
		only := auth.Func(func(r *http.Request) (*auth.User, error) {
			if r.Header.Get("Authorization") != "Bearer sesame" {
				return nil, auth.ErrForbidden
			}
			return &auth.User{ID: "ali"}, nil
		})
		return auth.Middleware(only, auth.Require(nil, h))
	})
	if code, out, _ := watchFor(t, url, "--count", "1", "--token", "sesame"); code != exitOK {
		t.Errorf("exit code %d\n%s", code, out)
	}
	t.Setenv("CARILLON_TOKEN", "barley")
	code, out, stderr := watchFor(t, url, "--count", "1")
	if code != exitFailure || !strings.Contains(stderr, "401") || strings.Contains(out+stderr, "barley") {
		t.Errorf("exit code %d\n%s%s", code, out, stderr)
	}
	if _, help, _ := watchFor(t, "--help"); !strings.Contains(help, "$CARILLON_TOKEN") || strings.Contains(help, "barley") {
		t.Error(help)
	}
}

func TestWatchInvokes(t *testing.T) {
	url := greeter(t)
	code, out, _ := watchFor(t, url, "--invoke", "Add", "--arg", "3", "--arg", "4")
	if code != exitOK || !strings.Contains(out, "Add = 7\n") || strings.Contains(out, "Greet") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, _, stderr := watchFor(t, url, "--invoke", "Fail"); code != exitFailure || !strings.Contains(stderr, "as asked") {
		t.Errorf("a method that fails: exit code %d, %s", code, stderr)
	}
}

func TestWatchForScripts(t *testing.T) {
	code, out, _ := watchFor(t, greeter(t), "--json", "--target", "greet", "--count", "1")
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	var seen []string
	for line := range strings.Lines(out) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		seen = append(seen, e.Event+e.State)
	}
	if got := strings.Join(seen, " "); got != "stateConnecting stateConnected message stateDisconnecting stateDisconnected" {
		t.Errorf("events %s", got)
	}
}

func TestWatchWithoutServer(t *testing.T) {
	if code, _, stderr := watchFor(t, "http://127.0.0.1:1/"); code != exitFailure || !strings.Contains(stderr, "negotiate") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, _ := watchFor(t, "http://x", "--transport", "pigeon"); code != exitUsage {
		t.Errorf("exit code %d", code)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out stopAfter
	out.line, out.stop = "not connected", cancel
	if code := run(ctx, []string{"watch", "http://127.0.0.1:1/", "--retry"}, &out, &out); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// stopAfter ends a command when it has printed something.
type stopAfter struct {
	line string
	stop context.CancelFunc
}

func (s *stopAfter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(s.line)) {
		s.stop()
	}
	return len(p), nil
}
