package client

import (
	"context"

	"github.com/carillon-go/carillon/protocol"
)

// Handler is the untyped form of a typed function, for On. Action0 to Action6 make handlers from
// functions without a result. Func0 to Func6 make handlers from functions with a result, which is
// sent to the server that asked for it. ActionAny makes a handler for any arguments.
type Handler struct {
	serve   func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error)
	answers bool
}

// ActionAny makes a handler for any arguments. They are decoded into the types of the empty
// interface: JSON's numbers into float64, objects into map[string]any, and so on.
func ActionAny(f func(ctx context.Context, args []any) error) Handler {
	return Handler{serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		var args []any
		if err := p.Decode(arguments, &args); err != nil {
			return nil, &bindError{err}
		}
		return nil, f(ctx, args)
	}}
}

// bindError means that the arguments do not fit the handler.
type bindError struct{ err error }

func (e *bindError) Error() string { return "arguments do not fit the handler: " + e.err.Error() }
func (e *bindError) Unwrap() error { return e.err }

func bind(p protocol.HubProtocol, arguments []byte, targets ...any) error {
	if err := p.Bind(arguments, targets...); err != nil {
		return &bindError{err}
	}
	return nil
}

func action(h Handler) Handler {
	h.answers = false
	return h
}
