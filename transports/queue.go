package transports

import "github.com/carillon-go/carillon/frame"

// queue is what waits to be sent. Its first frames need no memory of their own, so
// that a connection that keeps up allocates nothing. Guarded by the connection's lock.
type queue struct {
	frames  []*frame.Frame
	bytes   int
	waiting chan struct{} // closed when there is room; nil: nobody waits
	small   [4]*frame.Frame
}

func (q *queue) push(f *frame.Frame) {
	if q.frames == nil {
		q.frames = q.small[:0]
	}
	q.frames = append(q.frames, f)
	q.bytes += f.Len()
}

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
	rest := copy(q.frames, q.frames[n:])
	clear(q.frames[rest:])
	q.frames = q.frames[:rest]
	if rest == 0 {
		q.frames = nil
	}
	if q.bytes < room {
		q.release()
	}
}

// putBack returns frames that could not be written to the head.
func (q *queue) putBack(frames []*frame.Frame) {
	all := make([]*frame.Frame, 0, len(frames)+len(q.frames))
	q.frames = append(append(all, frames...), q.frames...)
	for _, f := range frames {
		q.bytes += f.Len()
	}
}

func (q *queue) drop() {
	clear(q.small[:])
	q.frames, q.bytes = nil, 0
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

// inbox keeps what a client posts before its transport is there. Guarded by the
// connection's lock.
type inbox struct {
	data   []byte
	opened chan struct{} // closed when the transport is there; nil: nobody waits
}

// put keeps what fits below limit and returns the rest.
func (i *inbox) put(data []byte, limit int) []byte {
	n := min(len(data), max(0, limit-len(i.data)))
	i.data = append(i.data, data[:n]...)
	return data[n:]
}

func (i *inbox) wait() <-chan struct{} {
	if i.opened == nil {
		i.opened = make(chan struct{})
	}
	return i.opened
}

// drop empties the inbox, returns what was in it and lets go who waits.
func (i *inbox) drop() []byte {
	data := i.data
	i.data = nil
	if i.opened != nil {
		close(i.opened)
		i.opened = nil
	}
	return data
}
