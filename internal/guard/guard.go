// Package guard calls code of applications. A panic ends that call and nothing else, and so
// does runtime.Goexit, which testing.T.FailNow calls.
package guard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// Panic is the error that replaces a panic of application code. Its text does not contain the
// stack.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// Recover turns a panic into a *Panic in err. It must be deferred itself.
func Recover(err *error) {
	if v := recover(); v != nil {
		*err = NewPanic(v)
	}
}

// NewPanic returns an error for the value that recover returned. It must be called by the
// deferred function that called recover.
func NewPanic(value any) *Panic { return &Panic{Value: value, Stack: debug.Stack()} }

// ErrGoexit stands for a panic where the code of an application has called runtime.Goexit.
var ErrGoexit error = &Panic{Value: errors.New("the code called runtime.Goexit")}

// Run calls f and returns its error, or a panic of f as a *Panic. If f's error panics in its
// Error method, such as a nil pointer, that panic replaces the error. Run does not return if
// f calls runtime.Goexit: callers defer the rest of their work.
func Run(f func() error) (err error) {
	defer Recover(&err)
	if err = f(); err != nil {
		_ = err.Error()
	}
	return err
}

// Call is Run on a goroutine of its own. It returns ErrGoexit if f, or the Error method of
// f's error, calls runtime.Goexit. If ctx ends first, it returns the cause of ctx; f then
// continues and no goroutine waits for it.
func Call(ctx context.Context, f func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := ErrGoexit
		defer func() { ended <- err }()
		err = Run(f)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
