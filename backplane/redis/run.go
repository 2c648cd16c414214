package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unsafe"

	"github.com/redis/rueidis"
)

var (
	errDeaf        = errors.New("redis: the subscribing connection receives nothing")
	errBroken      = errors.New("redis: the subscribing connection has ended")
	errUnconfirmed = errors.New("redis: the server does not confirm subscriptions as RESP3 does; try protocol=2 in the query of the URL")
	errUnanswered  = errors.New("redis: a publication was not answered in time")
)

// run connects, subscribes, and connects again after a loss, until Close.
func (b *Broker) run() {
	pause := minPause
	for b.ctx.Err() == nil {
		l, err := b.connect()
		if err == nil {
			begin := time.Now()
			err = b.serve(l)
			if time.Since(begin) > maxPause {
				pause = minPause
			}
		}
		b.degrade()
		b.logLoss(err)
		if l != nil {
			l.close()
		}
		select {
		case <-time.After(pause/2 + rand.N(pause)):
		case <-b.ctx.Done():
		}
		pause = min(2*pause, maxPause)
	}
}

func (b *Broker) connect() (*link, error) {
	client, err := rueidis.NewClient(b.settings)
	if err != nil {
		return nil, err
	}
	subscriber, _ := client.Dedicate()
	l := &link{client: client, subscriber: subscriber}
	l.ctx, l.fail = context.WithCancelCause(b.ctx)
	l.ended = subscriber.SetPubSubHooks(rueidis.PubSubHooks{
		OnMessage:      b.receive,
		OnSubscription: func(s rueidis.PubSubSubscription) { b.confirm(s.Channel) },
	})
	return l, nil
}

// close ends the connections. Nothing is received any more when it returns.
func (l *link) close() {
	l.fail(errClosed)
	l.subscriber.Close()
	l.client.Close()
	for range l.ended { // until it is closed
	}
}

// serve subscribes the wanted channels, until the connection is lost or the broker closes.
func (b *Broker) serve(l *link) error {
	b.heard.Store(time.Now().UnixNano())
	b.mu.Lock()
	b.link = l
	b.channels.connect()
	b.mu.Unlock()
	probing := time.NewTicker(probeInterval)
	defer probing.Stop()
	for {
		if err := b.subscribe(l); err != nil {
			return err
		}
		select {
		case <-b.changed:
		case <-probing.C:
			b.mu.Lock()
			b.channels.retry()
			b.mu.Unlock()
			if err := b.listen(l); err != nil {
				return err
			}
		case err := <-l.ended:
			return cmp.Or(err, errBroken)
		case <-l.ctx.Done():
			return context.Cause(l.ctx)
		}
	}
}

// subscribe sends the commands for all channels that have changed, and declares the broker
// restored if nothing is missing.
func (b *Broker) subscribe(l *link) error {
	for {
		b.mu.Lock()
		names, subscribe := b.channels.next()
		b.mu.Unlock()
		if len(names) == 0 {
			b.restore()
			return nil
		}
		if err := b.send(l, names, subscribe); err != nil {
			return cmp.Or(context.Cause(l.ctx), err)
		}
	}
}

// send sends a command, and waits until its first channel is confirmed. If a server confirms
// channels in another way than the protocol, rueidis does not see it, and panics at the second
// channel.
func (b *Broker) send(l *link, names []string, subscribe bool) error {
	ctx, cancel := context.WithTimeout(l.ctx, writeTimeout)
	defer cancel()
	command := l.subscriber.B().Subscribe().Channel(names...).Build()
	if !subscribe {
		if refused, err := refusesPing(ctx, l.subscriber); err != nil {
			return err
		} else if refused {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.channels.postpone(names)
			return nil
		}
		command = l.subscriber.B().Unsubscribe().Channel(names...).Build()
	}
	if err := l.subscriber.Do(ctx, command).Error(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels.isOpen(names[0]) {
		return errUnconfirmed
	}
	return nil
}

// refusesPing reports whether a server refuses PING, as one does that cannot save its data.
// rueidis sends a PING after UNSUBSCRIBE, and panics if it is refused for another reason than
// a missing right.
func refusesPing(ctx context.Context, c rueidis.DedicatedClient) (bool, error) {
	err := c.Do(ctx, c.B().Ping().Build()).Error()
	if refusal, ok := rueidis.IsRedisErr(err); ok {
		return !strings.Contains(refusal.Error(), "'ping'"), nil
	}
	return false, err
}

// confirm notes the server's answer for a channel. The broker is restored after the last one.
func (b *Broker) confirm(name string) {
	b.heard.Store(time.Now().UnixNano())
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels.confirm(name); b.channels.isComplete() {
		b.changed.Notify()
	}
}

// receive passes a payload to its receiver. It must not block.
func (b *Broker) receive(m rueidis.PubSubMessage) {
	b.heard.Store(time.Now().UnixNano())
	b.mu.Lock()
	of := b.channels.byName[m.Channel]
	if of == nil {
		b.mu.Unlock()
		return
	}
	r := of.receiver
	b.mu.Unlock()
	r.Receive(m.Channel, unsafe.Slice(unsafe.StringData(m.Message), len(m.Message))) // receivers modify nothing
}

// degrade declares the broker lost. It ends all waits for subscriptions.
func (b *Broker) degrade() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.link = nil
	b.channels.disconnect()
	if b.state.Degraded {
		return
	}
	if b.tried {
		b.state.Gaps++
	}
	b.tried = true
	b.changeLocked(true)
}

// restore declares the broker connected if all wanted channels are subscribed.
func (b *Broker) restore() {
	b.mu.Lock()
	restored := (!b.tried || b.state.Degraded) && b.channels.isComplete()
	after := time.Since(b.state.Since)
	if restored && b.state.Degraded {
		b.changeLocked(false)
	}
	b.tried = b.tried || restored
	b.mu.Unlock()
	if restored {
		b.reason = ""
		b.logger.Info("Redis available", slog.Float64("after_s", after.Seconds()))
	}
}

func (b *Broker) changeLocked(degraded bool) {
	b.state.Degraded, b.state.Since = degraded, time.Now()
	for _, r := range b.channels.receivers() {
		r.Changed(degraded)
	}
}

// logLoss logs why there is no connection, and each other reason until there is one.
func (b *Broker) logLoss(cause error) {
	reason := cause
	for inner := reason; inner != nil; inner = errors.Unwrap(inner) {
		reason = inner // the outer ones may have ports, which differ each time
	}
	if text := reason.Error(); text != b.reason && b.ctx.Err() == nil {
		b.reason = text
		b.logger.Error("Redis unavailable", slog.Any("error", cause))
	}
}
