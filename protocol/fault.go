package protocol

import (
	"errors"
	"fmt"
)

// Fault is a violation of the protocol by the peer, or a value that the protocol cannot
// express. It ends the connection.
type Fault struct {
	Exception string // .NET's name of the exception, without its namespace
	Message   string
}

// Error returns the text for a detailed close message: "InvalidDataException: Error
// reading JSON.".
func (f *Fault) Error() string { return f.Exception + ": " + f.Message }

// CountError reports that an invocation and its target differ in the number of arguments.
type CountError struct{ Got, Want int }

func (e *CountError) Error() string {
	return fmt.Sprintf("Invocation provides %d argument(s) but target expects %d.", e.Got, e.Want)
}

// ErrorType returns the name of .NET's exception.
func (e *CountError) ErrorType() string { return exceptionInvalidData }

// BindError reports that the arguments of an invocation do not fit the types of its
// target.
type BindError struct {
	Err error // the cause; the peer must not see it

	// Argument is the number of the argument that does not fit, counted from 1, or 0 if the
	// arguments as a whole are malformed.
	Argument int

	exception, message string // replace the default ones
}

func (e *BindError) Error() string {
	if e.message != "" {
		return e.message
	}
	return "Error binding arguments. Make sure that the types of the provided values match the types of the hub method being invoked."
}

// isLike reports whether err is a BindError with the same exception.
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

// DecodeError reports that an item or a result does not fit the wanted type.
type DecodeError struct {
	TypeName string // .NET's name of the wanted type: "Int32"
	Err      error  // the cause, for logs

	exception string
	message   func(what string) string
}

// Error returns the text for an uploaded item. A hub appends it, after ErrorType, to
// "Failed to bind Stream message. ".
func (e *DecodeError) Error() string { return e.message("item") }

// ResultText returns the text of the error for a client result.
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

// asFault returns the Fault that err is or wraps, or nil.
func asFault(err error) *Fault {
	var fault *Fault
	errors.As(err, &fault)
	return fault
}

func invalidData(format string, args ...any) *Fault {
	return &Fault{Exception: exceptionInvalidData, Message: fmt.Sprintf(format, args...)}
}

// tooLarge returns the fault of a message that exceeds the receiver's limit.
func tooLarge(limit int) *Fault {
	return invalidData("The maximum message size of %dB was exceeded. The message size can be configured in AddHubOptions.", limit)
}
