package backplane

import "sync"

// waiters wait for a value of other processes, each by its key.
type waiters[Key comparable, Value any] struct {
	mu    sync.Mutex
	byKey map[Key]chan Value
}

// add returns a channel that gets the value for a key.
func (w *waiters[Key, Value]) add(key Key) <-chan Value {
	got := make(chan Value, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byKey == nil {
		w.byKey = make(map[Key]chan Value)
	}
	w.byKey[key] = got
	return got
}

// remove ends the wait for a key.
func (w *waiters[Key, Value]) remove(key Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byKey, key)
}

// wake passes the value for a key to its waiter. A key without a waiter is ignored.
func (w *waiters[Key, Value]) wake(key Key, v Value) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.byKey[key]; got != nil {
		got <- v
		delete(w.byKey, key)
	}
}
