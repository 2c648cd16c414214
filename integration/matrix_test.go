package integration_test

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/middlebox"
)

var matrixOut = flag.String("matrix-out", "", "file that the measured matrix is written to, as a table in Markdown")

// A barrier is a box in front of the gateway and what is expected of clients behind it.
type barrier struct {
	box  string // "": none
	best string // the transport that a second start takes
	// bestOf are the clients for which it is another one.
	bestOf map[string]string
	// script has the official client use carillon.js.
	script bool
	// patience is how long the official client is given for its first start before its page is loaded anew.
	patience time.Duration
	// mayFail are the clients whose first start may fail (see official).
	mayFail []string
}

func (b barrier) name() string {
	switch {
	case b.box == "":
		return "none"
	case b.script:
		return b.box + ", carillon.js"
	default:
		return b.box
	}
}

func (b barrier) bestFor(client string) string {
	if best := b.bestOf[client]; best != "" {
		return best
	}
	return b.best
}

const (
	byWebSocket   = "WebSockets"
	byEventStream = "ServerSentEvents"
	byPolling     = "LongPolling"
)

// A held stream is cut by the gateway. Some boxes pass its head on then, which the official client takes for the
// opening: it does not try the next transport, and its start fails. Others it waits for as long as the browser does.
var official = []string{"Chromium", "Node"}

var barriers = []barrier{
	{best: byWebSocket},
	{box: "N1", best: byEventStream},
	{box: "N2", best: byWebSocket},
	{box: "N3", best: byEventStream},
	{box: "N4", best: byEventStream},
	{box: "N6", best: byWebSocket},
	// nginx keeps what it writes to HTTP/1.1 with TLS until it is flushed; browsers and Go speak HTTP/2.
	{box: "N7", best: byEventStream, bestOf: map[string]string{"Node": byPolling}, mayFail: []string{"Node"}},
	// Node's event source does not accept compression.
	{box: "N8", best: byPolling, bestOf: map[string]string{"Node": byEventStream}, mayFail: []string{"Chromium"}},
	{box: "N9", best: byEventStream},
	{box: "N10", best: byPolling, mayFail: official},
	{box: "HAProxy", best: byWebSocket},
	{box: "A1", best: byEventStream},
	{box: "A2", best: byWebSocket},
	{box: "A3", best: byWebSocket},
	{box: "A4", best: byEventStream},
	{box: "V1", best: byEventStream},
	{box: "V2", best: byWebSocket},
	{box: "Squid", best: byEventStream},
	{box: "Squid-TLS", best: byEventStream},
	{box: "T1", best: byEventStream},
	{box: "T2", best: byWebSocket},
	{box: "B-strip", best: byEventStream},
	{box: "B-swallow", best: byEventStream, script: true},
	{box: "B-swallow", best: byEventStream, patience: 4 * time.Second, mayFail: official},
	{box: "B-hold", best: byPolling},
	{box: "B-idle", best: byWebSocket},
	{box: "B-html", best: byEventStream},
	// A poll of Go's and its event stream look alike without Accept, and an answer that is no stream is refused at once.
	{box: "B-accept", best: byEventStream, bestOf: map[string]string{"Go": byPolling}},
}

// notYet are cells that do not work, with the reason. One that begins to work fails the test, so that this shrinks.
var notYet = map[string]string{}

const (
	tickInterval = 100 * time.Millisecond
	awaitedTicks = 5
	watchdog     = 30 * time.Second
)

// TestMatrix has every client connect behind every box, by itself, twice, and receive ticks. Times are printed, not judged.
func TestMatrix(t *testing.T) {
	clients := visitors(t)
	var results []result
	for _, b := range barriers {
		t.Run(b.name(), func(t *testing.T) {
			g := startLearner(t, tickInterval)
			url, proxy := behind(t, b, g.address)
			var all sync.WaitGroup
			found := make([]result, len(clients))
			for i, v := range clients {
				all.Go(func() { found[i] = explore(t, g, v, b, url, proxy) })
			}
			all.Wait()
			results = append(results, found...)
		})
	}
	table := tableOf(results)
	t.Log("\n" + table)
	if *matrixOut != "" {
		if err := os.WriteFile(*matrixOut, []byte(table), 0o644); err != nil { //nolint:gosec // for everybody
			t.Fatal(err)
		}
	}
}

// behind puts b in front of the gateway: where a client connects, and the proxy that it names.
func behind(t *testing.T, b barrier, address string) (url, proxy string) {
	t.Helper()
	if b.box == "" {
		return "http://" + address, ""
	}
	kind, err := middlebox.ByName(b.box)
	if err != nil {
		t.Fatal(err)
	}
	box := kind.Start(t, address)
	return box.URL, box.Proxy
}

// A result is what one client found behind one box.
type result struct {
	barrier barrier
	client  string
	starts  []start // none: it was not run
}

const starts = 2

// explore has one client start, and start again.
func explore(t *testing.T, g *learner, v visitor, b barrier, url, proxy string) result {
	r := result{barrier: b, client: v.name()}
	if v.name() == "Node" && proxy != "" {
		return r // the official client has no setting for a proxy there
	}
	for i := range starts {
		query := fmt.Sprintf("?who=%s%d", v.name(), i+1)
		limit := watchdog
		if i == 0 && b.patience > 0 && v.name() != "Go" {
			limit = b.patience
		}
		s := v.visit(t, cell{Name: b.name(), Proxy: proxy, Visit: visit{
			URL: url + clockPath, Query: query, Script: b.script, Ticks: awaitedTicks, Limit: limit.Milliseconds(),
		}})[0]
		s.Negotiations = g.negotiations.of(query)
		r.starts = append(r.starts, s)
	}
	r.judge(t)
	return r
}

// judge tells what is wrong, or what is right although it is known to be wrong.
func (r result) judge(t *testing.T) {
	cell := r.barrier.name() + " " + r.client
	wrong := r.faults()
	reason, known := notYet[cell]
	switch {
	case known && len(wrong) == 0:
		t.Errorf("%s works now: take it out of notYet", cell)
	case known:
		t.Logf("%s: not yet: %s: %s", cell, reason, wrong)
	case len(wrong) > 0:
		t.Errorf("%s:\n%s", cell, strings.Join(wrong, "\n"))
	}
}

func (r result) faults() []string {
	var faults []string
	first, second := r.starts[0], r.starts[1]
	if first.Error != "" && !slices.Contains(r.barrier.mayFail, r.client) {
		faults = append(faults, "first start: "+first.describe())
	}
	switch {
	case second.Error != "":
		faults = append(faults, "second start: "+second.describe())
	case second.Transport != r.barrier.bestFor(r.client):
		faults = append(faults, "the second start took "+second.Transport)
	case second.Negotiations > 1:
		faults = append(faults, fmt.Sprintf("the second start made %d attempts", second.Negotiations))
	}
	return faults
}

func (s start) describe() string {
	return s.Error + "\n" + strings.Join(s.Log, "\n")
}

// median of times; 0 of none.
func median(times []int64) int64 {
	if len(times) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(times))[len(times)/2]
}
