package publish

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/packread"
	"github.com/carillon-go/carillon/protocol"
)

// maxBody is the largest body in bytes. bodyTimeout is the time for receiving it.
const (
	maxBody     = 1 << 20
	bodyTimeout = 30 * time.Second
)

var (
	errTooLarge = &failure{status: http.StatusRequestEntityTooLarge, code: codeTooLarge, message: "the body is larger than 1 MiB"}
	errTooSlow  = &failure{status: http.StatusRequestTimeout, code: codeTooSlow, message: "the body has not arrived within 30 s"}
	errEmpty    = invalid("body", `the body is empty; it is a message such as {"target":"newMessage","arguments":[1]}`)
)

// read reads the body of a call.
func (c *call) read(w http.ResponseWriter) (err error) {
	length := c.request.ContentLength
	if length > maxBody {
		return errTooLarge
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout)) // not supported by writers of tests
	if length >= 0 {
		c.body = make([]byte, length)
		_, err = io.ReadFull(c.request.Body, c.body)
	} else {
		c.body, err = io.ReadAll(http.MaxBytesReader(w, c.request.Body, maxBody))
	}
	if err != nil {
		return unread(err) // the HTTP server reads no rest after the deadline
	}
	if c.waits() { // the request would end at the deadline
		_ = control.SetReadDeadline(time.Time{})
	}
	if len(c.body) == 0 {
		return errEmpty
	}
	return nil
}

// unread returns the failure for an error of reading a body.
func unread(err error) error {
	large := new(http.MaxBytesError)
	switch {
	case errors.As(err, &large):
		return errTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errTooSlow
	}
	return invalid("body", "the body is not complete")
}

// message is an invocation of clients.
type message struct {
	target    string
	arguments []any             // each is a protocol.Raw
	frames    map[string][]byte // by protocol; nil: the arguments are to be encoded
}

// The types of bodies.
const (
	typeJSON        = "application/json"
	typeMessagePack = "application/x-msgpack"
	typeFrames      = "application/octet-stream"
)

// message returns the message in the body. A body without a type is JSON.
func (c *call) message() (message, error) {
	header := c.request.Header.Get("Content-Type")
	kind := header
	if header != "" && header != typeJSON {
		var parameters map[string]string
		var err error
		kind, parameters, err = mime.ParseMediaType(header)
		if charset := parameters["charset"]; err != nil || charset != "" && !fold.Equal(charset, "utf-8") {
			kind = ""
		}
	}
	switch {
	case header == "" || kind == typeJSON:
		return parseJSON(c.body)
	case kind == typeMessagePack:
		return parseMessagePack(c.body)
	case kind == typeFrames:
		return parseFrames(c.body)
	}
	return message{}, &failure{status: http.StatusUnsupportedMediaType, code: codeMediaType, target: "Content-Type", message: "the body is application/json in UTF-8, application/x-msgpack or application/octet-stream"}
}

// The protocols check what they decode as they check messages of clients: UTF-8, nesting,
// numbers.
var (
	jsonProtocol        = protocol.NewJSON(protocol.JSONOptions{})
	messagePackProtocol = protocol.NewMessagePack()
	protocols           = []protocol.HubProtocol{jsonProtocol, messagePackProtocol}
)

// payload is the body as JSON. Names of properties ignore case, because Azure's SDKs write both
// Target and target.
type payload struct {
	Target    string       `json:"target"`
	Arguments protocol.Raw `json:"arguments"`
}

func parseJSON(body []byte) (message, error) {
	var p payload
	if err := jsonProtocol.Decode(body, &p); err != nil {
		return message{}, malformed(err)
	}
	if p.Target == "" {
		return message{}, errNoTarget
	}
	all, err := argumentsIn(jsonProtocol, p.Arguments)
	if err != nil {
		return message{}, malformed(err)
	}
	m := message{target: p.Target, arguments: all}
	return m, m.suits(messagePackProtocol, body)
}

// maxArguments limits the arguments of a message, because one of a byte takes a hundred in memory.
// maxProperties does so for the properties of a map.
const (
	maxArguments  = 1000
	maxProperties = 100
)

var (
	errTooManyArguments  = invalid("arguments", "the message has more than 1,000 arguments")
	errTooManyProperties = invalid("body", "the map has more than 100 properties")
)

// argumentsIn returns the arguments in a property of a body, which are none if it is null or missing.
func argumentsIn(p protocol.HubProtocol, property protocol.Raw) ([]any, error) {
	if text := string(property.Data); text == "" || text == "null" || text == "\xc0" {
		return nil, nil
	}
	return arguments(p, property.Data)
}

// arguments returns the arguments in an array. Each is a protocol.Raw.
func arguments(p protocol.HubProtocol, data []byte) ([]any, error) {
	err := p.Bind(data)
	count, ok := errors.AsType[*protocol.CountError](err)
	switch {
	case !ok:
		return nil, err
	case count.Got > maxArguments:
		return nil, errTooManyArguments
	}
	raws, all := make([]protocol.Raw, count.Got), make([]any, count.Got)
	for i := range raws {
		all[i] = &raws[i]
	}
	if err = p.Bind(data, all...); err != nil {
		return nil, err
	}
	for i := range raws {
		all[i] = raws[i]
	}
	return all, nil
}

// suits returns an error if receivers of a protocol could not get the message, which data is in
// another protocol. Whether they can must not depend on which receivers there are. Of valid JSON
// only halves of surrogate pairs, which are escapes, cannot be written in MessagePack.
func (m message) suits(p protocol.HubProtocol, data []byte) error {
	if p.Binary() && !bytes.Contains(data, []byte(`\u`)) {
		return nil
	}
	if _, err := p.AppendInvocation(nil, "", m.target, nil, nil, m.arguments...); err != nil {
		return malformed(err)
	}
	return nil
}

// isWhole returns an error if data is not one valid value of a protocol, without a rest.
func isWhole(p protocol.HubProtocol, data []byte) error {
	var raw protocol.Raw
	if err := p.Decode(data, &raw); err != nil {
		return err
	}
	if p.Binary() && len(raw.Data) < len(data) { // in JSON, white space may be around the value
		return errors.New("data follows the value")
	}
	return nil
}

func parseMessagePack(body []byte) (m message, err error) {
	properties, err := parseMap[protocol.Raw](body)
	for name, value := range properties {
		switch {
		case fold.Equal(name, "target"):
			err = errors.Join(err, messagePackProtocol.Decode(value.Data, &m.target))
		case fold.Equal(name, "arguments"):
			var failed error
			m.arguments, failed = argumentsIn(messagePackProtocol, value)
			err = errors.Join(err, failed)
		}
	}
	switch {
	case err != nil:
		return m, malformed(err)
	case m.target == "":
		return m, errNoTarget
	}
	return m, m.suits(jsonProtocol, body)
}

// parseMap parses a body that is a MessagePack map.
func parseMap[V any](body []byte) (all map[string]V, err error) {
	if r := (packread.Reader{Data: body}); r.Map() > maxProperties {
		return nil, errTooManyProperties
	}
	if err = isWhole(messagePackProtocol, body); err == nil {
		err = messagePackProtocol.Decode(body, &all)
	}
	return all, err
}

var errNoTarget = invalid("target", "the message has no target, which is the name of the clients' method")

// malformed returns the failure of a body that cannot be parsed. The error says where.
func malformed(err error) error {
	if known, ok := errors.AsType[*failure](err); ok {
		return known
	}
	return invalid("body", "the message cannot be read: "+err.Error())
}

// parseFrames parses a map of frames by the name of their protocol, each an invocation, which
// clients of that protocol get as it is. All must be the same invocation, as far as their target
// and the number of their arguments. Other protocols are left out. The arguments are those of the
// last protocol.
func parseFrames(body []byte) (m message, err error) {
	all, err := parseMap[[]byte](body)
	if err != nil {
		return m, malformed(err)
	}
	m.frames = make(map[string][]byte, len(protocols))
	for _, p := range protocols {
		data, ok := all[p.Name()]
		if !ok {
			continue
		}
		target, arguments, err := parseFrame(p, data)
		switch {
		case err != nil:
			return m, err
		case len(m.frames) > 0 && (target != m.target || len(arguments) != len(m.arguments)):
			return m, invalid("body", "the invocations of the protocols differ")
		}
		m.target, m.arguments, m.frames[p.Name()] = target, arguments, data
	}
	switch {
	case len(m.frames) == 0:
		return m, invalid("body", "the map has neither json nor messagepack")
	case m.frames[messagePackProtocol.Name()] == nil:
		return m, m.suits(messagePackProtocol, body)
	case m.frames[jsonProtocol.Name()] == nil:
		return m, m.suits(jsonProtocol, body)
	}
	return m, nil
}

// parseFrame parses a frame, which is one invocation without an id, streams and headers.
func parseFrame(p protocol.HubProtocol, data []byte) (target string, all []any, err error) {
	record, rest, err := p.Next(data, 0, 0)
	var m protocol.Message
	if err == nil && record != nil {
		err = errors.Join(isWhole(p, record), p.Parse(record, &m))
	}
	switch {
	case err != nil:
		return "", nil, malformed(err)
	case record == nil || len(rest) > 0 || m.Type != protocol.Invocation || m.InvocationID != "" || len(m.StreamIDs)+len(m.Headers) > 0:
		return "", nil, invalid("body", "a frame of "+p.Name()+" is not one complete invocation without an id, streams and headers")
	case m.Target == "":
		return "", nil, errNoTarget
	}
	all, err = arguments(p, m.Arguments)
	if err = m.Outcome(err); err != nil {
		return "", nil, malformed(err)
	}
	return m.Target, all, nil
}
