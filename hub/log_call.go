package hub

import (
	"errors"
	"log/slog"
	"reflect"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// refusalError is an error of an invocation that the hub refuses because of its client.
type refusalError struct{ error }

func (e refusalError) Unwrap() error { return e.error }

// logFailure logs an error of the invocation. A mistake of the client is a warning.
func (c *call) logFailure(err error) {
	refused, isRefusal := err.(refusalError) //nolint:errorlint // filters cannot wrap it
	switch {
	case is(err, errTooManyStreams): // countRefusal has logged it
	case c.bindError != nil && is(err, c.bindError):
		c.logUnbound()
	case isRefusal:
		c.logRefusal(refused.Error())
	default:
		c.session.logFailure(c, methodFailures, "method", c.knownName(), err)
	}
}

// logUnbound logs that the method is unknown or that the arguments do not fit its
// parameters. The line does not contain the arguments.
func (c *call) logUnbound() {
	if p, ok := c.bindError.(*guard.Panic); ok { //nolint:errorlint // see Session.logFailure
		c.session.logFailure(c, methodFailures, "method", c.knownName(), p)
		return
	}
	if c.method == nil {
		c.logRefusal(c.bindError.Error())
		return
	}
	about := []slog.Attr{slog.String("error", c.bindError.Error())}
	if unbound, ok := errors.AsType[*protocol.BindError](c.bindError); ok && unbound.Argument > 0 {
		targets, _ := c.method.split(c.params)
		about = append(about, slog.Int("argument", unbound.Argument),
			slog.String("type", reflect.TypeOf(targets[unbound.Argument-1]).Elem().String()))
	}
	c.logMistake("arguments do not bind", about...)
}

// logRefusal logs that the method is not called because of the client.
func (c *call) logRefusal(reason string) {
	c.logMistake("invocation refused", slog.String("reason", clip(reason)))
}

// logMistake logs a mistake of the client. All methods that do not exist are one kind.
func (c *call) logMistake(event string, about ...slog.Attr) {
	if c.method == nil {
		about = append(about, slog.String("method", clip(c.target)))
	}
	k := floodgate.Kind{Level: slog.LevelWarn, Event: event, Key: "method", Value: c.knownName(), Burst: errorBurst}
	c.session.logLimited(k, about...)
}

// knownName returns the declared name of the method, or "" if it does not exist.
func (c *call) knownName() string {
	if c.method == nil {
		return ""
	}
	return c.method.name
}

// logItem logs that an item of an upload does not decode to the type of its method.
func (c *call) logItem(err error) {
	if c == nil { // the call has ended
		return
	}
	if p, ok := err.(*guard.Panic); ok { //nolint:errorlint // see Session.logFailure
		c.session.logFailure(c, methodFailures, "method", c.knownName(), p)
		return
	}
	about := []slog.Attr{}
	if unbound, ok := errors.AsType[*protocol.DecodeError](err); ok {
		about = append(about, slog.String("type", unbound.TypeName))
	}
	c.logMistake("stream item does not bind", about...)
}
