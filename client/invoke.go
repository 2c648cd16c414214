package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/carillon-go/carillon/protocol"
)

// Invoke calls a method of the hub and waits for its result. An error that the server answers with
// is a *HubError. If ctx ends first, Invoke returns the cause of ctx at once and the server is told to
// cancel the method, which ASP.NET Core does from version 11 on; a completion that comes later is
// ignored. Arguments made by UploadSeq, UploadSeq2 or UploadChan are streamed while the
// method runs.
func Invoke[R any](ctx context.Context, c *HubConnection, method string, args ...any) (R, error) {
	r := &result{reply: reply{done: make(chan struct{})}}
	var value R
	if err := c.invoke(ctx, r, r.done, method, args); err != nil {
		return value, err
	}
	if r.err != nil || r.payload == nil {
		return value, r.err
	}
	err := guard(func() error { return c.options.Protocol.Decode(r.payload, &value) })
	return value, err
}

// Invoke calls a method of the hub and waits until it is through; a result is ignored. Otherwise as
// the function Invoke.
func (c *HubConnection) Invoke(ctx context.Context, method string, args ...any) error {
	r := &reply{done: make(chan struct{})}
	if err := c.invoke(ctx, r, r.done, method, args); err != nil {
		return err
	}
	return r.err
}

// Send calls a method of the hub without waiting for an answer: whether it succeeded is not known.
// It returns when the message stands in line, which waits for room while more than a megabyte
// does. Uploads among the arguments go on until they end, ctx ends, or the connection does.
func (c *HubConnection) Send(ctx context.Context, method string, args ...any) error {
	s, err := c.connected()
	if err != nil {
		return err
	}
	args, uploads := splitUploads(args)
	ids := s.newIDs(len(uploads))
	record, err := s.protocol.AppendInvocation(nil, "", method, ids, args...)
	if err != nil {
		return err
	}
	if err := s.out.add(ctx, record); err != nil {
		return err
	}
	s.launch(ctx, ids, uploads)
	return nil
}

// reply is the call behind the method Invoke: it ignores results.
type reply struct {
	done chan struct{}
	err  error
}

func (r *reply) item(context.Context, []byte) error {
	return errors.New("client: the server answered a plain invocation with a stream")
}

func (r *reply) complete(m *protocol.Message) {
	var err error
	if m.HasError {
		err = &HubError{Message: m.Error}
	}
	r.fail(err)
}

func (r *reply) fail(err error) {
	r.err = err
	close(r.done)
}

// result is the call behind the function Invoke. The caller decodes the payload, and not the reader:
// decoding may run code of the application.
type result struct {
	reply
	payload []byte // nil: none
}

func (r *result) complete(m *protocol.Message) {
	if !m.HasError && m.HasResult {
		r.payload = bytes.Clone(m.Payload)
	}
	r.reply.complete(m)
}

// invoke sends an invocation and waits for done, which its call closes.
func (c *HubConnection) invoke(ctx context.Context, p call, done <-chan struct{}, method string, args []any) error {
	s, err := c.connected()
	if err != nil {
		return err
	}
	uploading, stopUploads := context.WithCancel(ctx)
	defer stopUploads() // what the method did not take it does not want
	id, err := s.startCall(uploading, p, s.protocol.AppendInvocation, method, args)
	if err != nil {
		return err
	}
	defer s.run.budget.expectAnswer()()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.cancelCall(id)
		return context.Cause(ctx)
	}
}

// appendInvocation is the shape of HubProtocol's AppendInvocation and AppendStreamInvocation.
type appendInvocation func(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error)

// startCall sends an invocation whose answers p gets, and starts its uploads, which end with ctx.
func (s *session) startCall(ctx context.Context, p call, encode appendInvocation, method string, args []any) (id string, err error) {
	args, uploads := splitUploads(args)
	id = s.calls.newID()
	ids := s.newIDs(len(uploads))
	record, err := encode(nil, id, method, ids, args...)
	if err != nil {
		return "", err
	}
	if err := s.calls.add(id, p); err != nil {
		return "", err
	}
	if err := s.out.add(ctx, record); err != nil {
		s.calls.take(id)
		return "", err
	}
	s.launch(ctx, ids, uploads)
	return id, nil
}

func (s *session) newIDs(n int) []string {
	if n == 0 {
		return nil
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = s.calls.newID()
	}
	return ids
}
