package messagebuffer

import (
	"math"
	"testing"
)

// text is a message.
type text string

func (t text) Len() int { return len(t) }

// acknowledge drops the messages that an acknowledgement covers.
func (b *Buffer[M]) acknowledge(number int64) { b.Drop(b.Covered(number)) }

// An acknowledgement does not move the remaining messages as long as they are more than the
// acknowledged ones, and the newest remain.
func TestAcknowledgedOneByOne(t *testing.T) {
	const count = 10_000
	b := New[*text]()
	all := make([]*text, count)
	for i := range all {
		all[i] = new(text)
		*all[i] = "x"
		b.Keep(all[i])
	}
	moves := 0
	for i := range all {
		if len(b.kept) != count-i || b.kept[0] != all[i] || b.kept[len(b.kept)-1] != all[count-1] {
			t.Fatalf("after %d acknowledgements %d are kept", i, len(b.kept))
		}
		var next **text
		if len(b.kept) > 1 {
			next = &b.kept[1]
		}
		b.acknowledge(int64(i + 1))
		if len(b.kept) > 0 && &b.kept[0] != next {
			moves++
		}
	}
	if moves > 20 {
		t.Errorf("%d acknowledgements moved the messages", moves)
	}
	if b.bytes != 0 || b.kept != nil || b.array != nil {
		t.Errorf("%d bytes are kept in room for %d", b.bytes, cap(b.array))
	}
	for range 3 { // as most clients acknowledge: nothing is allocated for the next
		b.Keep(all[0])
		b.acknowledge(b.Last())
	}
	if n := testing.AllocsPerRun(100, func() {
		b.Keep(all[0])
		b.acknowledge(b.Last())
	}); n > 0 {
		t.Errorf("%v allocations for a message that is acknowledged", n)
	}
}

// Numbers of messages that were never sent, or were dropped long ago, cover nothing else.
func TestCoveredMessages(t *testing.T) {
	b := New[text]()
	b.Keep("a")
	b.acknowledge(1)
	for _, m := range []text{"b", "c", "d"} { // 2, 3, 4
		b.Keep(m)
	}
	for number, want := range map[int64]int{
		math.MinInt64: 0, math.MinInt64 + 2: 0, -1: 0, 0: 0, 1: 0, 2: 1, 3: 2, 4: 3, 5: 3, 1 << 32: 3, math.MaxInt64: 3,
	} {
		if got := b.Covered(number); got != want {
			t.Errorf("%d covers %d messages, want %d", number, got, want)
		}
	}
	b.acknowledge(4)
	if n := b.Covered(math.MaxInt64); n != 0 || b.First() != 5 || b.Last() != 4 {
		t.Errorf("%d of no messages, from %d to %d", n, b.First(), b.Last())
	}
}

func TestSpareMessagesAreKeptAndNotCounted(t *testing.T) {
	b := New[text]()
	for _, m := range []text{"a", "bb", "ccc"} {
		b.Keep(m)
	}
	want := func(messages, bytes, spare, spareBytes int) {
		t.Helper()
		n, size := b.Unacknowledged()
		s, spareSize := b.Spare()
		if n != messages || size != bytes || s != spare || spareSize != spareBytes {
			t.Errorf("%d messages of %d bytes, %d spare ones of %d", n, size, s, spareSize)
		}
	}
	want(3, 6, 0, 0)
	b.SetAside(2)
	b.SetAside(1)
	want(1, 3, 2, 3)
	if !b.IsBelow(4) || b.IsBelow(3) || !b.IsBelow(0) {
		t.Error("the limit does not apply to the unacknowledged messages")
	}
	if freed := b.Drop(1); freed != 1 || b.First() != 2 {
		t.Errorf("%d bytes freed, the first is %d", freed, b.First())
	}
	want(1, 3, 1, 2)
	if freed := b.Drop(2); freed != 5 {
		t.Errorf("%d bytes freed", freed)
	}
	want(0, 0, 0, 0)
}

func TestOneMessageExceedsTheLimitAfterResume(t *testing.T) {
	b := New[text]()
	b.Keep("abc")
	if b.IsProbing() {
		t.Error("before a resumption")
	}
	b.Resume()
	if !b.IsProbing() {
		t.Error("after a resumption")
	}
	b.Keep("d")
	if b.IsProbing() {
		t.Error("for a second message")
	}
}

func TestMessagesReceivedTwice(t *testing.T) {
	b := New[text]()
	receive := func(isNew ...bool) {
		t.Helper()
		for i, want := range isNew {
			if got := b.IsNew(); got != want {
				t.Errorf("message %d is new: %v", i, got)
			}
		}
	}
	if b.IsAckDue() {
		t.Error("an acknowledgement of no messages is due")
	}
	receive(true, true, true)
	if !b.IsAckDue() || b.Received() != 3 {
		t.Errorf("%d received", b.Received())
	}
	b.Acknowledged()
	b.Resume()
	if err := b.Sequence(2); err != nil {
		t.Error(err)
	}
	if !b.IsAckDue() { // the last one may be lost
		t.Error("no acknowledgement is due")
	}
	receive(false) // and the transport breaks again
	b.Resume()
	if err := b.Sequence(4); err != nil { // 3 was acknowledged in the meantime
		t.Error(err)
	}
	receive(true)
	if b.Received() != 4 {
		t.Errorf("%d received", b.Received())
	}
}

// A number that no message has is an error: all later messages would be taken for duplicates.
func TestExtremeSequences(t *testing.T) {
	for number, want := range map[int64]error{
		math.MinInt64: ErrNegative, -1 << 32: ErrNegative, -1: ErrNegative, 0: nil, 1: nil, 2: ErrAhead, 1<<32 + 1: ErrAhead, math.MaxInt64: ErrAhead,
	} {
		if err := New[text]().Sequence(number); err != want { //nolint:errorlint // it is returned as it is
			t.Errorf("%d: %v", number, err)
		}
	}
	b := New[text]() // .NET numbers from 0 after that
	if err := b.Sequence(0); err != nil || !b.IsNew() || b.Received() != 0 {
		t.Errorf("%v, %d received", err, b.Received())
	}
}
