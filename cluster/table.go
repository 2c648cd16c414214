package cluster

import "sync"

// table is a map with a limit: a new entry takes the place of the oldest one. It is safe for
// concurrent use.
type table[V any] struct {
	mu      sync.Mutex
	limit   int
	entries map[string]V
	order   []string // a ring, in which next is the oldest; some may no longer be in entries
	next    int
	evicted bool
}

func newTable[V any](limit int) *table[V] {
	return &table[V]{limit: limit, entries: map[string]V{}}
}

// get returns an entry, or the zero value.
func (t *table[V]) get(key string) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[key]
}

func (t *table[V]) put(key string, v V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.entries[key]; ok {
		t.entries[key] = v
		return
	}
	if len(t.order) < t.limit {
		t.order = append(t.order, key)
	} else {
		if _, ok := t.entries[t.order[t.next]]; ok {
			delete(t.entries, t.order[t.next])
			t.evicted = true
		}
		t.order[t.next] = key
		t.next = (t.next + 1) % t.limit
	}
	t.entries[key] = v
}

// remove removes an entry.
func (t *table[V]) remove(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.entries, key)
}

// hasEvicted reports whether an entry was removed because there were too many.
func (t *table[V]) hasEvicted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.evicted
}
