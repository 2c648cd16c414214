// Package redis is a broker for backplanes over Redis or Valkey: hubs of several processes
// share one, also with servers of ASP.NET Core.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/internal/notify"
)

// Options configure a Broker.
type Options struct {
	// URL is the address of the server: redis://USER:PASSWORD@HOST:PORT, rediss:// for TLS,
	// or unix://USER:PASSWORD@/PATH for a Unix socket. Its query may have protocol=2 for
	// servers that answer RESP3 wrongly, and for Sentinel master_set=NAME and further
	// addr=HOST:PORT. It is not logged. Required.
	URL string
	// TLS replaces the settings of a rediss URL. Default nil: those of the URL.
	TLS *tls.Config
	// Logger gets the lines of the broker. Default: slog.Default().
	Logger *slog.Logger
}

// client returns the settings of the connections.
func (o Options) client() (rueidis.ClientOption, error) {
	c, err := parseURL(o.URL)
	if err != nil {
		return c, err
	}
	if o.TLS != nil {
		c.TLSConfig = o.TLS
	}
	c.Dialer.Timeout = dialTimeout
	c.ConnWriteTimeout = writeTimeout
	c.PipelineMultiplex = -1 // one connection keeps the order
	c.ReadBufferEachConn, c.WriteBufferEachConn = bufferBytes, bufferBytes
	c.DisableCache = true
	c.ClientSetInfo = rueidis.DisableClientSetInfo // a right less
	c.DisableRetry = true                          // a publication that failed may have arrived
	c.ForceSingleClient = c.Sentinel.MasterSet == ""
	if c.Sentinel.MasterSet != "" {
		c.Sentinel.TopologyRefreshInterval = sentinelInterval
		c.Sentinel.Dialer.Timeout = dialTimeout
		c.Sentinel.Username, c.Sentinel.Password, c.Sentinel.TLSConfig = c.Username, c.Password, c.TLSConfig
	}
	return c, nil
}

// errURL has no part of the URL, because any of them may belong to a password.
var errURL = errors.New("redis: the URL is not of the form redis://USER:PASSWORD@HOST:PORT, rediss://… or unix://USER:PASSWORD@/PATH; " +
	"special characters in a password have to be percent-encoded")

// CheckURL returns an error if Options.URL cannot have this value. The error has no part of it.
func CheckURL(text string) error {
	_, err := parseURL(text)
	return err
}

func parseURL(text string) (c rueidis.ClientOption, err error) {
	u, err := url.Parse(text)
	if err != nil {
		return c, errURL
	}
	if isUnix := u.Scheme == "unix"; isUnix && (u.Host != "" || u.Path == "") || !isUnix && u.Hostname() == "" {
		return c, errURL
	}
	if c, err = rueidis.ParseURL(text); err != nil {
		return c, errURL
	}
	return c, nil
}

const (
	dialTimeout      = time.Second
	writeTimeout     = 3 * time.Second
	bufferBytes      = 64 << 10
	sentinelInterval = 5 * time.Second
	// publishTimeout is the longest time in which a publication is answered; otherwise the
	// connection is lost.
	publishTimeout = time.Second
	// batchSize is the number of channels of one command.
	batchSize = 512
	// Reconnecting waits for minPause, doubled with each failure up to maxPause.
	minPause = 50 * time.Millisecond
	maxPause = time.Second
)

var errClosed = errors.New("redis: the broker is closed")

// Broker implements [backplane.Broker]. It connects by itself, again and again, and makes two
// connections: one publishes, one subscribes.
type Broker struct {
	settings rueidis.ClientOption
	logger   *slog.Logger
	ctx      context.Context // until Close
	cancel   context.CancelFunc
	running  sync.WaitGroup
	changed  notify.Signal // channels are to be subscribed or unsubscribed
	heard    atomic.Int64  // when something last came from the subscribing connection, in nanoseconds
	probe    probe
	reason   string // why there is no connection, as logged; only for run

	mu       sync.Mutex
	link     *link // nil: not connected
	channels channels
	state    backplane.State
	tried    bool // all channels have been subscribed once, or the first connection has failed
}

// link is one connection to the server, or rather two.
type link struct {
	client     rueidis.Client
	subscriber rueidis.DedicatedClient
	ended      <-chan error    // closed when nothing is received any more
	ctx        context.Context // until the connection is lost
	fail       context.CancelCauseFunc
}

// New returns a broker that connects to a server. It fails if a setting is wrong, and not if
// the server does not answer. The broker ends with Close.
func New(o Options) (*Broker, error) {
	settings, err := o.client()
	if err != nil {
		return nil, err
	}
	logger := cmp.Or(o.Logger, slog.Default()).With(slog.String("address", strings.Join(settings.InitAddress, ",")))
	b := &Broker{settings: settings, logger: logger, changed: notify.NewSignal()}
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
	timed, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	message := rueidis.BinaryString(payload)
	for len(channels) > 0 && err == nil {
		n := min(batchSize, len(channels))
		commands := make(rueidis.Commands, n)
		for i, channel := range channels[:n] {
			commands[i] = l.client.B().Publish().Channel(channel).Message(message).Build()
		}
		for i, r := range l.client.DoMulti(timed, commands...) {
			got, failed := r.AsInt64()
			receivers += int(got)
			err = cmp.Or(err, failed)
			if failed == nil && got == 0 && b.wasSubscribed(channels[i], begin) {
				l.fail(errDeaf)
			}
		}
		channels = channels[n:]
	}
	if _, answered := rueidis.IsRedisErr(err); err != nil && !answered && ctx.Err() == nil {
		if timed.Err() != nil {
			err = errUnanswered
		}
		l.fail(err)
		err = fmt.Errorf("%w: %w", backplane.ErrLost, err)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
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
