package loadgen

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

// delivered counts a received invocation.
func (g *generator) delivered(s *shard, record []byte) {
	if g.meter.recording.Load() {
		latency := unknown
		if sent, ok := sentAt(record, g.messages.protocol.Binary()); ok {
			latency = max(time.Since(sent), 0)
		}
		s.count(latency)
	}
	n, members := g.meter.delivered.Add(1), g.members.Load()
	if members == 0 || n%members != 0 {
		return
	}
	select {
	case g.reached <- struct{}{}:
	default: // a broadcast that the server made by itself
	}
}

// startTriggers asks for broadcasts until running ends, if a rate or a window is set.
func (g *generator) startTriggers(ctx, running context.Context) error {
	if g.options.Mode != Broadcast || g.options.Rate == 0 && g.options.InFlight == 0 {
		return nil
	}
	fire, end, err := g.newTrigger(ctx)
	if err != nil {
		return fmt.Errorf("loadgen: the connection that asks for broadcasts: %w", err)
	}
	g.tasks.Go(func() {
		defer end()
		if err := g.trigger(running, fire); err != nil && running.Err() == nil {
			g.meter.fail(&g.meter.errors, fmt.Errorf("asking for a broadcast: %w", err))
		}
	})
	return nil
}

func (g *generator) trigger(ctx context.Context, fire func() error) error {
	due := make(<-chan time.Time)
	if g.options.Rate > 0 {
		ticker := time.NewTicker(time.Duration(float64(time.Second) / g.options.Rate))
		defer ticker.Stop()
		due = ticker.C
	}
	for range g.options.InFlight {
		g.fired.Add(1)
		if err := fire(); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case <-g.reached:
			if g.options.InFlight == 0 {
				continue
			}
		}
		g.fired.Add(1)
		if err := fire(); err != nil {
			return err
		}
	}
}

// newTrigger returns a function that asks for one broadcast: by a call of the hub on a
// connection of its own, or by a POST.
func (g *generator) newTrigger(ctx context.Context) (fire func() error, end func(), err error) {
	if g.options.Fire != "" {
		return g.newPost(ctx, g.options.Fire)
	}
	l := g.newLinkBy(WebSockets, g.meter.shard(0)) // even if the run uses another transport
	l.quiet = true
	side := &sideConn{g: g}
	defer side.close()
	if err := l.open(ctx, side); err != nil {
		return nil, nil, err
	}
	g.keep(ctx, l)
	call, err := g.messages.protocol.AppendInvocation(nil, "0", g.options.Method, nil, nil)
	call = g.frame(WebSockets, call)
	return func() error { return l.send(call) }, func() {}, err
}

// newPost returns a function that posts to a URL.
func (g *generator) newPost(ctx context.Context, to string) (fire func() error, end func(), err error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, nil, err
	}
	t := newTarget(u, g.options)
	c, err := t.dialHTTP(ctx)
	if err != nil {
		return nil, nil, err
	}
	request := t.request("POST", t.path("", ""), "", []byte{})
	return func() error {
		status, _, err := c.exchangeWithin(patience, request)
		if err == nil && status/100 != 2 {
			err = fmt.Errorf("%s: status %d", to, status)
		}
		return err
	}, func() { _ = c.Close() }, nil
}

// lateness is how long a run waits at its end for deliveries under way.
const lateness = 3 * time.Second

// await waits for deliveries under way. Those that are still missing afterwards are lost.
func (g *generator) await(ctx context.Context, r *Report) {
	r.Fired = g.fired.Load()
	if r.Fired == 0 {
		return
	}
	missing := func() int64 { return g.fired.Load()*int64(r.Opened) - g.meter.delivered.Load() }
	for deadline := time.Now().Add(lateness); missing() > 0 && time.Now().Before(deadline) && ctx.Err() == nil; {
		wait(ctx, 10*time.Millisecond)
	}
	r.Fired, r.Missing = g.fired.Load(), max(missing(), 0)
}
