package backplane

import (
	"context"
	"sync"
	"time"
)

// Memory joins the hubs of one process, for tests: each has a broker of its own. The zero
// value joins none. It is safe for concurrent use.
type Memory struct {
	mu      sync.Mutex // held while a payload is received: all receivers get the same order
	brokers []*memoryBroker
}

// Broker returns the broker of one more backplane. It needs no Close.
func (m *Memory) Broker() Broker {
	b := &memoryBroker{memory: m, receivers: make(map[string]Receiver), since: time.Now()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.brokers = append(m.brokers, b)
	return b
}

// memoryBroker is guarded by the lock of its memory.
type memoryBroker struct {
	memory    *Memory
	receivers map[string]Receiver // by channel
	since     time.Time
}

// Publish implements Broker.
func (b *memoryBroker) Publish(_ context.Context, payload []byte, channels ...string) (receivers int, err error) {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	for _, channel := range channels {
		for _, other := range b.memory.brokers {
			if r := other.receivers[channel]; r != nil {
				r.Receive(channel, payload)
				receivers++
			}
		}
	}
	return receivers, nil
}

// Subscribe implements Broker.
func (b *memoryBroker) Subscribe(_ context.Context, r Receiver, channels ...string) error {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	for _, channel := range channels {
		b.receivers[channel] = r
	}
	return nil
}

// Unsubscribe implements Broker.
func (b *memoryBroker) Unsubscribe(channels ...string) {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	for _, channel := range channels {
		delete(b.receivers, channel)
	}
}

// Subscribers implements Surveyor.
func (b *memoryBroker) Subscribers(_ context.Context, channels ...string) ([]int, error) {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	counts := make([]int, len(channels))
	for i, channel := range channels {
		for _, other := range b.memory.brokers {
			if other != b && other.receivers[channel] != nil {
				counts[i]++
			}
		}
	}
	return counts, nil
}

// State implements Broker.
func (b *memoryBroker) State() State {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	return State{Since: b.since, Subscribed: len(b.receivers), Wanted: len(b.receivers)}
}

// Close implements Broker.
func (b *memoryBroker) Close() {
	b.memory.mu.Lock()
	defer b.memory.mu.Unlock()
	b.receivers = make(map[string]Receiver)
}
