package backplane

import (
	"sync"
	"time"
)

// members counts the members of channels in this process. A channel with members is
// subscribed. Without members it stays subscribed for linger, in case one comes back after a
// reload of its page, unless it is that of a connection.
type members struct {
	unsubscribe func(channels []string) // must not block
	linger      time.Duration

	mu      sync.Mutex
	of      map[string]*membership // of subscribed channels
	waiting []departure            // in the order of time
	timer   *time.Timer            // nil: nothing waits
	closed  bool
}

type membership struct {
	count     int
	confirmed bool // the broker has subscribed the channel
}

type departure struct {
	channel string
	at      time.Time // of the end of the subscription
}

// add counts one more member of each channel. It reports whether all are subscribed.
func (m *members) add(channels []string) (confirmed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	confirmed = true
	for _, channel := range channels {
		of := m.of[channel]
		if of == nil {
			of = &membership{}
			if m.of == nil {
				m.of = make(map[string]*membership)
			}
			m.of[channel] = of
		}
		of.count++
		confirmed = confirmed && of.confirmed
	}
	return confirmed
}

// confirm notes that channels are subscribed.
func (m *members) confirm(channels []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, channel := range channels {
		if of := m.of[channel]; of != nil {
			of.confirmed = true
		}
	}
}

// has reports whether a channel is subscribed. Without members its copies are awaited, too: a member
// that comes then must not get an earlier message.
func (m *members) has(channel string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	of := m.of[channel]
	return of != nil && of.confirmed
}

// remove counts one member less of each channel. lingers reports whether a channel stays
// subscribed for a time.
func (m *members) remove(channels []string, lingers func(channel string) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ended []string
	for _, channel := range channels {
		of := m.of[channel]
		if of == nil {
			continue
		}
		if of.count--; of.count > 0 {
			continue
		}
		if m.linger > 0 && lingers(channel) {
			m.waiting = append(m.waiting, departure{channel, time.Now().Add(m.linger)})
			continue
		}
		delete(m.of, channel)
		ended = append(ended, channel)
	}
	m.endLocked(ended)
	m.scheduleLocked()
}

func (m *members) endLocked(channels []string) {
	if len(channels) > 0 {
		m.unsubscribe(channels)
	}
}

func (m *members) scheduleLocked() {
	if len(m.waiting) > 0 && m.timer == nil && !m.closed {
		m.timer = time.AfterFunc(time.Until(m.waiting[0].at), m.sweep)
	}
}

// sweep ends the subscriptions that have lingered long enough.
func (m *members) sweep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.timer = nil
	now := time.Now()
	var ended []string
	for len(m.waiting) > 0 && !m.waiting[0].at.After(now) {
		channel := m.waiting[0].channel
		m.waiting = m.waiting[1:]
		if of := m.of[channel]; of != nil && of.count == 0 {
			delete(m.of, channel)
			ended = append(ended, channel)
		}
	}
	if m.closed {
		return
	}
	m.endLocked(ended)
	m.scheduleLocked()
}

// close ends all subscriptions.
func (m *members) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.timer != nil {
		m.timer.Stop()
	}
	all := make([]string, 0, len(m.of))
	for channel := range m.of {
		all = append(all, channel)
	}
	m.of, m.waiting = nil, nil
	m.endLocked(all)
}
