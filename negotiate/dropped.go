package negotiate

import "time"

// dropLimit is how long after a dropped WebSocket a negotiation may come that goes on with it.
// A browser waits for the answer to a handshake for four minutes.
const dropLimit = 5 * time.Minute

// dropped notes that a WebSocket has ended over which no byte came, of a client that negotiated
// at a time. Something on the way dropped the answer, or the client left before it had come, as
// a page does that the user leaves. The latter is over at once and the next page negotiates at
// once; a client without an answer waits. So a WebSocket that ends soon counts when the next
// negotiation takes its time, or when another one ends so. Where others use WebSockets now it
// does not count.
func (n *network) dropped(negotiated, now time.Time, halfLife time.Duration) {
	if now.Sub(negotiated) < patience && (n.drop.IsZero() || n.websockets.living > 0) {
		n.drop = now
		return
	}
	n.countDrop(now, halfLife)
}

// goesOn counts a dropped WebSocket at the negotiation after it.
func (n *network) goesOn(now time.Time, halfLife time.Duration) {
	since := now.Sub(n.drop)
	switch {
	case n.drop.IsZero() || since < patience:
	case since > dropLimit || n.websockets.living > 0:
		n.drop = time.Time{}
	default:
		n.countDrop(now, halfLife)
	}
}

func (n *network) countDrop(now time.Time, halfLife time.Duration) {
	n.drop = time.Time{}
	n.websockets.failed("opens, and nothing comes", now, halfLife)
}
