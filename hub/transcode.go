package hub

import (
	"fmt"
	"math"
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
// event for listeners has the arguments of the JSON message as they are.
func (w *wire) transcode(dst []byte, from protocol.HubProtocol, payload []byte) ([]byte, error) {
	if p, ok := w.HubProtocol.(protocol.Events); ok && from.Name() == foreign[0].Name() {
		return p.AppendRecord(dst, payload)
	}
	for len(payload) > 0 {
		record, rest, err := from.Next(payload, 0, 0)
		var m protocol.Message
		if err == nil {
			err = from.Parse(record, &m)
		}
		var args []any
		switch {
		case err != nil:
		case m.Type == protocol.Invocation:
			if err = from.Decode(m.Arguments, &args); err == nil {
				dst, err = w.AppendInvocation(dst, m.InvocationID, m.Target, nil, nil, integers(args).([]any)...)
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

// integers replaces the floating-point numbers in a decoded value that are integers: JSON has
// one kind of numbers, but in MessagePack a receiver may want an integer.
func integers(v any) any {
	switch v := v.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = integers(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = integers(v[key])
		}
	}
	return v
}
