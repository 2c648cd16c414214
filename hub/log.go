package hub

import (
	"context"
	"log/slog"
	"runtime/debug"
)

// log logs an event of the session. The events bear the names of ASP.NET Core's, so that who
// knows those finds them. One of a level that is off costs nothing: slog is not called.
func (s *Session) log(level slog.Level, event string, about ...slog.Attr) {
	l, ctx := s.hub.options.Logger, context.Background()
	if l.Enabled(ctx, level) {
		l = l.With(slog.String("hub", s.hub.options.Name), slog.String("connection_id", s.id))
		l.LogAttrs(ctx, level, event, about...) //nolint:sloglint // the callers' events are constants
	}
}

// recovered turns a panic of application code into an error; it is to be deferred.
func (s *Session) recovered(err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = &panicked{v}
	s.log(slog.LevelError, "Panic", slog.Any("error", *err), slog.String("stack", string(debug.Stack())))
}
