package cluster

import (
	"maps"
	"slices"
	"sync"
)

// table is a map with a limit: a new entry takes the place of the oldest one. It is safe for
// concurrent use.
type table[V any] struct {
	mu      sync.Mutex
	limit   int
	entries map[string]V
	order   []string // oldest first; some may no longer be in entries
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
	_, known := t.entries[key]
	t.entries[key] = v
	if known {
		return
	}
	t.order = append(t.order, key)
	for ; len(t.entries) > t.limit; t.order = t.order[1:] {
		if _, ok := t.entries[t.order[0]]; ok {
			delete(t.entries, t.order[0])
			t.evicted = true
		}
	}
	if len(t.order) > 2*t.limit { // of removed entries, which may have come again
		kept := make(map[string]bool, len(t.entries))
		t.order = slices.DeleteFunc(t.order, func(key string) bool {
			_, ok := t.entries[key]
			again := kept[key]
			kept[key] = true
			return !ok || again
		})
	}
}

// remove removes entries.
func (t *table[V]) remove(keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		delete(t.entries, key)
	}
}

// fill returns all entries if at least half of the table is used, and none otherwise.
func (t *table[V]) fill() map[string]V {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) < t.limit/2 {
		return nil
	}
	return maps.Clone(t.entries)
}

// hasEvicted reports whether an entry was removed because there were too many.
func (t *table[V]) hasEvicted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.evicted
}
