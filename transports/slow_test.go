package transports_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/transports"
)

// A client that does not read for a while misses only the messages that its policy drops. The
// remaining messages arrive in order, including every message that must not be dropped.
func testSlowPolicies(t *testing.T, start starter) {
	for name, c := range map[string]struct {
		delivery frame.Delivery
		newest   bool // the last message arrives
	}{
		"drop newest": {frame.Delivery{Policy: frame.DropNewest}, false},
		"drop oldest": {frame.Delivery{Policy: frame.DropOldest}, true},
		"conflate":    {frame.Delivery{Policy: frame.Conflate, Key: "tick"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, transports.Options{MaxQueueBytes: 256 << 10})
			client, p := s.connect()
			const count = 1000 // of 64 KiB, more than sockets buffer
			padding := strings.Repeat("x", 64<<10)
			for i := range count {
				f := frame.New(fmt.Appendf(nil, "%d %s;", i, padding), false).With(c.delivery)
				if err := p.Send(f); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if err := p.Send(frame.New([]byte("end;"), false)); err != nil {
				t.Fatal(err)
			}
			got := numbersUntilEnd(t, client)
			if len(got) == count {
				t.Error("nothing was dropped")
			}
			if !slices.IsSorted(got) {
				t.Errorf("out of order: %v", got)
			}
			if last := got[len(got)-1]; (last == count-1) != c.newest {
				t.Errorf("the last of %d was %d", count, last)
			}
		})
	}
}

func numbersUntilEnd(t *testing.T, c client) (numbers []int) {
	t.Helper()
	var all strings.Builder
	for !strings.HasSuffix(all.String(), "end;") {
		text, err := c.receive()
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(text)
	}
	for message := range strings.SplitSeq(strings.TrimSuffix(all.String(), "end;"), ";") {
		if message == "" {
			continue
		}
		var n int
		if _, err := fmt.Sscanf(message, "%d ", &n); err != nil {
			t.Fatalf("%q: %v", message[:min(20, len(message))], err)
		}
		numbers = append(numbers, n)
	}
	return numbers
}
