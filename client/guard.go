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
var errExited = errors.New("client: the function ended its goroutine")

// panicError is a panic of the application's code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guard turns a panic of f into an error, and that of an error which cannot say what it is: a nil
// pointer in its place. It does not return if f calls runtime.Goexit: callers defer the rest of their
// work.
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

// isolate runs a function of the application in a goroutine of its own. It fails if the function
// panics or calls runtime.Goexit, and when ctx ends before the function returns. The function then
// goes on without anybody who waits for it.
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

// goroutineID returns the number of the calling goroutine as its stack trace shows it, 0 if it does
// not. Nothing but Stop depends on it: it is the only way to see that Stop is called by the code that
// it would wait for, whatever ctx it is given.
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
