package hub

import (
	"context"
	"errors"
	"reflect"
	"sync"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

const ioException = "IOException"

func noSuchConnection(id string) error {
	return &typedError{ioException, "Connection '" + id + "' does not exist."}
}

func disconnected(id string) error {
	return endedError{&typedError{ioException, "Connection '" + id + "' disconnected."}}
}

// errResultOfRelayed is the error of a client result of a relayed client: another program reads the
// client's messages.
var errResultOfRelayed = NewError("The client's messages are those of its application server, which alone can invoke it.")

// errResultInOnConnected is the error of a client result inside OnConnected of the same
// client: its messages are handled after OnConnected has returned.
var errResultInOnConnected = &typedError{"InvalidOperationException", "Client results inside OnConnectedAsync Hub methods are not allowed."}

var (
	errNoResult = NewError("Exception of type 'Microsoft.AspNetCore.SignalR.HubException' was thrown.")
	errResultID = NewError("ID collision occurred when using client results. This is likely a bug in SignalR.")
)

// Invoke invokes a method on one client and waits for its result. s is an untyped
// audience of a single connection: Client(id) or Caller(ctx). Invoke fails with the
// client's error (as made by NewError), with the cause of ctx, or when the connection
// ends. While a method waits for a result of its own client, the next queued invocation
// may run, as long as at most 100 wait. At most 1,000 results of a client may be pending.
// Above these limits Invoke fails at once.
func Invoke[R any](ctx context.Context, s Sender, method string, args ...any) (R, error) {
	var result R
	a, ok := s.(*audienceSender)
	if !ok || a.to.Kind != ToConnections || len(a.to.Names) != 1 {
		return result, errors.New("hub: Invoke needs an audience of a single client")
	}
	itself := protocol.DecodesItself(reflect.TypeFor[R]())
	err := a.hub.ask(ctx, a, method, args, func(p protocol.HubProtocol, raw []byte) error {
		return decode(p, raw, &result, itself)
	})
	if err != nil {
		var none R
		return none, err
	}
	return result, nil
}

// decode decodes a value. itself is set if the value's type may have methods to decode
// itself; these must not end the goroutine that reads from the client.
func decode(p protocol.HubProtocol, raw []byte, target any, itself bool) error {
	if !itself {
		return p.Decode(raw, target)
	}
	return guard.Call(context.Background(), func() error { return p.Decode(raw, target) })
}

// decoder decodes the raw result of a client. raw is valid only during the call.
type decoder func(p protocol.HubProtocol, raw []byte) error

// pendingResult is a client result that has not arrived.
type pendingResult struct {
	session *Session
	id      string
	decode  decoder
	done    chan struct{}
	err     error // written before done is closed
}

func (q *pendingResult) complete(err error) {
	q.err = err
	close(q.done)
}

// ask invokes a method on the client and waits for the result.
func (q *pendingResult) ask(ctx context.Context, method string, args []any) error {
	s := q.session
	if s.hub.options.Relay != nil {
		return errResultOfRelayed
	}
	if ctx.Value(connectKey{}) == s {
		return errResultInOnConnected
	}
	f, err := s.out.wire.invocation(q.id, method, args)
	if err != nil {
		return err
	}
	own, _ := ctx.Value(callKey{}).(*call)
	if own != nil && own.session != s {
		own = nil
	}
	if own != nil && !s.tasks.MayRelease(&own.Task, maxResultWaiters) {
		err = q.tooMany()
	} else {
		err = q.add()
	}
	if err != nil {
		return err
	}
	s.out.record(method, args)
	if err := s.out.sendWait(ctx, f); err != nil {
		return q.cancel(ctx)
	}
	if own != nil {
		s.tasks.Release(&own.Task)
		defer own.requeue(ctx)
	}
	return q.wait(ctx)
}

// wait waits until the result has come, or until ctx is done.
func (q *pendingResult) wait(ctx context.Context) error {
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return q.cancel(ctx)
	}
}

// tooMany notes a refusal and returns its error.
func (q *pendingResult) tooMany() error {
	q.session.log().refusal(&q.session.hub.refused.results, "results of a client")
	return errTooManyResults
}

// requeue waits for a new turn at the end of the queue, or until ctx is done. An
// invocation that has released its place calls it before it goes on.
func (c *call) requeue(ctx context.Context) {
	turn := c.session.tasks.Requeue()
	if turn == nil {
		return
	}
	select {
	case <-turn:
	case <-ctx.Done():
	case <-c.session.ctx.Done():
	}
}

// add makes the result one that the session waits for.
func (q *pendingResult) add() error {
	s := q.session
	hold(s.out.conn, resultBytes)
	if _, taken := s.hub.resultOwners.LoadOrStore(q.id, s); taken { // by another process: ids of this one are unique
		hold(s.out.conn, -resultBytes)
		return errResultID
	}
	err := s.results.add(q.id, q, func() bool { return hold(s.out.conn, 0) })
	if err != nil {
		q.forget()
	}
	switch {
	case errors.Is(err, errEnded):
		return disconnected(s.caller.id)
	case errors.Is(err, errTooManyResults):
		return q.tooMany()
	}
	return err
}

// forget ends the accounting of a result that is no longer pending.
func (q *pendingResult) forget() {
	hold(q.session.out.conn, -resultBytes)
	q.session.hub.resultOwners.Delete(q.id)
}

// cancel stops waiting for the result and returns the error. If the result is being decoded,
// its outcome counts, unless ctx is done earlier.
func (q *pendingResult) cancel(ctx context.Context) error {
	if q.session.results.take(q.id) != nil {
		q.forget()
	} else {
		select {
		case <-q.done:
			return q.err
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return disconnected(q.session.caller.id)
}

// answer completes the result with the client's message.
func (q *pendingResult) answer(m *protocol.Message) {
	q.forget()
	switch {
	case m.HasError:
		q.complete(NewError(m.Error))
	case !m.HasResult:
		q.complete(errNoResult)
	default:
		q.complete(q.decode.safely(q.session.out.wire, m.Payload))
	}
}

// safely decodes a result. It returns a panic as an error.
func (d decoder) safely(p protocol.HubProtocol, raw []byte) (err error) {
	defer guard.Recover(&err)
	err = d(p, raw)
	if e, ok := errors.AsType[*protocol.DecodeError](err); ok {
		return NewError(e.ResultText())
	}
	return err
}

// pendingResults are the client results that a session waits for, by invocation id.
type pendingResults struct {
	mu     sync.Mutex
	byID   map[string]*pendingResult
	closed bool
}

// add adds a pending result. It fails with errTooManyResults if there are too many, or
// if there is another one and isFull returns true, and with errEnded after close. isFull
// is called with the lock held, and not for the only result: the check may count a refusal.
func (p *pendingResults) add(id string, q *pendingResult, isFull func() bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return errEnded
	case len(p.byID) >= maxResults, len(p.byID) > 0 && isFull():
		return errTooManyResults
	}
	if p.byID == nil {
		p.byID = make(map[string]*pendingResult)
	}
	p.byID[id] = q
	return nil
}

// take removes and returns the pending result with an id, or returns nil.
func (p *pendingResults) take(id string) *pendingResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.byID[id]
	delete(p.byID, id)
	return q
}

// close removes and returns all pending results. Nothing is added afterwards.
func (p *pendingResults) close() map[string]*pendingResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	open := p.byID
	p.byID, p.closed = nil, true
	return open
}

// wrongOwner returns the violation of a client that answers an invocation of another
// client, or nil. Ids are easy to guess, so such an answer must not count.
func (h *Hub) wrongOwner(s *Session, id string) error {
	owner, ok := h.resultOwners.Load(id)
	if !ok || owner == s {
		return nil
	}
	return &protocol.Fault{
		Exception: "InvalidOperationException",
		Message:   "Connection ID '" + s.caller.id + "' is not valid for invocation ID '" + id + "'.",
	}
}
