package matrix_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
	"github.com/carillon-go/carillon/internal/testproc"
)

// A visit is one start of a client and what it does when it is connected; clients/reach.js says what the fields mean.
type visit struct {
	URL       string `json:"url"`
	Query     string `json:"query"`
	Transport string `json:"transport,omitempty"`
	Token     string `json:"token,omitempty"`
	Script    bool   `json:"script,omitempty"`
	Ticks     int    `json:"ticks"`
	Quiet     int64  `json:"quiet,omitempty"` // milliseconds, as all times here
	Limit     int64  `json:"limit"`
}

// A cell is a visit from a network: the way that a client is behind a box.
type cell struct {
	Name  string `json:"name"`
	Proxy string `json:"proxy,omitempty"`
	Page  string `json:"page,omitempty"`
	Visit visit  `json:"visit"`
}

// A start is how a visit went. Times are milliseconds.
type start struct {
	Transport string   `json:"transport"`
	Connected int64    `json:"connected"`
	First     int64    `json:"first"`
	Delays    []int64  `json:"delays"`
	Error     string   `json:"error"`
	Log       []string `json:"log"`
	// Negotiations is how often the server was asked during the start.
	Negotiations int `json:"-"`
}

// A visitor is a client that visits, several cells at once if there are several.
type visitor interface {
	name() string
	visit(t *testing.T, cells ...cell) []start
}

func visitors(t *testing.T) []visitor {
	t.Helper()
	trust := "NODE_EXTRA_CA_CERTS=" + middlebox.RootFile(t)
	return []visitor{
		&officialVisitor{"Chromium", clients.Start(t, "reach-chromium.js", "CHROMIUM="+clients.FindChromium(t))},
		&officialVisitor{"Node", clients.Start(t, "reach-node.js", trust)},
		&goVisitor{networks: map[string]*goNetwork{}},
	}
}

// officialVisitor is the official client, in a runner.
type officialVisitor struct {
	title  string
	runner *clients.Runner
}

func (o *officialVisitor) name() string { return o.title }

func (o *officialVisitor) visit(t *testing.T, cells ...cell) []start {
	t.Helper()
	var answer struct{ Cells []start }
	if err := errors.Join(o.runner.In.Encode(map[string]any{"cells": cells}), o.runner.Out.Decode(&answer)); err != nil {
		t.Errorf("%s: %v\n%s", o.title, err, o.runner.Stderr)
	}
	return append(answer.Cells, make([]start, len(cells)-len(answer.Cells))...)
}

// goVisitor is our own client. It remembers by network what worked.
type goVisitor struct {
	mu       sync.Mutex
	networks map[string]*goNetwork
}

type goNetwork struct {
	memory *client.Memory
	http   *http.Client
}

func (*goVisitor) name() string { return "Go" }

func (g *goVisitor) visit(t *testing.T, cells ...cell) []start {
	t.Helper()
	starts := make([]start, len(cells))
	var all sync.WaitGroup
	for i, c := range cells {
		n := g.network(t, c)
		all.Go(func() { starts[i] = n.reach(t.Context(), c.Visit) })
	}
	all.Wait()
	return starts
}

func (g *goVisitor) network(t *testing.T, c cell) *goNetwork {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := g.networks[c.Name]; n != nil {
		return n
	}
	proxy, err := url.Parse(c.Proxy)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: middlebox.Roots(t)}
	if transport.Proxy = nil; c.Proxy != "" {
		transport.Proxy = http.ProxyURL(proxy)
	}
	t.Cleanup(transport.CloseIdleConnections)
	n := &goNetwork{memory: client.NewMemory(), http: &http.Client{Transport: transport}}
	g.networks[c.Name] = n
	return n
}

func (n *goNetwork) reach(ctx context.Context, v visit) start {
	ctx, cancel := context.WithTimeout(ctx, milliseconds(v.Limit))
	defer cancel()
	w := &watcher{began: time.Now(), wanted: v.Ticks, enough: make(chan struct{}), lost: make(chan error, 1)}
	o := client.Options{Memory: n.memory, HTTPClient: n.http, Logger: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	if v.Transport != "" {
		o.Transports = []client.Transport{client.Transport(v.Transport)}
	}
	conn := client.New(v.URL+v.Query, o)
	clock.ReceiveClock(conn, w)
	conn.OnStateChange(w.changed)
	err := w.watch(ctx, conn, v)
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = conn.Stop(stopping)
	return w.start(err)
}

// watcher is a clock that takes down what it is shown.
type watcher struct {
	began  time.Time
	wanted int
	enough chan struct{}
	lost   chan error
	log    testproc.Output

	mu   sync.Mutex
	seen start
}

func (w *watcher) watch(ctx context.Context, conn *client.HubConnection, v visit) error {
	if err := conn.Start(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.seen.Transport, w.seen.Connected = string(conn.Transport()), time.Since(w.began).Milliseconds()
	w.mu.Unlock()
	if v.Quiet > 0 {
		if err := w.wait(ctx, time.After(milliseconds(v.Quiet)), nil); err != nil {
			return err
		}
		answer := new(client.HubError)
		if err := conn.Invoke(ctx, "Nothing"); !errors.As(err, &answer) {
			return fmt.Errorf("the hub is no longer there: %w", err)
		}
		return nil
	}
	return w.wait(ctx, nil, w.enough)
}

func (w *watcher) wait(ctx context.Context, quiet <-chan time.Time, enough <-chan struct{}) error {
	select {
	case <-quiet:
		return nil
	case <-enough:
		return nil
	case err := <-w.lost:
		return fmt.Errorf("lost after %s: %v", time.Since(w.began), err) //nolint:errorlint // nil for an orderly end
	case <-ctx.Done():
		return fmt.Errorf("given up: %w", ctx.Err())
	}
}

func (w *watcher) changed(_ context.Context, change client.StateChange) {
	if change.To != client.Disconnected {
		return
	}
	select {
	case w.lost <- change.Err:
	default:
	}
}

// ShowTime takes a tick down.
func (w *watcher) ShowTime(_ context.Context, sent time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.seen.Delays) == 0 {
		w.seen.First = time.Since(w.began).Milliseconds()
	}
	w.seen.Delays = append(w.seen.Delays, time.Since(sent).Milliseconds())
	if len(w.seen.Delays) == w.wanted {
		close(w.enough)
	}
	return nil
}

func (w *watcher) start(err error) start {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.seen
	if err != nil {
		s.Error, s.Log = err.Error(), strings.Split(w.log.String(), "\n")
	}
	return s
}

func milliseconds(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
