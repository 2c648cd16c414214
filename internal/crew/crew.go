// Package crew keeps goroutines that are through with one job for the next: their stacks
// have grown by then, and to grow one costs more than many a job does.
package crew

import "sync"

// maxIdle is how many goroutines of a crew wait for a job.
const maxIdle = 64

// Crew does jobs on goroutines of its own, as many as it takes. At most maxIdle of them wait
// for more, and none while nobody is joined to the crew. Safe for concurrent use.
type Crew[Job any] struct {
	do      func(Job)
	running *sync.WaitGroup

	mu     sync.Mutex
	joined int
	idle   []chan Job // of those that wait; the last to come is the first to go
}

// New returns a crew that does jobs by do. Its goroutines, those that wait too, are counted
// in running.
func New[Job any](running *sync.WaitGroup, do func(Job)) *Crew[Job] {
	return &Crew[Job]{do: do, running: running}
}

// Join says that jobs may come, until Leave is called as often.
func (c *Crew[Job]) Join() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joined++
}

// Leave takes a Join back. A job may do that itself.
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

// Go has a goroutine do a job. It never blocks.
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

// rest tells whether the goroutine may wait for a job.
func (c *Crew[Job]) rest(next chan Job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.joined == 0 || len(c.idle) == maxIdle {
		return false
	}
	c.idle = append(c.idle, next)
	return true
}
