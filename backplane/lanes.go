package backplane

import (
	"hash/maphash"
	"sync"
)

// lanes are queues of jobs. Jobs with the same key are done one after the other, others
// concurrently, at most one of each lane at a time. A lane has a goroutine while it has jobs.
type lanes[Job any] struct {
	do      func(Job)
	running *sync.WaitGroup // counts the goroutines
	all     []lane[Job]
	// A lane with maxJobs jobs or with maxBytes bytes takes no more.
	maxJobs, maxBytes int
}

type lane[Job any] struct {
	mu     sync.Mutex
	queue  []sized[Job] // the first one runs
	bytes  int
	closed bool
}

type sized[Job any] struct {
	job  Job
	size int
}

var laneSeed = maphash.MakeSeed()

func (l *lanes[Job]) of(key string) *lane[Job] {
	return &l.all[maphash.String(laneSeed, key)%uint64(len(l.all))]
}

// put adds a job. It reports whether there is room. A job of size 0 is always taken: the size
// counts as bytes otherwise. Nothing is taken after close.
func (l *lanes[Job]) put(key string, j Job, size int) bool {
	q := l.of(key)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || size > 0 && len(q.queue) > 0 && (len(q.queue) >= l.maxJobs || q.bytes+size > l.maxBytes) {
		return false
	}
	q.queue = append(q.queue, sized[Job]{j, size})
	q.bytes += size
	if len(q.queue) == 1 {
		l.running.Go(func() { l.run(q) })
	}
	return true
}

func (l *lanes[Job]) run(q *lane[Job]) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.queue) > 0 {
		next := q.queue[0]
		q.mu.Unlock()
		l.do(next.job)
		q.mu.Lock()
		q.queue[0] = sized[Job]{}
		q.queue = q.queue[1:]
		q.bytes -= next.size
	}
	q.queue = nil
}

// close prevents further jobs. Those that wait are done.
func (l *lanes[Job]) close() {
	for i := range l.all {
		q := &l.all[i]
		q.mu.Lock()
		q.closed = true
		q.mu.Unlock()
	}
}
