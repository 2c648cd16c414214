// Package redis is a broker for backplanes over Redis or Valkey: hubs of several processes
// share one, also with servers of ASP.NET Core.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/floodgate"
	"github.com/carillon-go/carillon/internal/notify"
)

// Options configure a Broker.
type Options struct {
	// URL is the address of the server: redis://USER:PASSWORD@HOST:PORT, rediss:// for TLS,
	// or unix://USER:PASSWORD@/PATH for a Unix socket. For Sentinels its query has
	// master_set=NAME, and addr=HOST:PORT for each further one. The URL is not logged. Required.
	URL string
	// TLS replaces the settings of a rediss URL. Default nil: those of the URL.
	TLS *tls.Config
	// Logger gets the lines of the broker. Default: slog.Default().
	Logger *slog.Logger
}

const (
	dialTimeout  = time.Second
	writeTimeout = 3 * time.Second
	bufferBytes  = 64 << 10 // of each reader
	maxSpare     = 64 << 10 // kept for further commands
	// A server that confirms nothing for confirmTimeout while nothing comes, or for maxConfirm, does
	// not confirm subscriptions.
	confirmTimeout   = 3 * time.Second
	maxConfirm       = time.Minute
	sentinelInterval = 5 * time.Second
	// publishTimeout is the longest time in which a publication is answered; otherwise the
	// connection is lost. Each byte that is on its way adds timePerByte: 1 s for a megabyte.
	publishTimeout = time.Second
	timePerByte    = time.Microsecond
	// batchSize is the number of channels of one command, or of one payload that is published. Large
	// payloads have fewer: maxUnanswered bytes wait for answers, and one batch more.
	batchSize     = 512
	batchBytes    = 1 << 20
	maxUnanswered = 64 << 20
	// Reconnecting waits for minPause, doubled with each failure up to maxPause.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

var errClosed = errors.New("redis: the broker is closed")

// Broker implements [backplane.Broker]. It connects by itself, again and again, and makes two
// connections: one publishes, one subscribes.
type Broker struct {
	settings *settings
	gate     *floodgate.Gate
	ctx      context.Context // until Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	changed  notify.Signal // channels are to be subscribed or unsubscribed
	probe    probe
	reasons  map[string]bool // why there is no connection, as logged; only for run

	mu       sync.Mutex
	link     *link // nil: not connected
	channels channels
	state    backplane.State
	tried    bool // all channels have been subscribed once, or the first connection has failed
}

// New returns a broker that connects to a server. It fails if a setting is wrong, and not if
// the server does not answer. The broker ends with Close.
func New(o Options) (*Broker, error) {
	s, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s.tls = cmp.Or(o.TLS, s.tls)
	logger := cmp.Or(o.Logger, slog.Default()).With(slog.String("address", strings.Join(s.addresses, ",")))
	b := &Broker{settings: s, gate: floodgate.New(logger), reasons: make(map[string]bool), changed: notify.NewSignal()}
	b.state.Since = time.Now()
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.probe = newProbe()
	b.channels.want(b.probe.channel, &b.probe)
	b.running.Go(b.run)
	return b, nil
}

// Close implements backplane.Broker.
func (b *Broker) Close() {
	b.cancel()
	b.running.Wait()
	b.gate.Close()
}

// State implements backplane.Broker.
func (b *Broker) State() backplane.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Subscribed, s.Wanted = b.channels.count()
	return s
}

// Publish implements backplane.Broker.
func (b *Broker) Publish(ctx context.Context, payload []byte, channels ...string) (receivers int, err error) {
	b.mu.Lock()
	l, begin := b.link, b.channels.last
	b.mu.Unlock()
	if l == nil {
		return 0, backplane.ErrUnavailable
	}
	for len(channels) > 0 && err == nil {
		n := min(batchSize, 1+batchBytes/(len(payload)+1), len(channels))
		var p *publication
		if p, err = l.publish(ctx, payload, channels[:n]); err != nil {
			return receivers, err
		}
		if err = l.wait(ctx, p); err == nil {
			for i, got := range p.receivers {
				receivers += got
				if got == 0 && p.refusal == nil && b.wasSubscribed(channels[i], begin) {
					l.fail(errDeaf)
				}
			}
			err = p.refusal
		}
		channels = channels[n:]
	}
	return receivers, err
}

// wasSubscribed reports whether a channel has been subscribed since before the number of a
// confirmation: then a publication after it has a receiver.
func (b *Broker) wasSubscribed(channel string, number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.channels.wasSubscribed(channel, number)
}

// Subscribe implements backplane.Broker.
func (b *Broker) Subscribe(ctx context.Context, r backplane.Receiver, channels ...string) error {
	waiting := b.want(r, channels)
	for _, confirmed := range waiting {
		select {
		case <-confirmed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-b.ctx.Done():
			return errClosed
		}
	}
	return nil
}

// want notes channels, and returns the waits for their confirmations.
func (b *Broker) want(r backplane.Receiver, channels []string) (waiting []<-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.changed.Notify()
	if b.state.Degraded {
		r.Changed(true)
	}
	for _, channel := range channels {
		if c := b.channels.want(channel, r); !c.isSubscribed() && !b.state.Degraded {
			waiting = append(waiting, c.wait())
		}
	}
	return waiting
}

// Unsubscribe implements backplane.Broker.
func (b *Broker) Unsubscribe(channels ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, channel := range channels {
		b.channels.drop(channel)
	}
	b.changed.Notify()
}
