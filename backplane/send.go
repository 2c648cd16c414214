package backplane

import (
	"context"
	"errors"
	"fmt"

	"github.com/carillon-go/carillon/hub"
)

// Send implements hub.Backplane. If the broker is lost, Send delivers in this process. Then it
// succeeds, or fails with ErrUnavailable or ErrLost if Options.FailWhenLost is set, and for named
// connections, which are elsewhere.
func (b *Backplane) Send(ctx context.Context, to hub.Audience, m hub.Message) error {
	v := invocation{frames: m.Frames, extension: extension{delivery: m.Delivery}}
	if to.Kind == hub.Everyone || to.Kind == hub.InGroups {
		v.except = to.Except
	}
	channels := b.names.channels(to)
	if err := b.started(ctx); err != nil || len(channels) == 0 {
		return err
	}
	payload, err := b.encode(&v)
	if err != nil {
		return err
	}
	own := b.expect(channels, to, &m, payload)
	receivers, err := b.publish(ctx, payload, channels...)
	b.settle(own, receivers, err)
	if isLost := errors.Is(err, ErrUnavailable) || errors.Is(err, ErrLost); isLost && to.Kind != hub.ToConnections && !b.options.FailWhenLost {
		err = nil
	}
	return errors.Join(err, b.wait(ctx, own))
}

// settle notes the outcome of a publication for its own copies. It delivers the messages that do not
// wait for their copies any more.
func (b *Backplane) settle(own []*ownCopy, receivers int, err error) {
	for _, o := range own {
		switch {
		case errors.Is(err, ErrUnavailable):
			if b.copies.unsent(o) {
				b.deliverOwn(o)
			}
		case err != nil || receivers == 0:
			if b.copies.uncertain(o) {
				b.deliverOwn(o)
			}
		default:
			b.copies.answered(o)
		}
	}
}

// encode returns the payload of an invocation. It fails if other processes would drop it.
func (b *Backplane) encode(v *invocation) ([]byte, error) {
	payload := v.append(make([]byte, 0, v.size()))
	if len(payload) > b.options.MaxPayloadBytes {
		return nil, fmt.Errorf("backplane: the message has %d bytes in all protocols together, and MaxPayloadBytes is %d", len(payload), b.options.MaxPayloadBytes)
	}
	return payload, nil
}

// expect returns the own copies of a payload that is published next: one for each channel
// that this process has subscribed. If the broker is degraded, it delivers them now. Without a
// message there is nothing to deliver.
func (b *Backplane) expect(channels []string, to hub.Audience, m *hub.Message, payload []byte) (all []*ownCopy) {
	for _, channel := range channels {
		if !b.members.has(channel) {
			continue
		}
		own := &ownCopy{channel: channel, delivered: m == nil, done: make(chan struct{})}
		if m != nil {
			own.message = *m
			own.to, _ = b.names.audience(channel)
			own.to.Except = to.Except
		}
		if b.options.LocalFirst && m != nil {
			b.deliverOwn(own)
			all = append(all, own)
			own = &ownCopy{channel: channel, delivered: true, done: make(chan struct{})}
		}
		waits := b.copies.expect(own, payload)
		switch {
		case !waits:
			b.deliverOwn(own)
		case !b.members.has(channel) && b.copies.unsent(own): // unsubscribed meanwhile
			continue
		}
		all = append(all, own)
	}
	return all
}

// wait waits until own copies are delivered.
func (b *Backplane) wait(ctx context.Context, all []*ownCopy) (err error) {
	for _, own := range all {
		select {
		case <-own.done:
			err = errors.Join(err, own.err)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.ctx.Done():
			return errClosed
		}
	}
	return err
}

// Ask implements hub.Backplane. Without a deadline of ctx it fails with ErrAnswerTimeout after
// Options.AnswerTimeout.
func (b *Backplane) Ask(ctx context.Context, connectionID string, m hub.Message) (hub.Answer, error) {
	if err := b.started(ctx); err != nil {
		return hub.Answer{}, err
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.options.AnswerTimeout, ErrAnswerTimeout)
		defer cancel()
	}
	got := b.answers.add(m.ID)
	defer b.answers.remove(m.ID)
	payload, err := b.encode(&invocation{frames: m.Frames, id: m.ID, returnChannel: b.names.returnChannel()})
	if err != nil {
		return hub.Answer{}, err
	}
	receivers, err := b.publish(ctx, payload, b.names.channel(hub.ToConnections, connectionID))
	if err == nil && receivers == 0 {
		err = hub.ErrNoConnection
	}
	if err != nil {
		return hub.Answer{}, err
	}
	return await(ctx, b, got)
}

// Command implements hub.Backplane. The change of a connection's groups fails with ErrAckTimeout
// after Options.AckTimeout. A command for a user's groups is not acknowledged, because it is for
// all processes, however many there are.
func (b *Backplane) Command(ctx context.Context, c hub.Command) error {
	if err := b.started(ctx); err != nil {
		return err
	}
	if c.Action == hub.EndConnections {
		return b.end(ctx, c)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.options.AckTimeout, ErrAckTimeout)
	defer cancel()
	for _, name := range c.To.Names {
		of := newCommand(c, name)
		of.server = b.names.server
		if err := b.changeGroup(ctx, of); err != nil {
			return err
		}
	}
	return nil
}

// changeGroup publishes a command and waits until it is acknowledged, unless it is for a user.
func (b *Backplane) changeGroup(ctx context.Context, c command) error {
	c.id = b.lastCommand.Add(1)
	done := b.acks.add(c.id)
	defer b.acks.remove(c.id)
	if _, err := b.publish(ctx, c.encode(), b.names.groups); err != nil || c.extension.isForUser() {
		return err
	}
	_, err := await(ctx, b, done)
	return err
}

// end ends connections. Servers of the original pass on the close message, on which clients
// end their connections.
func (b *Backplane) end(ctx context.Context, c hub.Command) error {
	channels := b.names.channels(c.To)
	if len(channels) == 0 {
		return nil
	}
	v := invocation{except: c.To.Except, frames: make(map[string][]byte, len(protocols)), extension: extension{end: true}}
	for _, p := range protocols {
		v.frames[p.Name()] = p.AppendClose(nil, c.Reason, c.AllowReconnect)
	}
	payload, err := b.encode(&v)
	if err != nil {
		return err
	}
	// A client that has come back here before its own copy must not be ended again.
	own := b.expect(channels, c.To, nil, payload)
	receivers, err := b.publish(ctx, payload, channels...)
	b.settle(own, receivers, err)
	return err
}

// await waits for a value of another process.
func await[Value any](ctx context.Context, b *Backplane, got <-chan Value) (v Value, err error) {
	select {
	case v = <-got:
		return v, nil
	case <-b.ctx.Done():
		return v, errClosed
	case <-ctx.Done():
		return v, context.Cause(ctx)
	}
}
