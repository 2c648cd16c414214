package hub

import "github.com/carillon-go/carillon/frame"

// SlowPolicy is what becomes of a message to a client that reads more slowly than it
// is sent to. It applies to what Sender sends; completions, stream items and
// questions are never dropped.
//
// A client that may reconnect statefully counts what it gets, so what was sent to it
// cannot be taken back: DropOldest drops the newest there, and Conflate is Disconnect.
type SlowPolicy = frame.Policy

// What may become of such a message.
const (
	// Disconnect ends the connection when its queue has no room.
	Disconnect = frame.Disconnect
	// DropNewest leaves the message out when there is no room.
	DropNewest = frame.DropNewest
	// DropOldest makes room by dropping messages that were sent with DropOldest too, the
	// oldest first; the message is left out if all of them are not enough.
	DropOldest = frame.DropOldest
	// Conflate puts the message in the place of one with the same key that still waits in
	// the queue, full or not, so that only the newest reaches a client that lags. It may
	// arrive before what was sent between the two; to a client that only listens it comes
	// behind that. The key is the method's name, or that of Clients.Conflate. Without such a
	// message and without room the connection ends.
	Conflate = frame.Conflate
)

// slowConsumers is a policy with a key.
type slowConsumers struct {
	policy SlowPolicy
	key    string // "": the method's name
}

func (s *slowConsumers) delivery(method string) frame.Delivery {
	d := frame.Delivery{Policy: s.policy}
	if d.Policy == Conflate {
		if d.Key = s.key; d.Key == "" {
			d.Key = method
		}
	}
	return d
}

// SlowConsumers returns the same audiences, with a policy of their own instead of
// Options.SlowConsumers.
func (c Clients[C]) SlowConsumers(p SlowPolicy) Clients[C] {
	c.slow = &slowConsumers{policy: p}
	return c
}

// Conflate returns the same audiences; of the messages that are sent to them, with any
// method, and wait for one client, only the newest with that key stays.
func (c Clients[C]) Conflate(key string) Clients[C] {
	c.slow = &slowConsumers{Conflate, key}
	return c
}
