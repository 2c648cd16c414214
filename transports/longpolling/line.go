package longpolling

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/carillon-go/carillon/transports/internal/socket"
)

// line is a network connection under HTTP/1.1 on which a poll waits, or after which the
// next request is waited for.
type line struct {
	conn    socket.Conn
	server  *server
	host    string    // requests for that host
	path    string    // and path are served here
	reads   int       // how often was read, up to a few
	waiting time.Time // since when the present goroutine reads

	mu       sync.Mutex
	header   []byte        // of the answer, as far as middleware made it
	poll     *poll         // the one that waits; nil: none
	busy     bool          // a request is being served or answered
	free     chan struct{} // closed when there is neither; nil: nobody waits for that
	answered time.Time
}

// offer has p wait, to be answered with the header.
func (l *line) offer(p *poll, header http.Header) {
	h := headers.Get().(*bytes.Buffer)
	defer headers.Put(h)
	h.Reset()
	_ = header.WriteSubset(h, ofAnswers) // a buffer takes everything
	l.mu.Lock()
	defer l.mu.Unlock()
	l.poll, l.busy = p, false
	if !bytes.Equal(l.header, h.Bytes()) {
		l.header = bytes.Clone(h.Bytes())
	}
}

var headers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ofAnswers are headers that each answer has of its own.
var ofAnswers = map[string]bool{"Content-Type": true, "Content-Length": true}

// claim takes the poll, which the caller has to answer then. It fails when that is done
// or under way.
func (l *line) claim(p *poll) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poll != p {
		return false
	}
	l.poll, l.busy = nil, true
	return true
}

// release lets the next request be served, after an answer.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest()
}

// rest needs the lock.
func (l *line) rest() {
	l.poll, l.busy, l.answered = nil, false, time.Now()
	if l.free != nil {
		close(l.free)
		l.free = nil
	}
	if l.server.closing.Load() {
		_ = l.conn.Close()
	}
}

func (l *line) closeIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poll == nil && !l.busy {
		_ = l.conn.Close()
	}
}

// wait has a goroutine of its own read on: see socket.Socket.
func (l *line) wait() {
	l.waiting = time.Now()
	l.server.lines.running.Add(1)
	go l.loop()
}

// Another goroutine's stack has to grow for the next request, which costs as much as a
// tenth of an answer: polls that are answered once a second are better read by one.
const (
	earlyReads = 2
	restAfter  = 10 * time.Second
)

func (l *line) loop() {
	defer l.server.lines.running.Done()
	for {
		b, _, err := l.conn.Next()
		if l.take(b, err) {
			return
		}
		if l.reads <= earlyReads || time.Since(l.waiting) >= restAfter {
			l.reads = min(l.reads+1, earlyReads+1)
			l.wait()
			return
		}
	}
}

// take tells that the connection is over, or the HTTP server's again.
func (l *line) take(b []byte, err error) (over bool) {
	switch {
	case err == nil:
		l.await()
		return l.next(b)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return l.late()
	}
	l.mu.Lock()
	p := l.poll
	l.mu.Unlock()
	if p != nil {
		p.gone()
	}
	l.end()
	return true
}

func (l *line) end() {
	l.conn.Keep(nil)
	l.server.forget(l)
	_ = l.conn.Close()
}

// await waits until a request can be served that came before the poll is answered. That
// its client leaves meanwhile is not seen, nor is it within the HTTP server.
func (l *line) await() {
	l.mu.Lock()
	p := l.poll
	if p == nil && !l.busy {
		l.mu.Unlock()
		return
	}
	free := make(chan struct{})
	l.free = free
	l.mu.Unlock()
	if p == nil {
		<-free
		return
	}
	timeout := time.NewTimer(time.Until(p.begun.Add(patience(p.c))))
	defer timeout.Stop()
	select {
	case <-timeout.C:
		p.expire()
	case <-free:
	}
	<-free
}

// late is called when the deadline of reading is over: a poll's time, or the one for the
// next request.
func (l *line) late() (over bool) {
	l.mu.Lock()
	p, idle := l.poll, time.Since(l.answered)
	if l.busy {
		idle = 0
	}
	l.mu.Unlock()
	if p != nil {
		p.expire()
		idle = 0
	}
	limit := l.server.idleTimeout()
	if limit > 0 && idle >= limit {
		l.end()
		return true
	}
	l.limit(limit - idle)
	return false
}

// limit bounds the wait for the client; not positive: it does not.
func (l *line) limit(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = l.conn.SetReadDeadline(deadline)
}
