package matrix_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var matrixRoundTrip = flag.Duration("matrix-round-trip", 0, "how far clients are from the boxes in TestMatrixFarAway, as 100ms; 0: it is skipped")

// TestMatrixFarAway has every client connect behind every box from far away: by itself, and by the best transport named,
// in turn. Times are printed, not judged: a start that knows the network should cost what that transport costs alone.
func TestMatrixFarAway(t *testing.T) {
	if *matrixRoundTrip == 0 {
		t.Skip("takes minutes: -matrix-round-trip 100ms")
	}
	clients := visitors(t)
	var table strings.Builder
	table.WriteString("| box | client | transport | first | again | named |\n| --- | --- | --- | --- | --- | --- |\n")
	inGroups(t, barriers, func(t *testing.T, group []barrier) {
		places := placesBehind(t, group, tickInterval, *matrixNodes)
		for i := range places {
			places[i].recede(t, *matrixRoundTrip)
		}
		for _, r := range exploreAll(t, clients, places, inTurn) {
			r.compare(&table)
		}
	})
	show(t, table.String())
}

// inTurn is by itself and by name, as often as it takes to tell a difference from chance.
var inTurn = []manner{byItself, byItself, byName, byItself, byName, byItself, byName}

// recede brings the box, of which clients see nothing but its address, to a distance.
func (p *place) recede(t *testing.T, roundTrip time.Duration) {
	t.Helper()
	near := &p.url
	if p.proxy != "" {
		near = &p.proxy
	}
	scheme, address, _ := strings.Cut(*near, "://")
	*near = scheme + "://" + farAway(t, address, roundTrip)
}

// compare shows what starts cost that know the network, and what they cost by the transport that is named.
func (r result) compare(table *strings.Builder) {
	if len(r.starts) == 0 {
		return
	}
	times := map[manner][]int64{}
	for i, s := range r.starts[1:] {
		times[inTurn[i+1]] = append(times[inTurn[i+1]], s.Connected)
	}
	fmt.Fprintf(table, "| %s | %s | %s | %s | %d | %d |\n", r.barrier.name(), r.client, r.both(start.transport), r.starts[0].connected(),
		median(times[byItself]), median(times[byName]))
}
