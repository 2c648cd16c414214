package protocol

import (
	"errors"
	"fmt"
)

// Fault is a violation of the protocol by the peer, or a value that the protocol cannot express. It ends the connection.
type Fault struct {
	Exception string // the name that .NET gives the exception, without its namespace
	Message   string
}

// Error returns what a detailed close message says of it: "InvalidDataException: Error reading JSON.".
func (f *Fault) Error() string { return f.Exception + ": " + f.Message }

// CountError says that an invocation has another number of arguments than its target has parameters.
type CountError struct{ Got, Want int }

func (e *CountError) Error() string {
	return fmt.Sprintf("Invocation provides %d argument(s) but target expects %d.", e.Got, e.Want)
}

// ErrorType returns the name of .NET's exception.
func (e *CountError) ErrorType() string { return exceptionInvalidData }

// BindError says that the arguments of an invocation cannot be read as what its target wants.
type BindError struct {
	Err error // what is wrong with the argument; for logs, never for the peer

	exception, message string // instead of the usual ones
}

func (e *BindError) Error() string {
	if e.message != "" {
		return e.message
	}
	return "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."
}

// isLike tells whether err is a BindError of the same exception.
func (e *BindError) isLike(err error) bool {
	other, ok := errors.AsType[*BindError](err)
	return ok && other.exception == e.exception
}

// ErrorType returns the name of .NET's exception.
func (e *BindError) ErrorType() string {
	if e.exception != "" {
		return e.exception
	}
	return exceptionInvalidData
}

func (e *BindError) Unwrap() error { return e.Err }

// DecodeError says that an item or a result cannot be read as the type that is wanted.
type DecodeError struct {
	TypeName string // as .NET calls the wanted type: "Int32"
	Err      error  // what is wrong, for logs

	exception string
	message   func(what string) string
}

// Error returns the text for an uploaded item. A hub puts it, with ErrorType, behind "Failed to bind Stream message. ".
func (e *DecodeError) Error() string { return e.message("item") }

// ResultText returns the error that a result of a client amounts to.
func (e *DecodeError) ResultText() string {
	return "Error trying to deserialize result to " + e.TypeName + ". " + e.message("argument")
}

// ErrorType returns the name of .NET's exception.
func (e *DecodeError) ErrorType() string { return e.exception }

func (e *DecodeError) Unwrap() error { return e.Err }

const (
	exceptionInvalidData      = "InvalidDataException"
	exceptionFormat           = "FormatException"
	exceptionJSONReader       = "JsonReaderException"
	exceptionInvalidOperation = "InvalidOperationException"
)

// asFault is the fault that err is or wraps; nil if it is none.
func asFault(err error) *Fault {
	var fault *Fault
	errors.As(err, &fault)
	return fault
}

func invalidData(format string, args ...any) *Fault {
	return &Fault{Exception: exceptionInvalidData, Message: fmt.Sprintf(format, args...)}
}

// tooLarge is the fault of a message that exceeds the limit of the receiver.
func tooLarge(limit int) *Fault {
	return invalidData("The maximum message size of %dB was exceeded. The message size can be configured in AddHubOptions.", limit)
}
