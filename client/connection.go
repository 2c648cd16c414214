package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/internal/notify"
)

// HubConnection is a connection to one hub. Its methods are safe for concurrent use. It can be
// started again after it has ended.
type HubConnection struct {
	hub     *url.URL // nil: invalid
	options Options
	network *network
	session atomic.Pointer[session] // nil unless Connected

	mu        sync.Mutex
	state     State
	changed   notify.Gate // opens at each change of the state
	ended     error       // for WaitConnected while Disconnected; nil: never started, and the URL is valid
	current   *run
	runs      map[*run]struct{}   // the current one, and earlier ones with callbacks that still run
	marked    map[uint64]struct{} // goroutines of callbacks and uploads
	observers []func(context.Context, StateChange)

	onRefreshed     []func(context.Context, time.Duration)
	onRefreshFailed []func(context.Context, error)

	handlers handlers
}

// New returns a connection to the hub at an http or https URL. It does nothing until Start or Run,
// which also report an invalid URL.
func New(hub string, options Options) *HubConnection {
	o := options.withDefaults()
	c := &HubConnection{options: o, network: newNetwork(o), runs: make(map[*run]struct{}), marked: make(map[uint64]struct{})}
	c.hub, c.ended = parseHub(hub)
	return c
}

func parseHub(hub string) (*url.URL, error) {
	u, err := url.Parse(hub)
	if err != nil {
		return nil, fmt.Errorf("client: invalid URL: %w", withoutURL(err))
	}
	switch u.Scheme {
	case "http", "https":
	case "ws":
		u.Scheme = "http"
	case "wss":
		u.Scheme = "https"
	default:
		return nil, fmt.Errorf("client: invalid URL: scheme %q is neither http nor https", u.Scheme)
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

// Start connects. It returns nil when the connection is established, or the error of the first
// attempt, which is not repeated. ctx limits only the start; the connection lasts until Stop or
// until it is lost for good. After a failed start the connection can be started again, unless
// functions of the HTTPClient ignore the end of ctx for Options.CloseTimeout.
func (c *HubConnection) Start(ctx context.Context) error {
	r, err := c.begin(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	go func() { _ = r.loop(false) }()
	select {
	case err := <-r.started:
		return err
	case <-ctx.Done():
		r.stop(context.Cause(ctx))
		closing, cancel := c.options.closing(ctx)
		defer cancel()
		for range 2 { // until the outcome has come and started is closed
			_ = await(closing, r.started)
		}
		return context.Cause(ctx)
	}
}

// Run connects and returns when the connection has ended for good: nil if ctx ended, if Stop was
// called or if the server closed the connection without an error; otherwise the cause. With
// Options.Reconnect the first attempt is repeated too, so that a service may start before its
// server. Callbacks and uploads that ignore the end of their ctx delay Run by at most
// Options.CloseTimeout.
func (c *HubConnection) Run(ctx context.Context) error {
	r, err := c.begin(ctx)
	if err != nil {
		return err
	}
	return r.loop(true)
}

// Stop ends the connection in order and waits until everything that belongs to it has ended,
// running callbacks and uploads included. If ctx ends first, Stop returns the cause of ctx, and the
// rest ends by itself. If a callback or the sequence of an upload calls Stop, or Stop gets the ctx
// of one, it begins the end and returns nil at once. Other code must not let a callback wait for a
// Stop without a time limit: they would wait for each other. Without a connection, Stop does
// nothing. A connection that is started while Stop waits, by a state callback for example, is not
// stopped.
func (c *HubConnection) Stop(ctx context.Context) error {
	c.mu.Lock()
	runs := slices.Collect(maps.Keys(c.runs))
	c.mu.Unlock()
	for _, r := range runs {
		r.stop(ErrStopped)
	}
	if c.isMarked(ctx) {
		return nil
	}
	for _, r := range runs {
		if err := await(ctx, r.done); err != nil {
			return err
		}
	}
	return nil
}

// callbackKey marks the contexts of handlers and state callbacks with their connection.
type callbackKey struct{}

// begin makes a run that owns the connection from now on.
func (c *HubConnection) begin(ctx context.Context) (*run, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hub == nil {
		return nil, c.ended
	}
	if c.current != nil {
		return nil, ErrAlreadyStarted
	}
	r := newRun(ctx, c)
	c.current = r
	c.runs[r] = struct{}{}
	c.change(r, StateChange{To: Connecting})
	return r, nil
}

// enter changes the state on behalf of r and notifies the observers.
func (c *HubConnection) enter(r *run, change StateChange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if change.To == Disconnected {
		c.current = nil // may be started again, even by the callback
		c.ended = ErrNotConnected
		if change.Err != nil {
			c.ended = fmt.Errorf("%w: %w", ErrNotConnected, change.Err)
		}
	}
	c.change(r, change)
}

func (c *HubConnection) change(r *run, change StateChange) {
	change.From, c.state = c.state, change.To
	c.changed.Open()
	r.jobs.push(job{change: &change})
}

// forget removes a run that has ended. The last run closes the idle network connections, under the
// lock: a run that has begun since may just be using one of them.
func (c *HubConnection) forget(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.runs, r)
	if len(c.runs) == 0 && c.network.own != nil {
		c.network.own.CloseIdleConnections()
	}
}

// connected returns the current session.
func (c *HubConnection) connected() (*session, error) {
	if s := c.session.Load(); s != nil {
		return s, nil
	}
	return nil, ErrNotConnected
}

// isOrderly reports whether a connection ended without an error.
func isOrderly(err error) bool {
	if errors.Is(err, errEnded) || errors.Is(err, ErrStopped) {
		return true
	}
	closed, ok := errors.AsType[*CloseError](err)
	return ok && closed.Message == ""
}
