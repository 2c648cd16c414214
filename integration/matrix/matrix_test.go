// Package matrix_test has clients, and the doctor, behind each of the boxes of middlebox.
package matrix_test

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

var (
	matrixOut    = flag.String("matrix-out", "", "file that the measured matrix is written to, as a table in Markdown")
	matrixAtOnce = flag.Int("matrix-at-once", 4, "boxes that are measured at the same time; 1 for figures that are to be shown")
	matrixNodes  = flag.Int("matrix-nodes", 1, "nodes of the gateway behind each box; several stand behind HAProxy, round robin")
)

// A barrier is a box in front of the gateway and what is expected of clients behind it.
type barrier struct {
	box  string // "": none
	best string // the transport that a second start takes
	// bestOf are the clients for which it is another one.
	bestOf map[string]string
	// script has the official client use carillon.js.
	script bool
	// patience is how long the official client is given for its first start before its page is loaded anew; 0: until it is
	// connected.
	patience time.Duration
	// keepsHTTP10 says that HTTP/1.0, which the box speaks, is evidence: a balancer before several nodes must not change it.
	keepsHTTP10 bool
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

// isGivenUp tells of a client's first start.
func (b barrier) isGivenUp(client string) bool { return b.patience > 0 && client != "Go" }

const (
	byWebSocket   = "WebSockets"
	byEventStream = "ServerSentEvents"
	byPolling     = "LongPolling"
)

var barriers = []barrier{
	{best: byWebSocket},
	{box: "N1", best: byEventStream},
	{box: "N2", best: byWebSocket},
	{box: "N3", best: byEventStream},
	{box: "N4", best: byEventStream},
	{box: "N6", best: byWebSocket},
	// nginx keeps what it writes to HTTP/1.1 with TLS until it is flushed; browsers and Go speak HTTP/2.
	{box: "N7", best: byEventStream, bestOf: map[string]string{"Node": byPolling}},
	// Node's event source does not accept compression.
	{box: "N8", best: byPolling, bestOf: map[string]string{"Node": byEventStream}},
	{box: "N9", best: byEventStream},
	{box: "N10", best: byPolling},
	{box: "N11", best: byPolling, keepsHTTP10: true},
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
	{box: "B-swallow", best: byEventStream, patience: 4 * time.Second},
	{box: "B-drop", best: byEventStream, script: true},
	{box: "B-drop", best: byEventStream, patience: 4 * time.Second},
	{box: "B-hold", best: byPolling},
	{box: "B-idle", best: byWebSocket},
	{box: "B-html", best: byEventStream},
	{box: "B-accept", best: byEventStream},
}

// notYet are cells that do not work, with the reason. One that begins to work fails the test, so that this shrinks.
var notYet = map[string]string{}

const (
	tickInterval = 100 * time.Millisecond
	awaitedTicks = 5
	watchdog     = 30 * time.Second
	gossip       = 4 * time.Second // several of the intervals at which nodes tell each other what they learn
)

// TestMatrix has every client connect behind every box, by itself, twice, and receive ticks. Times are printed, not judged.
func TestMatrix(t *testing.T) { testMatrix(t, barriers, *matrixNodes) }

// TestMatrixOfThreeNodes has some clients connect to three nodes behind a balancer that keeps no sessions. What they see
// is the same as with one node. TestMatrix with -matrix-nodes 3 has all.
func TestMatrixOfThreeNodes(t *testing.T) {
	examples := []string{"none", "N1", "N10", "N11", "B-swallow", "B-drop, carillon.js", "B-drop", "B-html"}
	testMatrix(t, slices.DeleteFunc(slices.Clone(barriers), func(b barrier) bool { return !slices.Contains(examples, b.name()) }), 3)
}

func testMatrix(t *testing.T, all []barrier, nodes int) {
	clients := visitors(t)
	var results []result
	inGroups(t, all, func(t *testing.T, group []barrier) {
		places := placesBehind(t, group, tickInterval, nodes)
		results = append(results, exploreAll(t, clients, places, []manner{byItself, byItself})...)
	})
	show(t, tableOf(results))
}

// inGroups has some barriers looked at at the same time, then the next.
func inGroups(t *testing.T, all []barrier, look func(t *testing.T, group []barrier)) {
	for group := range slices.Chunk(all, *matrixAtOnce) {
		t.Run(namesOf(group), func(t *testing.T) { look(t, group) })
	}
}

// show logs what was measured, and writes it to the file that was asked for.
func show(t *testing.T, table string) {
	t.Helper()
	t.Log("\n" + table)
	if *matrixOut == "" {
		return
	}
	if err := os.WriteFile(*matrixOut, []byte(table), 0o644); err != nil { //nolint:gosec // for everybody
		t.Fatal(err)
	}
}

func namesOf(group []barrier) string {
	names := make([]string, len(group))
	for i, b := range group {
		names[i] = b.name()
	}
	return strings.Join(names, "+")
}

// A place is where clients are behind a barrier, with a gateway of its own on the other side.
type place struct {
	barrier barrier
	gateway *learner
	nodes   int // of the gateway
	url     string
	proxy   string // that a client names
}

func placesBehind(t *testing.T, group []barrier, interval time.Duration, nodes int) []place {
	t.Helper()
	places := make([]place, len(group))
	for i, b := range group {
		balancer := byRequest
		if b.keepsHTTP10 {
			balancer = byConnection // nginx opens one for each request
		}
		places[i] = place{barrier: b, gateway: startLearner(t, interval, nodes, balancer), nodes: nodes}
		places[i].enter(t)
	}
	return places
}

func (p *place) enter(t *testing.T) {
	t.Helper()
	p.url = "http://" + p.gateway.address
	if p.barrier.box == "" {
		return
	}
	kind, err := middlebox.ByName(p.barrier.box)
	if err != nil {
		t.Fatal(err)
	}
	box := kind.Start(t, p.gateway.address)
	p.url, p.proxy = box.URL, box.Proxy
}

// open tells whether a client can be brought there: the official one has no setting for a proxy in Node.
func (p *place) open(client string) bool { return client != "Node" || p.proxy == "" }

// A result is what one client found behind one box.
type result struct {
	barrier barrier
	client  string
	starts  []start // none: it was not run
}

// A manner is how a client starts: with no transport named, or with the best.
type manner bool

const (
	byItself manner = false
	byName   manner = true
)

// exploreAll has all clients start in all places at once, and start again.
func exploreAll(t *testing.T, clients []visitor, places []place, manners []manner) []result {
	t.Helper()
	return byPlace(clients, len(places), func(v visitor) []result { return explore(t, v, places, manners) })
}

// byPlace has all clients look at the places at the same time. What one found in a place stands beside what the others
// did.
func byPlace[T any](clients []visitor, places int, look func(visitor) []T) []T {
	found := make([][]T, len(clients))
	var all sync.WaitGroup
	for i, v := range clients {
		all.Go(func() { found[i] = look(v) })
	}
	all.Wait()
	var sorted []T
	for i := range places {
		for _, ofClient := range found {
			sorted = append(sorted, ofClient[i])
		}
	}
	return sorted
}

func explore(t *testing.T, v visitor, places []place, manners []manner) []result {
	t.Helper()
	results := make([]result, len(places))
	for n, how := range manners {
		if n > 0 && places[0].nodes > 1 {
			time.Sleep(gossip) // the nodes do not say when all have heard what one has learned
		}
		var cells []cell
		var visited []int
		for i, p := range places {
			results[i].barrier, results[i].client = p.barrier, v.name()
			if p.open(v.name()) {
				cells, visited = append(cells, p.cell(v.name(), n, how)), append(visited, i)
			}
		}
		if len(cells) == 0 {
			break
		}
		for i, s := range v.visit(t, cells...) {
			at := visited[i]
			s.Negotiations = places[at].gateway.negotiations.of(cells[i].Visit.Query)
			results[at].starts = append(results[at].starts, s)
		}
	}
	for _, r := range results {
		r.judge(t)
	}
	return results
}

// cell is the n-th start of a client there.
func (p *place) cell(client string, n int, how manner) cell {
	limit := watchdog
	if n == 0 && p.barrier.isGivenUp(client) {
		limit = p.barrier.patience
	}
	c := cell{Name: p.barrier.name(), Proxy: p.proxy, Visit: visit{
		URL: p.url + clockPath, Query: fmt.Sprintf("?who=%s%d", client, n+1), Script: p.barrier.script, Ticks: awaitedTicks, Limit: limit.Milliseconds(),
	}}
	if how == byName {
		c.Visit.Transport = p.barrier.bestFor(client)
	}
	return c
}

// judge tells what is wrong, or what is right although it is known to be wrong.
func (r result) judge(t *testing.T) {
	if len(r.starts) == 0 {
		return
	}
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
	if first := r.starts[0]; first.Error != "" && !r.barrier.isGivenUp(r.client) {
		faults = append(faults, "first start: "+first.describe())
	}
	for i, later := range r.starts[1:] {
		switch {
		case later.Error != "":
			faults = append(faults, fmt.Sprintf("start %d: %s", i+2, later.describe()))
		case later.Transport != r.barrier.bestFor(r.client):
			faults = append(faults, fmt.Sprintf("start %d took %s", i+2, later.Transport))
		case later.Negotiations > 1:
			faults = append(faults, fmt.Sprintf("start %d made %d attempts", i+2, later.Negotiations))
		}
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
