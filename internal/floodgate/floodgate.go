// Package floodgate limits the log lines that clients can provoke. A flood of them writes few
// lines, which say how many were left out.
package floodgate

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/limit"
)

// Interval is the time after which one more line of a kind may be written, and after which
// the number of the lines that were left out is written if no line of their kind was.
const Interval = 10 * time.Second

// maxKinds is the number of kinds that a gate distinguishes. Further kinds of an event share
// one limit.
const maxKinds = 1024

// Kind is a kind of lines, which have one limit together.
type Kind struct {
	Level slog.Level
	Event string // the message of the lines
	// Key and Value are an attribute of the lines, such as their method. Value is comparable;
	// nil and "" stand for none.
	Key   string
	Value any
	// Burst is the number of lines that may be written at once. It is at least 1.
	Burst int
}

// Gate limits the lines of a logger. Safe for concurrent use.
type Gate struct {
	log   *slog.Logger // nil: slog.Default()
	begun time.Time

	mu      sync.Mutex
	buckets map[Kind]*bucket
	purged  time.Duration // the age of the gate at the last purge
	timer   *time.Timer   // reports the lines that were left out; nil: there are none
	closed  bool

	reports sync.WaitGroup // reports that the timer has begun
}

// bucket is the budget of a kind.
type bucket struct {
	budget  limit.Budget
	leftOut uint64 // lines that were left out and not reported
}

// New returns a gate for lines of log, or of slog.Default() if log is nil.
func New(log *slog.Logger) *Gate {
	return &Gate{log: log, begun: time.Now(), buckets: map[Kind]*bucket{}}
}

// Admit reports whether a line may be written now. If so, it returns the number of lines of
// the kind that were left out before, and the caller must write the line. Lines of a level
// that is not logged are not admitted and not counted.
func (g *Gate) Admit(k Kind) (leftOut uint64, ok bool) {
	if !g.logger().Enabled(context.Background(), k.Level) {
		return 0, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Since(g.begun)
	b := g.bucketLocked(k, now)
	if b.budget.Wait(now, time.Duration(k.Burst-1)*Interval) > 0 {
		b.leftOut++
		g.startTimerLocked()
		return 0, false
	}
	b.budget.Spend(now, Interval)
	leftOut, b.leftOut = b.leftOut, 0
	return leftOut, true
}

// Log writes a line with the attributes of about if Admit admits it; otherwise it does not call
// about. It adds the attribute of the kind, and left_out if lines were left out before.
func (g *Gate) Log(k Kind, about func() []slog.Attr) {
	leftOut, ok := g.Admit(k)
	if !ok {
		return
	}
	attrs := k.append(about())
	if leftOut > 0 {
		attrs = append(attrs, slog.Uint64("left_out", leftOut))
	}
	g.logger().LogAttrs(context.Background(), k.Level, k.Event, attrs...) //nolint:sloglint // the callers' events are constants
}

// append adds the attribute of the kind.
func (k Kind) append(attrs []slog.Attr) []slog.Attr {
	if k.Value == nil || k.Value == "" {
		return attrs
	}
	return append(attrs, slog.Any(k.Key, k.Value))
}

func (g *Gate) logger() *slog.Logger {
	if g.log == nil {
		return slog.Default()
	}
	return g.log
}

// Clip returns text for a line, or its beginning if it has more than limit bytes.
func Clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "..."
}

// Flush writes the numbers of lines that were left out.
func (g *Gate) Flush() {
	g.mu.Lock()
	lines := g.takeLeftOutLocked()
	g.mu.Unlock()
	g.write(lines)
}

// Close writes the numbers of lines that were left out. Afterwards the gate still limits
// lines, but only lines that are written report those that were left out before.
func (g *Gate) Close() {
	g.mu.Lock()
	g.closed = true
	if g.timer != nil {
		g.timer.Stop()
	}
	lines := g.takeLeftOutLocked()
	g.mu.Unlock()
	g.write(lines)
	g.reports.Wait()
}

// bucketLocked returns the bucket of k, or a shared one if there are too many kinds.
func (g *Gate) bucketLocked(k Kind, now time.Duration) *bucket {
	b := g.buckets[k]
	if b != nil {
		return b
	}
	if len(g.buckets) >= maxKinds {
		g.purgeLocked(now)
	}
	if len(g.buckets) >= maxKinds {
		k.Value = nil
		if b = g.buckets[k]; b != nil {
			return b
		}
	}
	b = &bucket{}
	g.buckets[k] = b
	return b
}

// purgeLocked forgets the kinds that have their whole burst again. It does so at most once
// per Interval, because it examines all kinds.
func (g *Gate) purgeLocked(now time.Duration) {
	if now-g.purged < Interval {
		return
	}
	g.purged = now
	for k, b := range g.buckets {
		if b.budget.Wait(now, 0) == 0 && b.leftOut == 0 {
			delete(g.buckets, k)
		}
	}
}

func (g *Gate) startTimerLocked() {
	if g.timer == nil && !g.closed {
		g.timer = time.AfterFunc(Interval, g.report)
	}
}

// report runs on the timer's goroutine. Close waits for it.
func (g *Gate) report() {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return
	}
	g.timer = nil
	g.reports.Add(1)
	defer g.reports.Done()
	lines := g.takeLeftOutLocked()
	g.mu.Unlock()
	g.write(lines)
}

// omission is the number of lines of a kind that were left out.
type omission struct {
	kind  Kind
	lines uint64
}

func (g *Gate) takeLeftOutLocked() []omission {
	var all []omission
	for k, b := range g.buckets {
		if b.leftOut > 0 {
			all = append(all, omission{k, b.leftOut})
			b.leftOut = 0
		}
	}
	return all
}

// write is called without the lock: a handler that blocks stops no other line, and it may
// log through the gate itself.
func (g *Gate) write(all []omission) {
	for _, l := range all {
		about := l.kind.append([]slog.Attr{slog.String("event", l.kind.Event), slog.Uint64("left_out", l.lines)})
		g.logger().LogAttrs(context.Background(), l.kind.Level, "log lines left out", about...)
	}
}
