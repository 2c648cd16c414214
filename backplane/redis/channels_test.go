//go:build unix

package redis

import (
	"fmt"
	"maps"
	"math/rand/v2"
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
	if commands := send(); commands != 2 {
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

// Whatever is wanted, dropped, sent, confirmed and lost in whichever order: at the end the
// server has subscribed the wanted channels, and nothing else is kept.
func TestChannelsInAnyOrder(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		var c channels
		var in inbox
		wanted, subscribed := make(map[string]bool), make(map[string]bool)
		waits := make(map[string]<-chan struct{})
		var sent []string // channels of commands that are not confirmed
		send := func() bool {
			names, subscribe := c.next()
			for _, name := range names {
				delete(subscribed, name)
				if subscribe {
					subscribed[name] = true
				}
			}
			sent = append(sent, names...)
			return len(names) > 0
		}
		c.connect()
		for range 100 {
			switch name := fmt.Sprint(r.IntN(5)); r.IntN(8) {
			case 0, 1:
				wanted[name] = true
				if of := c.want(name, &in); !of.isSubscribed() {
					waits[name] = of.wait()
				}
			case 2, 3:
				delete(wanted, name)
				c.drop(name)
			case 4, 5:
				send()
			case 6:
				if len(sent) > 0 {
					c.confirm(sent[0])
					sent = sent[1:]
				}
			default:
				if r.IntN(4) == 0 {
					c.disconnect()
					sent = nil
					clear(subscribed)
					c.connect()
				}
			}
		}
		for send() || len(sent) > 0 {
			for _, name := range sent {
				c.confirm(name)
			}
			sent = nil
		}
		for _, wait := range waits {
			select {
			case <-wait:
			default:
				t.Fatalf("seed %d: a wait does not end", seed)
			}
		}
		if !maps.Equal(wanted, subscribed) || len(c.byName) != len(wanted) || !c.isComplete() {
			t.Fatalf("seed %d: subscribed %v, want %v; %d are kept", seed, subscribed, wanted, len(c.byName))
		}
	}
}

// Until the server confirms that a subscription has ended, it counts its receiver. So the
// receiver gets what comes: it answers a question to a connection that has gone.
func TestPayloadsComeUntilTheEndIsConfirmed(t *testing.T) {
	b := &Broker{}
	var in inbox
	b.channels.connect()
	b.channels.want("c", &in)
	b.channels.next()
	b.channels.confirm("c")
	b.channels.drop("c")
	b.deliver("c", []byte("dropped"))
	b.channels.next()
	b.deliver("c", []byte("sent"))
	b.channels.confirm("c")
	b.deliver("c", []byte("confirmed"))
	if got := in.text(); got != "c=dropped c=sent" {
		t.Errorf("received %q", got)
	}
}
