package client

import (
	"bytes"
	"context"
	"errors"

	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// Invoke calls a method of the hub and waits for its result. An error from the server is a
// *HubError. If ctx ends first, Invoke returns the cause of ctx at once and asks the server to
// cancel the method, which ASP.NET Core supports from version 11 on; a later completion is ignored.
// Arguments made by UploadSeq, UploadSeq2 or UploadChan are streamed while the method runs.
func Invoke[R any](ctx context.Context, c *HubConnection, method string, args ...any) (R, error) {
	r := &result{reply: reply{done: make(chan struct{})}}
	var value R
	if err := c.invoke(ctx, r, r.done, method, args); err != nil {
		return value, err
	}
	if r.err != nil || r.payload == nil {
		return value, r.err
	}
	err := guard.Run(func() error { return c.options.Protocol.Decode(r.payload, &value) })
	return value, err
}

// Invoke calls a method of the hub and waits until it has completed. A result is ignored. Otherwise
// it works like the function Invoke.
func (c *HubConnection) Invoke(ctx context.Context, method string, args ...any) error {
	r := &reply{done: make(chan struct{})}
	if err := c.invoke(ctx, r, r.done, method, args); err != nil {
		return err
	}
	return r.err
}

// Send calls a method of the hub and does not wait for completion, so errors of the method are not
// reported. It returns when the message is queued. It waits while the queue holds more than a
// megabyte. Uploads among the arguments continue until they end, ctx ends, or the connection does.
func (c *HubConnection) Send(ctx context.Context, method string, args ...any) error {
	s, err := c.connected()
	if err != nil {
		return err
	}
	args, uploads := splitUploads(args)
	ids := s.newIDs(len(uploads))
	record, err := s.protocol.AppendInvocation(nil, "", method, headersFrom(ctx), ids, args...)
	if err != nil {
		return err
	}
	if err := s.out.add(ctx, record); err != nil {
		return err
	}
	s.launch(ctx, ids, uploads)
	return nil
}

// reply is the call of the method Invoke. It ignores results.
type reply struct {
	done chan struct{}
	err  error
}

func (r *reply) item(context.Context, []byte) error {
	return errors.New("client: the server answered a plain invocation with a stream")
}

func (r *reply) complete(m *protocol.Message) { r.fail(completionError(m)) }

// completionError returns the error of a completion, or nil.
func completionError(m *protocol.Message) error {
	if m.HasError {
		return &HubError{Message: m.Error}
	}
	return nil
}

func (r *reply) fail(err error) {
	r.err = err
	close(r.done)
}

// result is the call of the function Invoke. The caller decodes the payload, not the reader,
// because decoding may run application code.
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

// invoke sends an invocation and waits for done, which the call closes.
func (c *HubConnection) invoke(ctx context.Context, p call, done <-chan struct{}, method string, args []any) error {
	s, err := c.connected()
	if err != nil {
		return err
	}
	uploading, stopUploads := context.WithCancel(ctx)
	defer stopUploads() // after the method has completed, the rest of the uploads is not needed
	id, err := s.startCall(uploading, p, s.protocol.AppendInvocation, method, args)
	if err != nil {
		return err
	}
	defer s.run.budget.expectAnswer()()
	err = await(ctx, done)
	if err != nil {
		s.cancelCall(id)
	}
	return err
}

// appendInvocation is the type of HubProtocol's AppendInvocation and AppendStreamInvocation.
type appendInvocation func(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error)

// startCall sends an invocation and starts its uploads, which end with ctx. p gets the answers.
func (s *session) startCall(ctx context.Context, p call, encode appendInvocation, method string, args []any) (id string, err error) {
	args, uploads := splitUploads(args)
	id = s.calls.newID()
	ids := s.newIDs(len(uploads))
	record, err := encode(nil, id, method, headersFrom(ctx), ids, args...)
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
