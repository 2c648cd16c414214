package client

import (
	"context"
	"errors"
)

// Texts of the .NET client, where the hub's method that asked sees them.
const (
	noResult      = "Client didn't provide a result."
	badArguments  = "Client failed to parse argument(s)."
	badResult     = "Client failed to serialize the result."
	handlerFailed = "The client's handler panicked."
)

// invoked runs the handlers of an invocation and answers it if the server wants that.
func (s *session) invoked(ctx context.Context, j job) {
	var answer []byte
	found := s.run.conn.handlers.of(j.target)
	if len(found) == 0 {
		s.options.Logger.DebugContext(ctx, "no handler", "method", j.target)
	}
	for _, h := range found {
		result, err := s.serve(ctx, h, j)
		if err != nil {
			s.logFailure(ctx, j.target, err)
		}
		var unbound *bindError
		if j.id != "" && (h.answers || errors.As(err, &unbound)) {
			answer = s.encodeAnswer(j.id, result, err)
		}
	}
	if j.id == "" {
		return
	}
	if answer == nil {
		answer = s.protocol.AppendError(nil, j.id, noResult)
	}
	if err := s.out.add(s.ctx, answer); err != nil {
		s.options.Logger.DebugContext(ctx, "result not sent", "method", j.target, "error", err)
	}
}

func (s *session) serve(ctx context.Context, h *Handler, j job) (result any, err error) {
	err = guard(func() (err error) {
		result, err = h.serve(ctx, s.protocol, j.arguments)
		return err
	})
	return result, err
}

func (s *session) encodeAnswer(id string, result any, err error) []byte {
	var unbound *bindError
	var panicked *panicError
	switch {
	case errors.As(err, &unbound):
		return s.protocol.AppendError(nil, id, badArguments)
	case errors.As(err, &panicked):
		return s.protocol.AppendError(nil, id, handlerFailed)
	case err != nil:
		return s.protocol.AppendError(nil, id, err.Error())
	}
	answer, err := s.protocol.AppendResult(nil, id, result)
	if err != nil {
		return s.protocol.AppendError(nil, id, badResult)
	}
	return answer
}

func (s *session) logFailure(ctx context.Context, method string, err error) {
	var panicked *panicError
	if errors.As(err, &panicked) {
		s.options.Logger.ErrorContext(ctx, "handler panicked", "method", method, "panic", panicked.value, "stack", string(panicked.stack))
		return
	}
	s.options.Logger.WarnContext(ctx, "handler failed", "method", method, "error", err)
}
