package hub

import (
	"context"
	"iter"
)

// Stream0 makes a streaming method from a function without parameters; see [Func0]. An
// error of the function fails the invocation. An error that the stream yields ends the
// stream. The stream is read only as fast as the client takes the items. Reading stops
// when the client cancels the stream or disconnects: ctx is done then, and a stream that
// waits must return when ctx is done. A nil stream is an error.
func Stream0[T any](f func(context.Context) (iter.Seq2[T, error], error)) Method {
	return newMethod(true, f, func(ctx context.Context, _ *params0) (any, error) { return items(f(ctx)) })
}

// Stream1 is [Stream0] for a function with one parameter.
func Stream1[A, T any](f func(context.Context, A) (iter.Seq2[T, error], error)) Method {
	return newMethod(true, f, func(ctx context.Context, p *params1[A]) (any, error) { return items(f(ctx, p.a)) })
}

// Stream2 is [Stream0] for a function with two parameters.
func Stream2[A, B, T any](f func(context.Context, A, B) (iter.Seq2[T, error], error)) Method {
	return newMethod(true, f, func(ctx context.Context, p *params2[A, B]) (any, error) { return items(f(ctx, p.a, p.b)) })
}

// Stream3 is [Stream0] for a function with three parameters.
func Stream3[A, B, C, T any](f func(context.Context, A, B, C) (iter.Seq2[T, error], error)) Method {
	return newMethod(true, f, func(ctx context.Context, p *params3[A, B, C]) (any, error) { return items(f(ctx, p.a, p.b, p.c)) })
}

// Stream4 is [Stream0] for a function with four parameters.
func Stream4[A, B, C, D, T any](f func(context.Context, A, B, C, D) (iter.Seq2[T, error], error)) Method {
	return newMethod(true, f, func(ctx context.Context, p *params4[A, B, C, D]) (any, error) {
		return items(f(ctx, p.a, p.b, p.c, p.d))
	})
}

// items converts a stream to its untyped form. A nil stream becomes a nil result.
func items[T any](seq iter.Seq2[T, error], err error) (any, error) {
	if err != nil || seq == nil {
		return nil, err
	}
	return iter.Seq2[any, error](func(yield func(any, error) bool) {
		for v, err := range seq {
			if !yield(v, err) {
				return
			}
		}
	}), nil
}

// FromSeq makes a stream from a sequence without errors, such as slices.Values of a slice: the
// result of a streaming method, or an upload of a generated client.
func FromSeq[T any](seq iter.Seq[T]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		seq(func(item T) bool { return yield(item, nil) })
	}
}

// FromChannel makes a stream from a channel. The stream ends when ch is closed and when
// ctx is done. ctx must be the one that the method was given.
func FromChannel[T any](ctx context.Context, ch <-chan T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			select {
			case v, ok := <-ch:
				if !ok || !yield(v, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
