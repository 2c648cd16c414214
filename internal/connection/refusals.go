package connection

import (
	"log/slog"
	"sync/atomic"

	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/transports"
)

// refusals counts the effects of the limits. It needs no lock.
type refusals struct {
	connections, user, address, negotiations, queue, sendTimeouts, heads, refreshes atomic.Uint64
}

// Refusals returns the counts of refusals.
func (r *Registry) Refusals() transports.Refusals {
	c := &r.refused
	return transports.Refusals{
		Connections: c.connections.Load(), User: c.user.Load(), Address: c.address.Load(), Negotiations: c.negotiations.Load(),
		Queue: c.queue.Load(), SendTimeouts: c.sendTimeouts.Load(), Heads: c.heads.Load(), Refreshes: c.refreshes.Load(),
	}
}

// refuse counts and logs a refusal. It returns err.
func (l *logbook) refuse(count *atomic.Uint64, limit string, err error) error {
	n := count.Add(1)
	k := floodgate.Kind{Level: slog.LevelWarn, Event: "limit reached", Key: "limit", Value: limit, Burst: 1}
	l.gate.Log(k, func() []slog.Attr { return []slog.Attr{slog.Uint64("refused", n)} })
	return err
}
