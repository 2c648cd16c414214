package appserver

import (
	"maps"
	"slices"
	"sync"

	"github.com/carillon-go/carillon/protocol"
)

// protocols are the hub protocols that the tracker understands. Clients with others are not moved.
var protocols = map[string]protocol.HubProtocol{
	"json": protocol.NewJSON(protocol.JSONOptions{}), "messagepack": protocol.NewMessagePack(),
}

// maxRecord is the size in bytes of the largest message of a client that is moved. The client is
// never moved after a longer one.
const maxRecord = 1 << 20

// maxTracked is the limit of the ids that are tracked for a client. Above it the client is not moved.
const maxTracked = 10_000

// tracker knows, from the messages of a client and its server, the invocations that the server has not
// completed. It is safe for concurrent use.
type tracker struct {
	protocol protocol.HubProtocol

	mu      sync.Mutex
	partial []byte // the beginning of a message of the client
	lost    bool   // the messages of the client could not be followed
	// The ids of the client's invocations, each with the uploads that belong to it, of all open
	// uploads, and of the results that the server wants from the client.
	calls   map[string][]string
	uploads map[string]bool
	asked   map[string]bool
	// The ids of uploads and results that an earlier server knew.
	dead map[string]bool
}

// newTracker returns the tracker of a client, or nil if its protocol is not understood.
func newTracker(protocolName string) *tracker {
	p := protocols[protocolName]
	if p == nil {
		return nil
	}
	return &tracker{
		protocol: p, calls: map[string][]string{}, uploads: map[string]bool{}, asked: map[string]bool{}, dead: map[string]bool{},
	}
}

// record is a whole message of a client, with its framing.
type record struct {
	bytes   []byte
	message protocol.Message
}

// split returns the whole messages in the data of a client, and keeps the beginning of the next one.
// If the client can no longer be followed, raw are the bytes since the last whole message.
func (t *tracker) split(data []byte) (whole []record, raw []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost {
		return nil, data
	}
	if len(t.partial) > 0 {
		data = append(t.partial, data...)
	}
	for len(data) > 0 {
		text, rest, err := t.protocol.Next(data, 0, maxRecord)
		r := record{bytes: data[:len(data)-len(rest)]}
		if err == nil && text != nil {
			err = t.protocol.Parse(text, &r.message)
		}
		if err != nil || len(t.calls)+len(t.uploads)+len(t.asked)+len(t.dead) > maxTracked {
			t.loseLocked()
			return whole, data
		}
		if text == nil {
			break
		}
		whole, data = append(whole, r), rest
	}
	t.partial = append(t.partial[:0:0], data...)
	return whole, nil
}

// loseLocked gives up following the client.
func (t *tracker) loseLocked() {
	t.lost, t.partial = true, nil
	t.calls, t.uploads, t.asked, t.dead = nil, nil, nil, nil
}

// parse returns the whole messages that split has returned before.
func (t *tracker) parse(data []byte) (all []record) {
	for len(data) > 0 {
		text, rest, err := t.protocol.Next(data, 0, 0)
		if err != nil || text == nil {
			break
		}
		r := record{bytes: data[:len(data)-len(rest)]}
		_ = t.protocol.Parse(text, &r.message)
		all, data = append(all, r), rest
	}
	return all
}

// isFollowed reports whether the client can be moved.
func (t *tracker) isFollowed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.lost
}

// passes notes a message that is about to be sent to the server. It returns false for a message
// that only an earlier server can understand.
func (t *tracker) passes(m *protocol.Message) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lost {
		return true
	}
	switch m.Type {
	case protocol.Invocation, protocol.StreamInvocation:
		if _, again := t.calls[m.InvocationID]; again { // it would have two completions
			t.loseLocked()
			return true
		}
		if m.InvocationID != "" {
			t.calls[m.InvocationID] = m.StreamIDs
		}
		for _, id := range m.StreamIDs {
			t.uploads[id] = true
		}
	case protocol.StreamItem:
		return !t.dead[m.InvocationID]
	case protocol.Completion:
		delete(t.asked, m.InvocationID)
		delete(t.uploads, m.InvocationID)
		dead := t.dead[m.InvocationID]
		delete(t.dead, m.InvocationID)
		return !dead
	}
	return true
}

// ask notes that a server wants a result from the client.
func (t *tracker) ask(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.lost {
		t.asked[id] = true
	}
}

// follow notes the messages of the server. It reports whether nothing is open after them.
func (t *tracker) follow(messages []byte) (idle bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(messages) > 0 && !t.lost {
		text, rest, err := t.protocol.Next(messages, 0, 0)
		var m protocol.Message
		if err == nil && text != nil {
			err = t.protocol.Parse(text, &m)
		}
		switch {
		case err != nil || text == nil || len(t.asked) > maxTracked:
			t.loseLocked()
		case m.Type == protocol.Completion:
			for _, id := range t.calls[m.InvocationID] {
				delete(t.uploads, id)
			}
			delete(t.calls, m.InvocationID)
		case m.Type == protocol.Invocation && m.InvocationID != "":
			t.asked[m.InvocationID] = true
		}
		messages = rest
	}
	return t.isIdleLocked()
}

// isIdle reports whether no invocation and no upload is open.
func (t *tracker) isIdle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isIdleLocked()
}

func (t *tracker) isIdleLocked() bool { return len(t.calls)+len(t.uploads) == 0 }

// abandon forgets everything that the server knew: it has gone. It returns the invocations that
// no server will complete.
func (t *tracker) abandon() (calls []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ids := range []map[string]bool{t.uploads, t.asked} {
		for id := range ids {
			t.dead[id] = true
		}
		clear(ids)
	}
	calls = slices.Sorted(maps.Keys(t.calls))
	clear(t.calls)
	return calls
}
