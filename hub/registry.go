package hub

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
)

// shardCount spreads what many connections change at once.
const shardCount = 64

var shardSeed = maphash.MakeSeed()

func shardOf(name string) int { return int(maphash.String(shardSeed, name) % shardCount) }

// set is a set of sessions. Its lock is its owner's.
type set struct {
	members map[*Session]struct{}
	list    []*Session // the members as they were read last, never written again; nil after a change
}

func (s *set) add(m *Session) {
	if s.members == nil {
		s.members = make(map[*Session]struct{})
	}
	s.members[m] = struct{}{}
	s.list = nil
}

func (s *set) remove(m *Session) {
	delete(s.members, m)
	s.list = nil
}

// snapshot returns the members in a slice that is valid for ever, so that nothing is
// locked while something is sent to them.
func (s *set) snapshot() []*Session {
	if s.list == nil && len(s.members) > 0 {
		s.list = make([]*Session, 0, len(s.members))
		for m := range s.members {
			s.list = append(s.list, m)
		}
	}
	return s.list
}

// connections are the sessions by their ids.
type connections struct {
	shards [shardCount]connectionShard

	mu   sync.Mutex
	list []*Session // all of them, never written again; nil after a change
}

type connectionShard struct {
	mu   sync.Mutex
	byID map[string]*Session
}

func (c *connections) add(s *Session) {
	defer c.changed()
	h := &c.shards[shardOf(s.id)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID == nil {
		h.byID = make(map[string]*Session)
	}
	h.byID[s.id] = s
}

func (c *connections) remove(s *Session) {
	defer c.changed()
	h := &c.shards[shardOf(s.id)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID[s.id] == s {
		delete(h.byID, s.id)
	}
}

// changed forgets the list, last: what it is made of has changed before.
func (c *connections) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = nil
}

func (c *connections) find(id string) *Session {
	h := &c.shards[shardOf(id)]
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.byID[id]
}

// snapshot returns all sessions in a slice that is valid for ever, in the order in which
// they came: what belongs to neighbours, the kernel's sockets above all, lies side by side
// in memory, and a third of a broadcast to many is waiting for memory.
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
		for _, s := range h.byID {
			all = append(all, s)
		}
		h.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b *Session) int { return cmp.Compare(a.number, b.number) })
	c.list = all
	return all
}

// directory is sets by name: groups, users. An empty set is no more.
type directory struct{ shards [shardCount]directoryShard }

type directoryShard struct {
	mu   sync.Mutex
	sets map[string]*set
}

func (d *directory) add(name string, s *Session) {
	h := &d.shards[shardOf(name)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sets == nil {
		h.sets = make(map[string]*set)
	}
	if h.sets[name] == nil {
		h.sets[name] = &set{}
	}
	h.sets[name].add(s)
}

func (d *directory) remove(name string, s *Session) {
	h := &d.shards[shardOf(name)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if members := h.sets[name]; members != nil {
		members.remove(s)
		if len(members.members) == 0 {
			delete(h.sets, name)
		}
	}
}

func (d *directory) snapshot(name string) []*Session {
	h := &d.shards[shardOf(name)]
	h.mu.Lock()
	defer h.mu.Unlock()
	if members := h.sets[name]; members != nil {
		return members.snapshot()
	}
	return nil
}

// memberships are the groups of one session. What it does to a group it does under
// its lock, so that nobody is in a group that it left at its end.
type memberships struct {
	mu     sync.Mutex
	names  map[string]struct{}
	closed bool
}

func (m *memberships) join(group string, add func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	if m.names == nil {
		m.names = make(map[string]struct{})
	}
	m.names[group] = struct{}{}
	add()
}

func (m *memberships) leave(group string, remove func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, in := m.names[group]; in {
		delete(m.names, group)
		remove()
	}
}

// leaveAll returns the groups and admits no more.
func (m *memberships) leaveAll() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	groups := make([]string, 0, len(m.names))
	for g := range m.names {
		groups = append(groups, g)
	}
	m.names = nil
	return groups
}
