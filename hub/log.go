package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/internal/limit"
)

// errorBurst is the number of lines of one kind that a hub writes at once if clients can
// provoke them; openBurst is that of the connections of one address, or of one /64 in IPv6.
// See package floodgate.
const (
	errorBurst = 100
	openBurst  = 200
)

// logger writes the log lines of one session.
type logger struct {
	hub    *Hub
	caller *Caller
	out    *outbox
}

func (s *Session) log() logger { return logger{s.hub, &s.caller, &s.out} }

// debug logs an event of normal operation.
func (l logger) debug(event string, about ...slog.Attr) { l.event(slog.LevelDebug, event, about...) }

// event logs an event of the session. A disabled level costs nothing: slog is not called.
func (l logger) event(level slog.Level, event string, about ...slog.Attr) {
	to, ctx := l.hub.options.Logger, context.Background()
	if to.Enabled(ctx, level) {
		to.LogAttrs(ctx, level, event, append(l.identity(), about...)...) //nolint:sloglint // the callers' events are constants
	}
}

// limited logs an event that clients can provoke. The lines of one kind are limited.
func (l logger) limited(k floodgate.Kind, about ...slog.Attr) {
	l.hub.gate.Log(k, func() []slog.Attr { return append(l.identity(), about...) })
}

// refusal counts and logs a violation of a limit.
func (l logger) refusal(count *atomic.Uint64, limit string) {
	n := count.Add(1)
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "limit reached", Key: "limit", Value: limit, Burst: 1}
	l.limited(k, slog.Uint64("refused", n))
}

// identity returns the attributes of each line of the session.
func (l logger) identity() []slog.Attr {
	name := l.caller.id
	if n, ok := l.out.conn.(LogNamer); ok {
		name = n.LogName()
	}
	return append(make([]slog.Attr, 0, 16), slog.String("hub", l.hub.options.Name),
		slog.String("connection_id", name), slog.String("user", clip(l.caller.UserID())))
}

// maxLogText is the limit in bytes of a text in a log line that a client may have chosen.
const maxLogText = 256

func clip(text string) string { return floodgate.Clip(text, maxLogText) }

// failures are the events of failed application code.
type failures struct{ failed, panicked string }

var (
	methodFailures   = failures{"hub method failed", "hub method panicked"}
	callbackFailures = failures{"hub callback failed", "hub callback panicked"}
	encodingFailures = failures{"message not encoded", "encoder panicked"}
)

// failure logs an error of application code: at the error level, or at the debug level
// if it was made for clients by NewError or results from the end of ctx. key and value
// say which code failed. ctx is the code's own.
func (l logger) failure(ctx context.Context, events failures, key, value string, err error) {
	k := floodgate.Kind{Level: slog.LevelError, Event: events.failed, Key: key, Value: value, Burst: errorBurst}
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // one within an application's error is the application's
		k.Event = events.panicked
		l.limited(k, slog.String("error", errorText(err)), slog.String("stack", string(p.Stack)))
		return
	}
	if name, _ := describe(err); name == hubException || l.isCancellation(ctx, err) {
		l.debug(events.failed, slog.String("error", errorText(err)), slog.String(key, value))
		return
	}
	l.limited(k, slog.String("error", errorText(err)))
}

// isCancellation reports whether err results from the end of ctx or of the connection.
func (l logger) isCancellation(ctx context.Context, err error) bool {
	if ctx.Err() != nil && (is(err, context.Canceled) || is(err, context.Cause(ctx))) {
		return true
	}
	return is(err, errEnded) && (l.out.phase.Load() == closing || l.out.hasEnded())
}

// errorText returns the text of an error of the application. Its method Error may panic.
func errorText(err error) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = guard.NewPanic(v).Error()
		}
	}()
	return err.Error()
}

// Traffic is implemented by a Connection that knows the figures of its carrier, for logs.
type Traffic interface {
	// Address returns the client's address, or "" if it is unknown.
	Address() string
	// SentBytes returns the number of bytes of all messages accepted for sending.
	SentBytes() int64
}

// opened logs that a connection has opened: its handshake has succeeded, or it listens. It
// reports whether the log has a line for that.
func (l logger) opened() bool {
	leftOut, ok := l.admit("connection opened")
	if ok {
		l.connection("connection opened", leftOut)
	}
	return ok
}

// ended logs the end of a connection with a line for its beginning, or without a handshake.
func (l logger) ended(wasLogged bool, received int64) {
	leftOut := uint64(0)
	if l.out.wire == nil {
		leftOut, wasLogged = l.admit("connection ended")
	}
	if !wasLogged {
		return
	}
	var sent int64
	if t, ok := l.out.conn.(Traffic); ok {
		sent = t.SentBytes()
	}
	l.connection("connection ended", leftOut,
		slog.Float64("duration_s", time.Since(l.caller.begun).Seconds()),
		slog.Int64("received_bytes", received), slog.Int64("sent_bytes", sent),
		slog.String("cause", causeText(context.Cause(l.out.conn.Context()))))
}

func (l logger) connection(event string, leftOut uint64, about ...slog.Attr) {
	protocolName := ""
	if l.out.wire != nil {
		protocolName = l.out.wire.Name()
	}
	about = append(about, slog.String("address", l.address()),
		slog.String("transport", l.caller.info.Transport), slog.String("protocol", protocolName))
	if leftOut > 0 {
		about = append(about, slog.Uint64("left_out", leftOut))
	}
	l.event(l.hub.options.ConnectionLevel.Level(), event, about...)
}

// admit reports whether a connection of this client may be logged, and how many were left
// out before.
func (l logger) admit(event string) (leftOut uint64, ok bool) {
	level := l.hub.options.ConnectionLevel.Level()
	if !l.hub.options.Logger.Enabled(context.Background(), level) {
		return 0, false
	}
	k := floodgate.Kind{Level: level, Event: event, Burst: openBurst}
	if address, err := netip.ParseAddr(l.address()); err == nil {
		k.Key, k.Value = "address", limit.Network(address)
	}
	return l.hub.gate.Admit(k)
}

func (l logger) address() string {
	if t, ok := l.out.conn.(Traffic); ok {
		return t.Address()
	}
	return ""
}

// causeText returns the cause of a connection's end for logs. A cause may contain a text
// of the client.
func causeText(cause error) string {
	if cause == nil || errors.Is(cause, context.Canceled) {
		return "closed in order"
	}
	return clip(cause.Error())
}
