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
