package connection

import (
	"slices"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/notify"
	"github.com/carillon-go/carillon/transports"
)

// queue holds the frames to send. Its first frames are stored in the queue itself, so that a
// connection with a fast client allocates nothing. The lock of outbound guards it.
type queue struct {
	frames []*frame.Frame
	bytes  int
	room   notify.Gate // opens when there is room
	index  *index      // nil: not needed since the queue was last empty
	small  [4]*frame.Frame
}

func (q *queue) push(f *frame.Frame) {
	if q.frames == nil {
		q.frames = q.small[:0]
	}
	q.frames = append(q.frames, f)
	q.index.push(f)
	q.bytes += f.Len()
}

// maxQueuedFrames is the limit of the queued frames of one client. It limits the memory of
// the queue beyond its bytes, and the time to search it.
const maxQueuedFrames = 1 << 16

// maxDroppableBytes is the number of queued bytes above which a droppable frame is dropped:
// it may be stale by then, and dropping it closes no connection.
const maxDroppableBytes = 1 << 20

// makeRoom prepares a non-empty queue for f. done reports that f needs no further action;
// otherwise the caller may push it. With strict set, no frame is dropped, and f may exceed
// limit.
func (q *queue) makeRoom(f *frame.Frame, limit int, strict bool) (done bool, err error) {
	if strict {
		if q.bytes < limit && len(q.frames) < maxQueuedFrames {
			return false, nil
		}
		return true, transports.ErrQueueFull
	}
	policy := f.Delivery().Policy
	if policy == frame.DropNewest || policy == frame.DropOldest {
		limit = min(limit, maxDroppableBytes)
	}
	over := q.bytes + f.Len() - limit // bytes above the limit
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
		return true, transports.ErrQueueFull
	}
}

// replace replaces the frame with the same delivery key by f. It reports false if there is
// none, or if the queue would still be over the limit. An event moves to the end instead,
// because its id tells the client that all events with lower ids have been sent.
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

// evict drops the oldest frames with the policy DropOldest until it has freed the given
// bytes. If that is impossible, it drops nothing and reports false.
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

// take moves frames of about limit bytes, and at least one frame, to dst.
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

// discard removes the first n frames.
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
		q.room.Open()
	}
}

// putBack inserts frames that could not be written at the head.
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
	q.room.Open()
}
