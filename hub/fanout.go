package hub

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// crowd is from how many receivers on a fan-out is spread over the cores: each receiver
// costs a system call.
const crowd = 512

// fanOut sends a message to sessions, without waiting for any. The error is that of
// an encoding, and nobody has got the message in it then. It returns when the message is
// sent or queued for all of them, so that the next one comes behind it.
func fanOut(to []*Session, except []string, m *message) error {
	helpers := min(runtime.GOMAXPROCS(0), len(to)*4/crowd) - 1
	if len(to) < crowd || helpers == 0 {
		return deliver(to, except, m)
	}
	lists := slices.Collect(slices.Chunk(to, crowd/4))
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
	for range helpers {
		running.Go(work)
	}
	work()
	running.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

func deliver(to []*Session, except []string, m *message) error {
	for _, s := range to {
		if len(except) > 0 && slices.Contains(except, s.id) {
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
