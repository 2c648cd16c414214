package publish

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"
)

func TestRepeatsAreBounded(t *testing.T) {
	t.Parallel()
	var r repeats
	now := time.Now()
	for i := range maxRepeats + 1000 {
		var key [sha256.Size]byte
		binary.BigEndian.PutUint64(key[:], uint64(i))
		a, first := r.begin(key, key, now)
		if !first {
			t.Fatal("a new key is known")
		}
		a.answered = true
		r.end(a)
	}
	if len(r.byKey) != maxRepeats || len(r.queue) != maxRepeats || cap(r.queue) > 3*maxRepeats {
		t.Errorf("%d keys, %d in the queue of %d", len(r.byKey), len(r.queue), cap(r.queue))
	}
	if _, first := r.begin([sha256.Size]byte{}, [sha256.Size]byte{}, now.Add(repeatWindow+time.Second)); !first || len(r.byKey) != 1 {
		t.Errorf("after the window there are %d keys", len(r.byKey))
	}
}
