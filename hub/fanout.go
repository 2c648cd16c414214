package hub

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// batchSize is how many receivers are sent to in one go, each with a system call. A fan-out
// to several stretches is spread over the cores, and behind each of them others get their
// turn: they would wait for several times as long until the scheduler interrupts it.
const batchSize = 256

// fanOut sends a message to sessions, without waiting for any. The error is that of
// an encoding, and nobody has got the message in it then. It returns when the message is
// sent or queued for all of them, so that the next one comes behind it.
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

// prefetchAhead is for how many receivers memory is fetched at the same time.
const prefetchAhead = 16

// prefetch has the processor fetch what sending needs: for one receiver after the other it
// would wait that long, which is most of what a broadcast to many costs beside the kernel.
func prefetch(next []*Session) {
	for _, s := range next {
		s.phase.Load()
	}
	var behind [prefetchAhead]*atomic.Uint32
	for i, s := range next {
		if c, ok := s.conn.(Prefetcher); ok {
			behind[i] = c.Prefetch()
		}
	}
	for _, m := range behind {
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
		if except.has(s.id) {
			continue
		}
		f, err := m.frame(s.wire)
		if err != nil {
			return err
		}
		s.send(f)
	}
	return nil
}
