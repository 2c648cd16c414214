package protocol

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// parsed is what a record comes to: its fault, or a word on the message.
func parseJSON(t *testing.T, record string) (*Message, error) {
	t.Helper()
	m := new(Message)
	err := NewJSON(JSONOptions{}).Parse([]byte(record), m)
	return m, err
}

func TestJSONFaults(t *testing.T) {
	const broken = "InvalidDataException: Error reading JSON."
	for _, c := range []struct{ record, fault string }{
		{``, broken},
		{`{"type":1`, broken},
		{`nonsense`, broken},
		{`"x`, broken},
		{`1x`, broken},
		{`truex`, "InvalidDataException: Unexpected JSON Token Type 'True'. Expected a JSON Object."},
		{`[bad`, "InvalidDataException: Unexpected JSON Token Type 'Array'. Expected a JSON Object."},
		{`null`, "InvalidDataException: Unexpected JSON Token Type 'Null'. Expected a JSON Object."},
		{"\xef\xbb\xbf{}", broken},
		{`{}`, "InvalidDataException: Missing required property 'type'."},
		{`{"Type":1}`, "InvalidDataException: Missing required property 'type'."},
		{`{"type":null}`, "InvalidDataException: Expected 'type' to be of type Number."},
		{`{"type":"1"}`, "InvalidDataException: Expected 'type' to be of type Number."},
		{`{"type":[}`, "InvalidDataException: Expected 'type' to be of type Number."},
		{`{"type":1.5}`, "FormatException: Either the JSON value is not in a supported format, or is out of bounds for the Int32 type."},
		{`{"type":1e0}`, "FormatException: Either the JSON value is not in a supported format, or is out of bounds for the Int32 type."},
		{`{"type":99999999999}`, "FormatException: Either the JSON value is not in a supported format, or is out of bounds for the Int32 type."},
		{`{"type":6,}`, broken},
		{`{"type":6,/*c*/"a":1}`, broken},
		{`{"type":6,"a":01}`, broken},
		{`{"type":6,"a":1.}`, broken},
		{`{"type":6,"a":tru}`, broken},
		{`{"type":6,"a":"\x"}`, broken},
		{`{"type":6,"a":"\u12"}`, broken},
		{"{\"type\":6,\"a\":\"\t\"}", broken},
		{`{"type":6,"a":[1,]}`, broken},
		{`{"type":6,"a":{]}}`, broken},
		{`{"type":6,"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, broken},
		{`{"type":1,"invocationId":null}`, "InvalidDataException: Expected 'invocationId' to be of type String."},
		{`{"type":1,"invocationId":"1","arguments":[]}`, "InvalidDataException: Missing required property 'target'."},
		{`{"type":1,"target":"a"}`, "InvalidDataException: Missing required property 'arguments'."},
		{`{"type":1,"target":"a","arguments":null}`, "InvalidDataException: Expected 'arguments' to be of type Array."},
		{`{"type":1,"target":"a","arguments":{}}`, "InvalidDataException: Expected 'arguments' to be of type Array."},
		{`{"type":1,"target":"a","arguments":["x",,]}`, broken},
		{`{"type":1,"target":"a","arguments":["x",01]}`, broken},
		{`{"type":1,"target":"a","arguments":[,"x"]}`, broken},
		{`{"type":1,"target":"a","arguments":["x",[1,],]}`, broken},
		{`{"type":1,"arguments":["x",],"target":"a"}`, broken},
		{`{"type":1,"target":"","arguments":["x",]}`, broken},
		{`{"type":1,"target":5}`, "InvalidDataException: Expected 'target' to be of type String."},
		{"{\"type\":1,\"target\":\"a\xffb\"}", "InvalidOperationException: Cannot transcode invalid UTF-8 JSON text to UTF-16 string."},
		{`{"type":1,"target":"a\ud800b"}`, "InvalidOperationException: Cannot read incomplete UTF-16 JSON text as string with missing low surrogate."},
		{`{"type":1,"streamIds":null}`, "InvalidDataException: Expected 'streamIds' to be of type Array."},
		{`{"type":1,"streamIds":[1]}`, "InvalidOperationException: Cannot get the value of a token type 'Number' as a string."},
		{`{"type":1,"streamIds":[[]]}`, "InvalidOperationException: Cannot get the value of a token type 'StartArray' as a string."},
		{`{"type":1,"streamIds":[null]}`, "InvalidDataException: Null value for 'streamIds' is not valid."},
		{`{"type":1,"headers":[]}`, "InvalidDataException: Expected 'headers' to be of type StartObject."},
		{`{"type":1,"headers":{"a":1}}`, "InvalidDataException: Expected header 'a' to be of type String."},
		{`{"type":2,"invocationId":"s"}`, "InvalidDataException: Missing required property 'item'."},
		{`{"type":2,"item":1}`, "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":2,"item":[1,],"invocationId":"s"}`, broken},
		{`{"type":3,"invocationId":""}`, "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":3,"error":"x","result":5}`, "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":3,"invocationId":"1","error":"e","result":1}`, "InvalidDataException: The 'error' and 'result' properties are mutually exclusive."},
		{`{"type":3,"invocationId":"1","error":null}`, "InvalidDataException: Expected 'error' to be of type String."},
		{`{"type":4,"invocationId":"1","arguments":[]}`, "InvalidDataException: Missing required property 'target'."},
		{`{"type":4,"target":"a"}`, "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":4,"invocationId":"1","target":"a"}`, "InvalidDataException: Missing required property 'arguments'."},
		{`{"type":5}`, "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":7,"allowReconnect":1}`, "InvalidDataException: Expected 'allowReconnect' to be true or false."},
		{`{"type":8}`, "InvalidDataException: Missing required property 'sequenceId'."},
		{`{"type":8,"sequenceId":null}`, "InvalidDataException: Missing required property 'sequenceId'."},
		{`{"type":8,"sequenceId":"1"}`, "InvalidDataException: Expected 'sequenceId' to be of type Number."},
		{`{"type":8,"sequenceId":9223372036854775808}`, "FormatException: Either the JSON value is not in a supported format, or is out of bounds for the Int64 type."},
	} {
		_, err := parseJSON(t, c.record)
		var fault *Fault
		if !errors.As(err, &fault) || err.Error() != c.fault {
			t.Errorf("%s: %v, want %s", c.record, err, c.fault)
		}
	}
}

func TestJSONAccepts(t *testing.T) {
	for record, typ := range map[string]MessageType{
		`{"type":6}`:               Ping,
		"\r\n\t{ \"type\" : 6 } x": Ping,
		`{"type":6}}`:              Ping,
		`{"\u0074ype":6}`:          Ping,
		`{"type":4,"type":6}`:      Ping,
		`{"type":6,"\ud800":1}`:    Ping,
		`{"type":6,"a":{"b":[1,{}]},"error":"x","result":[]}`: Ping,
		`{"type":42}`: 42,
		`{"type":-0}`: 0,
		`{"type":-1}`: -1,
		`{"type":6,"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`: Ping,
		`{"type":7,"error":"x","allowReconnect":true}`:                             Close,
	} {
		if m, err := parseJSON(t, record); err != nil || m.Type != typ {
			t.Errorf("%s: type %d, %v", record, m.Type, err)
		}
	}
}

func TestJSONInvocation(t *testing.T) {
	m, err := parseJSON(t, `{"arguments":[ "x" , {"a":1}],"headers":{"h":"\u0031","g":"2"},"streamIds":["s","t"],"invocationId":"\u0037","target":"Echo","type":1}`)
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != Invocation || m.InvocationID != "7" || m.Target != "Echo" || string(m.Arguments) != `[ "x" , {"a":1}]` {
		t.Errorf("%+v", m)
	}
	if len(m.StreamIDs) != 2 || m.StreamIDs[1] != "t" || m.Headers["h"] != "1" || m.Headers["g"] != "2" {
		t.Errorf("%+v", m)
	}
	m, err = parseJSON(t, `{"type":3,"invocationId":"1","result":{"a" : null}}`)
	if err != nil || !m.HasResult || m.HasError || string(m.Payload) != `{"a" : null}` {
		t.Errorf("%+v %v", m, err)
	}
	m, err = parseJSON(t, `{"type":3,"invocationId":"1","error":""}`)
	if err != nil || m.HasResult || !m.HasError {
		t.Errorf("%+v %v", m, err)
	}
}

// Which violations are fatal depends on how the arguments bind.
func TestJSONOutcome(t *testing.T) {
	p := NewJSON(JSONOptions{})
	const broken = "InvalidDataException: Error reading JSON."
	const reader = "The JSON array contains a trailing comma at the end which is not supported in this mode. Change the reader options. LineNumber: 0 | BytePositionInLine: 62."
	for _, c := range []struct {
		record, unknown, bound string // what it comes to without a target, and with one that takes a string
	}{
		{`{"type":1,"invocationId":"1","target":"Text","arguments":["x"]}`, ErrUnknown.Error(), ""},
		{`{"type":1,"invocationId":"1","target":"Text","arguments":["x",]}`, broken, reader},
		{`{"type":1,"invocationId":"1","target":"Text","arguments":["x",,"y"]}`, broken, "',' is an invalid start of a value. LineNumber: 0 | BytePositionInLine: 62."},
		{`{"type":1,"invocationId":"1","target":"Text","arguments":[5,]}`, broken, broken},
		{`{"type":4,"target":"Text","arguments":["x"]}`, ErrUnknown.Error(), "InvalidDataException: Missing required property 'invocationId'."},
		{`{"type":4,"target":"Text","arguments":[]}`, ErrUnknown.Error(), "Invocation provides 0 argument(s) but target expects 1."},
		{`{"type":1,"target":"Text","arguments":[5,6]}`, ErrUnknown.Error(), (&BindError{}).Error()},
	} {
		m, err := parseJSON(t, c.record)
		if err != nil {
			t.Errorf("%s: %v", c.record, err)
			continue
		}
		if got := text(m.Outcome(ErrUnknown)); got != c.unknown {
			t.Errorf("%s: unknown target: %s, want %s", c.record, got, c.unknown)
		}
		var s string
		if got := text(m.Outcome(p.Bind(m.Arguments, &s))); got != c.bound {
			t.Errorf("%s: bound: %s, want %s", c.record, got, c.bound)
		}
	}
	for _, c := range []struct{ record, unknown, known string }{
		{`{"type":2,"invocationId":"s","item":5}`, ErrUnknown.Error(), ""},
		{`{"type":2,"invocationId":"s","item":5,}`, ErrUnknown.Error(), broken},
		{`{"type":2,"invocationId":"s","item":[1,}`, ErrUnknown.Error(), broken},
		{`{"ype":2,"invocationId":"s","item":5}`, ErrUnknown.Error(), "InvalidDataException: Missing required property 'type'."},
		{`{"type":2,"item":5,"invocationId":"s"}`, "KeyNotFoundException: No stream with id 's' could be found.", ""},
		{`{"type":2,"item":5,"invocationId":""}`, "KeyNotFoundException: No stream with id '' could be found.", ""},
		{`{"type":2,"invocationId":"","item":5}`, "KeyNotFoundException: No stream with id '' could be found.", ""},
	} {
		m, err := parseJSON(t, c.record)
		if err != nil || m.Type != StreamItem || text(m.Outcome(ErrUnknown)) != c.unknown || text(m.Outcome(nil)) != c.known {
			t.Errorf("%s: %v, unknown %v, known %v", c.record, err, m.Outcome(ErrUnknown), m.Outcome(nil))
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPassPlain(t *testing.T) {
	for _, filler := range []byte{'a', 0x7f, 0x80, 0xff, '!', '#', '[', ']'} { // beside what has a meaning
		for at := range 20 {
			for c := range 256 {
				text := bytes.Repeat([]byte{filler}, 20)
				text[at] = byte(c)
				want := len(text)
				if !plain[c] {
					want = at
				}
				if got := passPlain(text, 0); got != want {
					t.Fatalf("%q: stopped at %d, want %d", text, got, want)
				}
			}
		}
	}
}

// As the original has it: it binds arguments as soon as it knows the target, and those that came before the target at the end.
func TestJSONArgumentsTwice(t *testing.T) {
	p := NewJSON(JSONOptions{})
	for members, want := range map[string]string{
		`"target":"t","arguments":["a"],"arguments":["b"]`:                   "b",
		`"arguments":["a"],"target":"t","arguments":["b"]`:                   "a",
		`"arguments":["a"],"arguments":["b"],"target":"t"`:                   "b",
		`"arguments":[5],"arguments":["b"],"target":"t"`:                     "b",
		`"target":"t","arguments":["a"],"arguments":[5]`:                     (&BindError{}).Error(),
		`"target":"t","arguments":[5],"arguments":["a"]`:                     (&BindError{}).Error(),
		`"arguments":[5],"target":"t","arguments":["b"]`:                     (&BindError{}).Error(),
		`"target":"t","arguments":["a"],"arguments":[]`:                      (&CountError{Got: 0, Want: 1}).Error(),
		`"target":"t","arguments":["a"],"arguments":["b"],"arguments":["c"]`: "c",
	} {
		var (
			m Message
			s string
		)
		record := []byte(`{"type":1,` + members + `}`)
		err := p.Parse(record, &m)
		if err == nil {
			err = m.Outcome(p.Bind(m.Arguments, &s))
		}
		if got := s + text(err); got != want && text(err) != want || string(record) != `{"type":1,`+members+`}` {
			t.Errorf("%s: %q, %v, want %q", members, s, err, want)
		}
	}
}

// An item behind an id makes a request the item of a stream, which somebody may know or not.
func TestJSONItemOfARequest(t *testing.T) {
	p := NewJSON(JSONOptions{})
	for record, want := range map[string]MessageType{
		`{"type":7,"invocationId":"2","item":1}`:                                StreamItem,
		`{"item":1,"type":7,"invocationId":"2"}`:                                Close,
		`{"type":7,"invocationId":"","item":1}`:                                 Close,
		`{"type":5,"invocationId":"2","item":1}`:                                StreamItem,
		`{"type":1,"invocationId":"2","item":1,"target":"M","arguments":[]}`:    StreamItem,
		`{"invocationId":"2","item":{},"target":"M","arguments":[],"type":4}`:   StreamItem,
		`{"type":1,"item":1,"invocationId":"2","target":"M","arguments":["x"]}`: Invocation,
		`{"type":3,"invocationId":"2","item":1}`:                                Completion,
		`{"type":6,"invocationId":"2","item":1}`:                                Ping,
	} {
		var m Message
		if err := p.Parse([]byte(record), &m); err != nil || m.Type != want {
			t.Errorf("%s: %v, %v", record, m.Type, err)
		}
	}
}
