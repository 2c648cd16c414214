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

// KeepEvents keeps what is sent to others than single connections, the newest so many
// events and bytes, for listeners that come back. It is called before the first connection.
// From then on events have ids, which strictly increase in every stream; the ids of another
// process are strange to this one. A second call with the same numbers changes nothing; one
// with others panics.
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
	epoch               string // begins every id

	mu    sync.Mutex // held while listeners are sent an event, and while one joins
	last  int64      // number of the newest event
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

// keepEvent gives a message the next id. Who sends it calls sent when listeners have it.
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

// streamStartLocked tells a listener when to come back, what it missed, and where it is, so that it
// misses nothing if it is cut before the next event. It is one frame, which an empty queue
// always takes. The lock is held.
func (h *history) streamStartLocked(s *Session) []byte {
	const blank = "\r\n\r\n"
	text := []byte(protocol.Retry)
	if last := s.info.LastEventID; last != "" {
		since, whole := h.number(last)
		if !whole {
			text = append(append(text, "\r\n"...), protocol.Gap...)
		}
		groups := newNameSet(s.info.Groups)
		for _, past := range h.kept {
			if past.number > since && s.isMeant(past.to, groups) {
				text = append(append(text, blank...), past.text...)
			}
		}
	}
	return h.appendID(append(text, blank...))
}

// number is that of an id, if everything since is kept.
func (h *history) number(id string) (since int64, whole bool) {
	epoch, digits, _ := strings.Cut(id, "-")
	since, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || epoch != h.epoch || since > h.last || since < h.last-int64(len(h.kept)) {
		return 0, false
	}
	return since, true
}

// isMeant tells whether what went to an audience was for a listener of some groups that was away.
func (s *Session) isMeant(to Audience, groups nameSet) bool {
	switch to.Kind {
	case InGroups:
		return slices.ContainsFunc(to.Names, groups.has)
	case OfUsers:
		id := s.userID()
		return id != "" && slices.Contains(to.Names, id)
	}
	return true
}
