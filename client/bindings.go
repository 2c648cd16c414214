package client

import (
	"context"

	"github.com/carillon-go/carillon/protocol"
)

// Action0 makes a handler of a function with no argument and no result.
func Action0(fn func(context.Context) error) Handler {
	return action(Func0(func(ctx context.Context) (any, error) { return nil, fn(ctx) }))
}

// Action1 makes a handler of a function with one argument and no result.
func Action1[A any](fn func(context.Context, A) error) Handler {
	return action(Func1(func(ctx context.Context, a A) (any, error) { return nil, fn(ctx, a) }))
}

// Action2 makes a handler of a function with two arguments and no result.
func Action2[A, B any](fn func(context.Context, A, B) error) Handler {
	return action(Func2(func(ctx context.Context, a A, b B) (any, error) { return nil, fn(ctx, a, b) }))
}

// Action3 makes a handler of a function with three arguments and no result.
func Action3[A, B, C any](fn func(context.Context, A, B, C) error) Handler {
	return action(Func3(func(ctx context.Context, a A, b B, c C) (any, error) { return nil, fn(ctx, a, b, c) }))
}

// Action4 makes a handler of a function with four arguments and no result.
func Action4[A, B, C, D any](fn func(context.Context, A, B, C, D) error) Handler {
	return action(Func4(func(ctx context.Context, a A, b B, c C, d D) (any, error) { return nil, fn(ctx, a, b, c, d) }))
}

// Action5 makes a handler of a function with five arguments and no result.
func Action5[A, B, C, D, E any](fn func(context.Context, A, B, C, D, E) error) Handler {
	return action(Func5(func(ctx context.Context, a A, b B, c C, d D, e E) (any, error) { return nil, fn(ctx, a, b, c, d, e) }))
}

// Action6 makes a handler of a function with six arguments and no result.
func Action6[A, B, C, D, E, F any](fn func(context.Context, A, B, C, D, E, F) error) Handler {
	return action(Func6(func(ctx context.Context, a A, b B, c C, d D, e E, f F) (any, error) {
		return nil, fn(ctx, a, b, c, d, e, f)
	}))
}

// Func0 makes a handler from a function with no argument. Its result is sent to the server.
func Func0[R any](fn func(context.Context) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		if err := bind(p, arguments); err != nil {
			return nil, err
		}
		return fn(ctx)
	}}
}

// Func1 makes a handler from a function with one argument. Its result is sent to the server.
func Func1[A, R any](fn func(context.Context, A) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a := new(A)
		if err := bind(p, arguments, a); err != nil {
			return nil, err
		}
		return fn(ctx, *a)
	}}
}

// Func2 makes a handler from a function with two arguments. Its result is sent to the server.
func Func2[A, B, R any](fn func(context.Context, A, B) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a, b := new(A), new(B)
		if err := bind(p, arguments, a, b); err != nil {
			return nil, err
		}
		return fn(ctx, *a, *b)
	}}
}

// Func3 makes a handler from a function with three arguments. Its result is sent to the server.
func Func3[A, B, C, R any](fn func(context.Context, A, B, C) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a, b, c := new(A), new(B), new(C)
		if err := bind(p, arguments, a, b, c); err != nil {
			return nil, err
		}
		return fn(ctx, *a, *b, *c)
	}}
}

// Func4 makes a handler from a function with four arguments. Its result is sent to the server.
func Func4[A, B, C, D, R any](fn func(context.Context, A, B, C, D) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a, b, c, d := new(A), new(B), new(C), new(D)
		if err := bind(p, arguments, a, b, c, d); err != nil {
			return nil, err
		}
		return fn(ctx, *a, *b, *c, *d)
	}}
}

// Func5 makes a handler from a function with five arguments. Its result is sent to the server.
func Func5[A, B, C, D, E, R any](fn func(context.Context, A, B, C, D, E) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a, b, c, d, e := new(A), new(B), new(C), new(D), new(E)
		if err := bind(p, arguments, a, b, c, d, e); err != nil {
			return nil, err
		}
		return fn(ctx, *a, *b, *c, *d, *e)
	}}
}

// Func6 makes a handler from a function with six arguments. Its result is sent to the server.
func Func6[A, B, C, D, E, F, R any](fn func(context.Context, A, B, C, D, E, F) (R, error)) Handler {
	return Handler{answers: true, serve: func(ctx context.Context, p protocol.HubProtocol, arguments []byte) (any, error) {
		a, b, c, d, e, f := new(A), new(B), new(C), new(D), new(E), new(F)
		if err := bind(p, arguments, a, b, c, d, e, f); err != nil {
			return nil, err
		}
		return fn(ctx, *a, *b, *c, *d, *e, *f)
	}}
}
