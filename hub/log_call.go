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
	case is(err, errTooManyStreams): // logged already
	case c.bindError != nil && is(err, c.bindError):
		c.logUnbound("arguments do not bind", c.bindError, slog.String("error", errorText(c.bindError)))
	case isRefusal:
		c.logRefusal(refused.Error())
	default:
		c.session.log().failure(c, methodFailures, "method", c.knownName(), err)
	}
}

// logUnbound logs that arguments or an item of an upload do not fit the parameters, or that
// the method is unknown. The line contains none of them.
func (c *call) logUnbound(event string, err error, about ...slog.Attr) {
	p, panicked := err.(*guard.Panic) //nolint:errorlint // see logger.failure
	switch {
	case c == nil: // the call that gets the item has ended
		return
	case panicked:
		c.session.log().failure(c, methodFailures, "method", c.knownName(), p)
		return
	case c.method == nil:
		c.logRefusal(err.Error())
		return
	}
	if unbound, ok := errors.AsType[*protocol.BindError](err); ok && unbound.Argument > 0 {
		targets, _ := c.method.split(c.params)
		about = append(about, slog.Int("argument", unbound.Argument),
			slog.String("type", reflect.TypeOf(targets[unbound.Argument-1]).Elem().String()))
	} else if unbound, ok := errors.AsType[*protocol.DecodeError](err); ok {
		about = append(about, slog.String("type", unbound.TypeName))
	}
	c.logMistake(event, about...)
}

// logRefusal logs that the method is not called because of the client.
func (c *call) logRefusal(reason string, about ...slog.Attr) {
	c.logMistake("invocation refused", append(about, slog.String("reason", clip(reason)))...)
}

// logMistake logs a mistake of the client. All methods that do not exist are one kind.
func (c *call) logMistake(event string, about ...slog.Attr) {
	if c.knownName() == "" {
		about = append(about, slog.String("method", clip(c.target)))
	}
	k := floodgate.Kind{Level: slog.LevelWarn, Event: event, Key: "method", Value: c.knownName(), Burst: errorBurst}
	c.session.log().limited(k, about...)
}

// knownName returns the declared name of the method, or "" if it does not exist.
func (c *call) knownName() string {
	if c.method == nil {
		return ""
	}
	return c.method.name
}
