package hub

import (
	"context"
	"time"
)

// overtakeAfter is the time an invocation may run before tasks that need not wait for it
// overtake it: the completion of an invocation that cannot run, a close message. Shorter
// invocations are never overtaken. In the original, a method that does not wait ends
// before the next message is read.
const overtakeAfter = 100 * time.Millisecond

// maxWaiting is the limit in bytes of queued invocations. Above it the reader stops. A
// client with stateful reconnect is read further, because methods may wait for its
// acknowledgements. It gets no more acknowledgements itself, so it stops sending; at
// maxWaitingStateful the reader stops too.
const (
	maxWaiting         = 65536
	maxWaitingStateful = 1 << 20
)

// dispatchQueue orders the invocations of a client. It holds queued invocations and the
// tasks with a place between them. Streams and invocations with uploads are not queued;
// they run concurrently with the queue. The session's lock guards it.
type dispatchQueue struct {
	first, last *call
	running     *call         // running plain invocations, with or without uploads, the newest first
	bytes       int           // size of the queued records
	executing   int           // invocations that run and hold their place
	released    int           // invocations that run and have released their place
	concurrent  int           // things that run outside the queue: streams, uploads, OnConnected
	records     int           // size of the records of the calls among those
	started     time.Duration // the session's age when the last queued invocation began
	runningTask bool          // a task is running
	timer       *time.Timer   // dispatches again when the first task may overtake; nil: not set
	room        chan struct{} // closed when there is room again; nil: no waiter
	done        chan struct{} // closed when the queue is empty and nothing runs; nil: no waiter
	closed      bool          // nothing more is queued: the session is ending
}

// enqueue appends an invocation or a task to the queue. It blocks the reader while the
// queue is over its limit.
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

// runInOrder runs task after each earlier invocation has started and has either ended or
// run for overtakeAfter. If the queue is idle and the reader may block, that is, without
// stateful reconnect, it runs task synchronously. size is that of the task's record, in
// bytes.
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

// runCalls runs a call and then further calls from the queue.
func runCalls(c *call) {
	s := c.session
	defer s.running.Done()
	defer func() {
		if c == nil {
			return
		}
		// The application's code has ended this goroutine with runtime.Goexit.
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

// nextTask records that done has returned and dequeues the next call, or returns nil.
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
		done.released = true // goroutines that it left running have no place to release
		s.tasks.executing--
	}
	c := s.dequeueLocked()
	s.dispatchLocked()
	return c
}

// dispatchLocked starts all calls that may run now.
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

// dequeueLocked removes and returns the first call if it may run now; otherwise it
// returns nil.
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

// dispatchAfterLocked dispatches again after a delay.
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

// stopTimerLocked stops the timer of dispatchAfterLocked.
func (s *Session) stopTimerLocked() {
	if s.tasks.timer != nil && s.tasks.timer.Stop() {
		s.tasks.timer = nil
		s.running.Done()
	}
}

// releasePlace releases, once, the place of an invocation that waits for its own client,
// so that the next invocation runs.
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

// requeue waits for a new turn at the end of the queue, or until ctx is done. An
// invocation that has released its place calls it before it goes on.
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

// closeTasks closes the queue for new calls. It returns a channel that is closed when no
// invocation is queued or runs.
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

// addRunning adds a plain invocation to the running ones.
func (l *dispatchQueue) addRunning(c *call) { l.running, c.next = c, l.running }

// removeRunning removes c from the running invocations if it is one of them.
func (l *dispatchQueue) removeRunning(c *call) {
	for p := &l.running; *p != nil; p = &(*p).next {
		if *p == c {
			*p, c.next = c.next, nil
			return
		}
	}
}

// isRunning reports whether a plain invocation with that id runs and has no completion
// yet.
func (l *dispatchQueue) isRunning(id string) bool {
	for c := l.running; c != nil; c = c.next {
		if c.hasID(id) {
			return true
		}
	}
	return false
}

// find returns the plain invocation with that id, or nil. If several have the id, because
// they are queued one after the other, it returns the last.
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

// notifyRoom returns a channel that is closed when at most maxWaiting/2 bytes are queued.
func (l *dispatchQueue) notifyRoom() <-chan struct{} {
	l.room = make(chan struct{})
	return l.room
}

// isBacklogged reports whether so many bytes are queued that the client should stop
// sending.
func (s *Session) isBacklogged() bool {
	held := s.heldByUploads()
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.tasks.bytes)+held > maxWaiting
}

// dropAll drops the queued calls.
func (l *dispatchQueue) dropAll() {
	for l.first != nil {
		l.shift()
	}
}

// startConcurrent counts work that runs concurrently with the queue; endConcurrent ends
// it.
func (s *Session) startConcurrent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.concurrent++
	s.running.Add(1)
}

func (s *Session) endConcurrent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tasks.concurrent--
	s.dismissIfDrainedLocked()
	s.running.Done()
}
