package hub

import "github.com/carillon-go/carillon/frame"

// SlowPolicy decides about a message to a client that reads more slowly than messages are
// sent to it. It applies to messages of Sender. Completions, stream items and invocations
// with a client result are never dropped.
//
// A client with stateful reconnect counts its messages, so a message already sent to it
// cannot be removed. For such a client DropOldest drops the newest message and Conflate
// is Disconnect.
type SlowPolicy = frame.Policy

// These are the policies for messages to slow clients.
const (
	// Disconnect ends the connection when its queue is full.
	Disconnect = frame.Disconnect
	// DropNewest drops the message when the queue is full.
	DropNewest = frame.DropNewest
	// DropOldest makes room by dropping queued messages that were also sent with
	// DropOldest, the oldest first. If that does not make enough room, the message itself
	// is dropped.
	DropOldest = frame.DropOldest
	// Conflate replaces a queued message that has the same key, whether or not the queue
	// is full, so that a slow client gets only the newest one. The new message takes the
	// place of the old one, ahead of messages sent between the two; for a client that
	// only listens it comes after them. The key is the method's name or that of
	// Clients.Conflate. If no queued message has the key and the queue is full, the
	// connection ends.
	Conflate = frame.Conflate
)

// delivery returns the delivery of a message of a method: chosen, or by the hub's policy if
// chosen is nil. The key of Conflate is the method's name if there is none.
func (h *Hub) delivery(chosen *frame.Delivery, method string) frame.Delivery {
	d := frame.Delivery{Policy: h.options.SlowConsumers}
	if chosen != nil {
		d = *chosen
	}
	if d.Policy == Conflate && d.Key == "" {
		d.Key = method
	}
	return d
}

// SlowConsumers returns the same audiences with p instead of Options.SlowConsumers.
func (c Clients[C]) SlowConsumers(p SlowPolicy) Clients[C] {
	c.slow = &frame.Delivery{Policy: p}
	return c
}

// Conflate returns the same audiences with the policy Conflate and a key. Of the messages
// that are sent with this key, by any method, and are queued for one client, only the
// newest stays.
func (c Clients[C]) Conflate(key string) Clients[C] {
	c.slow = &frame.Delivery{Policy: Conflate, Key: key}
	return c
}
