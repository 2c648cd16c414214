// Package backplane joins hubs of several processes through a broker: see [New]. Their
// messages to each other are those of the Redis backplane of ASP.NET Core SignalR, byte for
// byte, so that servers of both kinds can share the broker.
package backplane

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// Options configure a Backplane.
type Options struct {
	// Hub is the name of the hub, the same in all processes. Beside ASP.NET Core it is the
	// full name of the hub's type, such as "MyApp.Hubs.ChatHub". Hubs that share a broker
	// have different names. Required.
	Hub string
	// ChannelPrefix stands in front of all channels, without a separator. Default: none.
	ChannelPrefix string
	// Logger gets the lines of the backplane. Default: slog.Default().
	Logger *slog.Logger
	// AckTimeout is the longest time to wait until another process has changed a group.
	// Default: 30 s.
	AckTimeout time.Duration
	// AnswerTimeout is the longest time to wait for the answer of a client of another
	// process, if the caller has no deadline. Default: 30 s.
	AnswerTimeout time.Duration
	// MaxPayloadBytes is the size of the largest payload that is accepted from other
	// processes, and sent to them: a message in all protocols together. Default: 16 MiB.
	MaxPayloadBytes int
	// LocalFirst has messages delivered in this process before they are published, instead of
	// when their own copy comes back. They arrive sooner here, and the clients of different
	// processes may see the messages of an audience in different orders. Default false: all
	// see one order, as with ASP.NET Core.
	LocalFirst bool
	// FailWhenLost has messages to all, to groups and to users fail with ErrUnavailable or ErrLost
	// while the broker is lost. They are delivered in this process as well; other processes may
	// miss them. Default false: sending succeeds then.
	FailWhenLost bool
	// OnGap is called, if it is set, after a time in which messages of other processes may have
	// been lost. The application may then have the clients of this process (Clients.Local)
	// fetch their state anew. It is called once at a time; Close waits for it, and ends ctx.
	OnGap func(ctx context.Context, g Gap)
}

func (o Options) withDefaults() Options {
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.AckTimeout = cmp.Or(o.AckTimeout, 30*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 30*time.Second)
	o.MaxPayloadBytes = cmp.Or(o.MaxPayloadBytes, 16<<20)
	return o
}

// The limits of the queues in a process. A client may be asked for a result for
// maxAnswerTime, which bounds forgotten questions of other processes.
const (
	maxLaneJobs   = 1 << 16
	maxLaneBytes  = 16 << 20
	commandLanes  = 8
	maxCommands   = 1024 // in each lane
	maxQuestions  = 10_000
	maxAnswerTime = 10 * time.Minute
	lingerTime    = 2 * time.Second
)

// Errors of commands and questions.
var (
	// ErrAckTimeout is returned if no process confirms the change of a group in time. The
	// connection may not exist: the original does not say so either.
	ErrAckTimeout = errors.New("backplane: no process confirmed the change of the group")
	// ErrAnswerTimeout is returned if a client of another process does not answer in time.
	ErrAnswerTimeout = errors.New("backplane: the client did not answer in time")
	errClosed        = errors.New("backplane: closed")
)

// Stats are numbers of payloads since the start.
type Stats struct {
	Published int64 // by Send, Ask, Command and answers, one for each channel
	Received  int64 // those that this process has published itself included
	// Dropped after they were received:
	Malformed int64 // not understood
	Oversized int64 // more than Options.MaxPayloadBytes
	Overflown int64 // more than the process could deliver, or ask of its clients
}

// Backplane implements [hub.Backplane] over a broker. It is safe for concurrent use.
type Backplane struct {
	options Options
	broker  Broker
	names   names
	local   hub.Local

	ctx        context.Context // until Close
	cancel     context.CancelFunc
	running    sync.WaitGroup
	ready      chan struct{} // closed when the channels of this server are subscribed
	members    members
	copies     copies
	deliveries lanes[delivery] // by channel
	commands   lanes[command]  // by connection; they may wait for a subscription
	gaps       lanes[Gap]      // for the application
	questions  chan struct{}   // one element for each client that is asked

	lastCommand atomic.Int32
	acks        waiters[int32, struct{}]
	answers     waiters[string, hub.Answer]

	lost      atomic.Pointer[time.Time]   // nil: the broker is not degraded
	overflows atomic.Bool                 // a gap because of dropped messages waits
	lacking   [len(protocols)]atomic.Bool // that another server has published without the protocol is logged

	published, received             atomic.Int64
	malformed, oversized, overflown atomic.Int64
}

// claims holds a claim for each backplane that is not closed.
var claims sync.Map

// claim is a hub's name at a broker. A channel of a broker has one receiver, so a second hub of
// the same name would take the messages of the first.
type claim struct {
	broker Broker
	hub    string
}

// New returns the backplane of one hub, for hub.Options.Backplane. It belongs to that hub.
// The application closes the backplane after the hub's Shutdown, and then the broker. New
// panics if o.Hub is empty, or if another backplane of the broker has the same Hub and
// ChannelPrefix. The dynamic type of broker is comparable, such as a pointer.
func New(broker Broker, o Options) *Backplane {
	if o.Hub == "" {
		panic("backplane: Options.Hub is empty")
	}
	o = o.withDefaults()
	b := &Backplane{
		options:   o,
		broker:    broker,
		names:     newNames(o.ChannelPrefix, o.Hub),
		ready:     make(chan struct{}),
		questions: make(chan struct{}, maxQuestions),
	}
	if _, taken := claims.LoadOrStore(claim{broker, b.names.hub}, nil); taken {
		panic(fmt.Sprintf("backplane: the broker has two hubs with the name %q", b.names.hub))
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.members.linger, b.members.unsubscribe = lingerTime, b.unsubscribe
	b.deliveries = lanes[delivery]{
		do: b.deliver, running: &b.running, maxJobs: maxLaneJobs, maxBytes: maxLaneBytes,
		all: make([]lane[delivery], min(16, runtime.GOMAXPROCS(0))),
	}
	b.commands = lanes[command]{
		do: b.do, running: &b.running, maxJobs: maxCommands, maxBytes: maxLaneBytes,
		all: make([]lane[command], commandLanes),
	}
	b.gaps = lanes[Gap]{do: b.reportGap, running: &b.running, maxJobs: 2, maxBytes: maxLaneBytes, all: make([]lane[Gap], 1)}
	return b
}

// Attach implements hub.Backplane. It panics if the backplane has a hub.
func (b *Backplane) Attach(local hub.Local) {
	if b.local != (hub.Local{}) {
		panic("backplane: two hubs have the same backplane")
	}
	b.local = local
	core := []string{b.names.all, b.names.groups, b.names.acks, b.names.answers} // the original's order
	b.members.add(core)
	b.running.Go(func() {
		if err := b.broker.Subscribe(b.ctx, b, core...); err != nil {
			return
		}
		b.members.confirm(core)
		close(b.ready)
	})
}

// Close ends the backplane. It waits until all that was received is delivered. Calls that
// wait fail.
func (b *Backplane) Close() {
	b.cancel()
	b.members.close()
	b.deliveries.close()
	b.commands.close()
	b.gaps.close()
	b.running.Wait()
	claims.Delete(claim{b.broker, b.names.hub})
}

// Stats returns the current numbers.
func (b *Backplane) Stats() Stats {
	return Stats{b.published.Load(), b.received.Load(), b.malformed.Load(), b.oversized.Load(), b.overflown.Load()}
}

// publish publishes a payload by the broker, and counts it.
func (b *Backplane) publish(ctx context.Context, payload []byte, channels ...string) (receivers int, err error) {
	receivers, err = b.broker.Publish(ctx, payload, channels...)
	if err == nil {
		b.published.Add(int64(len(channels)))
	}
	return receivers, err
}

// started waits until the channels of this server are subscribed.
func (b *Backplane) started(ctx context.Context) error {
	select {
	case <-b.ready:
	case <-b.ctx.Done():
	case <-ctx.Done():
	}
	if b.ctx.Err() != nil {
		return errClosed
	}
	return context.Cause(ctx)
}

// Join implements hub.Backplane.
func (b *Backplane) Join(ctx context.Context, to ...hub.Audience) error {
	channels := b.channels(to)
	if confirmed := b.members.add(channels); confirmed {
		return nil
	}
	if err := b.started(ctx); err != nil {
		return err
	}
	if err := b.broker.Subscribe(ctx, b, channels...); err != nil {
		return err
	}
	b.members.confirm(channels)
	return nil
}

// Leave implements hub.Backplane.
func (b *Backplane) Leave(to ...hub.Audience) {
	b.members.remove(b.channels(to), func(channel string) bool {
		a, ok := b.names.audience(channel)
		return ok && a.Kind != hub.ToConnections
	})
}

var errNoSurveyor = errors.New("backplane: the broker does not know the subscriptions of other processes")

// Subscribers implements [hub.SubscriptionCounter], if the broker is a [Surveyor].
func (b *Backplane) Subscribers(ctx context.Context, to hub.Audience) (subscriptions, processes int, err error) {
	surveyor, ok := b.broker.(Surveyor)
	if !ok {
		return 0, 0, errNoSurveyor
	}
	counts, err := surveyor.Subscribers(ctx, append(b.names.channels(to), b.names.all)...)
	if err != nil {
		return 0, 0, err
	}
	last := len(counts) - 1
	for _, n := range counts[:last] {
		subscriptions += n
	}
	return subscriptions, counts[last], nil
}

func (b *Backplane) channels(to []hub.Audience) (all []string) {
	for _, a := range to {
		all = append(all, b.names.channels(a)...)
	}
	return all
}

// unsubscribe ends subscriptions. Messages that wait for their copies have no receivers here
// any more.
func (b *Backplane) unsubscribe(channels []string) {
	b.broker.Unsubscribe(channels...)
	for _, own := range b.copies.unsubscribed(channels) {
		close(own.done)
	}
}
