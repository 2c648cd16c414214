package hub

import "context"

// Func0 makes a method from a function without parameters that has a result. Func1 to
// Func6 do the same for functions with parameters. Action0 to Action6 are for functions
// without a result; these complete with null. Stream0 to Stream4 are for functions that
// answer with a stream of items. A parameter of type [Upload] receives the next stream
// that the client uploads.
//
// The functions run concurrently for different clients. An error completes the invocation
// with an error: see [NewError]. A panic and a call of runtime.Goexit do the same and end
// nothing else. ctx carries the caller ([CallerFrom]). ctx is done when the connection
// has ended and when the client cancels the invocation. An invocation that is cancelled
// while it is queued still runs. ctx does not end when the function returns; the ctx of a
// stream ends with the stream.
func Func0[R any](f func(context.Context) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, _ *params0) (any, error) { return f(ctx) })
}

// Func1 is [Func0] for a function with one parameter.
func Func1[A, R any](f func(context.Context, A) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params1[A]) (any, error) { return f(ctx, p.a) })
}

// Func2 is [Func0] for a function with two parameters.
func Func2[A, B, R any](f func(context.Context, A, B) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params2[A, B]) (any, error) { return f(ctx, p.a, p.b) })
}

// Func3 is [Func0] for a function with three parameters.
func Func3[A, B, C, R any](f func(context.Context, A, B, C) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params3[A, B, C]) (any, error) { return f(ctx, p.a, p.b, p.c) })
}

// Func4 is [Func0] for a function with four parameters.
func Func4[A, B, C, D, R any](f func(context.Context, A, B, C, D) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params4[A, B, C, D]) (any, error) { return f(ctx, p.a, p.b, p.c, p.d) })
}

// Func5 is [Func0] for a function with five parameters.
func Func5[A, B, C, D, E, R any](f func(context.Context, A, B, C, D, E) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params5[A, B, C, D, E]) (any, error) {
		return f(ctx, p.a, p.b, p.c, p.d, p.e)
	})
}

// Func6 is [Func0] for a function with six parameters.
func Func6[A, B, C, D, E, F, R any](f func(context.Context, A, B, C, D, E, F) (R, error)) Method {
	return newMethod(false, f, func(ctx context.Context, p *params6[A, B, C, D, E, F]) (any, error) {
		return f(ctx, p.a, p.b, p.c, p.d, p.e, p.f)
	})
}

// Action0 makes a method from a function without parameters and without a result; see
// [Func0].
func Action0(f func(context.Context) error) Method {
	return newMethod(false, f, func(ctx context.Context, _ *params0) (any, error) { return nil, f(ctx) })
}

// Action1 is [Action0] for a function with one parameter.
func Action1[A any](f func(context.Context, A) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params1[A]) (any, error) { return nil, f(ctx, p.a) })
}

// Action2 is [Action0] for a function with two parameters.
func Action2[A, B any](f func(context.Context, A, B) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params2[A, B]) (any, error) { return nil, f(ctx, p.a, p.b) })
}

// Action3 is [Action0] for a function with three parameters.
func Action3[A, B, C any](f func(context.Context, A, B, C) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params3[A, B, C]) (any, error) { return nil, f(ctx, p.a, p.b, p.c) })
}

// Action4 is [Action0] for a function with four parameters.
func Action4[A, B, C, D any](f func(context.Context, A, B, C, D) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params4[A, B, C, D]) (any, error) { return nil, f(ctx, p.a, p.b, p.c, p.d) })
}

// Action5 is [Action0] for a function with five parameters.
func Action5[A, B, C, D, E any](f func(context.Context, A, B, C, D, E) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params5[A, B, C, D, E]) (any, error) {
		return nil, f(ctx, p.a, p.b, p.c, p.d, p.e)
	})
}

// Action6 is [Action0] for a function with six parameters.
func Action6[A, B, C, D, E, F any](f func(context.Context, A, B, C, D, E, F) error) Method {
	return newMethod(false, f, func(ctx context.Context, p *params6[A, B, C, D, E, F]) (any, error) {
		return nil, f(ctx, p.a, p.b, p.c, p.d, p.e, p.f)
	})
}
