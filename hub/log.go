package hub

import (
	"context"
	"log/slog"

	"github.com/carillon-go/carillon/internal/guard"
)

// log logs an event of the session. Events have the names of ASP.NET Core's, so that
// people find the ones they know. A disabled level costs nothing: slog is not called.
func (s *Session) log(level slog.Level, event string, about ...slog.Attr) {
	l, ctx := s.hub.options.Logger, context.Background()
	if l.Enabled(ctx, level) {
		l = l.With(slog.String("hub", s.hub.options.Name), slog.String("connection_id", s.logName()))
		l.LogAttrs(ctx, level, event, about...) //nolint:sloglint // the callers' events are constants
	}
}

// logName returns the connection's name for logs.
func (s *Session) logName() string {
	if n, ok := s.conn.(LogNamer); ok {
		return n.LogName()
	}
	return s.id
}

// logPanic logs an error if it is a panic.
func (s *Session) logPanic(err error) {
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // one within an application's error is the application's
		s.log(slog.LevelError, "Panic", slog.Any("error", err), slog.String("stack", string(p.Stack)))
	}
}
