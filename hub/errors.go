package hub

import (
	"errors"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// ErrShutdown is the cause of a connection's end when its hub is shut down.
var ErrShutdown = errors.New("hub: shutting down")

// ErrAborted is the cause of a connection's end when the application aborts it.
var ErrAborted = errors.New("hub: aborted by the application")

// ErrSlowConsumer is the cause of a connection's end when its client reads too slowly.
var ErrSlowConsumer = errors.New("hub: slow consumer")

// errEnded is returned by sends to a connection that has begun to end.
var errEnded = errors.New("hub: the connection has ended")

// endedError is an error that results from the end of a connection.
type endedError struct{ error }

func (e endedError) Unwrap() error      { return e.error }
func (endedError) Is(target error) bool { return target == errEnded }

// NewError returns an error with a text that the caller of the method receives, like
// HubException of ASP.NET Core. Of other errors a client learns only that there was one.
// With Options.DetailedErrors it also gets their text and their type, which is the result
// of the error's method ErrorType() string, or "Exception" without that method.
func NewError(text string) error { return &typedError{hubException, text} }

const hubException = "HubException"

// typedError is an error with the name of its type in .NET.
type typedError struct{ name, text string }

func (e *typedError) Error() string     { return e.text }
func (e *typedError) ErrorType() string { return e.name }

// describe returns the type and text of err for clients. If err wraps an error made by
// NewError, the text is that of the wrapped error. A method of err is application code
// and may panic, for example on a nil pointer.
func describe(err error) (name, text string) {
	defer func() {
		if v := recover(); v != nil {
			name, text = "Exception", guard.NewPanic(v).Error()
		}
	}()
	var typed interface{ ErrorType() string }
	if errors.As(err, &typed) {
		if e, ok := typed.(*typedError); ok && e.name == hubException {
			return e.name, e.text
		}
		return typed.ErrorType(), err.Error()
	}
	var fault *protocol.Fault
	if errors.As(err, &fault) {
		return fault.Exception, fault.Message
	}
	return "Exception", err.Error()
}

// is reports whether err is target or wraps it. If that panics, is returns false.
func is(err, target error) (yes bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, target)
}

// explain returns the general text, followed by the description of err if clients may see
// it.
func explain(general string, err error, detailed bool) string {
	name, text := describe(err)
	if !detailed && name != hubException {
		return general
	}
	return general + " " + name + ": " + text
}

// asFault returns err if it is a Fault, which ends the connection. A Fault wrapped in
// another error does not: it only explains why a value does not fit.
func asFault(err error) error {
	if fault, ok := err.(*protocol.Fault); ok { //nolint:errorlint // see above
		return fault
	}
	return nil
}
