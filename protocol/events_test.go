package protocol_test

import (
	"testing"

	"github.com/carillon-go/carillon/protocol"
)

func TestEventsRefuse(t *testing.T) {
	p := protocol.Events{JSON: protocol.NewJSON(protocol.JSONOptions{})}
	for name, f := range map[string]func(dst []byte) ([]byte, error){
		"a result":               func(dst []byte) ([]byte, error) { return p.AppendInvocation(dst, "1", "Ask", nil, nil) },
		"a line feed":            func(dst []byte) ([]byte, error) { return p.AppendInvocation(dst, "", "a\ndata: b", nil, nil) },
		"a carriage return":      func(dst []byte) ([]byte, error) { return p.AppendInvocation(dst, "", "a\rid: b", nil, nil) },
		"what cannot be written": func(dst []byte) ([]byte, error) { return p.AppendInvocation(dst, "", "a", nil, nil, make(chan int)) },
	} {
		if got, err := f([]byte("x")); err == nil || string(got) != "x" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// The data of an event is one line, also of arguments that are encoded already.
func TestEventsAreOneLine(t *testing.T) {
	p := protocol.Events{JSON: protocol.NewJSON(protocol.JSONOptions{})}
	for arguments, want := range map[string]string{
		`["a\nb",{"n":1}]`:                    `["a\nb",{"n":1}]`,
		"[ 1,\n {\"a\":\r\n2 }\r ]":           `[1,{"a":2}]`,
		`[]`:                                  `[]`,
		`[9007199254740993, "é\u2028" ]`:      `[9007199254740993,"é\u2028"]`,
		"[1.0,\"a b\",\t{\"b\": 1, \"a\":2}]": "[1.0,\"a b\",{\"b\": 1, \"a\":2}]",
	} {
		var raw []protocol.Raw
		if err := p.Decode([]byte(arguments), &raw); err != nil {
			t.Fatal(err)
		}
		args := make([]any, len(raw))
		for i := range raw {
			args[i] = raw[i]
		}
		if got, err := p.AppendInvocation([]byte("x"), "", "Say", nil, nil, args...); err != nil || string(got) != "xevent: Say\r\ndata: "+want {
			t.Errorf("%s: %q, %v", arguments, got, err)
		}
	}
}
