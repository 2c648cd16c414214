package redis

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/carillon-go/carillon/backplane"
)

// channels are those that are wanted, and those that the server has confirmed. The lock of
// the broker guards them.
type channels struct {
	byName    map[string]*channel
	connected bool
	todo      []string  // that may have to be subscribed or unsubscribed, in this order
	open      int       // commands for one channel that the server has not confirmed
	moved     time.Time // at which open was 0, or a confirmation came
	last      uint64    // number of the last Subscribe or confirmation
}

type channel struct {
	number    uint64 // of the first Subscribe: older ones are subscribed earlier
	wanted    bool
	receiver  backplane.Receiver // of the last Subscribe: payloads come until the server ends the subscription
	asked     bool               // the last command was to subscribe
	open      int                // commands that the server has not confirmed
	since     uint64             // number of the last confirmation
	confirmed chan struct{}      // closed when the waits end, subscribed or not; nil: there are none
}

func (c *channel) isSubscribed() bool { return c.asked && c.open == 0 }

// wait returns a channel that is closed when there is nothing to wait for.
func (c *channel) wait() <-chan struct{} {
	if c.confirmed == nil {
		c.confirmed = make(chan struct{})
	}
	return c.confirmed
}

// wake ends all waits.
func (c *channel) wake() {
	if c.confirmed != nil {
		close(c.confirmed)
		c.confirmed = nil
	}
}

func (c *channels) want(name string, r backplane.Receiver) *channel {
	of := c.byName[name]
	if of == nil {
		if c.byName == nil {
			c.byName = make(map[string]*channel)
		}
		c.last++
		of = &channel{number: c.last}
		c.byName[name] = of
	}
	of.wanted, of.receiver = true, r
	if c.connected && !of.asked {
		c.todo = append(c.todo, name)
	}
	return of
}

func (c *channels) drop(name string) {
	of := c.byName[name]
	if of == nil {
		return
	}
	of.wanted = false
	of.wake()
	c.forget(name)
	if c.connected {
		c.todo = append(c.todo, name)
	}
}

// next returns the names for the next command, and whether it is to subscribe. It counts
// the command as sent. There are none if everything is sent.
func (c *channels) next() (names []string, subscribe bool) {
	todo := c.todo
	c.todo = todo[:0]
	for i, name := range todo {
		of := c.byName[name]
		wanted := of != nil && of.wanted
		switch {
		case len(names) == batchSize:
			c.todo = append(c.todo, todo[i:]...)
			return names, subscribe
		case of == nil || wanted == of.asked:
			c.forget(name)
		case len(names) > 0 && wanted != subscribe:
			c.todo = append(c.todo, name) // the order of different channels is of no importance
		default:
			subscribe, of.asked = wanted, wanted
			of.open++
			if c.open == 0 {
				c.moved = time.Now()
			}
			c.open++
			names = append(names, name)
		}
	}
	if len(c.todo) == 0 {
		c.todo = nil
	}
	return names, subscribe
}

// confirm notes the server's answer for a channel.
func (c *channels) confirm(name string) {
	of := c.byName[name]
	if of == nil || of.open == 0 {
		return
	}
	of.open--
	c.open--
	c.last++
	of.since = c.last
	c.moved = time.Now()
	if of.isSubscribed() {
		of.wake()
	}
	c.forget(name)
}

// forget removes a channel that is neither wanted nor subscribed.
func (c *channels) forget(name string) {
	if of := c.byName[name]; of != nil && !of.wanted && !of.asked && of.open == 0 {
		delete(c.byName, name)
	}
}

// connect begins a connection, on which everything that is wanted is to be subscribed.
func (c *channels) connect() {
	c.connected = true
	c.todo = slices.SortedFunc(maps.Keys(c.byName), func(a, b string) int { return cmp.Compare(c.byName[a].number, c.byName[b].number) })
}

// disconnect notes that nothing is subscribed any more. It ends all waits.
func (c *channels) disconnect() {
	c.connected, c.todo, c.open = false, nil, 0
	for name, of := range c.byName {
		of.asked, of.open = false, 0
		of.wake()
		c.forget(name)
	}
}

// wasSubscribed reports whether a channel has been subscribed since before a number.
func (c *channels) wasSubscribed(name string, number uint64) bool {
	of := c.byName[name]
	return of != nil && of.wanted && of.isSubscribed() && of.since <= number
}

// waits returns the time since the server has confirmed an open subscription.
func (c *channels) waits() time.Duration {
	if c.open == 0 {
		return 0
	}
	return time.Since(c.moved)
}

// isComplete reports whether all wanted channels are subscribed.
func (c *channels) isComplete() bool { return c.connected && len(c.todo) == 0 && c.open == 0 }

func (c *channels) count() (subscribed, wanted int) {
	for _, of := range c.byName {
		if !of.wanted {
			continue
		}
		wanted++
		if of.isSubscribed() {
			subscribed++
		}
	}
	return subscribed, wanted
}

// receivers returns all receivers, each once.
func (c *channels) receivers() []backplane.Receiver {
	seen := make(map[backplane.Receiver]bool)
	var all []backplane.Receiver
	for _, of := range c.byName {
		if r := of.receiver; of.wanted && !seen[r] {
			seen[r] = true
			all = append(all, r)
		}
	}
	return all
}
