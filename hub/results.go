package hub

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"sync"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

const ioException = "IOException"

func noSuchConnection(id string) error {
	return &typedError{ioException, "Connection '" + id + "' does not exist."}
}

func disconnected(id string) error {
	return &typedError{ioException, "Connection '" + id + "' disconnected."}
}

// errResultInOnConnected is what OnConnected gets that waits for its own client,
// whose messages wait for OnConnected.
var errResultInOnConnected = &typedError{"InvalidOperationException", "Client results inside OnConnectedAsync Hub methods are not allowed."}

// Invoke invokes a method on one client and waits for its result. s is an untyped
// audience of a single connection: Client(id) or Caller(ctx). It fails with the
// client's error (one as made by NewError), with ctx, or when the connection is gone.
// While an invocation waits for its own client the next one may run, as long as no more than
// 100 wait; a client owes 1,000 results at most. Beyond that Invoke fails at once.
func Invoke[R any](ctx context.Context, s Sender, method string, args ...any) (R, error) {
	var result R
	a, ok := s.(*audienceSender)
	if !ok || a.to.Kind != Connections || len(a.to.Names) != 1 {
		return result, errors.New("hub: only a single client can be asked for a result")
	}
	itself := protocol.DecodesItself(reflect.TypeFor[R]())
	err := a.hub.lifetime.Ask(ctx, a.to.Names[0], method, args, func(p protocol.HubProtocol, raw []byte) error {
		return decode(p, raw, &result, itself)
	})
	if err != nil {
		var none R
		return none, err
	}
	return result, nil
}

// decode decodes a value whose type may have methods for that, which must not end the
// goroutine that reads from the client.
func decode(p protocol.HubProtocol, raw []byte, target any, itself bool) error {
	if !itself {
		return p.Decode(raw, target)
	}
	return guard.Call(func() error { return p.Decode(raw, target) })
}

// pendingResult is a result that a client owes.
type pendingResult struct {
	decode decoder
	done   chan struct{}
	err    error // written before done is closed
}

func (q *pendingResult) complete(err error) {
	q.err = err
	close(q.done)
}

// ask invokes a method on the client and waits for the result.
func (s *Session) ask(ctx context.Context, method string, args []any, decode decoder) error {
	if ctx.Value(connectKey{}) == s {
		return errResultInOnConnected
	}
	id := "s" + strconv.FormatInt(s.hub.lastResultID.Add(1), 10)
	f, err := s.wire.encode(func(dst []byte) ([]byte, error) {
		return s.wire.AppendInvocation(dst, id, method, nil, args...)
	})
	if err != nil {
		return err
	}
	own, _ := ctx.Value(callKey{}).(*call)
	if own != nil && own.session != s {
		own = nil
	}
	q := &pendingResult{decode: decode, done: make(chan struct{})}
	if err := s.addPending(id, q, own); err != nil {
		return err
	}
	if err := s.sendWait(ctx, f); err != nil {
		return s.cancelPending(ctx, id, q)
	}
	if own != nil {
		s.releasePlace(own)
		defer s.requeue(ctx)
	}
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return s.cancelPending(ctx, id, q)
	}
}

// addPending notes a question that is asked by own, one of the client's invocations, or by others
// if own is nil.
func (s *Session) addPending(id string, q *pendingResult, own *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.concluded:
		return disconnected(s.id)
	case len(s.results) >= maxResults,
		own != nil && own.queued && !own.released && s.tasks.released >= maxResultWaiters,
		len(s.results) > 0 && s.hold(0):
		s.exceeded(&s.hub.refused.results, "results of a client")
		return errTooManyResults
	}
	if s.results == nil {
		s.results = make(map[string]*pendingResult)
	}
	s.results[id] = q
	s.hold(resultBytes)
	s.hub.pendingResults.put(id, s)
	return nil
}

// cancelPending takes a question back. If it is being answered the answer counts, unless ctx is
// done before it is decoded.
func (s *Session) cancelPending(ctx context.Context, id string, q *pendingResult) error {
	if s.takePending(id) == nil {
		select {
		case <-q.done:
			return q.err
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return disconnected(s.id)
}

// takePending takes one off those that are open.
func (s *Session) takePending(id string) *pendingResult {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.results[id]
	if q != nil {
		delete(s.results, id)
		s.hold(-resultBytes)
		s.hub.pendingResults.delete(id)
	}
	return q
}

// completePending takes a completion for what the client was asked, if it is one.
func (s *Session) completePending(m *protocol.Message) bool {
	q := s.takePending(m.InvocationID)
	if q == nil {
		return false
	}
	switch {
	case m.HasError:
		q.complete(NewError(m.Error))
	case !m.HasResult:
		q.complete(NewError("Exception of type 'Microsoft.AspNetCore.SignalR.HubException' was thrown."))
	default:
		q.complete(resultError(s.decodeResult(q, m.Payload)))
	}
	return true
}

// decodeResult decodes a result.
func (s *Session) decodeResult(q *pendingResult, raw []byte) (err error) {
	defer s.recovered(&err)
	err = q.decode(s.wire, raw)
	s.logPanic(err)
	return err
}

// resultError is what asking fails with if the result cannot be decoded.
func resultError(err error) error {
	var d *protocol.DecodeError
	if errors.As(err, &d) {
		return NewError(d.ResultText())
	}
	return err
}

// failPending fails everything the client was asked, and what it is going to be.
func (s *Session) failPending() {
	s.mu.Lock()
	open := s.results
	s.results, s.concluded = nil, true
	s.mu.Unlock()
	s.hold(-resultBytes * len(open))
	for id, q := range open {
		s.hub.pendingResults.delete(id)
		q.complete(disconnected(s.id))
	}
}

// pendingResults are those that are open, of all clients of a hub.
type pendingResults struct{ owners sync.Map } // id -> *Session

func (q *pendingResults) put(id string, s *Session) { q.owners.Store(id, s) }
func (q *pendingResults) delete(id string)          { q.owners.Delete(id) }

// wrongOwner is the violation of a client that answers what another one was asked. The
// ids are easy to guess, so the answer must not count.
func (q *pendingResults) wrongOwner(s *Session, id string) error {
	owner, ok := q.owners.Load(id)
	if !ok || owner == s {
		return nil
	}
	return &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Connection ID '" + s.id + "' is not valid for invocation ID '" + id + "'.",
	}
}
