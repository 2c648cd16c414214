package client

import (
	"sync"
	"time"
)

// maxOrigins bounds a Memory; above it an entry of any other origin makes room.
const maxOrigins = 1024

// A failure counts for five minutes, and twice as long each time it is confirmed, up to an hour: a
// network that was mended gets its better transports back.
const (
	firstDoubt = 5 * time.Minute
	mostDoubt  = time.Hour
)

// Memory of the transports that did not work while another one of the same origin did. They are
// tried last until the memory fades. Safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	origins map[string]map[Transport]doubt
}

type doubt struct {
	until time.Time
	span  time.Duration
}

// NewMemory makes an empty Memory.
func NewMemory() *Memory {
	return &Memory{origins: make(map[string]map[Transport]doubt)}
}

// arrange returns the transports with those in doubt at the end, otherwise in the same order.
func (m *Memory) arrange(origin string, transports []Transport) []Transport {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	doubts := m.origins[origin]
	var good, bad []Transport
	for _, t := range transports {
		if now.Before(doubts[t].until) {
			bad = append(bad, t)
		} else {
			good = append(good, t)
		}
	}
	return append(good, bad...)
}

// record notes what happened at one start that succeeded: who failed before who worked. A start
// at which nothing worked says nothing about transports and is not recorded.
func (m *Memory) record(origin string, failed []Transport, worked Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	doubts := m.origins[origin]
	delete(doubts, worked)
	if len(failed) == 0 {
		return
	}
	if doubts == nil {
		m.makeRoom()
		doubts = make(map[Transport]doubt)
		m.origins[origin] = doubts
	}
	for _, t := range failed {
		span := min(max(2*doubts[t].span, firstDoubt), mostDoubt)
		doubts[t] = doubt{until: time.Now().Add(span), span: span}
	}
}

func (m *Memory) makeRoom() {
	for origin := range m.origins {
		if len(m.origins) < maxOrigins {
			return
		}
		delete(m.origins, origin)
	}
}
