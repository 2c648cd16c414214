package hub

import (
	"testing"

	"github.com/carillon-go/carillon/frame"
)

// An acknowledgement moves nothing that is still kept, as long as that is more than what was
// acknowledged, and what is left is the newest.
func TestAcknowledgedOneByOne(t *testing.T) {
	const count = 10_000
	r := &messageBuffer{first: 1, hold: func(int) bool { return false }, allowance: func() int { return count }}
	all := make([]*frame.Frame, count)
	for i := range all {
		all[i] = frame.New([]byte("x"), false)
		r.appendLocked(all[i])
		r.bytes++
	}
	r.sent = r.lastLocked()
	moves := 0
	for i := range all {
		if len(r.kept) != count-i || r.kept[0] != all[i] || r.kept[len(r.kept)-1] != all[count-1] {
			t.Fatalf("behind %d acknowledgements %d are kept", i, len(r.kept))
		}
		var next **frame.Frame
		if len(r.kept) > 1 {
			next = &r.kept[1]
		}
		r.acknowledged(int64(i + 1))
		if len(r.kept) > 0 && &r.kept[0] != next {
			moves++
		}
	}
	if moves > 20 {
		t.Errorf("%d acknowledgements moved what is kept", moves)
	}
	if r.bytes != 0 || r.kept != nil || r.array != nil {
		t.Errorf("%d bytes are kept in room for %d", r.bytes, cap(r.array))
	}
	for range 3 { // as most clients acknowledge: nothing is allocated for the next
		r.appendLocked(all[0])
		r.acknowledged(r.lastLocked())
	}
	if n := testing.AllocsPerRun(100, func() {
		r.appendLocked(all[0])
		r.acknowledged(r.lastLocked())
	}); n > 0 {
		t.Errorf("%v allocations for a message that is acknowledged", n)
	}
}
