package hub

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
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

// log logs an event of the session. A disabled level costs nothing: slog is not called.
func (s *Session) log(level slog.Level, event string, about ...slog.Attr) {
	l, ctx := s.hub.options.Logger, context.Background()
	if l.Enabled(ctx, level) {
		l.LogAttrs(ctx, level, event, append(s.logIdentity(), about...)...) //nolint:sloglint // the callers' events are constants
	}
}

// logLimited logs an event that clients can provoke. The lines of one kind are limited.
func (s *Session) logLimited(k floodgate.Kind, about ...slog.Attr) {
	s.hub.gate.Log(k, func() []slog.Attr { return append(s.logIdentity(), about...) })
}

// logIdentity returns the attributes of each line of the session.
func (s *Session) logIdentity() []slog.Attr {
	return append(make([]slog.Attr, 0, 16), slog.String("hub", s.hub.options.Name),
		slog.String("connection_id", s.logName()), slog.String("user", clip(s.caller.UserID())))
}

// logName returns the connection's name for logs.
func (s *Session) logName() string {
	if n, ok := s.out.conn.(LogNamer); ok {
		return n.LogName()
	}
	return s.caller.id
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

// logFailure logs an error of application code: at the error level, or at the debug level
// if it was made for clients by NewError or results from the end of ctx. key and value
// say which code failed. ctx is the code's own.
func (s *Session) logFailure(ctx context.Context, events failures, key, value string, err error) {
	k := floodgate.Kind{Level: slog.LevelError, Event: events.failed, Key: key, Value: value, Burst: errorBurst}
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // one within an application's error is the application's
		k.Event = events.panicked
		s.logLimited(k, slog.String("error", errorText(err)), slog.String("stack", string(p.Stack)))
		return
	}
	if isMeantForClients(err) || s.isCancellation(ctx, err) {
		s.log(slog.LevelDebug, events.failed, slog.String("error", errorText(err)), slog.String(key, value))
		return
	}
	s.logLimited(k, slog.String("error", errorText(err)))
}

// isMeantForClients reports whether err wraps an error made by NewError.
func isMeantForClients(err error) bool {
	name, _ := describe(err)
	return name == hubException
}

// isCancellation reports whether err results from the end of ctx or of the connection.
func (s *Session) isCancellation(ctx context.Context, err error) bool {
	if ctx.Err() != nil && (is(err, context.Canceled) || is(err, context.Cause(ctx))) {
		return true
	}
	return is(err, errEnded) && (s.out.phase.Load() == closing || s.out.hasEnded())
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

// logOpened logs that a connection has opened: its handshake has succeeded, or it listens.
func (s *Session) logOpened() {
	if leftOut, ok := s.admitConnection("connection opened"); ok {
		s.logged = true
		s.logConnection("connection opened", leftOut)
	}
}

// logEnded logs the end of a connection with a line for its beginning, or without a
// handshake.
func (s *Session) logEnded() {
	leftOut := uint64(0)
	if s.out.wire == nil {
		leftOut, s.logged = s.admitConnection("connection ended")
	}
	if !s.logged {
		return
	}
	var sent int64
	if t, ok := s.out.conn.(Traffic); ok {
		sent = t.SentBytes()
	}
	s.logConnection("connection ended", leftOut,
		slog.Float64("duration_s", time.Since(s.caller.begun).Seconds()),
		slog.Int64("received_bytes", s.input.received), slog.Int64("sent_bytes", sent),
		slog.String("cause", causeText(context.Cause(s.out.conn.Context()))))
}

func (s *Session) logConnection(event string, leftOut uint64, about ...slog.Attr) {
	protocolName := ""
	if s.out.wire != nil {
		protocolName = s.out.wire.Name()
	}
	about = append(about, slog.String("address", s.address()),
		slog.String("transport", s.caller.info.Transport), slog.String("protocol", protocolName))
	if leftOut > 0 {
		about = append(about, slog.Uint64("left_out", leftOut))
	}
	s.log(s.hub.options.ConnectionLevel.Level(), event, about...)
}

// admitConnection reports whether a connection of this client may be logged, and how many
// were left out before.
func (s *Session) admitConnection(event string) (leftOut uint64, ok bool) {
	level := s.hub.options.ConnectionLevel.Level()
	if !s.hub.options.Logger.Enabled(context.Background(), level) {
		return 0, false
	}
	k := floodgate.Kind{Level: level, Event: event, Burst: openBurst}
	if address, err := netip.ParseAddr(s.address()); err == nil {
		k.Key, k.Value = "address", limit.Network(address)
	}
	return s.hub.gate.Admit(k)
}

func (s *Session) address() string {
	if t, ok := s.out.conn.(Traffic); ok {
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
