package hub

import (
	"context"
	"log/slog"
	"runtime/debug"
)

var noLog = slog.New(slog.DiscardHandler)

// log returns the logger for events of the session at a level. The events bear the
// names of ASP.NET Core's, so that who knows those finds them.
func (s *Session) log(level slog.Level) *slog.Logger {
	if !s.logs(level) {
		return noLog
	}
	return s.hub.options.Logger.With(slog.String("hub", s.hub.options.Name), slog.String("connection_id", s.id))
}

// logs tells whether anything is logged at a level. Events that every connection has ask
// first: slog's frames are large, and would grow stacks that live for a moment.
func (s *Session) logs(level slog.Level) bool {
	return s.hub.options.Logger.Enabled(context.Background(), level)
}

func (s *Session) debug() *slog.Logger { return s.log(slog.LevelDebug) }

// recovered turns a panic of application code into an error; it is to be deferred.
func (s *Session) recovered(err *error) {
	v := recover()
	if v == nil {
		return
	}
	*err = &panicked{v}
	s.log(slog.LevelError).Error("Panic", slog.Any("error", *err), slog.String("stack", string(debug.Stack())))
}
