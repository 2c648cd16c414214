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

// line is the order in which a client's invocations run. It holds those that wait
// for their turn, and what has its place between them. Streams and invocations with
// uploads are not in it.
type line struct {
	first, last *call
	running     *call         // plain invocations that run, uploads or not, the newest first
	bytes       int           // of the records that wait
	executing   int           // invocations that run in their place
	released    int           // invocations that run and have given up their place
	beside      int           // what runs beside the line: streams, uploads, OnConnected
	started     time.Duration // the session's age when the last invocation of the line began
	turning     bool          // a deed in between is being done
	timer       *time.Timer   // looks again when the first deed may overtake; nil: not set
	room        chan struct{} // closed when there is room again; nil: nobody waits
	still       chan struct{} // closed when there is nothing left; nil: nobody waits
	over        bool          // nothing more comes in: the end waits for what is there
}

// enqueue puts an invocation, or a deed, into the line, and blocks the reader while
// too much waits.
func (s *Session) enqueue(c *call) {
	s.mu.Lock()
	if s.line.over { // OnDisconnected may have run
		s.mu.Unlock()
		return
	}
	s.line.append(c)
	s.advance()
	var room <-chan struct{}
	if s.stateful == nil && s.line.bytes > maxWaiting || s.line.bytes > maxWaitingStateful {
		room = s.line.wait()
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

// inTurn does a deed when the invocations before it have been started and have run
// for a moment: at once, on this goroutine, if there are none and it may wait. size is
// that of the record it belongs to.
func (s *Session) inTurn(size int, deed func()) {
	s.mu.Lock()
	idle := s.line.idle()
	s.mu.Unlock()
	if idle && s.stateful == nil {
		deed()
		return
	}
	s.enqueue(s.newDeed(deed, size))
}

// work does a call and what comes next in the line.
func work(c *call) {
	s := c.session
	defer s.running.Done()
	defer func() {
		if c == nil {
			return
		}
		// The application's code has ended this goroutine by runtime.Goexit.
		if c = s.next(c); c != nil {
			s.running.Add(1)
			s.hub.sessions.workers.Go(c)
		}
	}()
	for c != nil {
		if c.deed != nil {
			c.deed()
		} else {
			c.run()
		}
		c = s.next(c)
	}
}

// next notes that c is done and takes what may be done now.
func (s *Session) next(done *call) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.forget(done)
	switch {
	case done.deed != nil:
		s.line.turning = false
	case done.released:
		s.line.released--
	default:
		done.released = true // what it left running has no place to give up any more
		s.line.executing--
	}
	c := s.draw()
	s.advance()
	return c
}

// advance starts what may be done now. The lock is held.
func (s *Session) advance() {
	for c := s.draw(); c != nil; c = s.draw() {
		s.running.Add(1)
		s.hub.sessions.workers.Go(c)
	}
	if s.line.through() && s.line.still != nil {
		close(s.line.still)
		s.line.still = nil
	}
	s.drained()
}

// draw takes the first of the line if its time has come. The lock is held.
func (s *Session) draw() *call {
	l := &s.line
	c := l.first
	if c == nil || l.turning {
		return nil
	}
	if c.deed != nil {
		if early := overtakeAfter - (time.Since(s.begun) - l.started); l.executing > 0 && early > 0 {
			s.lookAgain(early)
			return nil
		}
		l.turning = true
		s.stopLooking()
	} else {
		if l.executing >= s.hub.options.MaxParallelInvocations {
			return nil
		}
		l.executing++
		l.started = time.Since(s.begun)
	}
	l.shift()
	if c.deed == nil {
		c.duplicate = l.runs(c.id)
		l.begin(c)
	}
	return c
}

// lookAgain has the line advance after a while. The lock is held.
func (s *Session) lookAgain(after time.Duration) {
	if s.line.timer != nil {
		return
	}
	s.running.Add(1)
	s.line.timer = time.AfterFunc(after, func() {
		defer s.running.Done()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.line.timer = nil
		s.advance()
	})
}

// stopLooking stops the timer. The lock is held.
func (s *Session) stopLooking() {
	if s.line.timer != nil && s.line.timer.Stop() {
		s.line.timer = nil
		s.running.Done()
	}
}

// release gives up the place of an invocation that waits for its own client, once,
// so that the next one runs.
func (s *Session) release(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.inLine && !c.released {
		c.released = true
		s.line.executing--
		s.line.released++
		s.advance()
	}
}

// rejoin has an invocation that gave up its place go on behind those that waited
// before it, or when ctx is done.
func (s *Session) rejoin(ctx context.Context) {
	s.mu.Lock()
	if s.line.first == nil {
		s.mu.Unlock()
		return
	}
	turn := make(chan struct{})
	s.line.append(s.newDeed(func() { close(turn) }, 0))
	s.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
}

// settle lets nothing more into the line, and returns a channel that is closed when no
// invocation waits or runs.
func (s *Session) settle() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	still := make(chan struct{})
	s.line.still, s.line.over = still, true
	s.advance()
	return still
}

func (l *line) idle() bool { return l.first == nil && l.executing == 0 && !l.turning }

func (l *line) through() bool { return l.idle() && l.released == 0 }

func (l *line) append(c *call) {
	if l.first == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
	l.bytes += c.size
}

func (l *line) shift() {
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

// begin adds a plain invocation to those that run.
func (l *line) begin(c *call) { l.running, c.next = c, l.running }

// forget takes an invocation off those that run, if it is there.
func (l *line) forget(c *call) {
	for p := &l.running; *p != nil; p = &(*p).next {
		if *p == c {
			*p, c.next = c.next, nil
			return
		}
	}
}

// runs reports whether a plain invocation with that id runs and is not answered yet.
func (l *line) runs(id string) bool {
	for c := l.running; c != nil; c = c.next {
		if c.hasID(id) {
			return true
		}
	}
	return false
}

// find returns the plain invocation with that id, or nil. Of several, which wait for their
// turn one after the other, it is the last.
func (l *line) find(id string) (found *call) {
	for c := l.running; c != nil && found == nil; c = c.next {
		if c.hasID(id) {
			found = c
		}
	}
	for c := l.first; c != nil; c = c.next {
		if c.deed == nil && c.hasID(id) {
			found = c
		}
	}
	return found
}

// wait returns a channel that is closed when less waits.
func (l *line) wait() <-chan struct{} {
	l.room = make(chan struct{})
	return l.room
}

// behind tells whether so much waits that a client had better stop.
func (s *Session) behind() bool {
	held := s.heldByUploads()
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.line.bytes)+held > maxWaiting
}

// drop forgets what waits.
func (l *line) drop() {
	for l.first != nil {
		l.shift()
	}
}
