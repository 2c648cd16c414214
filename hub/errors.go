package hub

import (
	"errors"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// ErrShutdown is why connections end when their hub is shut down.
var ErrShutdown = errors.New("hub: shutting down")

// ErrAborted is why a connection ends that the application aborted.
var ErrAborted = errors.New("hub: aborted by the application")

// ErrSlowConsumer is why a connection ends that did not take what was sent to it.
var ErrSlowConsumer = errors.New("hub: slow consumer")

// errEnded is what sending to a connection whose end has begun returns.
var errEnded = errors.New("hub: the connection has ended")

// NewError returns an error whose text reaches the caller, as a HubException of
// ASP.NET Core does. Of other errors clients learn only that there was one, unless
// Options.DetailedErrors is set: then also their type, which is what a method
// ErrorType() string of the error says, else "Exception", and their text.
func NewError(text string) error { return &typedError{hubException, text} }

const hubException = "HubException"

// typedError is an error with the name that .NET gives its type.
type typedError struct{ name, text string }

func (e *typedError) Error() string     { return e.text }
func (e *typedError) ErrorType() string { return e.name }

// describe returns the type of err and its text as clients are told. Of an error
// that wraps one made by NewError only the latter's text is for clients. An error is the
// application's code: one that is a nil pointer may panic.
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

// is tells whether err is target or wraps it. It may panic as well: then it is not.
func is(err, target error) (yes bool) {
	defer func() { _ = recover() }()
	return errors.Is(err, target)
}

// explain returns what a client is told of err behind a general text.
func explain(general string, err error, detailed bool) string {
	name, text := describe(err)
	if !detailed && name != hubException {
		return general
	}
	return general + " " + name + ": " + text
}
