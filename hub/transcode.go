package hub

import (
	"fmt"
	"slices"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// foreign are the protocols in which a message of another process may come.
var foreign = []protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()}

// withForeign returns wires with those of all other protocols after them: clients of other
// processes may use these.
func withForeign(wires []*wire) []*wire {
	all := slices.Clone(wires)
	for _, p := range foreign {
		if !slices.ContainsFunc(wires, func(w *wire) bool { return w.Name() == p.Name() }) {
			all = append(all, newWire(p, len(all), nil))
		}
	}
	return all
}

// receivedFrame returns the frame of a message of another process in a protocol that the
// message lacks. The original would end the connection.
func (w *wire) receivedFrame(in *Message) (*frame.Frame, error) {
	for _, p := range foreign {
		if payload := in.Frames[p.Name()]; payload != nil {
			return w.encode(func(dst []byte) ([]byte, error) { return w.transcode(dst, p, payload) })
		}
	}
	return nil, fmt.Errorf("hub: a message of another process lacks the protocol %s", w.Name())
}

// transcode appends the messages of another protocol: invocations, and close messages. An
// event for listeners has the arguments of a JSON message as they are.
func (w *wire) transcode(dst []byte, from protocol.HubProtocol, payload []byte) ([]byte, error) {
	for len(payload) > 0 {
		record, rest, err := from.Next(payload, 0, 0)
		var m protocol.Message
		if err == nil {
			err = from.Parse(record, &m)
		}
		var raw []protocol.Raw
		switch {
		case err != nil:
		case m.Type == protocol.Invocation:
			if err = from.Decode(m.Arguments, &raw); err == nil {
				dst, err = w.AppendInvocation(dst, m.InvocationID, m.Target, nil, nil, anys(raw)...)
			}
		case m.Type == protocol.Close && !w.events:
			dst = w.AppendClose(dst, m.Error, m.AllowReconnect)
		}
		if err != nil {
			return dst, err
		}
		if len(rest) == len(payload) {
			return dst, fmt.Errorf("hub: a message of another process in %s is not complete", from.Name())
		}
		payload = rest
	}
	return dst, nil
}

// anys returns the arguments as those of an invocation.
func anys(raw []protocol.Raw) []any {
	args := make([]any, len(raw))
	for i, v := range raw {
		args[i] = v
	}
	return args
}
