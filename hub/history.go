package hub

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// KeepEvents keeps the newest messages that are sent to audiences other than single
// connections, at most maxEvents events and maxBytes bytes, for listeners that reconnect.
// It must be called before the first connection. Events then have ids, which strictly
// increase in every stream. Ids of another process are not recognized. A second call with
// the same numbers has no effect; one with other numbers panics.
func (h *Hub) KeepEvents(maxEvents, maxBytes int) {
	place := h.registering()
	if k := h.local.history; k != nil {
		if k.maxEvents != maxEvents || k.maxBytes != maxBytes {
			panic(fmt.Sprintf("hub: %s: the hub keeps %d events and %d bytes already", place, k.maxEvents, k.maxBytes))
		}
		return
	}
	h.local.history = &history{wire: h.events, maxEvents: maxEvents, maxBytes: maxBytes, epoch: rand.Text()[:8]}
}

type history struct {
	wire                *wire
	maxEvents, maxBytes int
	epoch               string // prefix of every id

	mu    sync.Mutex // held while an event is sent to listeners, and while a listener joins
	last  int64      // the number of the newest event
	kept  []pastEvent
	bytes int
}

type pastEvent struct {
	number int64
	to     Audience
	text   []byte
}

func (p pastEvent) size() int {
	size := len(p.text)
	for _, name := range p.to.Names {
		size += len(name)
	}
	return size
}

// keepEvent gives a message the next id. The caller must call sent after it has sent the
// message to the listeners.
func (h *history) keepEvent(to Audience, m *message) (sent func(), err error) {
	f, err := m.frame(h.wire)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	h.last++
	text := append(append(h.appendID(nil), "\r\n"...), f.Payload()...)
	m.frames[h.wire.index].Store(frame.NewEvent(text).With(m.delivery))
	past := pastEvent{h.last, Audience{Kind: to.Kind, Names: slices.Clone(to.Names)}, text}
	h.kept = append(h.kept, past)
	h.bytes += past.size()
	for len(h.kept) > h.maxEvents || h.bytes > h.maxBytes {
		h.bytes -= h.kept[0].size()
		h.kept[0] = pastEvent{}
		h.kept = h.kept[1:]
	}
	return h.mu.Unlock, nil
}

func (h *history) appendID(dst []byte) []byte {
	dst = append(append(dst, "id: "...), h.epoch...)
	return strconv.AppendInt(append(dst, '-'), h.last, 10)
}

// streamStartLocked returns the start of a listener's stream: the retry time, the events
// that it missed, and the current id, so that it misses nothing if it is cut before the
// next event. The start is one frame, which an empty queue always accepts.
func (h *history) streamStartLocked(c *Caller) []byte {
	const blank = "\r\n\r\n"
	text := []byte(protocol.Retry)
	if last := c.info.LastEventID; last != "" {
		since, whole := h.number(last)
		if !whole {
			text = append(append(text, "\r\n"...), protocol.Gap...)
		}
		groups := newNameSet(c.info.Groups)
		for _, past := range h.kept {
			if past.number > since && past.to.includes(c.UserID(), groups) {
				text = append(append(text, blank...), past.text...)
			}
		}
	}
	return h.appendID(append(text, blank...))
}

// number returns the number of an id. whole is false if not all later events are kept.
func (h *history) number(id string) (since int64, whole bool) {
	epoch, digits, _ := strings.Cut(id, "-")
	since, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || epoch != h.epoch || since > h.last || since < h.last-int64(len(h.kept)) {
		return 0, false
	}
	return since, true
}

// includes reports whether a message to the audience was meant for a listener of a user in
// these groups.
func (a Audience) includes(userID string, groups nameSet) bool {
	switch a.Kind {
	case InGroups:
		return slices.ContainsFunc(a.Names, groups.has)
	case OfUsers:
		return userID != "" && slices.Contains(a.Names, userID)
	}
	return true
}
