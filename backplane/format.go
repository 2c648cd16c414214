package backplane

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// The payloads are those of the Redis backplane of ASP.NET Core SignalR, in MessagePack, byte
// for byte. The parsers accept as much as the original: every length of an integer, a string
// or an array, additional items, bytes after the end.

// errPayload is the error of a payload that the original drops.
var errPayload = errors.New("backplane: malformed payload")

// invocation is a message on the channel of an audience:
//
//	[excluded, {protocol: frame, …}]
//	[excluded, {protocol: frame, …}, id, returnChannel]
//	[excluded, {protocol: frame, …}, nil, nil, extension]
//
// A frame is the complete message of a hub protocol. The third form has an item for servers
// of this package: others ignore additional items.
type invocation struct {
	except []string
	frames map[string][]byte
	// id and returnChannel are set if the answer of the client is wanted.
	id, returnChannel string
	extension         extension
}

// extension is a map. Unknown keys are ignored; they follow those that are known.
type extension struct {
	delivery *frame.Delivery // "policy", "key": chosen by the sender; nil: not chosen
	end      bool            // "end": the connections end, and the frames are close messages
}

// protocols are the hub protocols, in the order in which the original writes them.
var protocols = [...]protocol.HubProtocol{protocol.NewJSON(protocol.JSONOptions{}), protocol.NewMessagePack()}

// protocolNamed returns the hub protocol with exactly this name, or nil.
func protocolNamed(name []byte) protocol.HubProtocol {
	for _, p := range protocols {
		if string(name) == p.Name() {
			return p
		}
	}
	return nil
}

// append appends the payload in the shortest form.
func (v *invocation) append(dst []byte) []byte {
	items := uint32(2)
	switch {
	case v.extension != (extension{}):
		items = 5
	case v.id != "":
		items = 4
	}
	dst = msgp.AppendArrayHeader(dst, items)
	dst = msgp.AppendArrayHeader(dst, uint32(len(v.except)))
	for _, id := range v.except {
		dst = msgp.AppendString(dst, id)
	}
	dst = msgp.AppendMapHeader(dst, uint32(len(v.frames)))
	for _, p := range protocols {
		if f, ok := v.frames[p.Name()]; ok {
			dst = msgp.AppendBytes(msgp.AppendString(dst, p.Name()), f)
		}
	}
	switch items {
	case 4:
		return msgp.AppendString(msgp.AppendString(dst, v.id), v.returnChannel)
	case 5:
		return v.extension.append(msgp.AppendNil(msgp.AppendNil(dst)))
	}
	return dst
}

func (x extension) append(dst []byte) []byte {
	if x.end {
		return msgp.AppendBool(msgp.AppendString(msgp.AppendMapHeader(dst, 1), "end"), true)
	}
	dst = msgp.AppendMapHeader(dst, 2)
	dst = msgp.AppendUint8(msgp.AppendString(dst, "policy"), uint8(x.delivery.Policy))
	return msgp.AppendString(msgp.AppendString(dst, "key"), x.delivery.Key)
}

// size returns an upper bound of the payload's length.
func (v *invocation) size() int {
	const header = 5
	n := 4*header + len(v.id) + header + len(v.returnChannel) + header
	for _, id := range v.except {
		n += header + len(id)
	}
	for name, f := range v.frames {
		n += header + len(name) + header + len(f)
	}
	if d := v.extension.delivery; d != nil {
		n += len(d.Key)
	}
	return n + 32 // the keys of the extension
}

// parseInvocation parses a payload. The frames are copies: they may wait for slow clients, and
// the rest of the payload must not wait with them. Frames of unknown protocols are left out,
// and so are those that do not consist of complete messages: they would spoil the stream of
// every client that gets them. The first of two with the same name counts.
func parseInvocation(payload []byte) (v invocation, err error) {
	r := newReader(payload)
	items := r.Array(2)
	for range r.Array(0) {
		if id := r.Text(); id != "" {
			v.except = append(v.except, id)
		}
		if r.Failed {
			return v, errPayload
		}
	}
	v.frames = make(map[string][]byte, len(protocols))
	for range r.Map() {
		p, f := protocolNamed(r.Name()), r.Bytes()
		if r.Failed {
			break
		}
		if p == nil || v.frames[p.Name()] != nil || !complete(p, f) {
			continue
		}
		v.frames[p.Name()] = bytes.Clone(f)
	}
	if items >= 4 {
		v.id, v.returnChannel = r.Text(), r.Text()
	}
	if r.Failed {
		return invocation{}, errPayload
	}
	if items >= 5 {
		v.extension = r.extension()
	}
	return v, nil
}

// complete reports whether a frame consists of complete messages, at least one.
func complete(p protocol.HubProtocol, f []byte) bool {
	for rest := f; len(rest) > 0; {
		record, after, err := p.Next(rest, 0, 0)
		if err != nil || record == nil {
			return false
		}
		rest = after
	}
	return len(f) > 0
}

// command is a change of a group, on the channel of all servers:
//
//	[id, server, action, group, connection]
//	[id, server, 0, group, "", extension]
//
// The server that has the connection acknowledges it. The second form is for servers of this
// package: for others it concerns a connection that no server has.
type command struct {
	id                        int32
	server, group, connection string
	action                    uint8
	extension                 change
}

// change is the extension of a command, a map. Unknown keys are ignored; they follow those that
// are known.
type change struct {
	action hub.Action    // "action": another than those of the original; 0: there is no extension
	name   string        // "name": of a user or a connection
	ttl    time.Duration // "ttl", in nanoseconds
}

// newCommand returns the command for one name of the audience.
func newCommand(c hub.Command, name string) command {
	switch c.Action {
	case hub.AddToGroup:
		return command{action: addToGroup, group: c.Group, connection: name}
	case hub.RemoveFromGroup:
		return command{action: removeFromGroup, group: c.Group, connection: name}
	}
	return command{group: c.Group, extension: change{c.Action, name, c.TTL}}
}

func (x *change) isForUser() bool {
	return x.action == hub.AddUserToGroup || x.action == hub.RemoveUserFromGroup || x.action == hub.RemoveUserFromAllGroups
}

// command returns the command as that of a hub. An action that is not known changes nothing.
func (c *command) command() hub.Command {
	of := hub.Command{To: hub.Audience{Kind: hub.ToConnections, Names: []string{c.connection}}, Group: c.group}
	switch x := &c.extension; {
	case x.isForUser():
		of.To.Kind = hub.OfUsers
		fallthrough
	case x.action == hub.RemoveFromAllGroups:
		of.Action, of.To.Names, of.TTL = x.action, []string{x.name}, x.ttl
	case c.action == addToGroup:
		of.Action = hub.AddToGroup
	case c.action == removeFromGroup:
		of.Action = hub.RemoveFromGroup
	}
	return of
}

// The actions of a command. Others have no effect, but are acknowledged.
const (
	addToGroup      = 1
	removeFromGroup = 2
)

func (c *command) encode() []byte {
	items := uint32(5)
	if c.extension != (change{}) {
		items = 6
	}
	dst := appendInt(msgp.AppendArrayHeader(nil, items), c.id)
	dst = msgp.AppendUint8(msgp.AppendString(dst, c.server), c.action)
	dst = msgp.AppendString(msgp.AppendString(dst, c.group), c.connection)
	if items == 5 {
		return dst
	}
	dst = msgp.AppendInt(msgp.AppendString(msgp.AppendMapHeader(dst, 3), "action"), int(c.extension.action))
	dst = msgp.AppendString(msgp.AppendString(dst, "name"), c.extension.name)
	return msgp.AppendInt64(msgp.AppendString(dst, "ttl"), int64(c.extension.ttl))
}

func parseCommand(payload []byte) (c command, err error) {
	r := newReader(payload)
	items := r.Array(5)
	c.id = int32(r.Int(math.MinInt32, math.MaxInt32)) //nolint:gosec // within these bounds
	c.server = r.Text()
	c.action = uint8(r.Int(0, math.MaxUint8)) //nolint:gosec // within these bounds
	c.group = r.Text()
	c.connection = string(r.Name())
	if r.Failed {
		return command{}, errPayload
	}
	if items > 5 {
		c.extension = r.change()
	}
	return c, nil
}

// appendAck appends an acknowledgement, on the channel of the command's server: [id].
func appendAck(dst []byte, id int32) []byte { return appendInt(msgp.AppendArrayHeader(dst, 1), id) }

func parseAck(payload []byte) (id int32, err error) {
	r := newReader(payload)
	r.Array(1)
	id = int32(r.Int(math.MinInt32, math.MaxInt32)) //nolint:gosec // within these bounds
	if r.Failed {
		return 0, errPayload
	}
	return id, nil
}

// appendInt appends an integer in the shortest form.
func appendInt(dst []byte, n int32) []byte {
	if n < 0 {
		return msgp.AppendInt32(dst, n)
	}
	return msgp.AppendUint32(dst, uint32(n))
}

// appendAnswer appends a client's answer to the question with an id, on the return channel:
// [protocol, frame]. The frame is a completion in the protocol of the client.
func appendAnswer(dst []byte, id string, a hub.Answer) ([]byte, error) {
	p := protocolNamed([]byte(a.Protocol))
	if p == nil {
		return dst, errPayload
	}
	var completion []byte
	switch {
	case a.Failed:
		completion = p.AppendError(nil, id, a.Error)
	case a.Result == nil:
		completion = p.AppendVoid(nil, id)
	default:
		completion = p.AppendRawResult(nil, id, a.Result)
	}
	dst = slices.Grow(dst, len(a.Protocol)+len(completion)+8)
	dst = msgp.AppendString(msgp.AppendArrayHeader(dst, 2), a.Protocol)
	return msgp.AppendBytes(dst, completion), nil
}

// parseAnswer parses an answer. The result is part of the payload.
func parseAnswer(payload []byte) (id string, a hub.Answer, err error) {
	r := newReader(payload)
	r.Array(2)
	p, f := protocolNamed(r.Name()), r.Bytes()
	if r.Failed || p == nil {
		return "", a, errPayload
	}
	record, _, err := p.Next(f, 0, 0)
	if err != nil || record == nil {
		return "", a, errPayload
	}
	var m protocol.Message
	if err = p.Parse(record, &m); err == nil {
		err = m.Outcome(nil)
	}
	if err != nil || m.Type != protocol.Completion || m.InvocationID == "" {
		return "", a, errPayload
	}
	a = hub.Answer{Protocol: p.Name(), Failed: m.HasError, Error: m.Error}
	if m.HasResult {
		a.Result = m.Payload
	}
	return m.InvocationID, a, nil
}
