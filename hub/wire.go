package hub

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/guard"
	"github.com/carillon-go/carillon/protocol"
)

// maxWires is the number of hub protocols, that of listeners included.
const maxWires = 3

// opaqueWire is the index of the wire of a protocol that only one client is known to use.
const opaqueWire = maxWires

// wire is a hub protocol with the frames that all its connections share.
type wire struct {
	protocol.HubProtocol
	index             int  // in message.frames
	events            bool // frames are text of an event stream
	handshakeResponse *frame.Frame
	ping              *frame.Frame
	close             *frame.Frame
	closeReconnect    *frame.Frame
}

func newWires(o Options) []*wire {
	all := []protocol.HubProtocol{protocol.NewJSON(o.JSON), protocol.NewMessagePack()}
	wires := make([]*wire, 0, maxWires)
	for _, name := range o.Protocols {
		p := protocolNamed(all, name)
		if slices.ContainsFunc(wires, func(w *wire) bool { return w.HubProtocol == p }) {
			panic(fmt.Sprintf("hub: %s: Options.Protocols has %q twice", registrant(), name))
		}
		wires = append(wires, newWire(p, len(wires), protocol.AppendHandshakeResponse(nil, "")))
	}
	return wires
}

// newEventWire returns the protocol of clients that only listen. Clients cannot choose it
// in a handshake.
func newEventWire(o Options) *wire {
	return newWire(protocol.Events{JSON: protocol.NewJSON(o.JSON)}, maxWires-1, []byte(protocol.Retry))
}

func newWire(p protocol.HubProtocol, index int, handshakeResponse []byte) *wire {
	_, events := p.(protocol.Events)
	w := &wire{HubProtocol: p, index: index, events: events}
	w.handshakeResponse = w.frame(handshakeResponse)
	w.ping = w.frame(p.AppendPing(nil))
	w.close = w.frame(p.AppendClose(nil, "", false))
	w.closeReconnect = w.frame(p.AppendClose(nil, "", true))
	return w
}

func protocolNamed(all []protocol.HubProtocol, name string) protocol.HubProtocol {
	for _, p := range all {
		if fold.Equal(p.Name(), name) {
			return p
		}
	}
	panic(fmt.Sprintf("hub: %s: Options.Protocols: there is no protocol %q", registrant(), name))
}

func (w *wire) frame(payload []byte) *frame.Frame {
	if w.events {
		return frame.NewEvent(payload)
	}
	return frame.New(payload, w.Binary())
}

// buffers are reused for encoding messages, which are then copied to memory of the right
// size.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxIdleBuffer is the size in bytes of the largest buffer that is reused.
const maxIdleBuffer = 65536

// encode returns a frame of the bytes that build appends. It returns a panic of a value
// that encodes itself as an error.
func (w *wire) encode(build func(dst []byte) ([]byte, error)) (f *frame.Frame, err error) {
	buffer := buffers.Get().(*[]byte)
	defer guard.Recover(&err)
	payload, err := build((*buffer)[:0])
	if err != nil {
		return nil, err
	}
	f = w.frame(bytes.Clone(payload))
	if cap(payload) <= maxIdleBuffer {
		*buffer = payload
		buffers.Put(buffer)
	}
	return f, nil
}

// invocation returns the frame of an invocation of the client. id is that of the result that
// is wanted, or "".
func (w *wire) invocation(id, method string, args []any) (*frame.Frame, error) {
	return w.encode(func(dst []byte) ([]byte, error) { return w.AppendInvocation(dst, id, method, nil, nil, args...) })
}

// closing returns the frame of a close message.
func (w *wire) closing(text string, allowReconnect bool) *frame.Frame {
	switch {
	case w.index == opaqueWire:
		return nil
	case text != "":
		return w.frame(w.AppendClose(nil, text, allowReconnect))
	case allowReconnect:
		return w.closeReconnect
	default:
		return w.close
	}
}

// message is an invocation of clients. It is encoded at most once for each protocol that
// its receivers use.
type message struct {
	method string
	args   []any
	// delivery is the policy for slow consumers.
	delivery frame.Delivery
	recorded bool       // a connection of the hub is a Recorder
	received *Message   // by another process; its encodings are the only ones
	mu       sync.Mutex // held while encoding
	frames   [maxWires]atomic.Pointer[frame.Frame]
}

// frame returns the message in a protocol. It returns nil without an error if the protocol is not
// understood and another program has not encoded the message in it.
func (m *message) frame(w *wire) (*frame.Frame, error) {
	if w.index == opaqueWire {
		return m.opaque(w), nil
	}
	if f := m.frames[w.index].Load(); f != nil {
		return f, nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.frames[w.index].Load(); f != nil {
		return f, nil
	}
	f, err := m.encode(w)
	if err == nil {
		if m.delivery != (frame.Delivery{}) {
			f = f.With(m.delivery)
		}
		m.frames[w.index].Store(f)
	}
	return f, err
}

func (m *message) opaque(w *wire) *frame.Frame {
	if m.received == nil || m.received.Frames[w.Name()] == nil {
		return nil
	}
	return w.frame(m.received.Frames[w.Name()]).With(m.delivery)
}

func (m *message) encode(w *wire) (*frame.Frame, error) {
	if m.received != nil {
		return w.receivedFrame(m.received)
	}
	return w.invocation("", m.method, m.args)
}
