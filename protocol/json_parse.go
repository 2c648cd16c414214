package protocol

import (
	"errors"
	"fmt"
	"strconv"
)

// Parse fills m from a record. As in ASP.NET Core's JsonHubProtocol, property names are
// exact and come in any order, the last of equal names counts, unknown names are skipped,
// and data after the object is ignored.
func (p *JSON) Parse(record []byte, m *Message) error {
	q := jsonParser{jsonReader: jsonReader{data: record, most: p.depth}, m: m, oldID: m.InvocationID, oldTarget: m.Target}
	*m = Message{}
	err := q.properties(q.member)
	if err == nil {
		err = q.complete()
	}
	if err == nil {
		if q.itemRead && m.isRequest() {
			// The original looks up the stream of an item before it knows the type of the
			// message, and ignores the message if the stream is unknown.
			m.Type, m.Payload, m.fault = StreamItem, q.item, nil
		}
		return nil
	}
	fault := jsonFault(err)
	if q.itemRead { // an item of an unknown stream is ignored even if the rest is malformed or has no type
		m.Type, m.Payload, m.fault = StreamItem, q.item, fault
		return nil
	}
	return fault
}

// isRequest reports whether the message has an effect that an item of an unknown stream
// in it would prevent.
func (m *Message) isRequest() bool {
	return m.Type == Invocation || m.Type == StreamInvocation || m.Type == CancelInvocation || m.Type == Close
}

// jsonFault returns the original's fault for an error while it reads a message.
func jsonFault(err error) *Fault {
	if fault := asFault(err); fault != nil {
		return fault
	}
	var text textError
	if errors.As(err, &text) {
		return &Fault{Exception: exceptionInvalidOperation, Message: string(text)}
	}
	return invalidData("Error reading JSON.")
}

type jsonParser struct {
	jsonReader
	m                *Message
	oldID, oldTarget string // for reuse

	result, item []byte
	bound, early []byte // bound: argument arrays after the target, concatenated; early: the last array before it
	itemRead     bool   // the item came after the id: the original looks up its stream before it reads on
	has          struct{ typ, id, target, arguments, item, sequence bool }
}

// properties reads the object of a record. It calls member for each value.
func (r *jsonReader) properties(member func(name []byte) error) error {
	if err := r.object(); err != nil {
		return err
	}
	for first := true; ; first = false {
		name, escaped, more, err := r.property(first)
		if err != nil || !more {
			return err
		}
		if escaped {
			// A name that cannot be decoded is not a known one.
			name, _ = unescape(name)
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// object enters the object of a record. Any other value is a fault.
func (r *jsonReader) object() error {
	r.peek()
	if r.pos >= len(r.data) {
		return r.fail("The input does not contain any JSON tokens. Expected the input to start with a valid JSON token, when isFinalBlock is true.")
	}
	kind, err := r.token()
	switch {
	case err != nil:
		return err
	case kind == '[':
		return invalidData("Unexpected JSON Token Type 'Array'. Expected a JSON Object.")
	case kind != '{':
		return invalidData("Unexpected JSON Token Type '%s'. Expected a JSON Object.", tokenNames[kind])
	}
	return r.enter()
}

func (p *jsonParser) member(name []byte) (err error) {
	m := p.m
	switch string(name) {
	case "type":
		err = p.messageType()
	case "invocationId":
		m.InvocationID, err = p.string("invocationId", p.oldID)
		p.has.id = true
	case "target":
		m.Target, err = p.string("target", p.oldTarget)
		p.has.target = true
	case "arguments":
		err = p.arguments()
	case "streamIds":
		err = p.streamIDs()
	case "headers":
		err = p.headers()
	case "item":
		first := p.peek()
		p.item, err = p.value()
		// An item with a malformed first token does not count as read, whichever stream
		// it belongs to.
		p.itemRead = m.InvocationID != "" && (err == nil || first == '[' || first == '{')
		p.has.item = true
	case "result":
		p.result, err = p.value()
		m.HasResult = true
	case "error":
		m.Error, err = p.string("error", "")
		m.HasError = true
	case "allowReconnect":
		err = p.allowReconnect()
	case "sequenceId":
		m.SequenceID, p.has.sequence, err = p.integer("sequenceId", 64)
	default:
		err = p.skip()
	}
	return err
}

// string reads a property that must be a string.
func (r *jsonReader) string(name, old string) (string, error) {
	if r.peek() != '"' {
		return "", r.mismatch(name, "to be of type String")
	}
	return r.stringValue(old)
}

// stringValue reads the string at the reader's position.
func (r *jsonReader) stringValue(old string) (string, error) {
	inside, escaped, err := r.text()
	if err != nil {
		return "", err
	}
	if escaped {
		plain, err := unescape(inside)
		return string(plain), err
	}
	return reuse(old, inside), checkText(inside)
}

// mismatch returns the fault of a value of another type, or its syntax error.
func (r *jsonReader) mismatch(name, wanted string) error {
	if _, err := r.token(); err != nil {
		return err
	}
	return invalidData("Expected '%s' %s.", name, wanted)
}

// integer reads a property that must be an integer of at most bits bits. ok is false for
// null.
func (r *jsonReader) integer(name string, bits int) (n int64, ok bool, err error) {
	c := r.peek()
	if c == 'n' {
		return 0, false, r.literal("null")
	}
	if c != '-' && (c < '0' || c > '9') {
		return 0, false, r.mismatch(name, "to be of type Number")
	}
	text, err := r.number()
	if err != nil {
		return 0, false, err
	}
	n, err = strconv.ParseInt(string(text), 10, bits)
	if err != nil {
		return 0, false, &Fault{Exception: exceptionFormat, Message: fmt.Sprintf("Either the JSON value is not in a supported format, or is out of bounds for the Int%d type.", bits)}
	}
	return n, true, nil
}

func (p *jsonParser) messageType() error {
	n, ok, err := p.integer("type", 32)
	if err == nil && !ok {
		err = invalidData("Expected 'type' to be of type Number.")
	}
	p.m.Type, p.has.typ = MessageType(n), true
	return err
}

func (p *jsonParser) allowReconnect() (err error) {
	switch p.peek() {
	case 't':
		p.m.AllowReconnect, err = true, p.literal("true")
	case 'f':
		p.m.AllowReconnect, err = false, p.literal("false")
	default:
		err = p.mismatch("allowReconnect", "to be true or false")
	}
	return err
}

// arguments reads past the array of the arguments.
//
// The original decodes the array with the types of the target if it already knows the
// target. A superfluous comma between arguments is then an error of the invocation, not
// of the connection: the original's reader has passed the comma when it fails, and can go
// on. That works once.
func (p *jsonParser) arguments() error {
	if p.peek() != '[' {
		return p.mismatch("arguments", "to be of type Array")
	}
	p.has.arguments = true
	start := p.pos
	if err := p.enter(); err != nil {
		return err
	}
	for first := true; ; first = false {
		more, err := p.element(first)
		if err != nil {
			if err = p.forgiveComma(err); err != nil {
				return err
			}
			continue
		}
		if !more {
			p.keepArguments(p.data[start:p.pos:p.pos])
			return nil
		}
		if err := p.skip(); err != nil {
			return err
		}
	}
}

// keepArguments records one of several argument properties. The original binds each array
// as soon as it knows the target, and the arrays before the target last. All of them must
// fit, and the last ones count.
func (p *jsonParser) keepArguments(raw []byte) {
	switch {
	case p.m.Target == "":
		p.early = raw
	case p.bound == nil:
		p.bound = raw
	default:
		p.bound = append(p.bound, raw...)
	}
	p.m.Arguments = p.early
	if p.bound != nil {
		p.m.Arguments = p.bound
	}
}

// forgiveComma records the error for Outcome and returns nil if it is the first one and
// comes after a comma. Otherwise it returns err.
func (p *jsonParser) forgiveComma(err error) error {
	c := p.peek()
	if p.m.Target == "" || p.m.fault != nil || c != ',' && c != ']' {
		return err
	}
	p.m.fault = jsonFault(err)
	p.m.forgivable = brokenArguments(err)
	return nil
}

// brokenArguments returns the error of binding arguments that are not valid JSON.
func brokenArguments(err error) *BindError {
	return &BindError{Err: err, exception: exceptionJSONReader, message: err.Error()}
}

func (p *jsonParser) streamIDs() error {
	if p.peek() != '[' {
		return p.mismatch("streamIds", "to be of type Array")
	}
	p.m.StreamIDs = nil
	return p.each('[', func([]byte) error {
		id, err := p.streamID()
		p.m.StreamIDs = append(p.m.StreamIDs, id)
		return err
	})
}

func (p *jsonParser) streamID() (string, error) {
	if p.peek() == '"' {
		return p.stringValue("")
	}
	kind, err := p.token()
	switch {
	case err != nil:
		return "", err
	case kind == 'n':
		return "", invalidData("Null value for 'streamIds' is not valid.")
	}
	return "", &Fault{Exception: exceptionInvalidOperation, Message: "Cannot get the value of a token type '" + tokenNames[kind] + "' as a string."}
}

func (p *jsonParser) headers() error {
	if p.peek() != '{' {
		return p.mismatch("headers", "to be of type StartObject")
	}
	p.m.Headers = nil
	return p.each('{', p.header)
}

func (p *jsonParser) header(name []byte) error {
	b, err := unescape(name)
	if err != nil {
		return err
	}
	if p.peek() != '"' {
		if _, err := p.token(); err != nil {
			return err
		}
		return invalidData("Expected header '%s' to be of type String.", b)
	}
	value, err := p.stringValue("")
	if err != nil {
		return err
	}
	if p.m.Headers == nil {
		p.m.Headers = make(map[string]string)
	}
	p.m.Headers[string(b)] = value
	return nil
}

// complete checks the required properties of this type of message, in the original's
// order.
func (p *jsonParser) complete() error {
	m := p.m
	if !p.has.typ {
		return missing("type")
	}
	switch m.Type {
	case Invocation, StreamInvocation:
		return p.completeInvocation()
	case StreamItem:
		return p.completeItem()
	case Completion:
		m.Payload = p.result
		if m.InvocationID != "" && m.HasError && m.HasResult {
			return invalidData("The 'error' and 'result' properties are mutually exclusive.")
		}
		return p.needID(true, "")
	case CancelInvocation:
		return p.needID(true, "")
	case Ack, Sequence:
		if !p.has.sequence {
			return missing("sequenceId")
		}
	}
	return nil
}

func (p *jsonParser) completeInvocation() error {
	m := p.m
	if p.bound != nil && p.early != nil {
		p.bound = append(p.bound, p.early...)
		m.Arguments = p.bound
	}
	switch {
	case !p.has.target:
		return missing("target")
	case m.Type == StreamInvocation && m.InvocationID == "":
		if !p.has.arguments {
			return missing("invocationId")
		}
		// Arguments that do not fit are found earlier, and without an id they are not
		// reported.
		if m.fault == nil {
			m.fault = missing("invocationId")
		}
	case !p.has.arguments && m.Target == "":
		return missing("target")
	case !p.has.arguments:
		return missing("arguments")
	}
	return nil
}

// completeItem reports a missing id only if there is none; an empty id is that of an
// unknown stream. If the item comes before the id, the original looks up the stream when
// it can no longer ignore the message.
func (p *jsonParser) completeItem() error {
	m := p.m
	m.Payload = p.item
	if !p.itemRead && p.has.id && p.has.item {
		m.unknown = &Fault{Exception: "KeyNotFoundException", Message: "No stream with id '" + m.InvocationID + "' could be found."}
		return nil
	}
	return p.needID(p.has.item, "item")
}

func (p *jsonParser) needID(ok bool, name string) error {
	switch {
	case p.m.InvocationID == "":
		return missing("invocationId")
	case !ok:
		return missing(name)
	}
	return nil
}

func missing(name string) *Fault { return invalidData("Missing required property '%s'.", name) }
