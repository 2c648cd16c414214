package loadgen

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// openers is how many connections are opened concurrently.
const openers = 32

// pingInterval is the time between two pings of a connection. SignalR's clients ping
// every 15 seconds, servers wait for 30.
const pingInterval = 12 * time.Second

// generator is one run.
type generator struct {
	options  Options
	target   *target
	messages *messages
	meter    meter
	epoch    time.Time
	posts    postPool

	negotiateRequest []byte
	calls            [][]byte     // framed, by slot
	members          atomic.Int64 // connections, once all are open

	mu    sync.Mutex
	links []*link
	tasks sync.WaitGroup // counts the goroutines of links, pings and triggers

	reached chan struct{} // a broadcast has reached all connections
	fired   atomic.Int64
}

// Run puts load on a server. The report is there even if connections failed or were
// lost; it is nil if nothing could be measured. The end of ctx ends the measured time
// early.
func Run(ctx context.Context, o Options) (*Report, error) {
	g, err := newGenerator(o)
	if err != nil {
		return nil, err
	}
	defer g.end()
	switch g.options.Mode {
	case Idle, Broadcast, Echo:
		return g.runLinks(ctx)
	case Connect:
		return g.runWorkers(ctx, g.connectForever)
	case Negotiate:
		return g.runWorkers(ctx, g.negotiateForever)
	default:
		return nil, fmt.Errorf("loadgen: there is no mode %q", o.Mode)
	}
}

func newGenerator(o Options) (*generator, error) {
	o = o.withDefaults()
	u, err := o.validate()
	if err != nil {
		return nil, err
	}
	g := &generator{options: o, target: newTarget(u, o), epoch: time.Now(), reached: make(chan struct{}, o.InFlight)}
	if g.messages, err = newMessages(o); err != nil {
		return nil, err
	}
	g.negotiateRequest = g.target.negotiateRequest()
	for _, call := range g.messages.calls {
		g.calls = append(g.calls, g.frame(o.Transport, call))
	}
	return g, nil
}

// frame frames a record for the transport.
func (g *generator) frame(t Transport, record []byte) []byte {
	if t != WebSockets {
		return record
	}
	opcode := byte(opText)
	if g.messages.protocol.Binary() {
		opcode = opBinary
	}
	return appendFrame(nil, opcode, record)
}

func (g *generator) now() time.Duration { return time.Since(g.epoch) }

func (g *generator) count(s *shard, latency time.Duration, bytes int) {
	if g.meter.recording.Load() {
		s.count(latency)
		s.countBytes(bytes)
	}
}

func (g *generator) countBytes(s *shard, n int) {
	if g.meter.recording.Load() {
		s.countBytes(n)
	}
}

// end stops all goroutines of the run and waits for them.
func (g *generator) end() {
	g.mu.Lock()
	links := g.links
	g.mu.Unlock()
	if g.options.Transport == LongPolling {
		g.leaveAll(links)
	}
	for _, l := range links {
		l.close()
	}
	g.posts.close()
	g.tasks.Wait()
}

// leaveAll ends the connections on the server, which would otherwise notice their end
// only after a time-out.
func (g *generator) leaveAll(links []*link) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(openers, len(links)) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(links); i = int(next.Add(1)) - 1 {
				if links[i].closed.Load() {
					continue
				}
				links[i].leaving.Store(true)
				if links[i].leave() != nil {
					return
				}
			}
		})
	}
	all.Wait()
}

// runLinks opens the connections, lets them run and reads the clocks.
func (g *generator) runLinks(ctx context.Context) (*Report, error) {
	// Pings and triggers stop at the end of the measured time.
	running, stop := context.WithCancel(ctx)
	defer stop()
	r := &Report{}
	before, err := g.usageOfServer()
	if err != nil {
		return nil, err
	}
	g.tasks.Go(func() { g.pingLinks(running) })
	began := time.Now()
	g.watch(ctx, "opening", func() { g.openLinks(ctx) })
	r.OpenSeconds = time.Since(began).Seconds()
	r.Opened = len(g.links)
	g.members.Store(int64(r.Opened))
	r.Opening = latencyOf(&g.meter.opening.latency)
	switch {
	case r.Opened > 0:
	case g.meter.refused.Load() > 0:
		r.Seconds = r.OpenSeconds
		g.fill(r)
		return r, nil
	default:
		return nil, g.noConnection(ctx)
	}
	if err := g.startTriggers(ctx, running); err != nil {
		return nil, err
	}
	if err := g.measure(ctx, r); err != nil {
		return nil, err
	}
	stop()
	g.await(ctx, r)
	if r.Server != nil && g.options.Mode == Idle {
		return r, g.weigh(ctx, r, before)
	}
	return r, nil
}

// weigh measures the server's memory per connection.
func (g *generator) weigh(ctx context.Context, r *Report, before usage) error {
	if g.options.GC != "" {
		collect, end, err := g.newPost(ctx, g.options.GC)
		if err == nil {
			err = collect()
			end()
		}
		if err != nil {
			return fmt.Errorf("loadgen: garbage collection: %w", err)
		}
	}
	after, err := g.usageOfServer()
	r.Server.ResidentBytes = after.resident
	r.Server.BytesPerConnection = float64(after.resident-before.resident) / float64(r.Opened)
	return err
}

func (g *generator) noConnection(ctx context.Context) error {
	if first := g.meter.firstError.Load(); first != nil {
		return errors.New("loadgen: no connection: " + *first)
	}
	return fmt.Errorf("loadgen: no connection: %w", context.Cause(ctx))
}

// runWorkers runs one worker for each connection until the measured time ends.
func (g *generator) runWorkers(ctx context.Context, work func(context.Context, *shard) error) (*Report, error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	var alive atomic.Int64
	alive.Store(int64(g.options.Connections))
	for i := range g.options.Connections {
		g.tasks.Go(func() {
			if err := work(running, g.meter.shard(i)); err != nil && running.Err() == nil {
				g.meter.fail(&g.meter.failed, err)
				if alive.Add(-1) == 0 {
					stop()
				}
			}
		})
	}
	r := &Report{}
	err := g.measure(running, r)
	stop()
	g.tasks.Wait() // before the connections close: workers leave by them
	if err != nil {
		return nil, err
	}
	if alive.Load() == 0 {
		return nil, g.noConnection(ctx)
	}
	return r, nil
}

// saturated is the share of the machine from which on the client measures itself.
const saturated = 0.8

// measure waits for the end of the warm-up and then counts.
func (g *generator) measure(ctx context.Context, r *Report) error {
	g.watch(ctx, "warming up", func() { wait(ctx, g.options.Warmup) })
	server, err := g.usageOfServer()
	if err != nil {
		return err
	}
	client, clientErr := readUsage(os.Getpid())
	began := time.Now()
	g.meter.recording.Store(true)
	g.watch(ctx, "measuring", func() { wait(ctx, g.options.Duration) })
	g.meter.recording.Store(false)
	r.Seconds = time.Since(began).Seconds()
	g.fill(r)
	if clientErr == nil { // only on systems with /proc
		after, _ := readUsage(os.Getpid())
		r.Client = after.since(client, r.Seconds, r.Operations)
		r.ClientSaturated = r.Client.Cores > saturated*float64(runtime.NumCPU())
	}
	if g.options.PID == 0 {
		return nil
	}
	after, err := g.usageOfServer()
	r.Server = after.since(server, r.Seconds, r.Operations)
	return err
}

func (g *generator) fill(r *Report) {
	o, total := g.options, g.meter.total()
	r.URL, r.Mode, r.Protocol, r.Transport = o.URL, o.Mode, o.Protocol, string(o.Transport)
	r.Connections, r.InFlight = o.Connections, o.InFlight
	if o.Mode == Echo {
		r.Payload = o.Payload
	}
	r.Operations, r.BytesReceived = total.operations, total.bytes
	r.PerSecond = float64(total.operations) / r.Seconds
	r.Latency = latencyOf(&total.latency)
	r.Refused = g.meter.refused.Load()
	r.Failed, r.Lost, r.Errors = g.meter.failed.Load(), g.meter.lost.Load(), g.meter.errors.Load()
	if first := g.meter.firstError.Load(); first != nil {
		r.FirstError = *first
	}
}

func (g *generator) usageOfServer() (usage, error) {
	if g.options.PID == 0 {
		return usage{}, nil
	}
	return readUsage(g.options.PID)
}

// openLinks opens the connections, spread evenly over the ramp.
func (g *generator) openLinks(ctx context.Context) {
	var next atomic.Int64
	var all sync.WaitGroup
	began := time.Now()
	n := int64(g.options.Connections)
	for range min(openers, n) {
		all.Go(func() {
			side := &sideConn{g: g}
			defer side.close()
			for i := next.Add(1) - 1; i < n && ctx.Err() == nil; i = next.Add(1) - 1 {
				due := began.Add(g.options.Ramp * time.Duration(i) / time.Duration(n))
				wait(ctx, time.Until(due))
				g.openLink(ctx, int(i), side)
			}
		})
	}
	all.Wait()
}

func (g *generator) openLink(ctx context.Context, i int, side *sideConn) {
	l := g.newLink(i)
	began := time.Now()
	if err := l.open(ctx, side); err != nil {
		counter := &g.meter.failed
		if isLimit(err) {
			counter = &g.meter.refused
		}
		g.meter.fail(counter, err)
		return
	}
	g.meter.opening.count(time.Since(began))
	g.meter.open.Add(1)
	g.keep(ctx, l)
}

// keep runs an open link until it ends or is closed.
func (g *generator) keep(ctx context.Context, l *link) {
	g.mu.Lock()
	g.links = append(g.links, l)
	g.mu.Unlock()
	g.tasks.Go(func() {
		err := l.run()
		if !l.leaving.Load() && !l.closed.Load() && ctx.Err() == nil {
			g.meter.fail(&g.meter.lost, fmt.Errorf("lost a connection: %w", err))
		}
		if !l.quiet {
			g.meter.open.Add(-1)
		}
		l.close()
	})
}

// connectForever is a worker of [Connect].
func (g *generator) connectForever(ctx context.Context, s *shard) error {
	side := &sideConn{g: g}
	defer side.close()
	inARow := 0
	for ctx.Err() == nil {
		l := g.newLinkBy(g.options.Transport, s)
		began := g.now()
		if err := l.open(ctx, side); err != nil {
			if ctx.Err() != nil {
				_ = l.leave() // the run ended while the link was being opened
				return err
			}
			if isLimit(err) {
				g.refused(ctx, err)
				continue
			}
			if inARow++; inARow == errorsInARow {
				return err
			}
			g.meter.fail(&g.meter.failed, err)
			continue
		}
		inARow = 0
		g.count(s, g.now()-began, 0)
		_ = l.leave() // if the server does not answer, the next opening fails and is counted
		_ = l.Close()
	}
	return nil
}

// pingLinks pings for all connections, so that none needs a timer. By long polling
// clients do not ping.
func (g *generator) pingLinks(ctx context.Context) {
	if g.options.Transport == LongPolling || g.options.Mode == Connect {
		return
	}
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		g.mu.Lock()
		links := g.links
		g.mu.Unlock()
		for _, l := range links {
			if !l.closed.Load() {
				_ = l.send(l.ping) // the link's reader reports a broken connection
			}
		}
	}
}

// watch reports the progress while do runs.
func (g *generator) watch(ctx context.Context, phase string, do func()) {
	ctx, stop := context.WithCancel(ctx)
	var telling sync.WaitGroup
	began, before := time.Now(), int64(0)
	telling.Go(func() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				operations := g.meter.operations()
				g.options.Progress(Progress{Phase: phase, Elapsed: time.Since(began), Open: int(g.meter.open.Load()),
					Rate: float64(operations - before), Operations: operations})
				before = operations
			}
		}
	})
	do()
	stop()
	telling.Wait()
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
