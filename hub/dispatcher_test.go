package hub

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/internal/crew"
)

// testDispatcher is a dispatcher without a session. It records the starts of its tasks.
type testDispatcher struct {
	dispatcher
	pool sync.WaitGroup

	mu      sync.Mutex
	started []string
}

func newTestDispatcher(t *testing.T, parallel int) *testDispatcher {
	d := &testDispatcher{}
	workers := crew.New(&d.pool, job.run)
	workers.Join()
	d.shared = &dispatchers{workers: workers, parallel: parallel, epoch: time.Now()}
	t.Cleanup(func() {
		d.workers.Wait()
		workers.Leave()
		d.pool.Wait()
	})
	return d
}

// testTask runs until end is closed.
type testTask struct {
	task
	d   *testDispatcher
	id  string
	end chan struct{}
}

func (d *testDispatcher) newTask(id string, size int) *testTask {
	t := &testTask{d: d, id: id, end: make(chan struct{})}
	t.owner, t.size = t, size
	return t
}

func (t *testTask) run() {
	t.d.record(t.id)
	<-t.end
}

func (t *testTask) runningID() string { return t.id }

func (d *testDispatcher) record(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.started = append(d.started, id)
}

func (d *testDispatcher) ordered(id string) *task {
	return newOrderedTask(func() { d.record(id) }, 0)
}

// want waits until all goroutines are blocked and checks the tasks that have started.
func (d *testDispatcher) want(t *testing.T, ids ...string) {
	t.Helper()
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.started, ids) {
		t.Fatalf("started %v, want %v", d.started, ids)
	}
}

func isDone(c <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestDispatcherRunsTasksInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a, b, c := d.newTask("a", 0), d.newTask("b", 0), d.newTask("c", 0)
		for _, next := range []*testTask{a, b, c} {
			d.enqueue(&next.task, maxWaiting)
		}
		d.want(t, "a")
		close(a.end)
		d.want(t, "a", "b")
		close(c.end)
		d.want(t, "a", "b")
		close(b.end)
		d.want(t, "a", "b", "c")
		if !d.isIdle() {
			t.Error("not idle after all tasks")
		}
	})
}

func TestDispatcherRunsTasksInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		a, b, c := d.newTask("a", 0), d.newTask("b", 0), d.newTask("c", 0)
		d.enqueue(&a.task, maxWaiting)
		d.want(t, "a")
		d.enqueue(&b.task, maxWaiting)
		d.enqueue(&c.task, maxWaiting)
		d.want(t, "a", "b")
		close(a.end)
		d.want(t, "a", "b", "c")
		close(b.end)
		close(c.end)
	})
}

func TestDispatcherLetsOrderedTasksOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		long, last := d.newTask("long", 0), d.newTask("last", 0)
		d.enqueue(&long.task, maxWaiting)
		d.enqueue(d.ordered("refusal"), maxWaiting)
		d.enqueue(&last.task, maxWaiting)
		time.Sleep(overtakeAfter - time.Nanosecond) // the clock of the bubble
		d.want(t, "long")
		time.Sleep(time.Nanosecond) // the clock of the bubble
		d.want(t, "long", "refusal")
		close(long.end)
		d.want(t, "long", "refusal", "last")
		close(last.end)
	})
}

func TestDispatcherDoesNotOvertakeShortTasks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		short := d.newTask("short", 0)
		d.enqueue(&short.task, maxWaiting)
		d.enqueue(d.ordered("refusal"), maxWaiting)
		d.want(t, "short")
		close(short.end)
		d.want(t, "short", "refusal")
	})
}

func TestDispatcherRunsAnOrderedTaskAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		end := make(chan struct{})
		d.enqueue(newOrderedTask(func() { d.record("close"); <-end }, 0), maxWaiting)
		next := d.newTask("next", 0)
		d.enqueue(&next.task, maxWaiting)
		d.want(t, "close")
		close(end)
		d.want(t, "close", "next")
		close(next.end)
	})
}

func TestDispatcherRunsTheNextTaskAfterARelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a, b := d.newTask("a", 0), d.newTask("b", 0)
		d.enqueue(&a.task, maxWaiting)
		d.enqueue(&b.task, maxWaiting)
		d.want(t, "a")
		if !d.mayRelease(&a.task, 1) {
			t.Error("the first task may not release its place")
		}
		d.release(&a.task)
		d.release(&a.task) // no effect
		d.want(t, "a", "b")
		if d.mayRelease(&b.task, 1) {
			t.Error("two tasks may release their places")
		}
		c := d.newTask("c", 0)
		d.enqueue(&c.task, maxWaiting)
		turn := d.requeue()
		close(b.end)
		d.want(t, "a", "b", "c")
		if isDone(turn) {
			t.Error("the turn came before the queued task has ended")
		}
		close(c.end)
		if !isDone(turn) {
			t.Error("no turn after the queued task")
		}
		still := d.close()
		if isDone(still) {
			t.Error("still while a task without a place runs")
		}
		close(a.end)
		<-still
	})
}

func TestDispatcherReportsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a, b, c := d.newTask("a", 0), d.newTask("b", maxWaiting/2), d.newTask("c", maxWaiting)
		d.enqueue(&a.task, maxWaiting)
		if d.enqueue(&b.task, maxWaiting) != nil {
			t.Error("no room below the limit")
		}
		room := d.enqueue(&c.task, maxWaiting)
		if room == nil {
			t.Fatal("room above the limit")
		}
		close(a.end)
		if d.want(t, "a", "b"); isDone(room) {
			t.Error("room while the queue is long")
		}
		close(b.end)
		if d.want(t, "a", "b", "c"); !isDone(room) {
			t.Error("no room in an empty queue")
		}
		close(c.end)
	})
}

func TestDispatcherFindsTasksByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a, again, outside := d.newTask("a", 0), d.newTask("a", 0), d.newTask("o", 0)
		d.enqueue(&a.task, maxWaiting)
		d.enqueue(&again.task, maxWaiting)
		if d.find("a") != again {
			t.Error("found another task than the last queued one")
		}
		if d.find("") != nil || d.find("b") != nil {
			t.Error("found a task that does not exist")
		}
		if !d.addRunning(&outside.task) || d.find("o") != outside {
			t.Error("a task outside the queue is not found")
		}
		if second := d.newTask("o", 0); d.addRunning(&second.task) {
			t.Error("an id is used twice")
		}
		d.removeRunning(&outside.task)
		if d.find("o") != nil {
			t.Error("found a removed task")
		}
		close(a.end)
		d.want(t, "a", "a")
		if again.duplicate {
			t.Error("a task after one with its id is a duplicate")
		}
		close(again.end)
	})
}

func TestDispatcherMarksDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		a, b := d.newTask("a", 0), d.newTask("a", 0)
		d.enqueue(&a.task, maxWaiting)
		d.enqueue(&b.task, maxWaiting)
		d.want(t, "a", "a")
		if a.duplicate || !b.duplicate {
			t.Errorf("duplicates: %v, %v", a.duplicate, b.duplicate)
		}
		close(a.end)
		close(b.end)
	})
}

func TestDispatcherDrainsWhenNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a := d.newTask("a", 0)
		d.enqueue(&a.task, maxWaiting)
		d.startConcurrent(10)
		if !d.startReleased() {
			t.Error("closed")
		}
		drained := make(chan struct{})
		d.drain(func() { close(drained) })
		for _, end := range []func(){func() { close(a.end) }, func() { d.endConcurrent(10) }, d.endReleased} {
			if isDone(drained) {
				t.Error("drained while something runs")
			}
			end()
		}
		<-drained
	})
}

func TestDispatcherCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a, b, c := d.newTask("a", 0), d.newTask("b", 0), d.newTask("c", 0)
		d.enqueue(&a.task, maxWaiting)
		d.enqueue(&b.task, maxWaiting)
		d.drain(func() { t.Error("drained after the end") })
		still := d.close()
		d.enqueue(&c.task, maxWaiting)
		if d.startReleased() {
			t.Error("work begins after the end")
		}
		d.dropAll()
		if isDone(still) {
			t.Error("still while a task runs")
		}
		close(a.end)
		<-still
		d.want(t, "a")
	})
}
