//go:build !race

package hub_test

import (
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// maxInvocation is what an invocation may allocate. More is a regression; less: lower the
// number.
const maxInvocation = 5

func TestInvocationAllocations(t *testing.T) {
	s := &sink{id: "id", got: make(chan struct{}, 1)}
	session := enter(t, newLab(hub.Options{}), s, "json")
	record := []byte(call("1", "Text", `"hello"`) + "\x1e")
	if n := testing.AllocsPerRun(500, func() {
		_ = session.Receive(record)
		<-s.got
	}); n > maxInvocation {
		t.Errorf("%v allocations for an invocation", n)
	}
}
