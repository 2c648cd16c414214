package hub

import (
	"runtime"
	"sync"
)

// inbox is received data that is not handled yet. Its lock is held while data is handled.
type inbox struct {
	mu       sync.Mutex
	partial  []byte // the beginning of a record; while OnConnected runs, all data received since
	received int64  // bytes from the client in total
	started  bool   // methods were started since the last yieldLocked
}

// maxBacklog is the number of bytes that may be received while OnConnected runs before
// the reader stops. It equals the original's receive buffer.
const maxBacklog = 65536

// maxIdleInput is the size in bytes of the largest buffer that an idle session keeps.
const maxIdleInput = 4096

// hasRoomLocked reports whether n more bytes may be received while OnConnected runs.
func (i *inbox) hasRoomLocked(n int) bool {
	return len(i.partial) == 0 || len(i.partial)+n <= maxBacklog
}

func (i *inbox) appendLocked(data []byte) { i.partial = append(i.partial, data...) }

// joinLocked returns the kept data followed by data. The first seen bytes are the kept
// ones.
func (i *inbox) joinLocked(data []byte) (all []byte, seen int) {
	if seen = len(i.partial); seen == 0 {
		return data, 0
	}
	i.appendLocked(data)
	return i.partial, seen
}

// keepLocked keeps the rest of the data that joinLocked has returned.
func (i *inbox) keepLocked(rest, all []byte) {
	if len(rest) == 0 {
		i.clearLocked()
	} else if len(rest) < len(all) || len(i.partial) == 0 {
		i.partial = append(i.partial[:0], rest...)
	}
}

// takeBacklogLocked removes and returns the data received while OnConnected ran.
func (i *inbox) takeBacklogLocked() []byte {
	backlog := i.partial
	i.partial = nil
	return backlog
}

func (i *inbox) clearLocked() {
	i.partial = i.partial[:0]
	if cap(i.partial) > maxIdleInput {
		i.partial = nil
	}
}

// yieldLocked lets the methods that were started since the last yield run and send their
// results. In the original, a method that does not wait ends before the next message is
// read. Invocations that arrive together need one yield only, because they run one after
// the other anyway.
func (i *inbox) yieldLocked() {
	if i.started {
		i.started = false
		runtime.Gosched()
	}
}

// forget discards the kept data.
func (i *inbox) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.clearLocked()
}
