package frame

// Delivery says what becomes of a frame whose receiver reads too slowly. The zero value
// is for what must not be lost.
type Delivery struct {
	Policy Policy
	// Key of a frame with the policy Conflate: of two with the same key the newer one
	// makes the older one worthless.
	Key string
}

// Policy is what is done about a receiver that reads too slowly.
type Policy uint8

// The policies.
const (
	// Disconnect ends the connection when its queue has no room for the frame.
	Disconnect Policy = iota
	// DropNewest leaves the frame out when the queue has no room for it.
	DropNewest
	// DropOldest makes room by dropping frames of the same policy, the oldest first; if
	// that is not enough the frame itself is left out.
	DropOldest
	// Conflate puts the frame in the place of one with the same key that still waits in
	// the queue, full or not: it may arrive before what was sent between the two, but for
	// an event, which comes behind that. When there is neither such a frame nor room the
	// connection ends.
	Conflate
)

// With returns a frame of the same payload that is delivered as d says.
func (f *Frame) With(d Delivery) *Frame {
	return &Frame{payload: f.payload, binary: f.binary, events: f.events, delivery: &d}
}

// Delivery tells what becomes of the frame when its receiver reads too slowly.
func (f *Frame) Delivery() Delivery {
	if f.delivery == nil {
		return Delivery{}
	}
	return *f.delivery
}
