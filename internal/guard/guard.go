// Package guard calls code of applications. A panic ends that call and nothing else, and so
// does runtime.Goexit, which testing.T.FailNow calls.
package guard

import (
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

// NewPanic returns an error for the value that recover returned. It must be called by the
// deferred function that called recover.
func NewPanic(value any) *Panic { return &Panic{Value: value, Stack: debug.Stack()} }

// ErrGoexit stands for a panic where the code of an application has called runtime.Goexit.
var ErrGoexit error = &Panic{Value: errors.New("the code called runtime.Goexit")}

// Call calls f on a goroutine of its own, waits for it, and returns its error. A panic of f
// is returned as a *Panic, a call of runtime.Goexit as ErrGoexit; so is that of an error which
// cannot say its text, such as a nil pointer.
func Call(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := ErrGoexit
		defer func() {
			if v := recover(); v != nil {
				err = NewPanic(v)
			}
			ended <- err
		}()
		result := f()
		if result != nil {
			_ = result.Error()
		}
		err = result
	}()
	return <-ended
}
