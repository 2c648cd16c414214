package backplane

import (
	"context"
	"errors"
	"time"
)

// Broker passes payloads between processes by channels, as the publications of Redis do. It
// keeps nothing: a payload reaches the processes that have subscribed its channel. Several
// backplanes may share one. It is safe for concurrent use.
type Broker interface {
	// Publish sends a payload to channels and returns the number of subscriptions that got
	// it, of all processes together. The payloads of one caller on a channel arrive in
	// order. If Publish fails with ErrUnavailable, nothing was sent; after any other error,
	// such as ErrLost, the payload may still arrive. The payload must not be modified
	// afterwards.
	Publish(ctx context.Context, payload []byte, channels ...string) (receivers int, err error)
	// Subscribe passes the payloads of channels to r. It returns when all later payloads
	// arrive. A channel has one receiver. While the broker is degraded, Subscribe calls
	// r.Changed(true) and returns at once, and the channels are subscribed before
	// r.Changed(false). If Subscribe fails, with the cause of ctx for example, Unsubscribe
	// is still called for the channels.
	Subscribe(ctx context.Context, r Receiver, channels ...string) error
	// Unsubscribe ends subscriptions. It does not block. Until the broker counts a subscription
	// no longer, its receiver gets the payloads.
	Unsubscribe(channels ...string)
	// State returns the current state.
	State() State
	// Close ends the broker and everything that runs for it.
	Close()
}

// Surveyor is implemented by a Broker that knows the subscriptions of other processes.
type Surveyor interface {
	// Subscribers returns the number of subscriptions of each channel, without those of this
	// broker. It fails with ErrUnavailable while the broker is degraded.
	Subscribers(ctx context.Context, channels ...string) ([]int, error)
}

// Receiver receives from a Broker. Its methods must not block, or call the broker: it does
// nothing else until they return.
type Receiver interface {
	// Receive is called for each payload of a channel in their order. The payload is never
	// modified, and the receiver may keep it.
	Receive(channel string, payload []byte)
	// Changed is called when the broker is degraded, which may be repeated, and when it is no
	// longer.
	Changed(degraded bool)
}

// Errors of Publish.
var (
	// ErrUnavailable is returned while no other process can be reached.
	ErrUnavailable = errors.New("backplane: the broker is unavailable")
	// ErrLost is returned if the broker is lost during the publication.
	ErrLost = errors.New("backplane: the broker was lost during the publication")
)

// State is the state of a Broker.
type State struct {
	// Degraded reports that messages to other processes and from them are lost.
	Degraded bool
	Since    time.Time // of the last change
	// Of the wanted channels those are subscribed.
	Subscribed, Wanted int
	// Gaps is the number of times at which messages of other processes may have been lost.
	Gaps int
}
