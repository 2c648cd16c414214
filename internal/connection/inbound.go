package connection

import (
	"context"
	"errors"
	"sync"

	"github.com/carillon-go/carillon/transports"
)

// inbound passes the client's data to the application. Its lock is held during calls of the
// receiver, which are never concurrent. It is locked before the lock of outbound.
type inbound struct {
	receiving   sync.Mutex
	owner       *Connection
	receiver    transports.Receiver
	source      Carrier // only this carrier's data is received
	heard       bool    // data has arrived over a WebSocket
	interrupted bool    // Interrupted was called, and Resumed not yet
	listens     bool    // the client sends nothing; set before its first request is served
}

// Receive passes data that k has read to the application. It fails if the connection has
// ended, if k is not the carrier of the last Open, or if k has broken: half a message may
// have been discarded then, and its rest must not be taken for the beginning of another.
func (i *inbound) Receive(k Carrier, data []byte) error {
	i.receiving.Lock()
	defer i.receiving.Unlock()
	if i.source != k || i.interrupted {
		return transports.ErrEnded
	}
	if c := i.owner; !i.heard {
		i.heard = true
		if c.ticket != nil {
			c.ticket.Use(c.id)
		}
		c.Tell(transports.Event{Kind: transports.Proved})
	}
	return i.receiveLocked(data)
}

func (i *inbound) receiveLocked(data []byte) (err error) {
	if i.receiver == nil {
		return transports.ErrEnded
	}
	returned := false
	defer i.owner.rescue(&returned, &err)
	err = i.receiver.Receive(data)
	returned = true
	if err != nil {
		i.owner.Close(err)
	}
	return err
}

// connectLocked passes the connection to the application. The end of the connection waits for
// it.
func (i *inbound) connectLocked() {
	c, returned := i.owner, false
	defer c.rescue(&returned, nil)
	receiver, err := c.registry.app.Connect(c)
	returned = true
	if err != nil {
		c.Abort(err)
		return
	}
	c.credentials.setRefresher(receiver)
	c.mu.Lock()
	defer c.mu.Unlock()
	i.receiver = receiver
	c.changed.Open()
}

// resumeLocked continues with another carrier. If that opened before the end of the older one
// was noticed, it calls Interrupted first: no frame that the receiver sends in the meantime
// may be in the queue that is dropped here.
func (i *inbound) resumeLocked() {
	c := i.owner
	r, ok := i.receiver.(transports.Resumer)
	if !ok {
		c.Abort(transports.ErrCut)
		return
	}
	returned := false
	defer c.rescue(&returned, nil)
	if !i.interrupted {
		r.Interrupted()
	}
	i.interrupted = false
	c.mu.Lock()
	c.dropQueueLocked()
	c.mu.Unlock()
	r.Resumed()
	returned = true
}

// Post passes the data of a client's POST to the application. It waits until the application
// has the connection, because a client may post as soon as the answer to its opening request
// begins. Data posted while the connection is closing is discarded. Data of an earlier
// resumption fails with ErrActive.
func (i *inbound) Post(ctx context.Context, resumption int, data []byte) error {
	for {
		wait, err := i.post(resumption, data)
		if wait == nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// post returns a channel to wait for if the application does not have the connection yet.
func (i *inbound) post(resumption int, data []byte) (wait <-chan struct{}, err error) {
	c := i.owner
	i.receiving.Lock()
	defer i.receiving.Unlock()
	if i.interrupted || !c.isCurrent(resumption) { // half a message may have been discarded
		return nil, ErrActive
	}
	if i.receiver != nil {
		_ = i.receiveLocked(data) // an error ends the connection, but the POST itself succeeded
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state <= open:
		return c.changed.Wait(), nil
	case c.isClosing():
		return nil, nil
	default:
		return nil, transports.ErrEnded
	}
}

// restart continues with the requests of a resumption before the client receives the answer
// to the first one: data that it posts then must not be joined to half a record.
func (i *inbound) restart(number int) error {
	i.receiving.Lock()
	defer i.receiving.Unlock()
	if !i.owner.isCurrent(number) {
		return ErrActive
	}
	i.source = nil         // the end of the older carrier no longer concerns the connection
	if i.receiver != nil { // otherwise the connection is closing, and the client fetches the rest of the queue
		i.resumeLocked()
	}
	return nil
}

// interrupt calls Interrupted because k broke, unless another WebSocket has replaced it.
func (i *inbound) interrupt(k Carrier) {
	i.receiving.Lock()
	defer i.receiving.Unlock()
	if r, ok := i.receiver.(transports.Resumer); ok && i.source == k && !i.interrupted {
		returned := false
		defer i.owner.rescue(&returned, nil)
		i.source, i.interrupted = nil, true
		r.Interrupted()
		returned = true
	}
}

// callDisconnected makes the last call of the receiver.
func (i *inbound) callDisconnected() {
	i.receiving.Lock()
	defer i.receiving.Unlock()
	if r := i.receiver; r != nil {
		i.receiver = nil
		returned := false
		defer i.owner.rescue(&returned, nil)
		cause := context.Cause(i.owner.ctx)
		if errors.Is(cause, transports.ErrClientGone) {
			cause = nil
		}
		r.Disconnected(cause)
		returned = true
	}
}

// closer returns the receiver if it sends a final message when the client leaves, and if no
// call of it runs now.
func (i *inbound) closer() (r transports.Closer, ok bool) {
	if !i.receiving.TryLock() {
		return nil, false
	}
	defer i.receiving.Unlock()
	r, ok = i.receiver.(transports.Closer)
	return r, ok
}
