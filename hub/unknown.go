package hub

import (
	"bytes"
	"context"
	"errors"

	"github.com/carillon-go/carillon/protocol"
)

// Unknown is an invocation of a method that is not registered.
type Unknown struct {
	// Target is the method's name as the client wrote it.
	Target string
	// Protocol is the name of the client's hub protocol: "json" or "messagepack".
	Protocol string
	// Message is the invocation as the client has sent it, without the separator or the prefix
	// of its length. The function may keep it.
	Message []byte
	// Arguments are the values as the client has sent them, at most 1,000.
	Arguments []protocol.Raw
	// ID is the invocation id, or "" if the client wants no answer.
	ID string
}

// HandleUnknown sets the function for invocations of methods that are not registered. Without
// it the hub refuses them. f runs as a method does, within the filters (Invocation.Known is
// false) and in the client's order; its result or its error is the answer. The result may be a
// [protocol.Raw] in any protocol, or an [Answer]: then that is the completion, with its error text
// as it is, and without a result if Result is nil. The data of a Raw that is not one value ends the
// connection. Invocations that want a stream or have uploads are refused, as for a method without
// these. HandleUnknown panics if f is nil, if it was called before, and after the first connection.
func (h *Hub) HandleUnknown(f func(ctx context.Context, in *Unknown) (any, error)) {
	h.registerOnce("HandleUnknown", h.unknown != nil, f == nil)
	h.unknown = &published{Method: newMethod[unknownParams](false, f, func(ctx context.Context, p *unknownParams) (any, error) {
		return f(ctx, &p.in)
	})}
}

// unknownParams are the parameters of the function of HandleUnknown.
type unknownParams struct{ in Unknown }

func (p *unknownParams) targets() []any {
	all := make([]any, len(p.in.Arguments))
	for i := range all {
		all[i] = &p.in.Arguments[i]
	}
	return all
}

func (p *unknownParams) values() []any { return anys(p.in.Arguments) }

// maxRawArguments is the number of arguments that an unknown invocation may have, because an
// argument of one byte takes rawBytes.
const (
	maxRawArguments = 1000
	rawBytes        = 64
)

var errTooManyArguments = NewError("The invocation has too many arguments.")

// take takes all of the invocation but its arguments, for which it makes room. kept is the memory
// that these need in addition to the size of the record.
func (p *unknownParams) take(w *wire, m *protocol.Message, record []byte) (kept int, err error) {
	p.in = Unknown{Target: m.Target, Protocol: w.Name(), Message: bytes.Clone(record), ID: m.InvocationID}
	err = w.Bind(m.Arguments)
	if other, ok := errors.AsType[*protocol.CountError](err); ok {
		if err = nil; other.Got > maxRawArguments {
			return 0, errTooManyArguments
		}
		p.in.Arguments = make([]protocol.Raw, other.Got)
	}
	return len(record) + rawBytes*len(p.in.Arguments), err
}

// pass completes an unknown invocation with an Answer. A result that the client's protocol cannot
// express fails the invocation.
func (c *call) pass(a Answer) {
	w := c.session.out.wire
	f, err := w.encode(func(dst []byte) ([]byte, error) {
		switch {
		case a.Failed:
			return w.AppendError(dst, c.id, a.Error), nil
		case a.Result == nil:
			return w.AppendVoid(dst, c.id), nil
		}
		return w.AppendResult(dst, c.id, protocol.Raw{Protocol: a.Protocol, Data: a.Result})
	})
	if err != nil {
		text := c.failure(err)
		f = w.frame(w.AppendError(nil, c.id, text))
	}
	c.complete(f)
}
