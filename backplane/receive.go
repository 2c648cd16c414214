package backplane

import (
	"context"
	"errors"
	"log/slog"

	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/protocol"
)

// delivery is something that was received for the connections of this process. One of own,
// command and payload is set.
type delivery struct {
	channel string
	payload []byte
	own     *ownCopy
	command *command
}

// Receive implements Receiver. Own copies are recognized here, so that they keep
// their place among the payloads of others.
func (b *Backplane) Receive(channel string, payload []byte) {
	b.received.Add(1)
	if len(payload) > b.options.MaxPayloadBytes {
		b.oversized.Add(1)
		return
	}
	key, d, size := channel, delivery{channel: channel, payload: payload}, len(payload)+1
	switch channel {
	case b.names.acks:
		id, err := parseAck(payload)
		if err != nil {
			b.malformed.Add(1)
			return
		}
		b.acks.wake(id, struct{}{})
		return
	case b.names.groups:
		c, err := parseCommand(payload)
		if err != nil {
			b.malformed.Add(1)
			return
		}
		if c.extension.action != 0 {
			if c.server != b.names.server { // this one has done it
				b.change(c.extension.name, c)
			}
			return
		}
		// A new member does not get messages that were published to its group before.
		key, d = b.names.channel(hub.InGroups, c.group), delivery{command: &c}
	default:
		own, late := b.copies.received(channel, payload)
		switch {
		case late:
			return
		case own != nil: // its sender waits, so it needs no limit
			d, size = delivery{own: own}, 0
		}
	}
	if !b.deliveries.put(key, d, size) && b.ctx.Err() == nil {
		b.overflow()
	}
}

// Changed implements Receiver.
func (b *Backplane) Changed(degraded bool) {
	for _, own := range b.copies.changed(degraded) {
		b.deliverOwn(own)
	}
	b.noteState(degraded)
}

// deliverOwn delivers a message of this process without its copy.
func (b *Backplane) deliverOwn(own *ownCopy) {
	if !b.deliveries.put(own.channel, delivery{own: own}, 0) {
		own.err = errClosed
		close(own.done)
	}
}

// deliver delivers a payload that was received. It waits for no client and for no subscription.
func (b *Backplane) deliver(d delivery) {
	switch {
	case d.own != nil:
		if !d.own.delivered {
			d.own.err = b.local.Deliver(d.own.to, d.own.message)
		}
		close(d.own.done)
	case d.command != nil:
		b.change(d.command.connection, *d.command)
	case d.channel == b.names.answers:
		id, answer, err := parseAnswer(d.payload)
		if err != nil {
			b.malformed.Add(1)
			return
		}
		b.answers.wake(id, answer)
	default:
		b.deliverInvocation(d.channel, d.payload)
	}
}

func (b *Backplane) deliverInvocation(channel string, payload []byte) {
	to, ok := b.names.audience(channel)
	v, err := parseInvocation(payload)
	if !ok || err != nil || len(v.frames) == 0 {
		b.malformed.Add(1)
		return
	}
	b.logLacking(v.frames)
	if to.Kind == hub.Everyone || to.Kind == hub.InGroups {
		to.Except = v.except
	}
	m := hub.Message{Frames: v.frames, Delivery: v.extension.delivery}
	switch {
	case v.extension.end:
		to.Except = v.except
		c := hub.Command{Action: hub.EndConnections, To: to}
		c.Reason, c.AllowReconnect = closing(v.frames)
		_, err = b.local.Command(b.ctx, c)
	case to.Kind == hub.ToConnections && v.id != "" && v.returnChannel != "":
		m.ID = v.id
		b.question(to.Names[0], v.returnChannel, m)
	default:
		err = b.local.Deliver(to, m)
	}
	if err != nil {
		b.malformed.Add(1)
	}
}

// logLacking logs the first message of another server that lacks a protocol. Clients of that
// protocol get it by way of another one, which costs more, and may change values.
func (b *Backplane) logLacking(frames map[string][]byte) {
	if len(frames) == len(protocols) {
		return
	}
	for i, p := range protocols {
		if frames[p.Name()] == nil && b.lacking[i].CompareAndSwap(false, true) {
			b.options.Logger.Info("another server publishes without a protocol", slog.String("hub", b.options.Hub), slog.String("protocol", p.Name()))
		}
	}
}

// closing returns the contents of a close message.
func closing(frames map[string][]byte) (reason string, allowReconnect bool) {
	var m protocol.Message
	for _, p := range protocols {
		record, _, err := p.Next(frames[p.Name()], 0, 0)
		if err == nil && record != nil && p.Parse(record, &m) == nil && m.Type == protocol.Close {
			return m.Error, m.AllowReconnect
		}
	}
	return "", false
}

// question asks a client on behalf of another process.
func (b *Backplane) question(connectionID, returnChannel string, m hub.Message) {
	select {
	case b.questions <- struct{}{}:
	default:
		b.overflown.Add(1)
		return
	}
	wait, id := b.local.Ask(connectionID, m), m.ID // the goroutine keeps no frames
	b.running.Go(func() {
		defer func() { <-b.questions }()
		ctx, cancel := context.WithTimeout(b.ctx, maxAnswerTime)
		defer cancel()
		answer, err := wait(ctx)
		if err != nil && !errors.Is(err, hub.ErrNoConnection) {
			return
		}
		if payload, err := appendAnswer(nil, id, answer); err == nil {
			_, _ = b.publish(ctx, payload, b.options.ChannelPrefix+returnChannel)
		}
	})
}

// change has a command done after the earlier ones with the same name.
func (b *Backplane) change(name string, c command) {
	if !b.commands.put(name, c, 1+len(c.server)+len(c.group)+len(name)) {
		b.overflown.Add(1)
	}
}

// do does the command of another process. It may wait for a subscription.
func (b *Backplane) do(c command) {
	ctx, cancel := context.WithTimeout(b.ctx, b.options.AckTimeout)
	defer cancel()
	found, err := b.local.Command(ctx, c.command())
	if found > 0 && err == nil {
		_, _ = b.publish(ctx, appendAck(nil, c.id), b.names.ackChannel(c.server))
	}
}
