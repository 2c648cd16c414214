package hub

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"unsafe"
	"weak"
)

// endings are the Done channels of a session's invocations that have been asked for one.
// They are closed when the session ends. The references are weak: after the method has
// returned, the channel is freed with the last goroutine that waits for it.
type endings struct {
	mu   sync.Mutex
	open []weak.Pointer[byte]
}

// add registers a channel to be closed with the session, or closes it if the session's
// ctx has ended.
func (l *endings) add(session context.Context, done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if session.Err() != nil { // closeAll may have run already
		closeOnce(done)
		return
	}
	if len(l.open) == cap(l.open) {
		l.open = slices.DeleteFunc(l.open, isClosed)
		l.open = slices.Grow(l.open, len(l.open)+1)
	}
	l.open = append(l.open, weaken(done))
}

func (l *endings) closeOne(done chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	closeOnce(done)
}

func (l *endings) closeAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.open {
		if done := strengthen(w); done != nil {
			closeOnce(done)
		}
	}
	l.open = nil
}

// closeOnce closes a channel that may be closed already. The caller holds the endings'
// lock.
func closeOnce(done chan struct{}) {
	select {
	case <-done:
	default:
		close(done)
	}
}

// isClosed reports whether a channel is closed, or nothing refers to it.
func isClosed(w weak.Pointer[byte]) bool {
	done := strengthen(w)
	if done == nil {
		return true
	}
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// weaken returns a weak reference to a channel. A channel is a pointer to memory of its
// own, so package weak can track it.
func weaken(done chan struct{}) weak.Pointer[byte] {
	return weak.Make((*byte)(reflect.ValueOf(done).UnsafePointer()))
}

// strengthen returns the channel of a weak reference, or nil if nothing refers to it.
func strengthen(w weak.Pointer[byte]) chan struct{} {
	p := w.Value()
	return *(*chan struct{})(unsafe.Pointer(&p))
}
