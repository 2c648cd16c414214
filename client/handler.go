package client

import (
	"context"

	"github.com/carillon-go/carillon/protocol"
)

// Handler is a typed function in its untyped form: what On takes. The functions Action0 to Action6
// make handlers of functions without a result, Func0 to Func6 of functions whose result goes back
// to the server that asked for it, and ActionAny one that takes whatever comes.
type Handler struct {
	serve   func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error)
	answers bool
}

// ActionAny makes a handler that takes any arguments, decoded as they come: JSON's numbers as
// float64, objects as map[string]any, and so on.
func ActionAny(f func(ctx context.Context, args []any) error) Handler {
	return action(func(ctx context.Context, p protocol.HubProtocol, arguments []byte) error {
		var args []any
		if err := p.Decode(arguments, &args); err != nil {
			return &bindError{err}
		}
		return f(ctx, args)
	})
}

// bindError: the arguments are not what the handler takes.
type bindError struct{ err error }

func (e *bindError) Error() string { return "arguments do not fit the handler: " + e.err.Error() }
func (e *bindError) Unwrap() error { return e.err }

func bind(p protocol.HubProtocol, arguments []byte, targets ...any) error {
	if err := p.Bind(arguments, targets...); err != nil {
		return &bindError{err}
	}
	return nil
}

func action(f func(context.Context, protocol.HubProtocol, []byte) error) Handler {
	return Handler{serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		return nil, f(ctx, p, arguments)
	}}
}
