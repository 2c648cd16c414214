package negotiate

import (
	"time"

	"github.com/carillon-go/carillon/transports"
)

// dropLimit is the longest time between a dropped WebSocket and the negotiation that counts
// it as a failure. A browser waits four minutes for the answer to a handshake.
const dropLimit = 5 * time.Minute

// dropped records that a WebSocket ended without a received byte. Its client negotiated at
// the time negotiated. There are two possible causes: a proxy dropped the answer to the
// handshake, or the client left before the answer arrived, for example because the user left
// the page. In the second case the WebSocket ends early and the next page negotiates at once;
// a client without an answer waits. So an early end counts as a failure only if the next
// negotiation comes later than fallbackDelay, or if another WebSocket ends in the same way.
// It does not count while other clients of the network use WebSockets. A late end counts at
// once.
func (e *Evidence) dropped(n *network, negotiated, now time.Time) {
	if now.Sub(negotiated) < fallbackDelay && (n.drop.IsZero() || n.websockets.living > 0) {
		n.drop = now
		e.announce(n)
		return
	}
	e.countDrop(n, now)
}

// goesOn counts a dropped WebSocket when the next negotiation shows that it was a failure.
func (e *Evidence) goesOn(n *network, now time.Time) {
	since := now.Sub(n.drop)
	switch {
	case n.drop.IsZero() || since < fallbackDelay:
	case since > dropLimit || n.websockets.living > 0:
		n.drop = time.Time{}
	default:
		e.countDrop(n, now)
	}
}

func (e *Evidence) countDrop(n *network, now time.Time) {
	n.drop = time.Time{}
	e.failed(n, transports.WebSockets, 1, unanswered, now)
}
