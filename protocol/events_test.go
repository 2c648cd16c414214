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

func TestEventOfARecord(t *testing.T) {
	p := protocol.Events{JSON: protocol.NewJSON(protocol.JSONOptions{})}
	for record, want := range map[string]string{
		`{"type":1,"target":"Say","arguments":["a\nb",{"n":1}]}`:             "event: Say\r\ndata: [\"a\\nb\",{\"n\":1}]",
		"{\"arguments\" : [ 1,\n 2 ],\r\n\"target\":\"Say\", \"type\":1}":    "event: Say\r\ndata: [1,2]",
		`{"type":1,"target":"Say","arguments":[]}`:                           "event: Say\r\ndata: []",
		`{"type":1,"target":"Say","arguments":[9007199254740993,"é\u2028"]}`: "event: Say\r\ndata: [9007199254740993,\"é\\u2028\"]",
	} {
		if got, err := p.AppendRecord([]byte("x"), []byte(record+"\x1e")); err != nil || string(got) != "x"+want {
			t.Errorf("%s: %q, %v", record, got, err)
		}
	}
	for _, record := range []string{``, `{"type":1`, `{"type":1,"target":"a"}`, `{"type":1,"invocationId":"1","target":"a","arguments":[]}`, `{"type":6}`} {
		if got, err := p.AppendRecord([]byte("x"), []byte(record+"\x1e")); err == nil || string(got) != "x" {
			t.Errorf("%s: %q, %v", record, got, err)
		}
	}
}
