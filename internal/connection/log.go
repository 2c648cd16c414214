package connection

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/httpreq"
	"github.com/carillon-go/carillon/transports"
)

// errorBurst is the number of lines of one kind that a registry writes at once if clients can
// provoke them. See package floodgate.
const errorBurst = 100

// Address returns the client's address for logs, or "" if it is unknown.
func (o *opening) Address() string {
	p := o.request.Load()
	if p == nil {
		return ""
	}
	return addressText(&http.Request{RemoteAddr: p.remoteAddr})
}

func addressText(r *http.Request) string { return textOf(httpreq.Address(r)) }

func textOf(a netip.Addr) string {
	if a.IsValid() {
		return a.String()
	}
	return ""
}

// SentBytes returns the number of bytes of all messages that were accepted for sending.
func (o *outbound) SentBytes() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sentBytes
}

// logTransport logs that a request has chosen the transport, or the end of the connection.
func (c *Connection) logTransport(event string, kind transports.Type, about ...slog.Attr) {
	about = append(about, slog.String("connection_id", c.LogName()), slog.String("transport", string(kind)))
	c.registry.logger.LogAttrs(context.Background(), slog.LevelDebug, event, about...) //nolint:sloglint // the callers' events are constants
}

// logbook logs what goes wrong at an endpoint.
type logbook struct {
	logger *slog.Logger
	gate   *floodgate.Gate // of lines that clients can provoke
}

// logsDebug reports whether lines of the debug level are logged.
func (l *logbook) logsDebug() bool {
	return l.logger.Enabled(context.Background(), slog.LevelDebug)
}

// logPanic logs a panic of a part of the application. about says where it happened.
func (l *logbook) logPanic(part string, p any, about ...slog.Attr) {
	stack := string(debug.Stack())
	k := floodgate.Kind{Level: slog.LevelError, Event: "application panicked", Key: "part", Value: part, Burst: errorBurst}
	l.gate.Log(k, func() []slog.Attr {
		return append(about, slog.String("error", fmt.Sprintf("panic: %v", p)), slog.String("stack", stack))
	})
}

// report reports an event to o. A panic of o does not end the connection.
func (l *logbook) report(o transports.Observer, e transports.Event) {
	defer l.contain("Observer")
	o.Observe(e)
}

// contain, deferred, logs a panic of application code that only observes.
func (l *logbook) contain(part string) {
	if p := recover(); p != nil {
		l.logPanic(part, p)
	}
}

// logRefusedUser logs that a request does not have the connection's user, or that the
// application refuses its credentials.
func (h *Handler) logRefusedUser(r *http.Request, c *Connection, reason string) {
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "authentication refused", Key: "reason", Value: reason, Burst: errorBurst}
	h.registry.gate.Log(k, func() []slog.Attr {
		return []slog.Attr{slog.String("connection_id", c.LogName()), slog.String("address", addressText(r))}
	})
}

// refuseExpired logs that the credentials of a client have expired, and returns ErrExpired.
func (l *logbook) refuseExpired(address netip.Addr) error {
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "authentication refused", Key: "reason", Value: "the credentials have expired", Burst: errorBurst}
	l.gate.Log(k, func() []slog.Attr { return []slog.Attr{slog.String("address", textOf(address))} })
	return ErrExpired
}

// maxLoggedText is the longest text of a client in a line, in bytes.
const maxLoggedText = 256

// LogRefusedOrigin logs that a page may not make a request. c may be nil. The path is logged
// without the query, which may contain secrets.
func (r *Registry) LogRefusedOrigin(request *http.Request, c *Connection) {
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "origin refused", Burst: errorBurst}
	r.gate.Log(k, func() []slog.Attr {
		about := []slog.Attr{
			slog.String("origin", floodgate.Clip(request.Header.Get("Origin"), maxLoggedText)),
			slog.String("path", floodgate.Clip(request.URL.Path, maxLoggedText)), slog.String("address", addressText(request)),
		}
		if c != nil {
			about = append(about, slog.String("connection_id", c.LogName()))
		}
		return about
	})
}

type nameKey struct{}

// WithName returns a context for a request. The endpoint stores the name for logs of the
// request's connection in name, if it finds or promises one.
func WithName(ctx context.Context, name *string) context.Context {
	return context.WithValue(ctx, nameKey{}, name)
}

// StoreName stores the name of the request's connection for WithName.
func StoreName(r *http.Request, name func() string) {
	if p, ok := r.Context().Value(nameKey{}).(*string); ok {
		*p = name()
	}
}

// LogName returns the name for logs of the promised connection; see Connection.LogName.
func (n *Negotiation) LogName() string { return logName(n.ID(), n.hasToken) }
