// Package upstream sends the events of a hub's clients to a backend, by HTTP: connected,
// disconnected, and each invocation, whose result is the backend's answer. Before a client
// connects it can ask the backend whether it may.
//
// The requests have the form of those of Azure SignalR Service (serverless mode). Invocations and
// connected events run on the goroutines that the hub has for its connections, in the order of
// each connection; so a slow backend delays the clients that ask it. Each hub has connections and
// limits of its own.
package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/hosting"
)

// Options are those of an Upstream.
type Options struct {
	// Logger receives a line for each failed request, within limits. Default slog.Default().
	Logger *slog.Logger
	// Meter receives the requests. Default none.
	Meter Meter
}

// Meter receives the requests to backends. It is called concurrently and must not block.
type Meter interface {
	// Requested is called at the end of a request, or of the wait for its turn. event is
	// "connect", "connected", "disconnected" or "message". result is "ok", "status" (neither 200
	// nor 204), "network", "timeout", "busy" (its turn did not come), "invalid" (no completion of
	// the invocation), "too_large", "canceled" (the client has gone) or "dropped".
	Requested(event, result string, after time.Duration)
}

// Stats are the current numbers of an Upstream.
type Stats struct {
	InFlight int // requests that run
	Waiting  int // requests that wait for their turn
	Queued   int // disconnected events that wait, or run
}

// Upstream is the backend of one hub. Safe for concurrent use.
type Upstream struct {
	name   string
	hub    *hub.Hub
	keys   func() *accesskey.Keys
	plan   atomic.Pointer[plan]
	gate   *floodgate.Gate
	meter  Meter
	client *http.Client
	large  chan struct{} // has an element for each large answer that is read
	pace   pace          // of large answers
	outbox *outbox
	calls  callLimits

	inFlight, waiting atomic.Int64
}

// New makes h send its events as s says. It must be called once for a hub, before the first
// connection. The error is a [*SettingError].
func New(h *hosting.Hub, s *Settings, o Options) (*Upstream, error) {
	return attach(h.Name, h.Hub, h.Keys, s, o)
}

func attach(name string, h *hub.Hub, keys func() *accesskey.Keys, s *Settings, o Options) (*Upstream, error) {
	p, errs := s.compile(name)
	if errs != nil {
		return nil, errs[0]
	}
	u := &Upstream{
		name: name, hub: h, keys: keys, gate: floodgate.New(o.Logger), meter: o.Meter,
		large: make(chan struct{}, maxLarge), client: newClient(),
		calls: callLimits{begun: time.Now()}, pace: pace{begun: time.Now()},
	}
	if u.meter == nil {
		u.meter = noMeter{}
	}
	u.plan.Store(p)
	u.outbox = newOutbox(u)
	h.HandleUnknown(u.invoke)
	h.OnConnected(u.connected)
	h.OnDisconnected(u.disconnected)
	return u, nil
}

// Set replaces the settings. Requests that run or wait continue with the old ones, and count in the
// limit of the new ones unless MaxRequests has changed. It fails if the settings are not valid, and
// if Connect is added or removed. It must not be called concurrently.
func (u *Upstream) Set(s *Settings) error {
	p, errs := s.compile(u.name)
	old := u.plan.Load()
	switch {
	case errs != nil:
		return errs[0]
	case (p.connect == nil) != (old.connect == nil):
		return &SettingError{"clients.connect", errors.New("cannot be added or removed without a restart")}
	case cap(p.slots) == cap(old.slots):
		p.slots, p.calls = old.slots, old.calls
	}
	u.plan.Store(p)
	return nil
}

// Stats returns the current numbers.
func (u *Upstream) Stats() Stats {
	return Stats{InFlight: int(u.inFlight.Load()), Waiting: int(u.waiting.Load()), Queued: u.outbox.len()}
}

// Shutdown sends the disconnected events that wait, each once, and drops the rest when ctx is
// done. The hub must have been shut down. Shutdown returns when nothing runs any longer. Its error
// is the cause of ctx.
func (u *Upstream) Shutdown(ctx context.Context) error {
	err := u.outbox.shutdown(ctx)
	u.client.CloseIdleConnections()
	u.gate.Close()
	return err
}

// invoke sends an invocation and returns the backend's completion.
func (u *Upstream) invoke(ctx context.Context, in *hub.Unknown) (any, error) {
	p := u.plan.Load()
	r := p.find(messages, in.Target)
	if r == nil {
		return nil, hub.NewError("Method does not exist.")
	}
	done, err := u.forward(ctx, p, r, in)
	if err != nil {
		return hub.Answer{Failed: true, Error: failure(err)}, nil
	}
	return done, nil
}

// failure returns the text of an error for the client, which is that of Azure SignalR Service
// where it has one.
func failure(err error) string {
	var status *statusError
	switch {
	case errors.As(err, &status):
		return fmt.Sprintf("Invocation failed, status code %d", status.code)
	case errors.Is(err, errTooLarge):
		return "Invocation failed, response too large."
	case errors.Is(err, errAnswer):
		return "Invocation failed, response not valid."
	case errors.Is(err, errTarget):
		return "Invocation failed, target not valid."
	case errors.Is(err, errBusy):
		return "Invocation failed, status code 503"
	}
	return "Invocation failed, status code 500"
}

// forward sends an invocation and parses the answer, if the client wants one.
func (u *Upstream) forward(ctx context.Context, p *plan, r *route, in *hub.Unknown) (done hub.Answer, err error) {
	e, err := newEvent(hub.CallerFrom(ctx), messages, in.Target, in.Message)
	if err != nil {
		return done, err
	}
	protocolName := in.Protocol
	if r.json && protocolName != "json" {
		protocolName = "json"
		if e.body, err = inJSON(ctx, in); err != nil {
			return done, err
		}
	}
	if protocolName != "json" {
		e.contentType = contentPack
	}
	if in.ID == "" {
		return done, u.send(ctx, p.slots, r, e, nil)
	}
	err = u.send(ctx, p.slots, r, e, func(a *answer) (err error) {
		done, err = a.completion(protocolName, in.ID, r.json)
		return err
	})
	return done, err
}

// inJSON returns an invocation in JSON, without the separator.
func inJSON(ctx context.Context, in *hub.Unknown) ([]byte, error) {
	args := make([]any, len(in.Arguments))
	for i, raw := range in.Arguments {
		args[i] = raw
	}
	record, err := codecs["json"].AppendInvocation(nil, in.ID, in.Target, hub.HeadersFrom(ctx), nil, args...)
	return bytes.TrimSuffix(record, []byte{0x1e}), err
}

// connected joins the groups of the connect call, and then sends the event. A failure of the
// backend does not end the connection: the connect call can refuse clients.
func (u *Upstream) connected(ctx context.Context) error {
	c, p := hub.CallerFrom(ctx), u.plan.Load()
	if p.connect != nil {
		for _, group := range groupsOf(c.User()) {
			if err := u.hub.Groups().Add(ctx, c.ConnectionID(), group); err != nil {
				return err
			}
		}
	}
	if r := p.find(connections, connected); r != nil {
		if e, err := newEvent(c, connections, connected, []byte(`{"type":10}`)); err != nil {
			u.log(connected, r.base.Host, err)
		} else {
			_ = u.send(ctx, p.slots, r, e, nil) // logged
		}
	}
	return nil
}

// disconnected gives the event to the outbox.
func (u *Upstream) disconnected(ctx context.Context, cause error) {
	r := u.plan.Load().find(connections, disconnected)
	if r == nil {
		return
	}
	body := struct {
		Type  int    `json:"type"`
		Error string `json:"error,omitempty"`
	}{Type: 11}
	if cause != nil {
		body.Error = floodgate.Clip(cause.Error(), maxName)
	}
	text, _ := json.Marshal(body) // always succeeds
	e, err := newEvent(hub.CallerFrom(ctx), connections, disconnected, text)
	if err != nil {
		u.log(disconnected, r.base.Host, err)
		return
	}
	u.outbox.add(e, r)
}

// send sends an event when it has one of the slots; nil: at once. accept checks the answer. If it
// is nil, the body of the answer does not matter. Errors are logged.
func (u *Upstream) send(ctx context.Context, slots chan struct{}, r *route, e *event, accept func(*answer) error) error {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := u.attempt(ctx, slots, r, e, accept)
	if err == nil && e.cut {
		u.gate.Log(u.kind("webhook without some headers"), func() []slog.Attr {
			return []slog.Attr{slog.String("connection", e.connection), slog.String("reason", "the query or the claims are too long")}
		})
	}
	u.report(ctx, e, r, err, begun)
	return err
}

func (u *Upstream) attempt(ctx context.Context, slots chan struct{}, r *route, e *event, accept func(*answer) error) error {
	to, err := r.url(u.name, e.category, e.name)
	if err != nil {
		return err
	}
	if slots != nil {
		free, err := u.take(ctx, slots)
		if err != nil {
			return err
		}
		defer free()
	}
	most := maxAnswer
	if accept == nil {
		most = 0
	}
	a, err := u.post(ctx, to, e.header(u.name, u.keys(), time.Now()), e.body, most)
	if err == nil && accept != nil {
		err = accept(a)
	}
	return err
}

// report reports the end of a request to the meter and, if it failed, to the log.
func (u *Upstream) report(ctx context.Context, e *event, r *route, err error, begun time.Time) {
	kind := e.name
	if e.category == messages {
		kind = "message"
	}
	outcome := result(ctx, err)
	u.meter.Requested(kind, outcome, time.Since(begun))
	if err != nil && outcome != "canceled" {
		u.log(e.name, r.base.Host, err)
	}
}

// burst is the number of lines of one kind that are written at once.
const burst = 100

func (u *Upstream) kind(line string) floodgate.Kind {
	return floodgate.Kind{Level: slog.LevelWarn, Event: line, Key: "hub", Value: u.name, Burst: burst}
}

// log logs the failure of a request. The URL may have secrets, so only its host is logged.
func (u *Upstream) log(event, backend string, err error) {
	u.gate.Log(u.kind("webhook failed"), func() []slog.Attr {
		return []slog.Attr{
			slog.String("event", floodgate.Clip(event, maxReason)), slog.String("backend", backend),
			slog.String("error", floodgate.Clip(err.Error(), 2*maxReason)),
		}
	})
}

type noMeter struct{}

func (noMeter) Requested(string, string, time.Duration) {}
