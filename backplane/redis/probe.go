package redis

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"
)

// The subscribing connection is probed if nothing has come for probeAfter. After two probes
// that were published and have not come back within probeInterval, it is deaf.
const (
	probeAfter    = 3 * time.Second
	probeInterval = 2 * time.Second
	maxProbes     = 2
)

// probe is the receiver of a channel of this broker. An answer to a ping would not prove that
// publications arrive.
type probe struct {
	channel string
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

// listen probes the subscribing connection if it has been silent. It fails if that is deaf.
func (b *Broker) listen(l *link) error {
	if time.Since(time.Unix(0, b.heard.Load())) < probeAfter && b.probe.open.Load() == 0 {
		return nil
	}
	if b.probe.open.Load() >= maxProbes {
		return errDeaf
	}
	b.probe.open.Add(1)
	if _, err := b.Publish(l.ctx, nil, b.probe.channel); err != nil { // proves nothing
		b.probe.open.Store(0)
	}
	return nil
}
