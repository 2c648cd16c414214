package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
)

// journal collects the lines of a log.
type journal struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var line map[string]any
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	j.lines = append(j.lines, line)
	return len(p), nil
}

// with returns the lines with a message.
func (j *journal) with(message string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if line["msg"] == message {
			found = append(found, line)
		}
	}
	return found
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var all strings.Builder
	for _, line := range j.lines {
		fmt.Fprintln(&all, line)
	}
	return all.String()
}

func newJournal(level slog.Level) (*journal, *slog.Logger) {
	j := &journal{}
	return j, slog.New(slog.NewJSONHandler(j, &slog.HandlerOptions{Level: level}))
}

// handleFailures adds methods that fail in ways that the lab's do not.
func handleFailures(h *hub.Hub) {
	h.Handle("UntilCancelled", hub.Action0(func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("stopped: %w", ctx.Err())
	}))
	h.Handle("CancelledByItself", hub.Action0(func(context.Context) error { return context.Canceled }))
	h.Handle("Unencodable", hub.Func0(func(context.Context) (any, error) { return map[string]any{"x": func() {}}, nil }))
	h.Handle("PanicGuarded", hub.Action0(func(context.Context) error { return nil }).Authorize(func(context.Context, *auth.User) error { panic("guard") }))
	h.Handle("StreamHubError", hub.Stream0(func(context.Context) (iter.Seq2[int, error], error) {
		return nil, hub.NewError("for the client")
	}))
	h.OnConnected(func(ctx context.Context) error {
		switch hub.CallerFrom(ctx).UserID() {
		case "fail":
			return errors.New("connect failed")
		case "refuse":
			return hub.NewError("not you")
		}
		return nil
	})
	h.OnDisconnected(func(ctx context.Context, _ error) {
		if hub.CallerFrom(ctx).UserID() == "panic" {
			panic("disconnect")
		}
	})
}

func TestLogOfFailures(t *testing.T) {
	const failedMethod, panicked, unbound, refused = "hub method failed", "hub method panicked", "arguments do not bind", "invocation refused"
	for name, c := range map[string]struct {
		user    string
		send    []string
		level   string
		message string
		want    map[string]any
		stack   bool
	}{
		"an error":                {send: []string{call("1", "FailPlain", `"boom"`)}, level: "ERROR", message: failedMethod, want: map[string]any{"method": "FailPlain", "error": "boom"}},
		"an error without an id":  {send: []string{call("", "failplain", `"boom"`)}, level: "ERROR", message: failedMethod, want: map[string]any{"method": "FailPlain", "error": "boom"}},
		"a panic":                 {send: []string{call("1", "Panic", `"boom"`)}, level: "ERROR", message: panicked, want: map[string]any{"method": "Panic", "error": "panic: boom"}, stack: true},
		"a panic without an id":   {send: []string{call("", "Panic", `"boom"`)}, level: "ERROR", message: panicked, want: map[string]any{"method": "Panic"}, stack: true},
		"a stream's first error":  {send: []string{stream("1", "FailAtOnce", "")}, level: "ERROR", message: failedMethod, want: map[string]any{"method": "FailAtOnce", "error": "boom"}},
		"a stream's later error":  {send: []string{stream("1", "CountThenFail", "1")}, level: "ERROR", message: failedMethod, want: map[string]any{"method": "CountThenFail", "error": "boom"}},
		"a stream's panic":        {send: []string{stream("1", "PanicLater", "")}, level: "ERROR", message: panicked, want: map[string]any{"method": "PanicLater", "error": "panic: later"}, stack: true},
		"an authorization panics": {send: []string{call("1", "PanicGuarded", "")}, level: "ERROR", message: panicked, want: map[string]any{"method": "PanicGuarded"}, stack: true},
		"a result that does not encode": {
			send: []string{call("1", "Unencodable", "")}, level: "ERROR", message: "message not encoded", want: map[string]any{"method": "Unencodable"},
		},
		"an error for the client":   {send: []string{call("1", "FailHub", `"boom"`)}, level: "DEBUG", message: failedMethod, want: map[string]any{"method": "FailHub", "error": "secret: boom"}},
		"a stream's for the client": {send: []string{stream("1", "StreamHubError", "")}, level: "DEBUG", message: failedMethod, want: map[string]any{"method": "StreamHubError"}},
		"a cancellation":            {send: []string{call("1", "UntilCancelled", ""), cancel("1")}, level: "DEBUG", message: failedMethod, want: map[string]any{"method": "UntilCancelled"}},
		"a method that cancels itself": {
			send: []string{call("1", "CancelledByItself", "")}, level: "ERROR", message: failedMethod, want: map[string]any{"method": "CancelledByItself", "error": "context canceled"},
		},
		"an argument of a wrong type": {
			send: []string{call("1", "Add", `1,"hidden"`)}, level: "WARN", message: unbound, want: map[string]any{"method": "Add", "argument": 2.0, "type": "int"},
		},
		"a wrong argument without an id": {
			send: []string{call("", "Add", `"hidden",2`)}, level: "WARN", message: unbound, want: map[string]any{"method": "Add", "argument": 1.0, "type": "int"},
		},
		"a stream's wrong argument": {
			send: []string{stream("1", "Count", `1,"hidden"`)}, level: "WARN", message: unbound, want: map[string]any{"method": "Count", "argument": 2.0, "type": "int"},
		},
		"too few arguments": {
			send: []string{call("1", "Add", `1`)}, level: "WARN", message: unbound,
			want: map[string]any{"method": "Add", "error": "Invocation provides 1 argument(s) but target expects 2."},
		},
		"a wrong item": {
			send: []string{callWith("1", "Upload", "", `"s"`), item("s", `"hidden"`)}, level: "WARN", message: "stream item does not bind",
			want: map[string]any{"method": "Upload"},
		},
		"an unknown method": {send: []string{call("1", "Nothing", "")}, level: "WARN", message: refused, want: map[string]any{"method": "Nothing", "reason": "Method does not exist."}},
		"a user without the right": {
			send: []string{call("1", "Guarded", "")}, level: "WARN", message: refused,
			want: map[string]any{"method": "Guarded", "reason": "Failed to invoke 'Guarded' because user is unauthorized", "error": "auth: the user is not allowed to do this: there is no user"},
		},
		"a stream that is none":     {send: []string{stream("1", "Text", `"x"`)}, level: "WARN", message: refused, want: map[string]any{"method": "Text"}},
		"a wrong number of uploads": {send: []string{callWith("1", "Upload", "", "")}, level: "WARN", message: refused, want: map[string]any{"method": "Upload", "reason": "Client sent 0 stream(s), Hub method expects 1."}},
		"OnConnected fails":         {user: "fail", level: "ERROR", message: "hub callback failed", want: map[string]any{"callback": "OnConnected", "error": "connect failed"}},
		"OnConnected refuses":       {user: "refuse", level: "DEBUG", message: "hub callback failed", want: map[string]any{"callback": "OnConnected", "error": "not you"}},
		"OnDisconnected panics":     {user: "panic", send: []string{`{"type":7}`}, level: "ERROR", message: "hub callback panicked", want: map[string]any{"callback": "OnDisconnected", "error": "panic: disconnect"}, stack: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.user == "" {
					c.user = "ann"
				}
				if name == "a user without the right" {
					c.user = "" // Guarded accepts every user
				}
				j, log := newJournal(slog.LevelDebug)
				h := newLab(hub.Options{Name: "Lab", Logger: log, KeepAliveInterval: -1})
				handleFailures(h)
				a := dial(t, h, clientOptions{id: "a", user: c.user})
				a.send(slices.Concat([]string{`{"protocol":"json","version":1}`}, c.send)...)
				synctest.Wait()
				a.close()
				synctest.Wait()
				lines := j.with(c.message)
				if len(lines) != 1 {
					t.Fatalf("%d lines:\n%s", len(lines), j)
				}
				c.want["level"], c.want["hub"], c.want["connection_id"], c.want["user"] = c.level, "Lab", "a", c.user
				for key, value := range c.want {
					if lines[0][key] != value {
						t.Errorf("%s is %v, want %v", key, lines[0][key], value)
					}
				}
				if stack, _ := lines[0]["stack"].(string); c.stack != strings.Contains(stack, "hub_test") {
					t.Errorf("stack %q", stack)
				}
				if strings.Contains(j.String(), "hidden") {
					t.Errorf("an argument is in the log:\n%s", j)
				}
			})
		})
	}
}

// A connection has a line for its opening and one for its end. A connection without a
// handshake has only the second.
func TestLogOfConnections(t *testing.T) {
	for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo} {
		synctest.Test(t, func(t *testing.T) {
			j, log := newJournal(slog.LevelDebug)
			o := hub.Options{Name: "Lab", Logger: log, KeepAliveInterval: -1}
			if level != slog.LevelDebug { // the default
				o.ConnectionLevel = level
			}
			h := newLab(o)
			a := connect(t, h, clientOptions{id: "a", user: "ann"})
			a.leave(errors.New("cut"))
			dial(t, h, clientOptions{id: "b"}).close()
			synctest.Wait()
			opened, ended := j.with("connection opened"), j.with("connection ended")
			if len(opened) != 1 || len(ended) != 2 {
				t.Fatal(j)
			}
			for _, line := range append(opened, ended[0]) {
				if line["level"] != level.String() || line["hub"] != "Lab" || line["connection_id"] != "a" || line["user"] != "ann" || line["protocol"] != "json" {
					t.Error(line)
				}
			}
			if _, timed := ended[0]["duration_s"].(float64); !timed || ended[0]["cause"] != "cut" || ended[0]["received_bytes"] != 32.0 {
				t.Error(ended[0])
			}
			if ended[1]["connection_id"] != "b" || ended[1]["protocol"] != "" || ended[1]["cause"] != "closed in order" {
				t.Error(ended[1])
			}
		})
	}
}

// A client with many IPv6 addresses has one network, and writes no more lines than others.
func TestConnectionsOfANetworkShareALimit(t *testing.T) {
	j, log := newJournal(slog.LevelDebug)
	h := newLab(hub.Options{Logger: log, ConnectionLevel: slog.LevelInfo})
	for i := range 250 {
		connect(t, h, clientOptions{address: fmt.Sprintf("2001:db8::%x", i+1)}).close()
	}
	connect(t, h, clientOptions{address: "2001:db8:0:1::1"}).close()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	opened := j.with("connection opened")
	if n := len(opened); n < 200 || n > 210 || opened[1]["address"] != "2001:db8::2" || opened[n-1]["address"] != "2001:db8:0:1::1" {
		t.Errorf("%d lines, the last: %v", n, opened[n-1])
	}
	if left := j.with("log lines left out"); len(left) != 1 || left[0]["address"] != "2001:db8::" {
		t.Error(left)
	}
}

func TestTheDefaultLoggerIsSlogs(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	j, log := newJournal(slog.LevelError)
	slog.SetDefault(log)
	c := connect(t, newLab(hub.Options{}), clientOptions{})
	c.send(call("1", "FailPlain", `"boom"`))
	c.next()
	if len(j.with("hub method failed")) != 1 {
		t.Error(j)
	}
}

func TestAFloodOfFailuresWritesFewLines(t *testing.T) {
	j, log := newJournal(slog.LevelInfo)
	h := newLab(hub.Options{Logger: log, MaxInvocationsPerSecond: -1})
	c := connect(t, h, clientOptions{})
	const each = 2000
	for i := range each {
		c.send(call("", "FailPlain", `"boom"`), call("", "Panic", `"boom"`), call("", "Add", `"x",1`), call("", fmt.Sprint("Nothing", i), ""))
	}
	c.send(call("1", "Text", `"x"`))
	c.next()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	written, leftOut := 0, 0.0
	for _, line := range j.lines {
		if n, ok := line["left_out"].(float64); ok {
			leftOut += n
		}
		if line["msg"] != "log lines left out" {
			written++
		}
	}
	if len(j.lines) > 500 || written+int(leftOut) != 4*each {
		t.Errorf("%d lines; %d events are written and %v counted", len(j.lines), written, leftOut)
	}
}
