package hub

import (
	"context"
	"log/slog"
	"runtime/debug"
)

// The events bear the names of ASP.NET Core's, so that who knows those finds them.

func (h *Hub) log(s *Session, event string, attrs ...slog.Attr) {
	h.logAt(slog.LevelDebug, s, event, attrs...)
}

func (h *Hub) logError(s *Session, event string, err error, attrs ...slog.Attr) {
	h.logAt(slog.LevelError, s, event, append(attrs, slog.Any("error", err))...)
}

func (h *Hub) logAt(level slog.Level, s *Session, event string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !h.options.Logger.Enabled(ctx, level) {
		return
	}
	all := append([]slog.Attr{slog.String("hub", h.options.Name), slog.String("connection_id", s.id)}, attrs...)
	h.options.Logger.LogAttrs(ctx, level, event, all...)
}

// recovered turns a panic of application code into an error; it is to be deferred.
func (s *Session) recovered(err *error) {
	if v := recover(); v != nil {
		*err = &panicked{v}
		s.hub.logError(s, "Panic", *err, slog.String("stack", string(debug.Stack())))
	}
}
