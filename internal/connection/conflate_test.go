package connection

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carillon-go/carillon/frame"
)

// model is what a queue of frames of one byte holds, without an index.
type model []*frame.Frame

func (m *model) settle(f *frame.Frame, limit int) (full bool) {
	d := f.Delivery()
	for i, old := range slices.Backward(*m) {
		if d.Policy != frame.Conflate || old.Delivery() != d {
			continue
		}
		if f.IsEvent() {
			*m = append(slices.Delete(*m, i, i+1), f)
		} else {
			(*m)[i] = f
		}
		return false
	}
	switch {
	case len(*m) < limit:
	case d.Policy == frame.DropNewest:
		return false
	case d.Policy == frame.DropOldest:
		i := slices.IndexFunc(*m, evictable)
		if i < 0 {
			return false
		}
		*m = slices.Delete(*m, i, i+1)
	default:
		return true
	}
	*m = append(*m, f)
	return false
}

// A long queue does what a short one does, whatever is dropped, replaced, taken and put back.
func TestLongQueue(t *testing.T) {
	t.Parallel()
	const limit, keys = 5 * minIndexed, 4 * minIndexed
	random := rand.New(rand.NewPCG(1, 2))
	var q queue
	var want model
	for step := range 50_000 {
		switch n := random.IntN(100); {
		case n == 0 && len(q.frames) > 0:
			taken := q.take(nil, 1+random.IntN(20), 0)
			if !slices.Equal(taken, want[:len(taken)]) {
				t.Fatalf("step %d: %d frames are not the first", step, len(taken))
			}
			if want = slices.Delete(want, 0, len(taken)); random.IntN(2) == 0 {
				q.putBack(taken)
				want = slices.Insert(want, 0, taken...)
			}
		case n == 1 && random.IntN(50) == 0:
			q.drop()
			want = nil
		default:
			f := randomFrame(random, keys)
			full := want.settle(f, limit)
			if len(q.frames) == 0 {
				q.push(f)
			} else if done, err := q.makeRoom(f, limit, false); !done {
				q.push(f)
			} else if (err != nil) != full {
				t.Fatalf("step %d: %v", step, err)
			}
		}
		if !slices.Equal(q.frames, want) || q.bytes != len(want) {
			t.Fatalf("step %d: the queue has %d frames, not %d, or others", step, len(q.frames), len(want))
		}
	}
}

func randomFrame(random *rand.Rand, keys int) *frame.Frame {
	f := frame.New([]byte("x"), false)
	if random.IntN(2) == 0 {
		f = frame.NewEvent([]byte("x"))
	}
	policy := []frame.Policy{frame.Disconnect, frame.DropNewest, frame.DropOldest, frame.Conflate, frame.Conflate, frame.Conflate}[random.IntN(6)]
	d := frame.Delivery{Policy: policy}
	if policy == frame.Conflate {
		d.Key = fmt.Sprint(random.IntN(keys))
	}
	return f.With(d)
}

// The newest frame with a key is found without a look at the others: a client that does not read
// must not make it slow to send to all.
func TestKeysOfALongQueueAreFound(t *testing.T) {
	t.Parallel()
	var q queue
	for i := range 2 * minIndexed {
		f := frame.New([]byte("x"), false).With(frame.Delivery{Policy: frame.Conflate, Key: fmt.Sprint(i)})
		if done, _ := q.makeRoom(f, 1<<20, false); !done {
			q.push(f)
		}
	}
	if q.index == nil || len(q.index.newest) != len(q.frames) || len(q.index.numbers) != len(q.frames) {
		t.Fatal("the queue has no index")
	}
	if q.discard(len(q.frames), 0); q.index != nil {
		t.Error("an empty queue keeps its index")
	}
}
