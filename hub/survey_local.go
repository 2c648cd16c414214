package hub

import (
	"context"
	"iter"
	"runtime"
	"slices"
)

// lists returns the connections of an audience in lists that are never modified. A connection in
// several groups is in several lists.
func (l *local) lists(to Audience) iter.Seq[[]*Session] {
	return func(yield func([]*Session) bool) {
		if to.Kind == Everyone {
			_ = yield(l.connections.snapshot()) && yield(l.listeners.connections.snapshot())
			return
		}
		var passed seenNames
		for i, name := range to.Names {
			if !passed.isRepeated(to.Names, i) && !l.listsNamed(to.Kind, name, yield) {
				return
			}
		}
	}
}

func (l *local) listsNamed(kind AudienceKind, name string, yield func([]*Session) bool) (goOn bool) {
	switch kind {
	case InGroups:
		return yield(l.groups.snapshot(name)) && yield(l.listeners.groups.snapshot(name))
	case OfUsers:
		return yield(l.users.snapshot(name)) && yield(l.listeners.users.snapshot(name))
	}
	s := l.find(name)
	return s == nil || yield([]*Session{s})
}

// in returns the connections of an audience, until ctx ends. One in several groups comes several
// times.
func (l *local) in(ctx context.Context, to Audience) iter.Seq[*Session] {
	return func(yield func(*Session) bool) {
		except := newNameSet(to.Except)
		for list := range l.lists(to) {
			for i, s := range list {
				if i%batchSize == batchSize-1 {
					if runtime.Gosched(); ctx.Err() != nil {
						return
					}
				}
				if (len(to.Except) == 0 || !except.has(s.caller.id)) && !yield(s) {
					return
				}
			}
		}
	}
}

// count returns the number of connections of an audience.
func (l *local) count(ctx context.Context, to Audience) (n int) {
	if to.Kind != InGroups || len(to.Names) < 2 {
		for range l.in(ctx, to) {
			n++
		}
		return n
	}
	seen := make(map[*Session]struct{})
	for s := range l.in(ctx, to) {
		seen[s] = struct{}{}
	}
	return len(seen)
}

// countIn returns 1 if a user of an audience is in a group, or is kept for it, and otherwise 0.
func (h *Hub) countIn(ctx context.Context, users Audience, group string) int {
	if slices.ContainsFunc(users.Names, func(user string) bool { return h.userGroups.has(user, group) }) {
		return 1
	}
	return h.local.countAny(ctx, users, func(s *Session) bool { return s.groups.has(group) })
}

// countAny returns 1 if a connection of an audience is wanted, and otherwise 0.
func (l *local) countAny(ctx context.Context, to Audience, isWanted func(*Session) bool) int {
	for s := range l.in(ctx, to) {
		if isWanted(s) {
			return 1
		}
	}
	return 0
}

// page returns the first connections after q.After.
func (l *local) page(ctx context.Context, q *Survey) (f Findings) {
	size := min(max(q.Max, 1), MaxPageSize)
	for s := range l.in(ctx, q.Of) {
		m := Member{ConnectionID: s.caller.id}
		full := len(f.Members) == size
		if m.ConnectionID <= q.After {
			continue
		}
		if full && m.ConnectionID > f.last() {
			f.More = true
			continue
		}
		at, known := slices.BinarySearchFunc(f.Members, m, compareMembers)
		if known {
			continue
		}
		if full {
			f.Members, f.More = f.Members[:size-1], true
		}
		m.UserID = s.caller.UserID()
		f.Members = slices.Insert(f.Members, at, m)
	}
	bytes := 0
	for i, m := range f.Members {
		if bytes += len(m.ConnectionID) + len(m.UserID); bytes > maxPageBytes && i > 0 {
			f.Members, f.More = f.Members[:i], true
			break
		}
	}
	return f
}
