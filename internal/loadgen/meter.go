package loadgen

import (
	"sync"
	"sync/atomic"
	"time"
)

// shardCount is how many locks the connections of a run share: enough to make
// contention between two processors rare.
const shardCount = 32

// meter counts the operations of a run.
type meter struct {
	recording atomic.Bool
	shards    [shardCount]shard
	opening   shard

	open, failed, lost, errors, refused atomic.Int64
	// delivered counts during the warm-up too, for the window of broadcasts.
	delivered  atomic.Int64
	firstError atomic.Pointer[string]
}

type shard struct {
	mu         sync.Mutex
	latency    histogram
	operations int64
	bytes      int64
}

// count counts one operation. A negative latency means unknown.
func (s *shard) count(latency time.Duration) {
	s.mu.Lock()
	s.operations++
	if latency >= 0 {
		s.latency.add(latency)
	}
	s.mu.Unlock()
}

func (s *shard) countBytes(n int) {
	s.mu.Lock()
	s.bytes += int64(n)
	s.mu.Unlock()
}

const unknown = time.Duration(-1)

func (m *meter) shard(i int) *shard { return &m.shards[i%shardCount] }

// fail counts an error and keeps the first one.
func (m *meter) fail(counter *atomic.Int64, err error) {
	counter.Add(1)
	text := err.Error()
	m.firstError.CompareAndSwap(nil, &text)
}

func (m *meter) operations() (sum int64) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		sum += s.operations
		s.mu.Unlock()
	}
	return sum
}

// total adds the shards up.
func (m *meter) total() *shard {
	sum := &shard{}
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		sum.latency.merge(&s.latency)
		sum.operations += s.operations
		sum.bytes += s.bytes
		s.mu.Unlock()
	}
	return sum
}
