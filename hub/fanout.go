package hub

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// batchSize is the number of receivers that are sent to in one run, each with a system
// call. A fan-out of several batches is spread over the cores, and after each batch other
// goroutines get to run. Otherwise they would wait several times as long, until the
// scheduler preempts the fan-out.
const batchSize = 256

// fanOut sends a message to sessions and waits for none of them. It fails only if the
// message cannot be encoded; then no receiver of that protocol got it. When fanOut
// returns, the message is sent or queued for all receivers, so that the next message
// follows it.
func fanOut(to []*Session, except nameSet, m *message) error {
	helpers := min(runtime.GOMAXPROCS(0), len(to)/batchSize) - 1
	if helpers <= 0 {
		return deliver(to, except, m)
	}
	lists := slices.Collect(slices.Chunk(to, batchSize))
	var (
		next    atomic.Int32
		failure atomic.Pointer[error]
		work    = func() {
			for i := int(next.Add(1)) - 1; i < len(lists); i = int(next.Add(1)) - 1 {
				if err := deliver(lists[i], except, m); err != nil {
					failure.Store(&err)
				}
			}
		}
		running sync.WaitGroup
	)
	func() {
		defer running.Wait() // work does not return if an argument ends the goroutine that encodes it
		for range helpers {
			running.Go(work)
		}
		work()
	}()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

// prefetcher is implemented by a Connection that can load the memory Send needs into the
// processor's cache in advance.
type prefetcher interface {
	// Prefetch is called for several connections before a message is sent to all of them.
	// It loads the first memory that Send needs and returns the word to load next, or
	// nil.
	Prefetch() *atomic.Uint32
}

// prefetchAhead is the number of receivers for which memory is prefetched at a time.
const prefetchAhead = 16

// prefetch loads the memory that sending needs. Without it, sending would wait for memory
// once for each receiver, which is most of the time of a large broadcast outside the
// kernel.
func prefetch(next []*Session) {
	for _, s := range next {
		s.out.phase.Load()
	}
	var words [prefetchAhead]*atomic.Uint32
	for i, s := range next {
		if c, ok := s.out.conn.(prefetcher); ok {
			words[i] = c.Prefetch()
		}
	}
	for _, m := range words {
		if m != nil {
			m.Load()
		}
	}
}

func deliver(to []*Session, except nameSet, m *message) error {
	for i, s := range to {
		if i%prefetchAhead == 0 {
			prefetch(to[i:min(i+prefetchAhead, len(to))])
		}
		if i%batchSize == batchSize-1 {
			runtime.Gosched()
		}
		if except.has(s.caller.id) {
			continue
		}
		f, err := m.frame(s.out.wire)
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		if m.recorded {
			s.out.record(m.method, m.args)
		}
		s.out.send(f)
	}
	return nil
}
