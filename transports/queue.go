package transports

import (
	"slices"

	"github.com/carillon-go/carillon/frame"
)

// queue is what waits to be sent. Its first frames need no memory of their own, so
// that a connection that keeps up allocates nothing. Guarded by the connection's lock.
type queue struct {
	frames  []*frame.Frame
	bytes   int
	waiting chan struct{} // closed when there is room; nil: nobody waits
	index   *index        // nil: none was needed since the queue was empty
	small   [4]*frame.Frame
}

func (q *queue) push(f *frame.Frame) {
	if q.frames == nil {
		q.frames = q.small[:0]
	}
	q.frames = append(q.frames, f)
	q.index.push(f)
	q.bytes += f.Len()
}

// maxQueuedFrames is how many frames may wait for one client, however short they are: what the
// queue costs beyond its bytes, and how long it takes to look for one among them.
const maxQueuedFrames = 1 << 16

// maxDroppableBytes is how many bytes may wait before a message that may be dropped is: it may
// be stale by then, and nothing ends for the want of it.
const maxDroppableBytes = 1 << 20

// settle does for a frame what a queue that holds something has to do first: it tells
// that it is done with the frame, or else there is room for it below limit. strict says
// that no frame may be dropped, nor be too long.
func (q *queue) settle(f *frame.Frame, limit int, strict bool) (done bool, err error) {
	if strict {
		if q.bytes < limit && len(q.frames) < maxQueuedFrames {
			return false, nil
		}
		return true, ErrQueueFull
	}
	policy := f.Delivery().Policy
	if policy == frame.DropNewest || policy == frame.DropOldest {
		limit = min(limit, maxDroppableBytes)
	}
	over := q.bytes + f.Len() - limit // how many bytes there are too many
	if policy == frame.Conflate && q.replace(f, over) {
		return true, nil
	}
	if len(q.frames) >= maxQueuedFrames {
		over = max(over, 1)
	}
	if over <= 0 {
		return false, nil
	}
	switch policy {
	case frame.DropNewest:
		return true, nil
	case frame.DropOldest:
		return !q.evict(over), nil
	default:
		return true, ErrQueueFull
	}
}

// replace puts f in the place of the frame with the same key, unless there is none or
// the bytes over the limit are more than it had. An event goes to the end instead: it may
// have an id, which tells that what has a lower one came before.
func (q *queue) replace(f *frame.Frame, over int) bool {
	i, ok := q.newest(f)
	if !ok || over > q.frames[i].Len() {
		return false
	}
	q.bytes += f.Len() - q.frames[i].Len()
	if !f.IsEvent() {
		q.frames[i] = f
		return true
	}
	q.index.forget(q.frames, i, i+1)
	q.index.cut(i, i+1)
	q.frames = append(slices.Delete(q.frames, i, i+1), f)
	q.index.push(f)
	return true
}

// evict drops the oldest frames that may be dropped for newer ones, as many as have
// that many bytes. It does nothing and tells so if all of them are not enough.
func (q *queue) evict(bytes int) bool {
	n, freed := 0, 0
	for ; n < len(q.frames) && freed < bytes; n++ {
		if evictable(q.frames[n]) {
			freed += q.frames[n].Len()
		}
	}
	if freed < bytes {
		return false
	}
	kept := 0
	for i, f := range q.frames[:n] {
		if !evictable(f) {
			q.frames[kept] = f
			q.index.move(i, kept)
			kept++
		}
	}
	q.frames = slices.Delete(q.frames, kept, n)
	q.index.cut(kept, n)
	q.bytes -= freed
	return true
}

func evictable(f *frame.Frame) bool { return f.Delivery().Policy == frame.DropOldest }

// take moves frames of about limit bytes, one at least, to dst.
func (q *queue) take(dst []*frame.Frame, limit, room int) []*frame.Frame {
	n, size := 0, 0
	for n < len(q.frames) && (n == 0 || size+q.frames[n].Len() <= limit) {
		size += q.frames[n].Len()
		n++
	}
	dst = append(dst, q.frames[:n]...)
	q.discard(n, room)
	return dst
}

// discard forgets the first n frames.
func (q *queue) discard(n, room int) {
	for _, f := range q.frames[:n] {
		q.bytes -= f.Len()
	}
	q.index.forget(q.frames, 0, n)
	q.index.cut(0, n)
	rest := copy(q.frames, q.frames[n:])
	clear(q.frames[rest:])
	q.frames = q.frames[:rest]
	if rest == 0 {
		q.frames, q.index = nil, nil
	}
	if q.bytes < room {
		q.release()
	}
}

// putBack returns frames that could not be written to the head.
func (q *queue) putBack(frames []*frame.Frame) {
	all := make([]*frame.Frame, 0, len(frames)+len(q.frames))
	q.frames, q.index = append(append(all, frames...), q.frames...), nil
	for _, f := range frames {
		q.bytes += f.Len()
	}
}

func (q *queue) drop() {
	clear(q.small[:])
	q.frames, q.index, q.bytes = nil, nil, 0
	q.release()
}

// room returns a channel that is closed when there may be room.
func (q *queue) room() <-chan struct{} {
	if q.waiting == nil {
		q.waiting = make(chan struct{})
	}
	return q.waiting
}

func (q *queue) release() {
	if q.waiting != nil {
		close(q.waiting)
		q.waiting = nil
	}
}
