package protocol

import (
	"maps"
	"slices"
	"strconv"
)

// AppendInvocation appends an invocation of target.
func (p *JSON) AppendInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error) {
	return p.appendInvocation(dst, `{"type":1`, id, target, headers, streamIDs, args)
}

// AppendStreamInvocation appends an invocation of target with results as the stream id.
func (p *JSON) AppendStreamInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error) {
	return p.appendInvocation(dst, `{"type":4`, id, target, headers, streamIDs, args)
}

func (p *JSON) appendInvocation(dst []byte, head, id, target string, headers map[string]string, streamIDs []string, args []any) (_ []byte, err error) {
	out := append(dst, head...) //nolint:gocritic // dst is returned unchanged if an argument cannot be encoded
	if len(headers) > 0 {
		out = appendJSONHeaders(out, headers)
	}
	if id != "" {
		out = appendID(out, id)
	}
	out = append(out, `,"target":`...)
	out = appendJSONString(out, target)
	out = append(out, `,"arguments":`...)
	if out, err = p.appendArguments(out, args); err != nil {
		return dst, err
	}
	if len(streamIDs) > 0 {
		out = append(out, `,"streamIds":`...)
		out = appendStrings(out, streamIDs)
	}
	return end(out), nil
}

func appendJSONHeaders(dst []byte, headers map[string]string) []byte {
	separator := `,"headers":{`
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		dst = appendJSONString(append(dst, separator...), name)
		dst = appendJSONString(append(dst, ':'), headers[name])
		separator = ","
	}
	return append(dst, '}')
}

func (p *JSON) appendArguments(out []byte, args []any) (_ []byte, err error) {
	out = append(out, '[')
	for i, arg := range args {
		if i > 0 {
			out = append(out, ',')
		}
		if out, err = p.append(out, arg); err != nil {
			return out, err
		}
	}
	return append(out, ']'), nil
}

// AppendStreamItem appends an item of the stream id.
func (p *JSON) AppendStreamItem(dst []byte, id string, item any) ([]byte, error) {
	return p.appendValue(dst, `{"type":2`, id, `,"item":`, item)
}

// AppendResult appends a completion with a result.
func (p *JSON) AppendResult(dst []byte, id string, result any) ([]byte, error) {
	return p.appendValue(dst, `{"type":3`, id, `,"result":`, result)
}

func (p *JSON) appendValue(dst []byte, head, id, name string, value any) ([]byte, error) {
	out := append(dst, head...) //nolint:gocritic // dst is returned unchanged if the value cannot be encoded
	out = appendID(out, id)
	out = append(out, name...)
	out, err := p.append(out, value)
	if err != nil {
		return dst, err
	}
	return end(out), nil
}

// AppendRawResult appends a completion with an encoded result.
func (p *JSON) AppendRawResult(dst []byte, id string, raw []byte) []byte {
	dst = append(appendID(append(dst, `{"type":3`...), id), `,"result":`...)
	return end(append(dst, raw...))
}

// AppendVoid appends a completion with neither a result nor an error.
func (p *JSON) AppendVoid(dst []byte, id string) []byte {
	return end(appendID(append(dst, `{"type":3`...), id))
}

// AppendError appends a completion with an error.
func (p *JSON) AppendError(dst []byte, id, message string) []byte {
	dst = appendID(append(dst, `{"type":3`...), id)
	dst = append(dst, `,"error":`...)
	return end(appendJSONString(dst, message))
}

// AppendCancel appends a cancellation of the stream id.
func (p *JSON) AppendCancel(dst []byte, id string) []byte {
	return end(appendID(append(dst, `{"type":5`...), id))
}

// AppendPing appends a ping.
func (p *JSON) AppendPing(dst []byte) []byte { return end(append(dst, `{"type":6`...)) }

// AppendClose appends a close message.
func (p *JSON) AppendClose(dst []byte, message string, allowReconnect bool) []byte {
	dst = append(dst, `{"type":7`...)
	if message != "" {
		dst = append(dst, `,"error":`...)
		dst = appendJSONString(dst, message)
	}
	if allowReconnect {
		dst = append(dst, `,"allowReconnect":true`...)
	}
	return end(dst)
}

// AppendAck appends an acknowledgement.
func (p *JSON) AppendAck(dst []byte, sequenceID int64) []byte {
	return end(strconv.AppendInt(append(dst, `{"type":8,"sequenceId":`...), sequenceID, 10))
}

// AppendSequence appends the number of the next message.
func (p *JSON) AppendSequence(dst []byte, sequenceID int64) []byte {
	return end(strconv.AppendInt(append(dst, `{"type":9,"sequenceId":`...), sequenceID, 10))
}

func appendID(dst []byte, id string) []byte {
	return appendJSONString(append(dst, `,"invocationId":`...), id)
}

func appendStrings(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSONString(dst, s)
	}
	return append(dst, ']')
}

func end(dst []byte) []byte { return append(dst, '}', recordSeparator) }
