package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/protocol"
)

// watchCommand is a console client for any SignalR hub.
type watchCommand struct {
	URL       string            `arg:"" help:"URL of the hub, for example http://localhost:8080/hubs/clock."`
	Transport []string          `env:"-" enum:"websockets,sse,longpolling" placeholder:"websockets|sse|longpolling" help:"Transports to use. Default: all, in the server's order."`
	Protocol  string            `env:"-" enum:"json,messagepack" default:"json" help:"Encoding of the messages: json or messagepack."`
	Target    []string          `env:"-" placeholder:"METHOD" help:"Print only invocations of these methods. Default: all."`
	Invoke    string            `env:"-" placeholder:"METHOD" help:"Call this method after connecting and print its result. Then end, unless --target is set."`
	Arg       []string          `env:"-" sep:"none" placeholder:"JSON" help:"Argument of --invoke; may be repeated. Text that is not JSON is a string."`
	Token     string            `env:"CARILLON_TOKEN" help:"Bearer token. Other users of this machine can read a command line, so set the variable instead."`
	Header    map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUE" help:"Header of every request; may be repeated."`
	Insecure  bool              `env:"-" help:"Accept any TLS certificate."`
	Count     int               `env:"-" placeholder:"N" help:"End after this number of invocations. Default: never."`
	Retry     bool              `env:"-" help:"Wait for a server that does not run yet. A lost connection is always made again."`
	JSON      bool              `env:"-" name:"json" help:"Print one JSON object per line."`
}

// Run watches until the context ends, the count is full or the result is there.
func (c *watchCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	ctx, stop := endOnHangup(ctx)
	defer stop()
	w := &watch{command: c, end: end, out: printer{w: k.Stdout, json: c.JSON}}
	w.conn = client.New(c.URL, c.options(w.policy))
	w.conn.OnStateChange(w.stateChanged)
	w.listen()
	err := w.conn.Run(ctx)
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	if errors.Is(err, errDone) {
		return nil
	}
	return c.explain(err)
}

// explain tells the user of a hub that needs a token how to give one.
func (c *watchCommand) explain(err error) error {
	refused := new(client.HTTPError)
	if c.Token == "" && errors.As(err, &refused) && refused.StatusCode == http.StatusUnauthorized {
		return fmt.Errorf("%w; the hub needs a token: set CARILLON_TOKEN", err)
	}
	return err
}

var transportNames = map[string]client.Transport{
	"websockets":  client.WebSockets,
	"sse":         client.ServerSentEvents,
	"longpolling": client.LongPolling,
}

func (c *watchCommand) options(policy client.ReconnectPolicy) client.Options {
	o := client.Options{Reconnect: policy, Header: make(http.Header), Logger: slog.New(slog.DiscardHandler)}
	if c.Insecure {
		o.TLS = &tls.Config{InsecureSkipVerify: true} //nolint:gosec // asked for by name
	}
	for _, name := range c.Transport {
		o.Transports = append(o.Transports, transportNames[name])
	}
	if c.Protocol == "messagepack" {
		o.Protocol = protocol.NewMessagePack()
	}
	for name, value := range c.Header {
		o.Header.Set(name, value)
	}
	if c.Token != "" {
		o.AccessToken = func(context.Context) (string, error) { return c.Token, nil }
	}
	return o
}

// errDone ends a watch that has received everything it was asked for.
var errDone = errors.New("done")

// watch is one run of the command.
type watch struct {
	command   *watchCommand
	conn      *client.HubConnection
	end       context.CancelCauseFunc
	out       printer
	connected atomic.Bool // the first attempt succeeded
	invoked   sync.Once
	messages  int
}

// policy reports failed attempts on the console.
func (w *watch) policy(r client.Retry) (time.Duration, bool) {
	if !w.connected.Load() && !w.command.Retry {
		return 0, false
	}
	wait, again := client.ReconnectForever(0, 10*time.Second)(r)
	if r.Attempts > 0 || !w.connected.Load() {
		w.out.print(event{Event: "failed", Error: r.Cause.Error()})
	}
	return wait, again
}

// listen prints the hub's invocations: those of the given targets, or all.
func (w *watch) listen() {
	if len(w.command.Target) == 0 && w.command.Invoke == "" {
		w.conn.OnUnhandled(w.received)
	}
	for _, target := range w.command.Target {
		w.conn.On(target, client.ActionAny(func(ctx context.Context, args []any) error {
			return w.received(ctx, target, args)
		}))
	}
}

func (w *watch) received(_ context.Context, target string, args []any) error {
	w.out.print(event{Event: "message", Target: target, Arguments: slices.Concat([]any{}, args)})
	if w.messages++; w.messages == w.command.Count {
		w.end(errDone)
	}
	return nil
}

func (w *watch) stateChanged(ctx context.Context, change client.StateChange) {
	e := event{Event: "state", State: change.To.String(), Transport: string(change.Transport), ConnectionID: change.ConnectionID}
	if change.Err != nil {
		e.Error = change.Err.Error()
	}
	w.out.print(e)
	if change.To != client.Connected {
		return
	}
	w.connected.Store(true)
	if w.command.Invoke != "" {
		w.invoked.Do(func() { w.invoke(ctx) })
	}
}

func (w *watch) invoke(ctx context.Context) {
	result, err := client.Invoke[any](ctx, w.conn, w.command.Invoke, w.command.arguments()...)
	if err != nil {
		w.end(fmt.Errorf("%s: %w", w.command.Invoke, err))
		return
	}
	w.out.print(event{Event: "result", Target: w.command.Invoke, Result: &result})
	if len(w.command.Target) == 0 {
		w.end(errDone)
	}
}

func (c *watchCommand) arguments() []any {
	args := make([]any, len(c.Arg))
	for i, text := range c.Arg {
		if json.Unmarshal([]byte(text), &args[i]) != nil {
			args[i] = text
		}
	}
	return args
}

// event is one line of the output.
type event struct {
	Time         time.Time `json:"time"`
	Event        string    `json:"event"` // state, message, result, failed (an attempt to connect)
	State        string    `json:"state,omitempty"`
	Transport    string    `json:"transport,omitempty"`
	ConnectionID string    `json:"connectionId,omitempty"`
	Target       string    `json:"target,omitempty"`
	Arguments    []any     `json:"arguments,omitempty"`
	Result       *any      `json:"result,omitempty"`
	Error        string    `json:"error,omitempty"`
}

// printer writes events, one a line.
type printer struct {
	w    io.Writer
	json bool
}

func (p printer) print(e event) {
	e.Time = time.Now()
	line := e.text()
	if p.json {
		line = asJSON(e)
	}
	_, _ = fmt.Fprintln(p.w, strings.ReplaceAll(line, "\n", " "))
}

// text is the event as a line of text.
func (e event) text() string {
	var b strings.Builder
	b.WriteString(e.Time.Format("15:04:05.000 "))
	switch e.Event {
	case "message":
		b.WriteString(e.Target)
		for _, a := range e.Arguments {
			b.WriteString(" " + asJSON(a))
		}
	case "result":
		b.WriteString(e.Target + " = " + asJSON(*e.Result))
	case "failed":
		b.WriteString("not connected")
	default:
		b.WriteString(strings.ToLower(e.State))
		if e.Transport != "" {
			b.WriteString(" by " + e.Transport)
		}
		if e.ConnectionID != "" {
			b.WriteString(", id " + e.ConnectionID)
		}
	}
	if e.Error != "" {
		b.WriteString(": " + strings.TrimPrefix(e.Error, "client: "))
	}
	return b.String()
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v) // NaN, from MessagePack
	}
	return string(text)
}
