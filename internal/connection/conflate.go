package connection

import (
	"slices"

	"github.com/carillon-go/carillon/frame"
)

// minIndexed is the number of frames from which a queue uses an index to find a frame by its
// delivery key.
const minIndexed = 64

// index finds the newest frame of a queue with a given delivery. The queue's frames have
// ascending numbers, so frames may be removed at any place.
type index struct {
	numbers []int64 // of the frames
	last    int64   // the highest number given so far
	newest  map[frame.Delivery]int64
}

func newIndex(frames []*frame.Frame) *index {
	x := &index{newest: make(map[frame.Delivery]int64)}
	for _, f := range frames {
		x.push(f)
	}
	return x
}

// push records a frame at the end. x may be nil.
func (x *index) push(f *frame.Frame) {
	if x == nil {
		return
	}
	x.last++
	x.numbers = append(x.numbers, x.last)
	if d := f.Delivery(); d.Policy == frame.Conflate {
		x.newest[d] = x.last
	}
}

// find returns the position of the newest frame with a delivery.
func (x *index) find(d frame.Delivery) (place int, ok bool) {
	number, ok := x.newest[d]
	if !ok {
		return 0, false
	}
	return slices.BinarySearch(x.numbers, number)
}

// forget records that the frames from one position up to another will be removed. A newer
// frame with the same delivery may remain. x may be nil.
func (x *index) forget(frames []*frame.Frame, from, to int) {
	if x == nil {
		return
	}
	for i := from; i < to; i++ {
		if d := frames[i].Delivery(); x.newest[d] == x.numbers[i] {
			delete(x.newest, d)
		}
	}
}

// move records that a frame moves to another position. x may be nil.
func (x *index) move(from, to int) {
	if x != nil {
		x.numbers[to] = x.numbers[from]
	}
}

// cut removes the numbers from one position up to another. x may be nil.
func (x *index) cut(from, to int) {
	if x != nil {
		x.numbers = slices.Delete(x.numbers, from, to)
	}
}

// newest returns the position of the newest frame with the delivery of f.
func (q *queue) newest(f *frame.Frame) (place int, ok bool) {
	if len(q.frames) >= minIndexed {
		if q.index == nil {
			q.index = newIndex(q.frames)
		}
		return q.index.find(f.Delivery())
	}
	for i, old := range slices.Backward(q.frames) {
		if old.Delivery() == f.Delivery() {
			return i, true
		}
	}
	return 0, false
}
