//go:build unix

package redis

import (
	"fmt"
	"testing"
)

// Channels that are subscribed and unsubscribed by turns need few commands, and all are sent.
func TestCommandsAreBatches(t *testing.T) {
	var c channels
	var in inbox
	send := func() (commands int) {
		for {
			names, _ := c.next()
			if len(names) == 0 {
				return commands
			}
			commands++
			for _, name := range names {
				c.confirm(name)
			}
		}
	}
	c.connect()
	const n = 2*batchSize - 1
	for i := range n {
		c.want(fmt.Sprint("old", i), &in)
	}
	if commands := send(); commands != 3 { // the first one has one channel
		t.Errorf("%d commands", commands)
	}
	for i := range n {
		c.drop(fmt.Sprint("old", i))
		c.want(fmt.Sprint("new", i), &in)
		c.drop(fmt.Sprint("never", i))
	}
	if commands := send(); commands != 4 {
		t.Errorf("%d commands", commands)
	}
	if subscribed, wanted := c.count(); subscribed != n || wanted != n || len(c.byName) != n || !c.isComplete() {
		t.Errorf("%d of %d channels are subscribed, %d are kept", subscribed, wanted, len(c.byName))
	}
}
