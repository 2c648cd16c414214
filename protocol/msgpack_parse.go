package protocol

import (
	"math"

	"github.com/tinylib/msgp/msgp"
)

// Parse fills m from a record. The order of the items is fixed. Surplus items are
// ignored.
func (p *MessagePack) Parse(record []byte, m *Message) error {
	q := packParser{packReader: packReader{data: record}, m: m, oldID: m.InvocationID, oldTarget: m.Target}
	*m = Message{}
	var err error
	if q.items, err = q.arrayHeader(); err != nil {
		return err
	}
	n, err := q.int()
	if err != nil || n < math.MinInt32 || n > math.MaxInt32 {
		return reading("messageType", "Int32")
	}
	m.Type = MessageType(n)
	switch m.Type {
	case Invocation, StreamInvocation:
		return q.invocation()
	case StreamItem:
		return q.streamItem()
	case Completion:
		return q.completion()
	case CancelInvocation:
		return q.identified("CancelInvocation")
	case Close:
		return q.close()
	case Ack, Sequence:
		if m.SequenceID, err = q.int(); err != nil {
			return reading("sequenceId", "Int64")
		}
	}
	return nil
}

func reading(field, kind string) *Fault {
	return invalidData("Reading '%s' as %s failed.", field, kind)
}

func readingLength(of, field string) *Fault {
	return invalidData("Reading %s length for '%s' failed.", of, field)
}

type packParser struct {
	packReader
	m                *Message
	items            int
	oldID, oldTarget string // for reuse
}

// string reads an item that must be a string or nil.
func (p *packParser) string(field, old string) (s string, isNil bool, err error) {
	text, isNil, err := p.text()
	if err != nil {
		return "", false, reading(field, "String")
	}
	if string(text) == old {
		return old, isNil, nil
	}
	return validText(text), isNil, nil
}

func (p *packParser) headers() error {
	n, rest, err := msgp.ReadMapHeaderBytes(p.data)
	// The rest must also be long enough for the items after the headers.
	if err != nil || 2*int64(n)+int64(max(p.items-2, 0)) > int64(len(rest)) {
		return readingLength("map", "headers")
	}
	p.data = rest
	for i := range int(n) {
		if err := p.header(i); err != nil {
			return err
		}
	}
	return nil
}

var (
	errHeaderName  = invalidData("Null or empty key in header.")
	errHeaderValue = invalidData("Null or empty value in header.")
)

func (p *packParser) header(i int) error {
	name, _, err := p.text()
	switch {
	case err != nil:
		return invalidData("Reading 'headers[%d].Key' as String failed.", i)
	case len(name) == 0:
		return errHeaderName
	}
	value, _, err := p.text()
	switch {
	case err != nil:
		return invalidData("Reading 'headers[%d].Value' as String failed.", i)
	case len(value) == 0:
		return errHeaderValue
	}
	if p.m.Headers == nil {
		p.m.Headers = make(map[string]string)
	}
	key := validText(name)
	if _, ok := p.m.Headers[key]; ok {
		return &Fault{Exception: "ArgumentException", Message: "An item with the same key has already been added. Key: " + key}
	}
	p.m.Headers[key] = validText(value)
	return nil
}

// identified reads headers and an id, which must be there.
func (p *packParser) identified(message string) error {
	if err := p.headers(); err != nil {
		return err
	}
	if err := p.invocationID(); err != nil {
		return err
	}
	if p.m.InvocationID == "" {
		return invalidData("Null or empty invocation ID for %s message.", message)
	}
	return nil
}

func (p *packParser) invocationID() (err error) {
	p.m.InvocationID, _, err = p.string("invocationId", p.oldID)
	return err
}

func (p *packParser) invocation() error {
	m, name := p.m, "Invocation"
	var err error
	if m.Type == StreamInvocation {
		name = "StreamInvocation"
		err = p.identified(name)
	} else if err = p.headers(); err == nil {
		err = p.invocationID()
	}
	if err != nil {
		return err
	}
	if m.Target, _, err = p.string("target", p.oldTarget); err != nil {
		return err
	}
	if m.Target == "" {
		return invalidData("Null or empty target for %s message.", name)
	}
	p.arguments()
	return nil
}

// arguments reads the arguments undecoded. The original decodes them with the types of
// the target and reads no further if that fails. So errors in the arguments are reported
// by Bind, and errors after them count only if the arguments fit.
func (p *packParser) arguments() {
	start := p.data
	raw, err := p.value()
	if err != nil {
		p.m.Arguments = start
		return
	}
	p.m.Arguments = raw
	if p.items > 5 {
		p.m.fault = p.streamIDs()
	}
}

func (p *packParser) streamIDs() *Fault {
	n, err := p.arrayHeader()
	if err != nil {
		return readingLength("array", "streamIds")
	}
	p.m.StreamIDs = make([]string, 0, min(n, 16)) // the peer can announce any length
	for range n {
		id, _, err := p.text()
		switch {
		case err != nil:
			return asFault(err)
		case len(id) == 0:
			return invalidData("Null or empty value in streamIds received.")
		}
		p.m.StreamIDs = append(p.m.StreamIDs, validText(id))
	}
	return nil
}

// streamItem takes the rest as the item. A malformed item is reported by Decode, and
// ignored if the stream is unknown.
func (p *packParser) streamItem() error {
	if err := p.identified("StreamItem"); err != nil {
		return err
	}
	p.m.Payload = p.rest()
	return nil
}

// rest returns the value at the reader's position, or all remaining data if it is
// malformed.
func (p *packParser) rest() []byte {
	start := p.data
	raw, err := p.value()
	if err != nil {
		return start
	}
	return raw
}

// The kinds of completions.
const (
	errorKind  = 1
	voidKind   = 2
	resultKind = 3
)

func (p *packParser) completion() error {
	if err := p.identified("Completion"); err != nil {
		return err
	}
	kind, err := p.int()
	switch {
	case err != nil || kind < math.MinInt32 || kind > math.MaxInt32:
		return reading("resultKind", "Int32")
	case kind == errorKind:
		return p.error()
	case kind == resultKind:
		p.m.HasResult = true
		start := p.data
		if p.m.Payload, err = p.value(); err != nil {
			// The caller that waits for the result gets the error of a result of the
			// wrong type.
			p.m.Payload, p.m.unknown = start, asFault(err)
		}
		return nil
	case kind != voidKind:
		return invalidData("Invalid invocation result kind.")
	}
	return nil
}

// error reads the error of a completion or a close message. nil means none.
func (p *packParser) error() error {
	text, isNil, err := p.string("error", "")
	p.m.Error, p.m.HasError = text, !isNil
	return err
}

func (p *packParser) close() error {
	if err := p.error(); err != nil {
		return err
	}
	if p.items < 3 {
		return nil
	}
	var err error
	if p.m.AllowReconnect, err = p.readBool(); err != nil {
		return reading("allowReconnect", "Boolean")
	}
	return nil
}
