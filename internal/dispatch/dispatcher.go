// Package dispatch runs the work of a client in order, as SignalR does.
package dispatch

import (
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/crew"
	"github.com/carillon-go/carillon/internal/notify"
)

// OvertakeAfter is the time an invocation may run before tasks that need not wait for it
// overtake it: the completion of an invocation that cannot run, a close message. Shorter
// invocations are never overtaken. In the original, a method that does not wait ends
// before the next message is read.
const OvertakeAfter = 100 * time.Millisecond

// MaxQueued is the usual limit in bytes of queued tasks. There is room again at half of it.
const MaxQueued = 65536

// Task is a unit of work of a dispatcher: an invocation, or a function with a place between
// invocations. A dispatcher's lock guards the fields; Owner, Size and InOrder never change,
// and Duplicate does not change after the task has started.
type Task struct {
	Owner      Owner
	next       *Task // in the queue, later among the running tasks
	Size       int   // of the record, in bytes
	InOrder    bool  // starts when the earlier tasks have ended or may be overtaken, and runs alone
	holdsPlace bool  // counts for the limit of parallel tasks
	Duplicate  bool  // another running task had its id when this one started
}

// Owner is the object that a task is part of.
type Owner interface {
	// Run does the work of the task.
	Run()
	// RunningID returns the id by which the task can be found, or "" if it has none or is
	// about to be completed. It does not block.
	RunningID() string
}

// function is a task that is a function.
type function struct {
	Task
	do func()
}

// NewOrdered returns a task that runs do at its place in the queue.
func NewOrdered(do func(), size int) *Task {
	t := &function{do: do}
	t.Owner, t.Size, t.InOrder = t, size, true
	return &t.Task
}

// Run implements Owner.
func (t *function) Run() { t.do() }

// RunningID implements Owner.
func (*function) RunningID() string { return "" }

// job is a task for a worker.
type job struct {
	dispatcher *Dispatcher
	task       *Task
}

// Pool has the workers of many dispatchers, and the settings that they share.
type Pool struct {
	*crew.Crew[job]
	parallel int       // the limit of tasks of one dispatcher that run at a time
	epoch    time.Time // before all tasks
}

// NewPool returns a pool whose goroutines running counts. parallel is the number of tasks of
// one dispatcher that run at a time.
func NewPool(running *sync.WaitGroup, parallel int) *Pool {
	return &Pool{crew.New(running, job.run), parallel, time.Now()}
}

// Dispatcher runs the queued tasks of a client in order, some of them in parallel. It also
// counts the work that runs concurrently with the queue: streams, invocations with uploads,
// OnConnected. It knows when nothing runs any longer. It never calls anything with its lock
// held, except a crew. The zero value with a Pool is ready for use.
type Dispatcher struct {
	Pool    *Pool
	Running sync.WaitGroup // counts the goroutines that run for the client, and a set timer

	mu          sync.Mutex // guards the following
	first, last *Task
	running     *Task         // running tasks and, of those outside the queue, those with an id; the newest first
	bytes       int           // size of the queued tasks
	records     int           // size of the records of the work outside the queue
	executing   int32         // tasks that run and hold their place
	released    int32         // tasks that run and have released their place
	concurrent  int32         // work outside the queue
	ordered     bool          // a task with inOrder is running
	closed      bool          // nothing more is queued
	started     time.Duration // the age at which the last task without inOrder began
	timer       *time.Timer   // dispatches again when the first task may overtake; nil: not set
	room        notify.Gate   // opens when there is room again
	done        notify.Gate   // opens when the queue is empty and no task runs
	drained     func()        // called once when the queue is empty and nothing runs; nil: none
}

// Enqueue appends a task to the queue. If more than limit bytes are queued then, it returns
// a channel that is closed when there is room. It drops the task if the dispatcher is
// closed.
func (d *Dispatcher) Enqueue(t *Task, limit int) (room <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.appendLocked(t)
	d.dispatchLocked()
	if d.bytes <= limit {
		return nil
	}
	return d.room.Wait()
}

// Requeue returns a channel that is closed at a new turn at the end of the queue, or nil if
// nothing is queued.
func (d *Dispatcher) Requeue() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil {
		return nil
	}
	turn := make(chan struct{})
	d.appendLocked(NewOrdered(func() { close(turn) }, 0))
	return turn
}

// run runs a job's task and then further tasks of the queue.
func (j job) run() {
	d, t := j.dispatcher, j.task
	defer d.Running.Done()
	defer func() {
		if t == nil {
			return
		}
		// The application's code has ended this goroutine with runtime.Goexit.
		if t = d.next(t); t != nil {
			d.start(t)
		}
	}()
	for t != nil {
		t.Owner.Run()
		t = d.next(t)
	}
}

func (d *Dispatcher) start(t *Task) {
	d.Running.Add(1)
	d.Pool.Go(job{d, t})
}

// next records that a task has returned and dequeues the next one, or returns nil.
func (d *Dispatcher) next(done *Task) *Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeRunningLocked(done)
	switch {
	case done.InOrder:
		d.ordered = false
	case done.holdsPlace:
		done.holdsPlace = false // goroutines that it left running have no place to release
		d.executing--
	default:
		d.released--
	}
	t := d.dequeueLocked()
	d.dispatchLocked()
	return t
}

// dispatchLocked starts all tasks that may run now.
func (d *Dispatcher) dispatchLocked() {
	for t := d.dequeueLocked(); t != nil; t = d.dequeueLocked() {
		d.start(t)
	}
	if !d.isIdleLocked() || d.released > 0 {
		return
	}
	d.done.Open()
	if d.drained != nil && d.concurrent == 0 {
		d.Running.Go(d.drained)
		d.drained = nil
	}
}

// dequeueLocked removes and returns the first task if it may run now; otherwise it returns
// nil.
func (d *Dispatcher) dequeueLocked() *Task {
	t := d.first
	if t == nil || d.ordered {
		return nil
	}
	if t.InOrder {
		if early := OvertakeAfter - (time.Since(d.Pool.epoch) - d.started); d.executing > 0 && early > 0 {
			d.dispatchAfterLocked(early)
			return nil
		}
		d.ordered = true
		d.stopTimerLocked()
	} else {
		if int(d.executing) >= d.Pool.parallel {
			return nil
		}
		t.holdsPlace = true
		d.executing++
		d.started = time.Since(d.Pool.epoch)
	}
	d.shiftLocked()
	t.Duplicate = !d.addRunningLocked(t)
	return t
}

// dispatchAfterLocked dispatches again after a delay.
func (d *Dispatcher) dispatchAfterLocked(delay time.Duration) {
	if d.timer != nil {
		return
	}
	d.Running.Add(1)
	d.timer = time.AfterFunc(delay, func() {
		defer d.Running.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.timer = nil
		d.dispatchLocked()
	})
}

// stopTimerLocked stops the timer of dispatchAfterLocked.
func (d *Dispatcher) stopTimerLocked() {
	if d.timer != nil && d.timer.Stop() {
		d.timer = nil
		d.Running.Done()
	}
}

// MayRelease reports whether a running task may release its place: fewer than limit others have.
func (d *Dispatcher) MayRelease(t *Task, limit int32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !t.holdsPlace || d.released < limit
}

// Release releases, once, the place of a task that waits for its own client, so that the
// next task runs.
func (d *Dispatcher) Release(t *Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.holdsPlace {
		t.holdsPlace = false
		d.executing--
		d.released++
		d.dispatchLocked()
	}
}

// StartReleased counts work that close waits for as for a task without a place. It returns
// false if the dispatcher is closed.
func (d *Dispatcher) StartReleased() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.released++
	d.Running.Add(1)
	return true
}

// EndReleased ends the work of startReleased.
func (d *Dispatcher) EndReleased() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released--
	d.dispatchLocked()
	d.Running.Done()
}

// StartConcurrent counts work that runs concurrently with the queue. size is that of its
// record, in bytes.
func (d *Dispatcher) StartConcurrent(size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.concurrent++
	d.records += size
	d.Running.Add(1)
}

// EndConcurrent ends the work of startConcurrent.
func (d *Dispatcher) EndConcurrent(size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.concurrent--
	d.records -= size
	d.dispatchLocked()
	d.Running.Done()
}

// Concurrency returns the amount of work outside the queue, and the size of its records in
// bytes.
func (d *Dispatcher) Concurrency() (n, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(d.concurrent), d.records
}

// Drain calls then once, on a goroutine of its own, when the queue is empty and nothing
// runs. It does not call it after close.
func (d *Dispatcher) Drain(then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.drained = then
		d.dispatchLocked()
	}
}

// IsDraining reports whether the function of drain will be called.
func (d *Dispatcher) IsDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drained != nil
}

// DropAll drops the queued tasks.
func (d *Dispatcher) DropAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.first != nil {
		d.shiftLocked()
	}
	d.dispatchLocked()
}

// Close closes the queue for new tasks. It returns a channel that is closed when no task is
// Queued or runs.
func (d *Dispatcher) Close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	still := d.done.Wait()
	d.closed, d.drained = true, nil
	d.dispatchLocked()
	return still
}

// IsIdle reports whether no task is queued, runs or holds its place.
func (d *Dispatcher) IsIdle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isIdleLocked()
}

func (d *Dispatcher) isIdleLocked() bool { return d.first == nil && d.executing == 0 && !d.ordered }

// Queued returns the size of the queued tasks in bytes, and whether there are any.
func (d *Dispatcher) Queued() (bytes int, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes, d.first != nil
}

func (d *Dispatcher) appendLocked(t *Task) {
	if d.first == nil {
		d.first = t
	} else {
		d.last.next = t
	}
	d.last = t
	d.bytes += t.Size
}

func (d *Dispatcher) shiftLocked() {
	t := d.first
	d.first, t.next = t.next, nil
	if d.first == nil {
		d.last = nil
	}
	d.bytes -= t.Size
	if d.bytes <= MaxQueued/2 {
		d.room.Open()
	}
}

// AddRunning adds a task that runs outside the queue, so that it can be found. It returns
// false if a running task has its id.
func (d *Dispatcher) AddRunning(t *Task) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.findRunningLocked(t.Owner.RunningID()) == nil && d.addRunningLocked(t)
}

// RemoveRunning removes a task that addRunning has added. Other tasks are ignored.
func (d *Dispatcher) RemoveRunning(t *Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeRunningLocked(t)
}

// addRunningLocked adds a task to the running ones. It returns false if another one has its
// id.
func (d *Dispatcher) addRunningLocked(t *Task) bool {
	other := d.findRunningLocked(t.Owner.RunningID())
	d.running, t.next = t, d.running
	return other == nil
}

func (d *Dispatcher) removeRunningLocked(t *Task) {
	for p := &d.running; *p != nil; p = &(*p).next {
		if *p == t {
			*p, t.next = t.next, nil
			return
		}
	}
}

// findRunningLocked returns the running task with an id, or nil.
func (d *Dispatcher) findRunningLocked(id string) Owner {
	for t := d.running; t != nil && id != ""; t = t.next {
		if t.Owner.RunningID() == id {
			return t.Owner
		}
	}
	return nil
}

// Find returns the owner of the task with an id, or nil. If several have the id, because they are queued
// one after the other, it returns the last.
func (d *Dispatcher) Find(id string) Owner {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := d.findRunningLocked(id)
	for t := d.first; t != nil && id != ""; t = t.next {
		if t.Owner.RunningID() == id {
			found = t.Owner
		}
	}
	return found
}
