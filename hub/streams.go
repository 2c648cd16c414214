package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/carillon-go/carillon/internal/notify"
)

// streams are the streams of a client in both directions, by their ids, and the calls that
// send or receive them. The session's reader alone adds to them.
type streams struct {
	mu   sync.Mutex
	down map[string]*call  // streaming invocations by id
	up   map[string]upload // uploaded streams by id
	// receivers are the calls of all uploads, those that the client has ended included.
	receivers map[upload]*call
	budget    *uploadBudget // nil until the first upload
	closed    error         // new uploads end with it; nil: open
}

// add adds the streams of a call: its items, or its uploads. It sets
// c.conflict or c.Duplicate and adds nothing if another call has one of the ids.
func (l *streams) add(c *call) (added bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.conflict = l.conflictLocked(c); c.conflict != nil {
		return false
	}
	if c.streamed {
		c.Duplicate = l.down[c.id] != nil
	} else {
		c.Duplicate = !c.session.tasks.AddRunning(&c.Task)
	}
	if c.Duplicate {
		return false
	}
	l.openUploadsLocked(c)
	if c.streamed {
		c.ctx, c.cancel = context.WithCancel(c.session.ctx)
		if l.down == nil {
			l.down = make(map[string]*call)
		}
		l.down[c.id] = c
	}
	return true
}

// conflictLocked returns an error if one of the call's uploads has the id of an open
// upload.
func (l *streams) conflictLocked(c *call) error {
	var passed seenNames
	for i, id := range c.streamIDs {
		if l.up[id] != nil || passed.isRepeated(c.streamIDs, i) {
			return NewError(fmt.Sprintf("Stream ID '%s' is already in use.", id))
		}
	}
	return nil
}

// openUploadsLocked opens the uploads of a call. Their ids must be free.
func (l *streams) openUploadsLocked(c *call) {
	if len(c.streamIDs) > 0 && c.method.authorize != nil {
		c.decided = make(chan struct{})
	}
	if l.budget == nil {
		s := c.session
		l.budget = &uploadBudget{out: &s.out, items: s.hub.options.StreamBufferCapacity, freed: notify.NewSignal()}
	}
	_, targets := c.method.split(c.params)
	for i, t := range targets {
		u := t.open(l.budget, c.method.decodesItself)
		c.uploads = append(c.uploads, u)
		if l.up == nil {
			l.up = make(map[string]upload)
			l.receivers = make(map[upload]*call)
		}
		l.up[c.streamIDs[i]] = u
		l.receivers[u] = c
		if l.closed != nil {
			u.end(l.closed)
		}
	}
}

// undecided returns the channel of a call that holds an upload id of c and is not yet
// authorized, or nil.
func (l *streams) undecided(c *call) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range c.streamIDs {
		if holder := l.receivers[l.up[id]]; holder != nil && holder.decided != nil {
			return holder.decided
		}
	}
	return nil
}

// decide records that a call is authorized. For a call that is refused, remove does this
// after it has freed the ids.
func (l *streams) decide(c *call) {
	if c.decided != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.decideLocked(c)
	}
}

func (*streams) decideLocked(c *call) {
	if c.decided != nil {
		close(c.decided)
		c.decided = nil
	}
}

// remove removes the streams of a call that has ended, and ends its uploads.
func (l *streams) remove(c *call) {
	l.mu.Lock()
	l.freeUploadsLocked(c)
	for _, u := range c.uploads {
		delete(l.receivers, u)
	}
	if l.down[c.id] == c {
		delete(l.down, c.id)
		c.cancel()
	}
	l.decideLocked(c)
	l.mu.Unlock()
	for _, u := range c.uploads {
		u.end(nil)
		u.drop()
	}
}

// cancelUploads ends the uploads of a cancelled call and frees their ids.
func (l *streams) cancelUploads(c *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.freeUploadsLocked(c)
	for _, u := range c.uploads {
		u.end(context.Canceled)
	}
}

func (l *streams) freeUploadsLocked(c *call) {
	for i, u := range c.uploads {
		if l.up[c.streamIDs[i]] == u {
			delete(l.up, c.streamIDs[i])
		}
	}
}

// close ends all uploads, and those that are opened later, with an error.
func (l *streams) close(err error) {
	l.mu.Lock()
	open := l.receivers
	l.up, l.receivers, l.closed = nil, nil, err
	l.mu.Unlock()
	for u := range open {
		u.end(err)
	}
}

// cancelAll cancels the streaming invocations.
func (l *streams) cancelAll() {
	l.mu.Lock()
	calls := slices.Collect(maps.Values(l.down))
	l.mu.Unlock()
	for _, c := range calls {
		c.interrupt()
	}
}

// find returns the streaming invocation with an id, or nil.
func (l *streams) find(id string) *call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.down[id]
}

// upload returns the open upload with an id, and the call that receives it, or nil.
func (l *streams) upload(id string) (upload, *call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.up[id]
	return u, l.receivers[u]
}

// endUpload ends an upload with err or nil, and frees its id.
func (l *streams) endUpload(id string, err error) {
	l.mu.Lock()
	u := l.up[id]
	delete(l.up, id)
	l.mu.Unlock()
	if u != nil {
		u.end(err)
	}
}

// count returns the number of streams in both directions.
func (l *streams) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.down) + len(l.receivers)
}

// held returns the number of bytes buffered in the uploads.
func (l *streams) held() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.budget == nil {
		return 0
	}
	return l.budget.held.Load()
}
