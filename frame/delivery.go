package frame

// Delivery says how to treat a frame if its receiver reads too slowly. The zero value is for
// frames that must not be lost.
type Delivery struct {
	Policy Policy
	// Key is used by the policy Conflate: a newer frame replaces an older one with the
	// same key.
	Key string
}

// Policy is the treatment of a receiver that reads too slowly.
type Policy uint8

// The policies.
const (
	// Disconnect ends the connection when its queue has no room for the frame.
	Disconnect Policy = iota
	// DropNewest drops the frame when the queue has no room for it.
	DropNewest
	// DropOldest makes room by dropping frames of the same policy, the oldest first. If
	// that is not enough, it drops the frame itself.
	DropOldest
	// Conflate replaces a frame with the same key that is still in the queue, even if the
	// queue has room. The frame takes the older one's place, so it may arrive before frames
	// that were sent between the two; an event of an event stream goes to the end of the
	// queue instead. If there is neither such a frame nor room, the connection ends.
	Conflate
)

// With returns a frame with the same payload and the delivery d.
func (f *Frame) With(d Delivery) *Frame {
	return &Frame{payload: f.payload, binary: f.binary, events: f.events, delivery: &d}
}

// Delivery returns the frame's delivery.
func (f *Frame) Delivery() Delivery {
	if f.delivery == nil {
		return Delivery{}
	}
	return *f.delivery
}
