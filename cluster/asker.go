package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"
)

// Limits of a stream.
const (
	maxAsked   = 1000    // questions that wait for their answer
	maxBatch   = 1 << 16 // bytes of memory that a stream keeps for frames
	maxRefusal = 200     // bytes of a refusal in an error
)

// asker is the end of a stream that asks. It is safe for concurrent use.
type asker struct {
	conn  net.Conn
	hello []byte
	pid   pid           // of the process at the other end, which its hello has named
	limit time.Duration // of a write
	slots chan struct{} // holds a value for each question that waits
	asked sync.Cond     // of mu: out has frames, or the stream has broken

	mu      sync.Mutex
	last    uint64                  // id of the last question
	waiting map[uint64]chan<- frame // by id. They are closed when the stream breaks
	out     []byte                  // frames to write
	heard   time.Time               // when bytes came last
	broken  bool
}

func newAsker(conn net.Conn, d *dialer) *asker {
	a := &asker{
		conn: conn, hello: d.hello, limit: d.askTimeout,
		slots: make(chan struct{}, maxAsked), waiting: map[uint64]chan<- frame{}, heard: time.Now(),
	}
	a.asked.L = &a.mu
	return a
}

// sayHello returns the pid of the process at the other end.
func (a *asker) sayHello(ctx context.Context) (pid, error) {
	ctx, cancel := context.WithTimeout(ctx, a.limit)
	defer cancel()
	answer, err := a.ask(ctx, helloPath, a.hello)
	if err != nil {
		return pid{}, err
	}
	var theirs hello
	if err := json.Unmarshal(answer, &theirs); err != nil {
		return pid{}, err
	}
	return parsePID(theirs.PID)
}

// ask sends a question and returns the answer. It waits while too many others wait. It fails
// with errBroken if the stream breaks before the answer: the question may have been answered.
func (a *asker) ask(ctx context.Context, path string, message []byte) ([]byte, error) {
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	answer := make(chan frame, 1)
	id, err := a.send(path, message, answer)
	if err != nil {
		return nil, err
	}
	select {
	case f, ok := <-answer:
		switch {
		case !ok:
			return nil, errBroken
		case f.kind == refusalKind:
			return nil, fmt.Errorf("cluster: the node refuses: %s", f.content[:min(len(f.content), maxRefusal)])
		}
		return f.content, nil
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, id)
		return nil, ctx.Err()
	}
}

// send sends a question. answer has room for one answer; it is nil if the answer does not matter.
func (a *asker) send(path string, message []byte, answer chan<- frame) (id uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.broken:
		return 0, errBroken
	case len(a.out) > maxMessage:
		return 0, errFull
	}
	a.last++
	a.out = appendQuestion(a.out, a.last, path, message)
	if answer != nil {
		a.waiting[a.last] = answer
	}
	a.asked.Signal()
	return a.last, nil
}

// write writes until the stream breaks. It has a goroutine of its own, because TLS needs a deeper
// stack than a request has.
func (a *asker) write() {
	defer a.close()
	for b := []byte(nil); a.awaitFrames(); {
		runtime.Gosched() // other requests that are ready ask as well: one write for all
		b = a.takeFrames(b)
		_ = a.conn.SetWriteDeadline(time.Now().Add(a.limit))
		if _, err := a.conn.Write(b); err != nil {
			return
		}
	}
}

// awaitFrames waits until there are frames to write. It reports false if the stream has broken.
func (a *asker) awaitFrames() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.out) == 0 && !a.broken {
		a.asked.Wait()
	}
	return !a.broken
}

// takeFrames returns the frames to write. It keeps the memory of those that were written before.
func (a *asker) takeFrames(written []byte) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cap(written) > maxBatch {
		written = nil
	}
	b := a.out
	a.out = written[:0]
	return b
}

// read delivers the answers until the stream breaks.
func (a *asker) read() {
	defer a.close()
	for r := bufio.NewReader(reader{a}); ; {
		f, err := readFrame(r, nil)
		if err != nil || !a.deliver(f) {
			return
		}
	}
}

// deliver reports whether the frame answers a question, if only one that no longer waits.
func (a *asker) deliver(f frame) bool {
	if f.kind != answerKind && f.kind != refusalKind {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if answer := a.waiting[f.id]; answer != nil {
		delete(a.waiting, f.id)
		answer <- f
	}
	return f.id <= a.last
}

// close breaks the stream.
func (a *asker) close() {
	_ = a.conn.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.broken = true
	a.asked.Signal()
	for _, answer := range a.waiting {
		close(answer)
	}
	clear(a.waiting)
}

func (a *asker) isBroken() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.broken
}

// silence returns the time for which nothing has come.
func (a *asker) silence() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Since(a.heard)
}

// reader reads the network connection of an asker. It fails if the other end gives no sign of
// life.
type reader struct{ *asker }

func (a reader) Read(b []byte) (int, error) {
	for silent := time.Duration(0); ; silent += pingInterval {
		_ = a.conn.SetReadDeadline(time.Now().Add(pingInterval))
		n, err := a.conn.Read(b)
		switch {
		case n > 0:
			a.mu.Lock()
			a.heard = time.Now()
			a.mu.Unlock()
			return n, err
		case !errors.Is(err, os.ErrDeadlineExceeded), silent >= pingTimeout:
			return n, err
		case silent == 0:
			_, _ = a.send(helloPath, a.hello, nil) // read fails as well
		}
	}
}
