package hub

// spare are frames that a client has acknowledged and that are kept all the same. After a
// break the official client counts again from the number in our Sequence message, but goes on
// acknowledging the highest number that it ever had. If the next break came before the
// count had caught up, a Sequence behind that number would be ahead of the count, and the
// client would fail. So the frames stay until an acknowledgement shows that the count has
// caught up.
type spare struct {
	frames, bytes int
	doubtful      int64 // the highest number that was sent before the last resumption
	heard         int64 // the highest acknowledgement since then
	resumptions   int   // that began with the same frames
}

// maxSpare and maxSpareResumptions bound what is kept and how often it is sent again. Beyond
// them the client's acknowledgement counts as it is.
const (
	maxSpare            = maxFanOut
	maxSpareResumptions = 3
)

// catchesUp reports whether an acknowledgement shows how far the client has counted since the
// last resumption: it covers a message that was not sent before, or is higher than another
// acknowledgement on the same carrier.
func (p *spare) catchesUp(number int64) bool {
	return number > p.doubtful || p.heard > 0 && number > p.heard
}

// acknowledged makes room for what the client has received.
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
	r.spare.heard = max(r.spare.heard, number)
	r.notifyRoomLocked()
}

// resumeSpareLocked prepares for a client that came back.
func (r *messageBuffer) resumeSpareLocked() {
	r.spare.doubtful, r.spare.heard = r.sent, 0
	if r.spare.frames == 0 {
		return
	}
	if r.spare.resumptions++; r.spare.resumptions > maxSpareResumptions {
		r.dropLocked(r.spare.frames)
	}
}

// setAsideLocked makes the first n frames spare ones.
func (r *messageBuffer) setAsideLocked(n int) {
	for ; r.spare.frames < n; r.spare.frames++ {
		size := r.kept[r.spare.frames].Len()
		r.bytes -= size
		r.spare.bytes += size
	}
	if r.spare.bytes > maxSpare {
		r.dropLocked(r.spare.frames)
	}
}

// dropLocked forgets the first n frames.
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
	r.kept = append(r.kept[:0], r.kept[n:]...)
	clear(r.kept[len(r.kept):cap(r.kept)])
	r.first += int64(n)
	r.spare.frames = max(0, r.spare.frames-n)
	r.spare.resumptions = 0
}
