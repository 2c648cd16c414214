package redis

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/carillon-go/carillon/internal/floodgate"
)

var (
	errDeaf        = errors.New("redis: the subscribing connection receives nothing")
	errUnconfirmed = errors.New("redis: the server does not confirm subscriptions")
	errUnanswered  = errors.New("redis: a publication was not answered in time")
)

// run connects, subscribes, and connects again after a loss, until Close.
func (b *Broker) run() {
	pause := minPause
	for b.ctx.Err() == nil {
		l, err := b.settings.connect(b.ctx, b.receive)
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

// serve subscribes the wanted channels, until the connection is lost or the broker closes.
func (b *Broker) serve(l *link) error {
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
			if err := b.listen(l); err != nil {
				return err
			}
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
		if err := l.subscribe(names, subscribe); err != nil {
			return cmp.Or(context.Cause(l.ctx), err)
		}
	}
}

// receive takes the replies of the subscribing connection. It must not block.
func (b *Broker) receive(r *reply) error {
	switch {
	case r.kind == '-':
		return r.refusal()
	case len(r.items) < 3:
		return errProtocol
	}
	name := string(r.items[1].text)
	switch string(r.items[0].text) {
	case "subscribe", "unsubscribe":
		b.confirm(name)
	case "message":
		b.deliver(name, r.items[2].text)
	}
	return nil
}

// confirm notes the server's answer for a channel. The broker is restored after the last one.
func (b *Broker) confirm(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels.confirm(name); b.channels.isComplete() {
		b.changed.Notify()
	}
}

// deliver passes a payload to its receiver.
func (b *Broker) deliver(channel string, payload []byte) {
	b.mu.Lock()
	of := b.channels.byName[channel]
	if of == nil {
		b.mu.Unlock()
		return
	}
	r := of.receiver
	b.mu.Unlock()
	r.Receive(channel, payload)
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
		clear(b.reasons)
		b.gate.Log(floodgate.Kind{Level: slog.LevelInfo, Event: "Redis available", Burst: maxLines}, func() []slog.Attr {
			return []slog.Attr{slog.Float64("after_s", after.Seconds())}
		})
	}
}

func (b *Broker) changeLocked(degraded bool) {
	b.state.Degraded, b.state.Since = degraded, time.Now()
	for _, r := range b.channels.receivers() {
		r.Changed(degraded)
	}
}

// maxLines is the number of lines of a kind that are logged at once, and of reasons for a loss.
const maxLines = 8

// logLoss logs why there is no connection: each reason once until there is one.
func (b *Broker) logLoss(cause error) {
	reason := root(cause)
	if b.ctx.Err() != nil || b.reasons[reason] || len(b.reasons) == maxLines {
		return
	}
	b.reasons[reason] = true
	b.gate.Log(floodgate.Kind{Level: slog.LevelError, Event: "Redis unavailable", Burst: maxLines}, func() []slog.Attr {
		return []slog.Attr{slog.Any("error", cause)}
	})
}

// root returns the texts of the innermost errors: the outer ones may have ports, which differ each
// time.
func root(err error) (text string) {
	switch outer := err.(type) { //nolint:errorlint // each level is unwrapped here
	case interface{ Unwrap() error }:
		if inner := outer.Unwrap(); inner != nil {
			return root(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range outer.Unwrap() {
			text += root(inner) + " "
		}
		return text
	}
	return err.Error()
}
