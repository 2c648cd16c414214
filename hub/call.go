package hub

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/dispatch"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// call is one invocation by a client. It is also the ctx of its method (context.go). A
// call and its parameters are one allocation.
type call struct {
	dispatch.Task
	session  *Session
	method   *published // Hub.unknown or nil if the method is unknown
	target   string     // as the client wrote it
	id       string     // "" if the client wants no completion
	params   params
	*special             // plain, or the call's own
	streamed bool        // by a StreamInvocation
	queued   bool        // neither a stream nor with uploads
	step     step        // the current activity of the goroutine that runs the call
	idFree   atomic.Bool // the completion is about to be sent

	ending atomic.Pointer[ending] // of its ctx; nil until something asks for it
}

// special holds the fields that few calls need.
type special struct {
	bindError error              // the reason not to call the method: it is unknown, or the arguments do not fit
	headers   map[string]string  // for filters
	streamIDs []string           // uploads of the client
	uploads   []upload           // the uploads of streamIDs, once they are open
	conflict  error              // another call has one of streamIDs
	decided   chan struct{}      // closed after the authorization; nil: no call can wait for it
	ctx       context.Context    // of a stream
	cancel    context.CancelFunc // cancels ctx
}

// plain is shared by all calls without special fields. It is never modified.
var plain = new(special)

// receiveInvocation starts or queues an invocation. It decodes the arguments, so that an
// invocation with arguments that do not fit is answered without waiting for others.
func (s *Session) receiveInvocation(m *protocol.Message, record []byte, size int) {
	if !s.awaitPace() || s.out.phase.Load() == draining {
		return
	}
	c := newCall(s, m, record, size)
	if c.bindError == nil && !c.queued && c.isStreamTooMany() {
		c.bindError = errTooManyStreams
	}
	if fault := asFault(c.bindError); fault != nil {
		s.closeOnViolation(fault)
		return
	}
	switch {
	case c.bindError == nil && !c.queued:
		s.input.yieldLocked()
		c.startConcurrently()
	case c.bindError == nil || s.hub.hasInvokeFilter:
		c.queued = true
		c.enqueue()
	default:
		s.input.yieldLocked()
		text := c.failure(c.bindError)
		if c.id != "" {
			s.runInOrder(size, func() { c.fail(text) })
		}
	}
}

// enqueue starts an invocation in order.
func (c *call) enqueue() {
	s := c.session
	s.enqueue(&c.Task)
	s.input.started = true
	if s.hub.options.MaxParallelInvocations > 1 {
		s.input.yieldLocked() // start them one after the other as long as they do not wait
	}
}

// startConcurrently starts a streaming method, or one with uploads.
func (c *call) startConcurrently() {
	s := c.session
	if c.mismatched() {
		s.enqueue(dispatch.NewOrdered(c.Run, c.Size))
		return
	}
	c.prepare()
	if (c.conflict != nil || c.Duplicate) && c.method.authorize == nil && s.out.buffer == nil {
		c.Run() // the refusal comes before the next message is read, as in the original
		return
	}
	hold(s.out.conn, c.Size)
	s.tasks.StartConcurrent(c.Size)
	go func() {
		defer s.tasks.EndConcurrent(c.Size)
		defer hold(s.out.conn, -c.Size)
		c.Run()
	}()
	s.input.started = true
	s.input.yieldLocked()
}

// mismatched reports whether the invocation is refused for every caller: a
// StreamInvocation of a plain method, an Invocation of a streaming method, or a wrong
// number of uploads.
func (c *call) mismatched() bool {
	return c.streamed != c.method.stream || len(c.streamIDs) != len(c.method.uploads)
}

func newCall(s *Session, m *protocol.Message, record []byte, size int) *call {
	method := s.hub.method(m.Target)
	if method == nil {
		method = s.hub.unknown
	}
	var c *call
	var err error
	switch method {
	case nil:
		c, err = new(call), NewError("Method does not exist.")
	case s.hub.unknown:
		c = method.newCall()
		c.method = method
		var kept int
		if kept, err = c.params.(*unknownParams).take(s.out.wire, m, record); err == nil {
			err = method.bind(s.out.wire, m.Arguments, c.params.targets())
		}
		size += kept
	default:
		c = method.newCall()
		c.method = method
		arguments, _ := method.split(c.params)
		err = method.bind(s.out.wire, m.Arguments, arguments)
	}
	err = m.Outcome(err)
	c.session, c.Owner, c.Size = s, c, size
	c.target, c.id = m.Target, m.InvocationID
	c.streamed = m.Type == protocol.StreamInvocation
	c.queued = !c.streamed && (method == nil || len(method.uploads) == 0)
	if c.special = plain; err != nil || !c.queued || len(m.StreamIDs) > 0 || len(m.Headers) > 0 {
		c.special = &special{bindError: err, headers: m.Headers, streamIDs: m.StreamIDs}
	}
	s.log().debug("invocation received", slog.String("method", clip(c.name())))
	return c
}

// RunningID implements dispatch.Owner.
func (c *call) RunningID() string {
	if c.idFree.Load() {
		return ""
	}
	return c.id
}

// name returns the method's name for error texts.
func (c *call) name() string {
	if c.knownName() == "" || c.streamed && c.session.out.wire.Binary() {
		return c.target // as in the original
	}
	return c.method.name
}

// step is the stage of an invocation. It decides about the answer if application code
// ends the goroutine.
type step uint8

const (
	invoking  step = iota // authorization, filters, the method
	streaming             // the iterator of a stream
	encoding              // a result or an item
	answered
)

// Run runs the invocation and sends its completion. It implements dispatch.Owner.
func (c *call) Run() {
	defer c.finish()
	defer c.failAfterGoexit()
	c.answer()
	c.step = answered
}

// failAfterGoexit completes an invocation that ended with runtime.Goexit, as after a
// panic.
func (c *call) failAfterGoexit() {
	if c.step == answered {
		return
	}
	switch c.step {
	case encoding:
		c.session.closeOnEncodeError(guard.ErrGoexit, c.name())
	case streaming:
		c.fail(c.streamFailure(guard.ErrGoexit))
	default:
		c.fail(c.failure(guard.ErrGoexit))
	}
}

func (c *call) answer() {
	refusal, err := c.refusal()
	switch {
	case refusal != "":
		c.refuse(refusal, err)
	case err != nil:
		c.fail(c.failure(err))
	case c.streamed:
		c.session.streams.decide(c)
		c.stream()
	default:
		c.session.streams.decide(c)
		result, err := c.perform(c.bindError)
		if err != nil {
			c.fail(c.failure(err))
			return
		}
		c.finish()
		c.succeed(result)
	}
}

// refusal returns the text for the client if the method must not be called. With a text,
// err is the reason why the client is not authorized. Without one it is a panic of the
// authorization, or a reason that clients see as an error of the method.
func (c *call) refusal() (text string, err error) {
	if c.bindError != nil { // filters see the error
		return "", nil
	}
	defer guard.Recover(&err)
	if reason := c.unauthorized(); reason != nil {
		return fmt.Sprintf("Failed to invoke '%s' because user is unauthorized", c.name()), reason
	}
	switch m := c.method; {
	case m.stream && !c.streamed:
		return fmt.Sprintf("The client attempted to invoke the streaming '%s' method with a non-streaming invocation.", c.name()), nil
	case !m.stream && c.streamed:
		return fmt.Sprintf("The client attempted to invoke the non-streaming '%s' method with a streaming invocation.", c.name()), nil
	case len(c.streamIDs) != len(m.uploads):
		return "", refusalError{NewError(fmt.Sprintf("Client sent %d stream(s), Hub method expects %d.", len(c.streamIDs), len(m.uploads)))}
	case c.conflict != nil:
		return "", c.conflict
	case c.Duplicate:
		return fmt.Sprintf("Invocation ID '%s' is already in use.", c.id), nil
	}
	return "", nil
}

// perform calls the method within the filters. If obstacle is not nil, it is the error of
// the invocation, and the method is not called. perform returns a panic as an error.
func (c *call) perform(obstacle error) (result any, err error) {
	defer guard.Recover(&err)
	if !c.session.hub.hasInvokeFilter { // then there is no obstacle
		return c.method.invoke(c, c.params)
	}
	inv := &Invocation{Target: c.target, Headers: c.headers}
	if name := c.knownName(); name != "" {
		inv.Known, inv.Method = true, name
	}
	if c.bindError == nil {
		inv.params = c.params
	}
	return filtered(c, c.session.hub.options.Filters, inv, func(ctx context.Context) (any, error) {
		if obstacle != nil {
			return nil, obstacle
		}
		return c.method.invoke(c.withContext(ctx), c.params)
	})
}

// failure logs an error of the invocation and returns the text of the completion for it.
func (c *call) failure(err error) string {
	c.logFailure(err)
	detailed := c.session.hub.options.DetailedErrors
	if c.bindError != nil && is(err, c.bindError) {
		return explain(fmt.Sprintf("Failed to invoke '%s' due to an error on the server.", c.name()), err, detailed)
	}
	return explain(fmt.Sprintf("An unexpected error occurred invoking '%s' on the server.", c.name()), err, detailed)
}

// fail completes the invocation with an error. The id is free before the client gets the
// completion.
func (c *call) fail(text string) {
	c.finish()
	if c.id != "" {
		w := c.session.out.wire
		c.complete(w.frame(w.AppendError(nil, c.id, text)))
	}
}

func (c *call) succeed(result any) {
	if c.id == "" {
		return
	}
	if a, ok := result.(Answer); ok && c.method == c.session.hub.unknown {
		c.pass(a)
		return
	}
	w := c.session.out.wire
	c.step = encoding
	f, err := w.encode(func(dst []byte) ([]byte, error) { return w.AppendResult(dst, c.id, result) })
	if err != nil {
		c.session.closeOnEncodeError(err, c.name())
		return
	}
	c.complete(f)
}

// complete sends the completion. It fails only if the connection has ended; then the
// error has no receiver.
func (c *call) complete(f *frame.Frame) {
	c.idFree.Store(true)
	_ = c.session.out.sendWait(c.session.ctx, f)
}
