package hub

import (
	"cmp"
	"hash/maphash"
	"maps"
	"slices"
	"sync"
)

// shardCount is the number of locks for data that many connections change concurrently.
const shardCount = 64

// shards are values by name.
type shards[V any] [shardCount]shard[V]

type shard[V any] struct {
	mu     sync.Mutex
	byName map[string]V
}

var shardSeed = maphash.MakeSeed()

func (s *shards[V]) of(name string) *shard[V] { return &s[maphash.String(shardSeed, name)%shardCount] }

func (h *shard[V]) putLocked(name string, v V) {
	if h.byName == nil {
		h.byName = make(map[string]V)
	}
	h.byName[name] = v
}

// connections are the sessions by id.
type connections struct {
	shards shards[*Session]

	mu   sync.Mutex
	list []*Session // all sessions, never modified; nil after a change
}

func (c *connections) add(s *Session) {
	defer c.changed()
	h := c.shards.of(s.caller.id)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.putLocked(s.caller.id, s)
}

func (c *connections) remove(s *Session) {
	defer c.changed()
	h := c.shards.of(s.caller.id)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byName[s.caller.id] == s {
		delete(h.byName, s.caller.id)
	}
}

// changed invalidates list. It is called after the shard has changed.
func (c *connections) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

func (c *connections) find(id string) *Session {
	h := c.shards.of(id)
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byName[id]
}

// snapshot returns all sessions in a slice that is never modified, ordered by their
// start. The memory of connections that started one after the other, the kernel's sockets
// included, is adjacent; a third of the time of a large broadcast is spent waiting for
// memory.
func (c *connections) snapshot() []*Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.list != nil {
		return c.list
	}
	var all []*Session
	for i := range c.shards {
		h := &c.shards[i]
		h.mu.Lock()
		all = slices.AppendSeq(all, maps.Values(h.byName))
		h.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.number, b.number) })
	c.list = all
	return all
}

// directory holds sets of sessions by name: groups or users. Empty sets are removed.
type directory struct{ shards shards[*set] }

// set is guarded by the lock of its shard.
type set struct {
	members map[*Session]struct{}
	list    []*Session // the result of the last snapshot, never modified; nil after a change
}

func (d *directory) add(name string, s *Session) {
	h := d.shards.of(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byName[name] == nil {
		h.putLocked(name, &set{members: make(map[*Session]struct{})})
	}
	to := h.byName[name]
	to.members[s], to.list = struct{}{}, nil
}

func (d *directory) remove(name string, s *Session) {
	h := d.shards.of(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	if from := h.byName[name]; from != nil {
		delete(from.members, s)
		from.list = nil
		if len(from.members) == 0 {
			delete(h.byName, name)
		}
	}
}

// snapshot returns the members in a slice that is never modified, so that no lock is held
// while a message is sent to them.
func (d *directory) snapshot(name string) []*Session {
	h := d.shards.of(name)
	h.mu.Lock()
	defer h.mu.Unlock()
	of := h.byName[name]
	if of == nil {
		return nil
	}
	if of.list == nil {
		of.list = slices.AppendSeq(make([]*Session, 0, len(of.members)), maps.Keys(of.members))
	}
	return of.list
}

// memberships are the groups of one session. Its lock is held during every change of the
// groups, so that a session cannot join a group after it has left all of them at its end.
type memberships struct {
	mu     sync.Mutex
	names  map[string]struct{}
	bytes  int32 // memory of the groups
	closed bool
}

// maxGroupBytes is the limit for the memory of one connection's groups. In many
// applications clients choose the names of groups. groupBytes is the memory of a group in
// addition to its name.
const (
	maxGroupBytes = 4 << 20
	groupBytes    = 256
)

// errTooManyGroups is the error of Groups.Add when maxGroupBytes is exceeded.
var errTooManyGroups = NewError("The connection is in more groups than it may be.")

// join reports whether the session was not in the group before.
func (m *memberships) join(group string, add func()) (joined bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, in := m.names[group]; in || m.closed {
		return false, nil
	}
	if int(m.bytes)+groupBytes+len(group) > maxGroupBytes {
		return false, errTooManyGroups
	}
	if m.names == nil {
		m.names = make(map[string]struct{})
	}
	m.names[group] = struct{}{}
	m.bytes += groupBytes + int32(len(group)) //nolint:gosec // at most maxGroupBytes
	add()
	return true, nil
}

// leave reports whether the session was in the group.
func (m *memberships) leave(group string, remove func()) (left bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, left = m.names[group]; left {
		delete(m.names, group)
		m.bytes -= groupBytes + int32(len(group)) //nolint:gosec // at most maxGroupBytes
		remove()
	}
	return left
}

// has reports whether the session is in the group.
func (m *memberships) has(group string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, in := m.names[group]
	return in
}

// list returns the groups, sorted.
func (m *memberships) list() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.names))
}

// leaveAll returns the groups and prevents further joins.
func (m *memberships) leaveAll() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	groups := slices.Collect(maps.Keys(m.names))
	m.names = nil
	return groups
}
