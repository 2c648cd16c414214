// Package crew reuses goroutines for several jobs, because growing the stack of a new
// goroutine costs more than many a job.
package crew

import "sync"

// maxIdle is the largest number of idle goroutines of a crew.
const maxIdle = 64

// Crew runs jobs on goroutines of its own and starts as many as it needs. At most maxIdle
// idle goroutines are kept, and none after Leave has been called as often as Join. Safe for
// concurrent use.
type Crew[Job any] struct {
	do      func(Job)
	running *sync.WaitGroup

	mu     sync.Mutex
	joined int
	idle   []chan Job // of idle goroutines; the most recent one is used first
}

// New returns a crew that runs jobs by calling do. running counts all its goroutines,
// including idle ones.
func New[Job any](running *sync.WaitGroup, do func(Job)) *Crew[Job] {
	return &Crew[Job]{do: do, running: running}
}

// Join keeps idle goroutines for further jobs until Leave has been called as often as Join.
func (c *Crew[Job]) Join() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined++
}

// Leave undoes one call of Join. A job may call it.
func (c *Crew[Job]) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined--; c.joined > 0 {
		return
	}
	for _, next := range c.idle {
		close(next)
	}
	c.idle = nil
}

// Go runs a job on a goroutine. It never blocks.
func (c *Crew[Job]) Go(job Job) {
	c.mu.Lock()
	last := len(c.idle) - 1
	if last < 0 {
		c.mu.Unlock()
		c.running.Add(1)
		go c.run(job)
		return
	}
	next := c.idle[last]
	c.idle = c.idle[:last]
	c.mu.Unlock()
	next <- job
}

func (c *Crew[Job]) run(job Job) {
	defer c.running.Done()
	next := make(chan Job, 1)
	for more := true; more; job, more = <-next {
		c.do(job)
		if !c.rest(next) {
			return
		}
	}
}

// rest reports whether the goroutine may wait for another job.
func (c *Crew[Job]) rest(next chan Job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined == 0 || len(c.idle) == maxIdle {
		return false
	}
	c.idle = append(c.idle, next)
	return true
}
