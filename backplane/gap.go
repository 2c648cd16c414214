package backplane

import (
	"context"
	"log/slog"
	"time"

	"github.com/carillon-go/carillon/internal/guard"
)

// Gap is a time in which messages of other processes may have been lost. It is over.
type Gap struct {
	// Since is the time at which the broker was lost, or the first message was dropped.
	Since time.Time
	// Overflown reports that messages were dropped, because more came than this process could
	// deliver. Otherwise the broker was lost, and is back.
	Overflown bool
}

// overflowPause is the time in which further dropped messages belong to the same gap.
const overflowPause = time.Second

// noteState notes that the broker is degraded, or reports a gap when it is no longer.
func (b *Backplane) noteState(degraded bool) {
	if degraded {
		now := time.Now()
		b.lost.CompareAndSwap(nil, &now)
	} else if since := b.lost.Swap(nil); since != nil {
		b.queueGap(Gap{Since: *since})
	}
}

// overflow counts a message that is dropped, and reports a gap.
func (b *Backplane) overflow() {
	b.overflown.Add(1)
	if b.overflows.CompareAndSwap(false, true) && !b.queueGap(Gap{Since: time.Now(), Overflown: true}) {
		b.overflows.Store(false)
	}
}

// queueGap reports whether the gap is reported later. If two others wait, they end after it.
func (b *Backplane) queueGap(g Gap) bool {
	return b.options.OnGap != nil && b.gaps.put("", g, 1)
}

// reportGap calls the application.
func (b *Backplane) reportGap(g Gap) {
	if g.Overflown {
		select {
		case <-time.After(overflowPause):
		case <-b.ctx.Done():
		}
		b.overflows.Store(false)
	}
	if b.ctx.Err() != nil {
		return
	}
	err := guard.Call(context.Background(), func() error {
		b.options.OnGap(b.ctx, g)
		return nil
	})
	if err != nil {
		b.options.Logger.Error("OnGap of a backplane panicked", slog.String("hub", b.options.Hub), slog.Any("error", err))
	}
}
