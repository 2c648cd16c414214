package dispatch

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testDispatcher is a dispatcher without a session. It records the starts of its tasks.
type testDispatcher struct {
	Dispatcher
	pool sync.WaitGroup

	mu      sync.Mutex
	started []string
}

func newTestDispatcher(t *testing.T, parallel int) *testDispatcher {
	d := &testDispatcher{}
	d.Pool = NewPool(&d.pool, parallel)
	d.Pool.Join()
	t.Cleanup(func() {
		d.Running.Wait()
		d.Pool.Leave()
		d.pool.Wait()
	})
	return d
}

// testTask runs until end is closed.
type testTask struct {
	Task
	d   *testDispatcher
	id  string
	end chan struct{}
}

func (d *testDispatcher) newTask(id string, size int) *testTask {
	t := &testTask{d: d, id: id, end: make(chan struct{})}
	t.Owner, t.Size = t, size
	return t
}

func (t *testTask) Run() {
	t.d.record(t.id)
	<-t.end
}

func (t *testTask) RunningID() string { return t.id }

func (d *testDispatcher) record(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.started = append(d.started, id)
}

func (d *testDispatcher) ordered(id string) *Task {
	return NewOrdered(func() { d.record(id) }, 0)
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
			d.Enqueue(&next.Task, MaxQueued)
		}
		d.want(t, "a")
		close(a.end)
		d.want(t, "a", "b")
		close(c.end)
		d.want(t, "a", "b")
		close(b.end)
		d.want(t, "a", "b", "c")
		if !d.IsIdle() {
			t.Error("not idle after all tasks")
		}
	})
}

func TestDispatcherRunsTasksInParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		a, b, c := d.newTask("a", 0), d.newTask("b", 0), d.newTask("c", 0)
		d.Enqueue(&a.Task, MaxQueued)
		d.want(t, "a")
		d.Enqueue(&b.Task, MaxQueued)
		d.Enqueue(&c.Task, MaxQueued)
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
		d.Enqueue(&long.Task, MaxQueued)
		d.Enqueue(d.ordered("refusal"), MaxQueued)
		d.Enqueue(&last.Task, MaxQueued)
		time.Sleep(OvertakeAfter - time.Nanosecond) // the clock of the bubble
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
		d.Enqueue(&short.Task, MaxQueued)
		d.Enqueue(d.ordered("refusal"), MaxQueued)
		d.want(t, "short")
		close(short.end)
		d.want(t, "short", "refusal")
	})
}

func TestDispatcherRunsAnOrderedTaskAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		end := make(chan struct{})
		d.Enqueue(NewOrdered(func() { d.record("close"); <-end }, 0), MaxQueued)
		next := d.newTask("next", 0)
		d.Enqueue(&next.Task, MaxQueued)
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
		d.Enqueue(&a.Task, MaxQueued)
		d.Enqueue(&b.Task, MaxQueued)
		d.want(t, "a")
		if !d.MayRelease(&a.Task, 1) {
			t.Error("the first task may not release its place")
		}
		d.Release(&a.Task)
		d.Release(&a.Task) // no effect
		d.want(t, "a", "b")
		if d.MayRelease(&b.Task, 1) {
			t.Error("two tasks may release their places")
		}
		c := d.newTask("c", 0)
		d.Enqueue(&c.Task, MaxQueued)
		turn := d.Requeue()
		close(b.end)
		d.want(t, "a", "b", "c")
		if isDone(turn) {
			t.Error("the turn came before the queued task has ended")
		}
		close(c.end)
		if !isDone(turn) {
			t.Error("no turn after the queued task")
		}
		still := d.Close()
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
		a, b, c := d.newTask("a", 0), d.newTask("b", MaxQueued/2), d.newTask("c", MaxQueued)
		d.Enqueue(&a.Task, MaxQueued)
		if d.Enqueue(&b.Task, MaxQueued) != nil {
			t.Error("no room below the limit")
		}
		room := d.Enqueue(&c.Task, MaxQueued)
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
		d.Enqueue(&a.Task, MaxQueued)
		d.Enqueue(&again.Task, MaxQueued)
		if d.Find("a") != again {
			t.Error("found another task than the last queued one")
		}
		if d.Find("") != nil || d.Find("b") != nil {
			t.Error("found a task that does not exist")
		}
		if !d.AddRunning(&outside.Task) || d.Find("o") != outside {
			t.Error("a task outside the queue is not found")
		}
		if second := d.newTask("o", 0); d.AddRunning(&second.Task) {
			t.Error("an id is used twice")
		}
		d.RemoveRunning(&outside.Task)
		if d.Find("o") != nil {
			t.Error("found a removed task")
		}
		close(a.end)
		d.want(t, "a", "a")
		if again.Duplicate {
			t.Error("a task after one with its id is a duplicate")
		}
		close(again.end)
	})
}

func TestDispatcherMarksDuplicates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 2)
		a, b := d.newTask("a", 0), d.newTask("a", 0)
		d.Enqueue(&a.Task, MaxQueued)
		d.Enqueue(&b.Task, MaxQueued)
		d.want(t, "a", "a")
		if a.Duplicate || !b.Duplicate {
			t.Errorf("duplicates: %v, %v", a.Duplicate, b.Duplicate)
		}
		close(a.end)
		close(b.end)
	})
}

func TestDispatcherDrainsWhenNothingRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestDispatcher(t, 1)
		a := d.newTask("a", 0)
		d.Enqueue(&a.Task, MaxQueued)
		d.StartConcurrent(10)
		if !d.StartReleased() {
			t.Error("closed")
		}
		drained := make(chan struct{})
		d.Drain(func() { close(drained) })
		for _, end := range []func(){func() { close(a.end) }, func() { d.EndConcurrent(10) }, d.EndReleased} {
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
		d.Enqueue(&a.Task, MaxQueued)
		d.Enqueue(&b.Task, MaxQueued)
		d.Drain(func() { t.Error("drained after the end") })
		still := d.Close()
		d.Enqueue(&c.Task, MaxQueued)
		if d.StartReleased() {
			t.Error("work begins after the end")
		}
		d.DropAll()
		if isDone(still) {
			t.Error("still while a task runs")
		}
		close(a.end)
		<-still
		d.want(t, "a")
	})
}
