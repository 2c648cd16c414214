package longpolling

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/carillon-go/carillon/internal/poller"
)

// line is an HTTP/1.1 network connection outside of its HTTP server. A poll is pending on it,
// or its client has received an answer and may send the next request.
type line struct {
	conn    poller.Conn
	server  *server
	host    string    // only requests for this host
	path    string    // and this path are served here
	reads   int       // number of reads, up to a small limit
	waiting time.Time // since when the current goroutine reads

	mu       sync.Mutex
	header   []byte        // headers of the answer that middleware set
	poll     *poll         // the pending poll; nil: none
	busy     bool          // a request is being served or answered
	free     chan struct{} // closed when no poll is pending and busy is false; nil: no goroutine waits
	answered time.Time
}

// offer makes p the pending poll. header is for its answer.
func (l *line) offer(p *poll, header http.Header) {
	h := headers.Get().(*bytes.Buffer)
	defer headers.Put(h)
	h.Reset()
	_ = header.WriteSubset(h, ofAnswers) // a bytes.Buffer never fails
	l.mu.Lock()
	defer l.mu.Unlock()
	l.poll, l.busy = p, false
	if !bytes.Equal(l.header, h.Bytes()) {
		l.header = bytes.Clone(h.Bytes())
	}
}

var headers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// ofAnswers are the headers that each answer sets itself.
var ofAnswers = map[string]bool{"Content-Type": true, "Content-Length": true}

// claim removes the pending poll, and the caller must answer it. It reports false if p was
// claimed before.
func (l *line) claim(p *poll) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poll != p {
		return false
	}
	l.poll, l.busy = nil, true
	return true
}

// release allows the next request to be served after an answer.
func (l *line) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.restLocked()
}

// restLocked marks the line as idle.
func (l *line) restLocked() {
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

// wait starts a goroutine that continues reading, like park in package socket.
func (l *line) wait() {
	l.waiting = time.Now()
	l.conn.Running().Add(1)
	go l.loop()
}

// A new goroutine must grow its stack for the next request, which costs a tenth of an answer.
// So one goroutine reads polls that are answered every second. A line gets a new goroutine
// after each of its first earlyReads reads, and later after restAfter.
const (
	earlyReads = 2
	restAfter  = 10 * time.Second
)

func (l *line) loop() {
	defer l.conn.Running().Done()
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

// take processes the result of a read. over reports that the connection has ended, or belongs
// to the HTTP server again.
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

// await blocks a pipelined request until the pending poll is answered. A disconnect during
// that time goes unnoticed, as in the HTTP server.
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

// late is called at the read deadline, which is that of a poll or of the wait for the next
// request.
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

// limit sets the read deadline. Zero or negative removes it.
func (l *line) limit(d time.Duration) {
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = l.conn.SetReadDeadline(deadline)
}
