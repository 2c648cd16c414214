package hub

// spare is the policy for the spare messages of a messageBuffer: frames that are kept
// although the client has acknowledged them. After a break the official client counts again from the number in our Sequence message, but
// goes on acknowledging the highest number that it ever received. If the next break comes
// before its count has caught up, a Sequence after that number would be ahead of its
// count, and the client would fail. So the frames are kept until an acknowledgement shows
// that the count has caught up.
type spare struct {
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
	n := r.messages.Covered(number)
	if n == 0 {
		return
	}
	number = min(number, r.messages.Last())
	if r.spare.catchesUp(number) {
		r.dropLocked(n)
	} else {
		r.setAsideLocked(n)
	}
	r.spare.highestAck = max(r.spare.highestAck, number)
	r.room.Open()
}

// resumeSpareLocked prepares the spare frames for a resumption.
func (r *messageBuffer) resumeSpareLocked() {
	r.spare.sentBeforeResume, r.spare.highestAck = r.sent, 0
	if n, _ := r.messages.Spare(); n == 0 {
		return
	}
	if r.spare.resumptions++; r.spare.resumptions > maxSpareResumptions {
		r.dropSpareLocked()
	}
}

// setAsideLocked makes the first n frames spare.
func (r *messageBuffer) setAsideLocked(n int) {
	r.messages.SetAside(n)
	if _, bytes := r.messages.Spare(); bytes > unacknowledgedAllowance(r.conn) {
		r.dropSpareLocked()
	}
}

// dropLocked removes the first n frames.
func (r *messageBuffer) dropLocked(n int) {
	if n > 0 { // hold(0) counts a refusal
		hold(r.conn, -r.messages.Drop(n))
		r.spare.resumptions = 0
	}
}

func (r *messageBuffer) dropSpareLocked() {
	n, _ := r.messages.Spare()
	r.dropLocked(n)
}
