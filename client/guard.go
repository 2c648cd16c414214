package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strconv"
)

// errExited is the error of application code that has called runtime.Goexit, as testing.T.FailNow
// does.
var errExited = errors.New("client: the function called runtime.Goexit")

// panicError is a panic of application code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard returns a panic of f as an error. If f's error panics in its Error method, such as a nil
// pointer, that panic replaces the error. guard does not return if f calls runtime.Goexit: callers
// defer the rest of their work.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	if err = f(); err != nil {
		_ = err.Error()
	}
	return err
}

// isolate runs an application function on a goroutine of its own. It fails if the function panics
// or calls runtime.Goexit, and if ctx ends before the function returns. The function then goes on
// and no goroutine waits for it.
func isolate[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		o := outcome{err: errExited}
		defer func() { done <- o }()
		o.err = guard(func() (err error) {
			o.value, err = f()
			return err
		})
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// goroutineID returns the number of the calling goroutine from its stack trace, or 0 if there is
// none. Only Stop uses it: it is the only way to recognize that Stop is called by code that it
// would wait for, whichever ctx Stop gets.
func goroutineID() uint64 {
	var trace [64]byte
	text := bytes.TrimPrefix(trace[:runtime.Stack(trace[:], false)], []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	id, err := strconv.ParseUint(string(number), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
