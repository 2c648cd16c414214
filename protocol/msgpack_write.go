package protocol

import (
	"maps"
	"slices"

	"github.com/tinylib/msgp/msgp"
)

// AppendInvocation appends an invocation of target.
func (p *MessagePack) AppendInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error) {
	return p.appendInvocation(dst, Invocation, id, target, headers, streamIDs, args)
}

// AppendStreamInvocation appends an invocation of target with results as the stream id.
func (p *MessagePack) AppendStreamInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error) {
	return p.appendInvocation(dst, StreamInvocation, id, target, headers, streamIDs, args)
}

func (p *MessagePack) appendInvocation(dst []byte, t MessageType, id, target string, headers map[string]string, streamIDs []string, args []any) (_ []byte, err error) {
	out := appendHead(openBinary(dst), 6, t)
	if len(headers) > 0 {
		if out, err = appendPackHeaders(out[:len(out)-1], headers); err != nil {
			return dst, err
		}
	}
	if id == "" {
		out = msgp.AppendNil(out)
	} else {
		out = msgp.AppendString(out, id)
	}
	out = msgp.AppendString(out, target)
	out = msgp.AppendArrayHeader(out, uint32(len(args)))
	for _, arg := range args {
		if out, err = p.append(out, arg); err != nil {
			return dst, err
		}
	}
	out = msgp.AppendArrayHeader(out, uint32(len(streamIDs)))
	for _, id := range streamIDs {
		out = msgp.AppendString(out, id)
	}
	return closeBinary(out, len(dst)), nil
}

// appendPackHeaders appends headers. Receivers refuse a message with an empty name or value.
func appendPackHeaders(dst []byte, headers map[string]string) ([]byte, error) {
	dst = msgp.AppendMapHeader(dst, uint32(len(headers)))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		switch {
		case name == "":
			return dst, errHeaderName
		case headers[name] == "":
			return dst, errHeaderValue
		}
		dst = appendPackString(appendPackString(dst, name), headers[name])
	}
	return dst, nil
}

// appendHead begins a message that has headers, with none.
func appendHead(dst []byte, items uint32, t MessageType) []byte {
	dst = msgp.AppendArrayHeader(dst, items)
	dst = append(dst, byte(t))
	return msgp.AppendMapHeader(dst, 0)
}

// AppendStreamItem appends an item of the stream id.
func (p *MessagePack) AppendStreamItem(dst []byte, id string, item any) ([]byte, error) {
	out := appendHead(openBinary(dst), 4, StreamItem)
	out, err := p.append(msgp.AppendString(out, id), item)
	if err != nil {
		return dst, err
	}
	return closeBinary(out, len(dst)), nil
}

// AppendResult appends a completion with a result.
func (p *MessagePack) AppendResult(dst []byte, id string, result any) ([]byte, error) {
	out := appendHead(openBinary(dst), 5, Completion)
	out, err := p.append(append(msgp.AppendString(out, id), resultKind), result)
	if err != nil {
		return dst, err
	}
	return closeBinary(out, len(dst)), nil
}

// AppendRawResult appends a completion with an encoded result.
func (p *MessagePack) AppendRawResult(dst []byte, id string, raw []byte) []byte {
	out := append(msgp.AppendString(appendHead(openBinary(dst), 5, Completion), id), resultKind)
	return closeBinary(append(out, raw...), len(dst))
}

// AppendVoid appends a completion with neither a result nor an error.
func (p *MessagePack) AppendVoid(dst []byte, id string) []byte {
	out := appendHead(openBinary(dst), 4, Completion)
	out = append(msgp.AppendString(out, id), voidKind)
	return closeBinary(out, len(dst))
}

// AppendError appends a completion with an error.
func (p *MessagePack) AppendError(dst []byte, id, message string) []byte {
	out := appendHead(openBinary(dst), 5, Completion)
	out = append(msgp.AppendString(out, id), errorKind)
	return closeBinary(appendPackString(out, message), len(dst))
}

// AppendCancel appends a cancellation of the stream id.
func (p *MessagePack) AppendCancel(dst []byte, id string) []byte {
	out := appendHead(openBinary(dst), 3, CancelInvocation)
	return closeBinary(msgp.AppendString(out, id), len(dst))
}

// AppendPing appends a ping.
func (p *MessagePack) AppendPing(dst []byte) []byte { return append(dst, 2, 0x91, byte(Ping)) }

// AppendClose appends a close message.
func (p *MessagePack) AppendClose(dst []byte, message string, allowReconnect bool) []byte {
	out := append(msgp.AppendArrayHeader(openBinary(dst), 3), byte(Close))
	if message == "" {
		out = msgp.AppendNil(out)
	} else {
		out = appendPackString(out, message)
	}
	return closeBinary(msgp.AppendBool(out, allowReconnect), len(dst))
}

// AppendAck appends an acknowledgement.
func (p *MessagePack) AppendAck(dst []byte, sequenceID int64) []byte {
	return appendNumbered(dst, Ack, sequenceID)
}

// AppendSequence appends the number of the next message.
func (p *MessagePack) AppendSequence(dst []byte, sequenceID int64) []byte {
	return appendNumbered(dst, Sequence, sequenceID)
}

func appendNumbered(dst []byte, t MessageType, n int64) []byte {
	out := append(msgp.AppendArrayHeader(openBinary(dst), 2), byte(t))
	return closeBinary(appendPackInt(out, n), len(dst))
}
