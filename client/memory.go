package client

import (
	"sync"
	"time"
)

// maxOrigins limits the entries of a Memory. At the limit a new entry replaces one of another
// origin.
const maxOrigins = 1024

// A failure counts for five minutes. Each confirmation doubles the time, up to an hour, so that a
// repaired network gets its better transports back.
const (
	firstDoubt = 5 * time.Minute
	mostDoubt  = time.Hour
)

// Memory remembers the transports that failed while another one worked for the same origin. They
// are tried last until the memory expires. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex
	origins map[string]map[Transport]doubt
}

type doubt struct {
	until time.Time
	span  time.Duration
}

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{origins: make(map[string]map[Transport]doubt)}
}

// arrange returns the transports in the same order, except that doubtful ones are last.
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

// record stores the outcome of a successful start: the transports that failed and the one that
// worked. A start without a working transport says nothing about transports and is not recorded.
func (m *Memory) record(origin string, failed []Transport, worked Transport) {
	m.mu.Lock()
	defer m.mu.Unlock()
	doubts := m.origins[origin]
	delete(doubts, worked)
	if len(failed) == 0 {
		return
	}
	if doubts == nil {
		for other := range m.origins {
			if len(m.origins) < maxOrigins {
				break
			}
			delete(m.origins, other)
		}
		doubts = make(map[Transport]doubt)
		m.origins[origin] = doubts
	}
	for _, t := range failed {
		span := min(max(2*doubts[t].span, firstDoubt), mostDoubt)
		doubts[t] = doubt{until: time.Now().Add(span), span: span}
	}
}
