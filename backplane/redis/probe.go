package redis

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// A probe is published every probeInterval, which also keeps idle connections open. If nothing has
// come on the subscribing connection for probeAfter, and then two probes do not come back either, it
// is deaf.
const (
	probeAfter    = 3 * time.Second
	probeInterval = 2 * time.Second
	maxProbes     = 2
)

// probe is the receiver of a channel of this broker. An answer to a ping would not prove that
// publications arrive.
type probe struct {
	channel string
	asked   atomic.Bool  // one is on its way to the server
	open    atomic.Int32 // published and not received
}

func newProbe() probe {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return probe{channel: "carillon:probe:" + hex.EncodeToString(random[:])}
}

// Receive implements backplane.Receiver.
func (p *probe) Receive(string, []byte) { p.open.Store(0) }

// Changed implements backplane.Receiver.
func (p *probe) Changed(bool) { p.open.Store(0) }

// listen probes the subscribing connection. It fails if that is deaf, or does not confirm
// subscriptions.
func (b *Broker) listen(l *link) error {
	silence := l.subscriber.silence()
	b.mu.Lock()
	waits := b.channels.waits()
	b.mu.Unlock()
	if min(waits, silence) > confirmTimeout || waits > maxConfirm {
		return errUnconfirmed
	}
	if b.probe.asked.Load() {
		return nil // large publications are on their way before it
	}
	if silence >= probeAfter && b.probe.open.Add(1) > maxProbes {
		return errDeaf
	}
	b.probe.asked.Store(true)
	l.running.Go(func() {
		defer b.probe.asked.Store(false)
		if _, err := b.Publish(l.ctx, nil, b.probe.channel); err != nil { // proves nothing
			b.probe.open.Store(0)
		}
	})
	return nil
}
