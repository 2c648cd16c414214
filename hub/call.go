package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// call is one invocation by a client. It is the ctx of its method too, so that it
// costs one piece of memory, its parameters included.
type call struct {
	context.Context // of the session; of a stream: one that its cancellation ends
	session         *Session
	method          *published // nil: there is none
	target          string     // as the client wrote it
	name            string     // as errors call it
	id              string     // "": no completion is wanted
	params          params
	headers         map[string]string // for filters
	early           error             // why the method cannot be called: it is unknown, or the arguments do not fit
	streamIDs       []string          // uploads of the client
	uploads         []upload          // those, once they are open
	streamed        bool              // by a stream invocation

	// Of a stream.
	cancel    context.CancelFunc
	duplicate bool // another one has its id

	// In the line; the session's lock guards these.
	next     *call
	size     int
	inLine   bool
	released bool   // it has given up its place
	deed     func() // instead of an invocation
}

type callKey struct{}

// Value makes the call a context from which it can be found.
func (c *call) Value(key any) any {
	if key == (callKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// invoked takes an invocation: its arguments are decoded here, so that those that do
// not fit are answered without waiting for anything.
func (s *Session) invoked(m *protocol.Message, size int) {
	if s.draining.Load() || s.tooFast() {
		return
	}
	c := s.newCall(m, size)
	if c.early == nil && (c.streamed || len(c.method.uploads) > 0) && s.tooManyStreams() {
		c.early = errTooManyStreams
	}
	if fault := asFault(c.early); fault != nil {
		s.fault(fault)
		return
	}
	switch {
	case c.early != nil && !s.hub.observed:
		s.debug().Debug("InvalidHubParameters", slog.String("method", c.name))
		if c.id != "" {
			s.inTurn(size, func() { c.fail(c.failure(c.early)) })
		}
	case c.early == nil && (c.streamed || len(c.method.uploads) > 0):
		s.prepare(c)
		if c.misfits() {
			s.enqueue(&call{deed: c.run, size: size})
			return
		}
		s.startBeside()
		go func() {
			defer s.endBeside()
			c.run()
		}()
	default:
		c.inLine = true
		s.enqueue(c)
	}
	// The method gets the chance to send what it has: in the original one that need not
	// wait is through before the next message is read.
	runtime.Gosched()
}

// misfits tells whether the method is refused whoever calls it: by a stream invocation
// of a plain method, the reverse, or the wrong number of uploads.
func (c *call) misfits() bool {
	return c.streamed != c.method.stream || len(c.streamIDs) != len(c.method.uploads)
}

func (s *Session) newCall(m *protocol.Message, size int) *call {
	method := s.hub.method(m.Target)
	var c *call
	if method == nil {
		c = &call{name: m.Target, early: NewError("Method does not exist.")}
	} else {
		c = method.newCall()
		c.method, c.name = method, method.name
		arguments, _ := method.split(c.params)
		c.early = s.bind(m.Arguments, arguments)
	}
	c.early = m.Settle(c.early)
	c.session, c.Context, c.size = s, s.ctx, size
	c.target, c.id, c.streamIDs, c.headers = m.Target, m.InvocationID, m.StreamIDs, m.Headers
	if c.streamed = m.Type == protocol.StreamInvocation; c.streamed && s.wire.Binary() {
		c.name = m.Target // as the original has it
	}
	s.debug().Debug("ReceivedHubInvocation", slog.String("method", c.name))
	return c
}

// bind decodes the arguments; a panic of a type that decodes itself is an error.
func (s *Session) bind(arguments []byte, targets []any) (err error) {
	defer s.recovered(&err)
	return s.wire.Bind(arguments, targets...)
}

// run answers the invocation.
func (c *call) run() {
	defer c.finish()
	refusal, err := c.refusal()
	switch {
	case refusal != "":
		c.fail(refusal)
	case err != nil:
		c.fail(c.failure(err))
	case c.streamed:
		c.stream()
	default:
		result, err := c.perform()
		if err != nil {
			c.fail(c.failure(err))
			return
		}
		c.endUploads(nil)
		c.succeed(result)
	}
}

// refusal tells why the method is not called, if it is not. The error is a panic of
// the authorization.
func (c *call) refusal() (text string, err error) {
	if c.early != nil { // a filter is to see it
		return "", nil
	}
	defer c.session.recovered(&err)
	m := c.method
	switch {
	case m.authorize != nil && !m.authorize(c):
		return fmt.Sprintf("Failed to invoke '%s' because user is unauthorized", c.name), nil
	case m.stream && !c.streamed:
		return fmt.Sprintf("The client attempted to invoke the streaming '%s' method with a non-streaming invocation.", c.name), nil
	case !m.stream && c.streamed:
		return fmt.Sprintf("The client attempted to invoke the non-streaming '%s' method with a streaming invocation.", c.name), nil
	case len(c.streamIDs) != len(m.uploads):
		return "", NewError(fmt.Sprintf("Client sent %d stream(s), Hub method expects %d.", len(c.streamIDs), len(m.uploads)))
	case c.duplicate:
		return fmt.Sprintf("Invocation ID '%s' is already in use.", c.id), nil
	}
	return "", nil
}

// perform calls the method within the filters; a panic is an error.
func (c *call) perform() (result any, err error) {
	defer c.session.recovered(&err)
	if !c.session.hub.observed {
		return c.method.invoke(c, c.params)
	}
	inv := &Invocation{Target: c.target, Headers: c.headers}
	if c.method != nil {
		inv.Known, inv.Method = true, c.method.name
	}
	if c.early == nil {
		inv.params = c.params
	}
	return filtered(c, c.session.hub.options.Filters, inv, func(ctx context.Context) (any, error) {
		if c.early != nil {
			return nil, c.early
		}
		return c.method.invoke(ctx, c.params)
	})
}

// failure is the text of a completion for an error of the invocation.
func (c *call) failure(err error) string {
	detailed := c.session.hub.options.DetailedErrors
	if c.early != nil && errors.Is(err, c.early) {
		return explain(fmt.Sprintf("Failed to invoke '%s' due to an error on the server.", c.name), err, detailed)
	}
	return explain(fmt.Sprintf("An unexpected error occurred invoking '%s' on the server.", c.name), err, detailed)
}

// fail completes the invocation with an error. Its id is free before the client hears
// of that.
func (c *call) fail(text string) {
	c.session.debug().Debug("FailedInvokingHubMethod", slog.String("method", c.name))
	c.finish()
	if c.id != "" {
		w := c.session.wire
		c.complete(w.frame(w.AppendError(nil, c.id, text)))
	}
}

func (c *call) succeed(result any) {
	if c.id == "" {
		return
	}
	w := c.session.wire
	f, err := w.encode(func(dst []byte) ([]byte, error) { return w.AppendResult(dst, c.id, result) })
	if err != nil {
		c.session.unspeakable(err)
		return
	}
	c.complete(f)
}

// complete sends the completion. It fails with the connection, and then nobody is
// left to be told.
func (c *call) complete(f *frame.Frame) { _ = c.session.sendWait(c.session.ctx, f) }
