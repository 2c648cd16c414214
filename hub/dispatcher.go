package hub

import (
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/crew"
	"github.com/carillon-go/carillon/internal/notify"
)

// overtakeAfter is the time an invocation may run before tasks that need not wait for it
// overtake it: the completion of an invocation that cannot run, a close message. Shorter
// invocations are never overtaken. In the original, a method that does not wait ends
// before the next message is read.
const overtakeAfter = 100 * time.Millisecond

// maxWaiting is the limit in bytes of queued tasks. Above it the reader stops. A client
// with stateful reconnect is read further, because methods may wait for its
// acknowledgements. It gets no more acknowledgements itself, so it stops sending; at
// maxWaitingStateful the reader stops too.
const (
	maxWaiting         = 65536
	maxWaitingStateful = 1 << 20
)

// task is a unit of work of a dispatcher: an invocation, or a function with a place between
// invocations. A dispatcher's lock guards the fields; owner, size and inOrder never change,
// and duplicate does not change after the task has started.
type task struct {
	owner      taskOwner
	next       *task // in the queue, later among the running tasks
	size       int   // of the record, in bytes
	inOrder    bool  // starts when the earlier tasks have ended or may be overtaken, and runs alone
	holdsPlace bool  // counts for the limit of parallel tasks
	duplicate  bool  // another running task had its id when this one started
}

// taskOwner is the object that a task is part of.
type taskOwner interface {
	// run does the work of the task.
	run()
	// runningID returns the id by which the task can be found, or "" if it has none or is
	// about to be completed. It does not block.
	runningID() string
}

// orderedTask is a function that runs at its place in the queue.
type orderedTask struct {
	task
	do func()
}

func newOrderedTask(do func(), size int) *task {
	t := &orderedTask{do: do}
	t.owner, t.size, t.inOrder = t, size, true
	return &t.task
}

func (t *orderedTask) run()            { t.do() }
func (*orderedTask) runningID() string { return "" }

// job is a task for a worker.
type job struct {
	dispatcher *dispatcher
	task       *task
}

// dispatchers are the settings that the dispatchers of a hub share.
type dispatchers struct {
	workers  *crew.Crew[job]
	parallel int       // the limit of tasks of one dispatcher that run at a time
	epoch    time.Time // before all tasks
}

// dispatcher runs the queued tasks of a client in order, some of them in parallel. It also
// counts the work that runs concurrently with the queue: streams, invocations with uploads,
// OnConnected. It knows when nothing runs any longer. It never calls anything with its lock
// held, except a crew.
type dispatcher struct {
	shared  *dispatchers
	workers sync.WaitGroup // counts the goroutines of the session, and a set timer

	mu          sync.Mutex // guards the following
	first, last *task
	running     *task         // running tasks and, of those outside the queue, those with an id; the newest first
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

// enqueue appends a task to the queue. If more than limit bytes are queued then, it returns
// a channel that is closed when there is room. It drops the task if the dispatcher is
// closed.
func (d *dispatcher) enqueue(t *task, limit int) (room <-chan struct{}) {
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

// requeue returns a channel that is closed at a new turn at the end of the queue, or nil if
// nothing is queued.
func (d *dispatcher) requeue() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil {
		return nil
	}
	turn := make(chan struct{})
	d.appendLocked(newOrderedTask(func() { close(turn) }, 0))
	return turn
}

// run runs a job's task and then further tasks of the queue.
func (j job) run() {
	d, t := j.dispatcher, j.task
	defer d.workers.Done()
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
		t.owner.run()
		t = d.next(t)
	}
}

func (d *dispatcher) start(t *task) {
	d.workers.Add(1)
	d.shared.workers.Go(job{d, t})
}

// next records that a task has returned and dequeues the next one, or returns nil.
func (d *dispatcher) next(done *task) *task {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeRunningLocked(done)
	switch {
	case done.inOrder:
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
func (d *dispatcher) dispatchLocked() {
	for t := d.dequeueLocked(); t != nil; t = d.dequeueLocked() {
		d.start(t)
	}
	if !d.isIdleLocked() || d.released > 0 {
		return
	}
	d.done.Open()
	if d.drained != nil && d.concurrent == 0 {
		d.workers.Go(d.drained)
		d.drained = nil
	}
}

// dequeueLocked removes and returns the first task if it may run now; otherwise it returns
// nil.
func (d *dispatcher) dequeueLocked() *task {
	t := d.first
	if t == nil || d.ordered {
		return nil
	}
	if t.inOrder {
		if early := overtakeAfter - (time.Since(d.shared.epoch) - d.started); d.executing > 0 && early > 0 {
			d.dispatchAfterLocked(early)
			return nil
		}
		d.ordered = true
		d.stopTimerLocked()
	} else {
		if int(d.executing) >= d.shared.parallel {
			return nil
		}
		t.holdsPlace = true
		d.executing++
		d.started = time.Since(d.shared.epoch)
	}
	d.shiftLocked()
	t.duplicate = !d.addRunningLocked(t)
	return t
}

// dispatchAfterLocked dispatches again after a delay.
func (d *dispatcher) dispatchAfterLocked(delay time.Duration) {
	if d.timer != nil {
		return
	}
	d.workers.Add(1)
	d.timer = time.AfterFunc(delay, func() {
		defer d.workers.Done()
		d.mu.Lock()
		defer d.mu.Unlock()
		d.timer = nil
		d.dispatchLocked()
	})
}

// stopTimerLocked stops the timer of dispatchAfterLocked.
func (d *dispatcher) stopTimerLocked() {
	if d.timer != nil && d.timer.Stop() {
		d.timer = nil
		d.workers.Done()
	}
}

// mayRelease reports whether a running task may release its place: fewer than limit others have.
func (d *dispatcher) mayRelease(t *task, limit int32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !t.holdsPlace || d.released < limit
}

// release releases, once, the place of a task that waits for its own client, so that the
// next task runs.
func (d *dispatcher) release(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t.holdsPlace {
		t.holdsPlace = false
		d.executing--
		d.released++
		d.dispatchLocked()
	}
}

// startReleased counts work that close waits for as for a task without a place. It returns
// false if the dispatcher is closed.
func (d *dispatcher) startReleased() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.released++
	d.workers.Add(1)
	return true
}

// endReleased ends the work of startReleased.
func (d *dispatcher) endReleased() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released--
	d.dispatchLocked()
	d.workers.Done()
}

// startConcurrent counts work that runs concurrently with the queue. size is that of its
// record, in bytes.
func (d *dispatcher) startConcurrent(size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.concurrent++
	d.records += size
	d.workers.Add(1)
}

// endConcurrent ends the work of startConcurrent.
func (d *dispatcher) endConcurrent(size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.concurrent--
	d.records -= size
	d.dispatchLocked()
	d.workers.Done()
}

// concurrency returns the amount of work outside the queue, and the size of its records in
// bytes.
func (d *dispatcher) concurrency() (n, bytes int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int(d.concurrent), d.records
}

// drain calls then once, on a goroutine of its own, when the queue is empty and nothing
// runs. It does not call it after close.
func (d *dispatcher) drain(then func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed {
		d.drained = then
		d.dispatchLocked()
	}
}

// isDraining reports whether the function of drain will be called.
func (d *dispatcher) isDraining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drained != nil
}

// dropAll drops the queued tasks.
func (d *dispatcher) dropAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.first != nil {
		d.shiftLocked()
	}
	d.dispatchLocked()
}

// close closes the queue for new tasks. It returns a channel that is closed when no task is
// queued or runs.
func (d *dispatcher) close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	still := d.done.Wait()
	d.closed, d.drained = true, nil
	d.dispatchLocked()
	return still
}

// isIdle reports whether no task is queued, runs or holds its place.
func (d *dispatcher) isIdle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isIdleLocked()
}

func (d *dispatcher) isIdleLocked() bool { return d.first == nil && d.executing == 0 && !d.ordered }

// queued returns the size of the queued tasks in bytes, and whether there are any.
func (d *dispatcher) queued() (bytes int, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.bytes, d.first != nil
}

func (d *dispatcher) appendLocked(t *task) {
	if d.first == nil {
		d.first = t
	} else {
		d.last.next = t
	}
	d.last = t
	d.bytes += t.size
}

func (d *dispatcher) shiftLocked() {
	t := d.first
	d.first, t.next = t.next, nil
	if d.first == nil {
		d.last = nil
	}
	d.bytes -= t.size
	if d.bytes <= maxWaiting/2 {
		d.room.Open()
	}
}

// addRunning adds a task that runs outside the queue, so that it can be found. It returns
// false if a running task has its id.
func (d *dispatcher) addRunning(t *task) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.findRunningLocked(t.owner.runningID()) == nil && d.addRunningLocked(t)
}

// removeRunning removes a task that addRunning has added. Other tasks are ignored.
func (d *dispatcher) removeRunning(t *task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.removeRunningLocked(t)
}

// addRunningLocked adds a task to the running ones. It returns false if another one has its
// id.
func (d *dispatcher) addRunningLocked(t *task) bool {
	other := d.findRunningLocked(t.owner.runningID())
	d.running, t.next = t, d.running
	return other == nil
}

func (d *dispatcher) removeRunningLocked(t *task) {
	for p := &d.running; *p != nil; p = &(*p).next {
		if *p == t {
			*p, t.next = t.next, nil
			return
		}
	}
}

// findRunningLocked returns the running task with an id, or nil.
func (d *dispatcher) findRunningLocked(id string) taskOwner {
	for t := d.running; t != nil && id != ""; t = t.next {
		if t.owner.runningID() == id {
			return t.owner
		}
	}
	return nil
}

// find returns the owner of the task with an id, or nil. If several have the id, because they are queued
// one after the other, it returns the last.
func (d *dispatcher) find(id string) taskOwner {
	d.mu.Lock()
	defer d.mu.Unlock()
	found := d.findRunningLocked(id)
	for t := d.first; t != nil && id != ""; t = t.next {
		if t.owner.runningID() == id {
			found = t.owner
		}
	}
	return found
}
