package hub

import "github.com/carillon-go/carillon/frame"

// spare describes frames that are kept although the client has acknowledged them. After a
// break the official client counts again from the number in our Sequence message, but
// goes on acknowledging the highest number that it ever received. If the next break comes
// before its count has caught up, a Sequence after that number would be ahead of its
// count, and the client would fail. So the frames are kept until an acknowledgement shows
// that the count has caught up.
type spare struct {
	frames, bytes    int
	sentBeforeResume int64 // the highest number sent before the last resumption
	highestAck       int64 // the highest acknowledgement since then
	resumptions      int   // the number of resumptions that began with the same frames
}

// maxSpareResumptions limits how often spare frames are sent again. Above it, and above the
// messageBuffer's allowance in bytes, the client's acknowledgement is taken as it is.
const maxSpareResumptions = 16

// catchesUp reports whether an acknowledgement shows the client's count since the last
// resumption: it covers a message that was sent for the first time, or it is higher than
// another acknowledgement on the same carrier.
func (p *spare) catchesUp(number int64) bool {
	return number > p.sentBeforeResume || p.highestAck > 0 && number > p.highestAck
}

// acknowledged frees the frames that the client has received.
func (r *messageBuffer) acknowledged(number int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number = min(number, r.lastLocked())
	if number < r.first {
		return
	}
	n := int(number - r.first + 1)
	if r.spare.catchesUp(number) {
		r.dropLocked(n)
	} else {
		r.setAsideLocked(n)
	}
	r.spare.highestAck = max(r.spare.highestAck, number)
	r.notifyRoomLocked()
}

// resumeSpareLocked prepares the spare frames for a resumption.
func (r *messageBuffer) resumeSpareLocked() {
	r.spare.sentBeforeResume, r.spare.highestAck = r.sent, 0
	if r.spare.frames == 0 {
		return
	}
	if r.spare.resumptions++; r.spare.resumptions > maxSpareResumptions {
		r.dropLocked(r.spare.frames)
	}
}

// setAsideLocked makes the first n frames spare.
func (r *messageBuffer) setAsideLocked(n int) {
	for ; r.spare.frames < n; r.spare.frames++ {
		size := r.kept[r.spare.frames].Len()
		r.bytes -= size
		r.spare.bytes += size
	}
	if r.spare.bytes > r.allowance() {
		r.dropLocked(r.spare.frames)
	}
}

// dropLocked removes the first n frames.
func (r *messageBuffer) dropLocked(n int) {
	freed := 0
	for i, f := range r.kept[:n] {
		freed += f.Len()
		if i < r.spare.frames {
			r.spare.bytes -= f.Len()
		} else {
			r.bytes -= f.Len()
		}
	}
	r.hold(-freed)
	r.shiftLocked(n)
	r.first += int64(n)
	r.spare.frames = max(0, r.spare.frames-n)
	r.spare.resumptions = 0
}

// maxIdleKept is the largest number of frames that an empty buffer keeps memory for.
const maxIdleKept = 256

// shiftLocked removes the first n frames from kept. A client may acknowledge many messages one by
// one, so the remaining frames move to the beginning of the memory only when at least half of it
// is free.
func (r *messageBuffer) shiftLocked(n int) {
	clear(r.kept[:n])
	r.kept = r.kept[n:]
	switch free := cap(r.array) - cap(r.kept); {
	case len(r.kept) == 0 && cap(r.array) > maxIdleKept:
		r.kept, r.array = nil, nil
	case free >= len(r.kept):
		moved := r.array[:copy(r.array[:cap(r.array)], r.kept)]
		clear(r.kept)
		r.kept = moved
	}
}

// appendLocked adds a frame to kept.
func (r *messageBuffer) appendLocked(f *frame.Frame) {
	full := len(r.kept) == cap(r.kept)
	r.kept = append(r.kept, f)
	if full {
		r.array = r.kept[:0]
	}
}
