package hub

import (
	"context"
	"time"
)

// overtakeAfter is how long an invocation may run before what need not wait for it
// goes past: the answer to an invocation that cannot run, a close message. What runs
// shorter is overtaken by nothing, as in the original, where a method that does not
// wait is through before the next message is read.
const overtakeAfter = 100 * time.Millisecond

// maxWaiting is how many bytes of invocations may wait for their turn before nothing
// more is read. Of a client that may reconnect statefully more is read, for its
// acknowledgements are what methods may wait for, but nothing more acknowledged: it
// stops by itself, and at maxWaitingStateful it is stopped.
const (
	maxWaiting         = 65536
	maxWaitingStateful = 1 << 20
)

// dispatchQueue is the order in which a client's invocations run. It holds those that wait
// for their turn, and what has its place between them. Streams and invocations with
// uploads are not in it.
type dispatchQueue struct {
	first, last *call
	running     *call         // plain invocations that run, uploads or not, the newest first
	bytes       int           // of the records that wait
	executing   int           // invocations that run in their place
	released    int           // invocations that run and have given up their place
	concurrent  int           // what runs beside the line: streams, uploads, OnConnected
	started     time.Duration // the session's age when the last invocation of the line began
	runningTask bool          // a deed in between is being done
	timer       *time.Timer   // looks again when the first deed may overtake; nil: not set
	room        chan struct{} // closed when there is room again; nil: nobody waits
	done        chan struct{} // closed when there is nothing left; nil: nobody waits
	closed      bool          // nothing more comes in: the end waits for what is there
}

// enqueue puts an invocation, or a deed, into the line, and blocks the reader while
// too much waits.
func (s *Session) enqueue(c *call) {
	s.mu.Lock()
	if s.tasks.closed { // OnDisconnected may have run
		s.mu.Unlock()
		return
	}
	s.tasks.append(c)
	s.dispatchLocked()
	var room <-chan struct{}
	if s.buffer == nil && s.tasks.bytes > maxWaiting || s.tasks.bytes > maxWaitingStateful {
		room = s.tasks.notifyRoom()
	}
	s.mu.Unlock()
	if room == nil {
		return
	}
	s.uncork()
	select {
	case <-room:
	case <-s.ctx.Done():
	case <-s.conn.Context().Done():
	}
}

// runInOrder does a deed when the invocations before it have been started and have run
// for a moment: at once, on this goroutine, if there are none and it may wait. size is
// that of the record it belongs to.
func (s *Session) runInOrder(size int, deed func()) {
	s.mu.Lock()
	idle := s.tasks.idle()
	s.mu.Unlock()
	if idle && s.buffer == nil {
		deed()
		return
	}
	s.enqueue(s.newTask(deed, size))
}

// runCalls does a call and what comes next in the line.
func runCalls(c *call) {
	s := c.session
	defer s.running.Done()
	defer func() {
		if c == nil {
			return
		}
		// The application's code has ended this goroutine by runtime.Goexit.
		if c = s.nextTask(c); c != nil {
			s.running.Add(1)
			s.hub.sessions.workers.Go(c)
		}
	}()
	for c != nil {
		if c.task != nil {
			c.task()
		} else {
			c.run()
		}
		c = s.nextTask(c)
	}
}

// nextTask notes that c is done and takes what may be done now.
func (s *Session) nextTask(done *call) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.removeRunning(done)
	switch {
	case done.task != nil:
		s.tasks.runningTask = false
	case done.released:
		s.tasks.released--
	default:
		done.released = true // what it left running has no place to give up any more
		s.tasks.executing--
	}
	c := s.dequeueLocked()
	s.dispatchLocked()
	return c
}

// dispatchLocked starts what may be done now. The lock is held.
func (s *Session) dispatchLocked() {
	for c := s.dequeueLocked(); c != nil; c = s.dequeueLocked() {
		s.running.Add(1)
		s.hub.sessions.workers.Go(c)
	}
	if s.tasks.isDone() && s.tasks.done != nil {
		close(s.tasks.done)
		s.tasks.done = nil
	}
	s.dismissIfDrainedLocked()
}

// dequeueLocked takes the first of the line if its time has come. The lock is held.
func (s *Session) dequeueLocked() *call {
	l := &s.tasks
	c := l.first
	if c == nil || l.runningTask {
		return nil
	}
	if c.task != nil {
		if early := overtakeAfter - (time.Since(s.begun) - l.started); l.executing > 0 && early > 0 {
			s.dispatchAfterLocked(early)
			return nil
		}
		l.runningTask = true
		s.stopTimerLocked()
	} else {
		if l.executing >= s.hub.options.MaxParallelInvocations {
			return nil
		}
		l.executing++
		l.started = time.Since(s.begun)
	}
	l.shift()
	if c.task == nil {
		c.duplicate = l.isRunning(c.id)
		l.addRunning(c)
	}
	return c
}

// dispatchAfterLocked has the line advance after a while. The lock is held.
func (s *Session) dispatchAfterLocked(after time.Duration) {
	if s.tasks.timer != nil {
		return
	}
	s.running.Add(1)
	s.tasks.timer = time.AfterFunc(after, func() {
		defer s.running.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tasks.timer = nil
		s.dispatchLocked()
	})
}

// stopTimerLocked stops the timer. The lock is held.
func (s *Session) stopTimerLocked() {
	if s.tasks.timer != nil && s.tasks.timer.Stop() {
		s.tasks.timer = nil
		s.running.Done()
	}
}

// releasePlace gives up the place of an invocation that waits for its own client, once,
// so that the next one runs.
func (s *Session) releasePlace(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.queued && !c.released {
		c.released = true
		s.tasks.executing--
		s.tasks.released++
		s.dispatchLocked()
	}
}

// requeue has an invocation that gave up its place go on behind those that waited
// before it, or when ctx is done.
func (s *Session) requeue(ctx context.Context) {
	s.mu.Lock()
	if s.tasks.first == nil {
		s.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	s.tasks.append(s.newTask(func() { close(turn) }, 0))
	s.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
}

// closeTasks lets nothing more into the line, and returns a channel that is closed when no
// invocation waits or runs.
func (s *Session) closeTasks() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	still := make(chan struct{})
	s.tasks.done, s.tasks.closed = still, true
	s.dispatchLocked()
	return still
}

func (l *dispatchQueue) idle() bool { return l.first == nil && l.executing == 0 && !l.runningTask }

func (l *dispatchQueue) isDone() bool { return l.idle() && l.released == 0 }

func (l *dispatchQueue) append(c *call) {
	if l.first == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.bytes += c.size
}

func (l *dispatchQueue) shift() {
	c := l.first
	l.first, c.next = c.next, nil
	if l.first == nil {
		l.last = nil
	}
	l.bytes -= c.size
	if l.room != nil && l.bytes <= maxWaiting/2 {
		close(l.room)
		l.room = nil
	}
}

// addRunning adds a plain invocation to those that run.
func (l *dispatchQueue) addRunning(c *call) { l.running, c.next = c, l.running }

// removeRunning takes an invocation off those that run, if it is there.
func (l *dispatchQueue) removeRunning(c *call) {
	for p := &l.running; *p != nil; p = &(*p).next {
		if *p == c {
			*p, c.next = c.next, nil
			return
		}
	}
}

// isRunning reports whether a plain invocation with that id runs and is not answered yet.
func (l *dispatchQueue) isRunning(id string) bool {
	for c := l.running; c != nil; c = c.next {
		if c.hasID(id) {
			return true
		}
	}
	return false
}

// find returns the plain invocation with that id, or nil. Of several, which wait for their
// turn one after the other, it is the last.
func (l *dispatchQueue) find(id string) (found *call) {
	for c := l.running; c != nil && found == nil; c = c.next {
		if c.hasID(id) {
			found = c
		}
	}
	for c := l.first; c != nil; c = c.next {
		if c.task == nil && c.hasID(id) {
			found = c
		}
	}
	return found
}

// notifyRoom returns a channel that is closed when less waits.
func (l *dispatchQueue) notifyRoom() <-chan struct{} {
	l.room = make(chan struct{})
	return l.room
}

// isBacklogged tells whether so much waits that a client had better stop.
func (s *Session) isBacklogged() bool {
	held := s.heldByUploads()
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.tasks.bytes)+held > maxWaiting
}

// dropAll forgets what waits.
func (l *dispatchQueue) dropAll() {
	for l.first != nil {
		l.shift()
	}
}
