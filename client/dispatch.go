package client

import (
	"context"
	"errors"

	"github.com/carillon-go/carillon/internal/guard"
)

// These are texts of the .NET client. The hub's method that waits for the result sees them.
const (
	noResult      = "Client didn't provide a result."
	badArguments  = "Client failed to parse argument(s)."
	badResult     = "Client failed to serialize the result."
	handlerFailed = "The client's handler panicked."
)

// invocation is an invocation by the server that is being handled.
type invocation struct {
	job
	answer []byte // nil until a handler has answered
}

// invoked returns the turn of an invocation: its handlers run, then the server gets an answer if it
// wants one.
func (s *session) invoked(ctx context.Context, j job) *turn {
	v := &invocation{job: j}
	found := s.run.conn.handlers.forMethod(j.target)
	if len(found) == 0 {
		s.options.Logger.DebugContext(ctx, "no handler", "method", j.target)
	}
	t := &turn{finish: func() { v.finish(ctx) }}
	for _, h := range found {
		t.left = append(t.left, func() { v.serve(ctx, h) })
	}
	return t
}

// serve runs one handler and stores its answer.
func (v *invocation) serve(ctx context.Context, h *Handler) {
	var answer []byte
	err := guard.ErrGoexit
	defer func() {
		if err != nil {
			v.logFailure(ctx, err)
		}
		var unbound *bindError
		switch {
		case v.id == "" || !h.answers && !errors.As(err, &unbound):
		case answer != nil:
			v.answer = answer
		default:
			v.answer = v.encodeFailure(err)
		}
	}()
	err = guard.Run(func() error {
		result, err := h.serve(ctx, v.session.protocol, v.arguments)
		if err == nil && v.id != "" && h.answers {
			answer = v.encodeResult(result)
		}
		return err
	})
}

// finish sends the answer.
func (v *invocation) finish(ctx context.Context) {
	s := v.session
	defer s.run.budget.release(v.size)
	if v.id == "" {
		return
	}
	if v.answer == nil {
		v.answer = s.protocol.AppendError(nil, v.id, noResult)
	}
	if err := s.out.add(s.ctx, v.answer); err != nil {
		s.options.Logger.DebugContext(ctx, "result not sent", "method", v.target, "error", err)
	}
}

// encodeResult encodes a result. It calls application code if the result encodes itself.
func (v *invocation) encodeResult(result any) []byte {
	p, id := v.session.protocol, v.id
	var answer []byte
	err := guard.Run(func() (err error) {
		answer, err = p.AppendResult(nil, id, result)
		return err
	})
	if err != nil {
		return p.AppendError(nil, id, badResult)
	}
	return answer
}

// encodeFailure encodes the error of a handler for the server.
func (v *invocation) encodeFailure(err error) []byte {
	text := handlerFailed
	if _, unbound := errors.AsType[*bindError](err); unbound {
		text = badArguments
	} else if _, panicked := errors.AsType[*guard.Panic](err); !panicked {
		text = err.Error()
	}
	return v.session.protocol.AppendError(nil, v.id, text)
}

func (v *invocation) logFailure(ctx context.Context, err error) {
	log, method := v.session.options.Logger, v.target
	if panicked, ok := errors.AsType[*guard.Panic](err); ok {
		log.ErrorContext(ctx, "handler panicked", "method", method, "error", panicked, "stack", string(panicked.Stack))
		return
	}
	log.WarnContext(ctx, "handler failed", "method", method, "error", err)
}
