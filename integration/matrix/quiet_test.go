package matrix_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

var matrixQuiet = flag.Duration("matrix-quiet", 0, "how long the hub says nothing in TestMatrixQuiet, as 105s; 0: it is skipped")

// noTicks is the interval of a clock that shows nothing.
const noTicks = -1

// TestMatrixQuiet has every client connect behind every box by every transport, all at the same time, and say nothing
// and hear nothing for long. Nothing may be lost, but to a box that cuts sooner than anybody can know: there from the
// second connection on.
func TestMatrixQuiet(t *testing.T) {
	if *matrixQuiet == 0 {
		t.Skip("takes minutes: -matrix-quiet 105s")
	}
	clients := visitors(t)
	var behind []barrier
	for _, b := range barriers {
		if b.patience == 0 { // the other visit of the same box
			behind = append(behind, b)
		}
	}
	places := placesBehind(t, behind, noTicks, *matrixNodes)
	var table strings.Builder
	table.WriteString("| box | client | WS | SSE | LP |\n| --- | --- | --- | --- | --- |\n")
	for _, s := range stayIn(t, clients, places) {
		if s.place.barrier.box != cutsSoon {
			s.judge(t)
		}
		s.row(&table)
	}
	soon := slices.IndexFunc(places, func(p place) bool { return p.barrier.box == cutsSoon })
	for _, s := range stayIn(t, clients, places[soon:soon+1]) {
		s.judge(t)
		s.row(&table)
	}
	show(t, table.String())
}

// cutsSoon cuts after a silence that is shorter than a client's keep-alive.
const cutsSoon = "B-idle"

// A stay is how long a client stayed connected in a place, by each transport.
type stay struct {
	place  place
	client string
	starts []start // in the order of transports.All; none: the client cannot be brought there
}

// stayIn has all clients stay in all places at once.
func stayIn(t *testing.T, clients []visitor, places []place) []stay {
	t.Helper()
	return byPlace(clients, len(places), func(v visitor) []stay { return staysOf(t, v, places) })
}

func staysOf(t *testing.T, v visitor, places []place) []stay {
	t.Helper()
	stays := make([]stay, len(places))
	var cells []cell
	for i, p := range places {
		stays[i].place, stays[i].client = p, v.name()
		for _, kind := range signalr.Transports() {
			if p.open(v.name()) {
				cells = append(cells, p.quietCell(v.name(), kind))
			}
		}
	}
	seen := v.visit(t, cells...)
	for i, p := range places {
		if p.open(v.name()) {
			n := len(signalr.Transports())
			stays[i].starts, seen = seen[:n], seen[n:]
		}
	}
	return stays
}

func (p *place) quietCell(client string, kind transports.Type) cell {
	c := p.cell(client, 1, byItself)
	c.Visit.Transport = string(kind)
	c.Visit.Quiet = matrixQuiet.Milliseconds()
	c.Visit.Limit += c.Visit.Quiet
	return c
}

// judge tells what was lost. What does not connect when it is named is no loss, but the best transport has to.
func (s stay) judge(t *testing.T) {
	for i, kind := range signalr.Transports() {
		if len(s.starts) == 0 {
			return
		}
		visit := s.starts[i]
		if visit.Error == "" || visit.Connected == 0 && string(kind) != s.place.barrier.bestFor(s.client) {
			continue
		}
		t.Errorf("%s %s %s: %s", s.place.barrier.name(), s.client, kind, visit.describe())
	}
}

func (s stay) row(table *strings.Builder) {
	if len(s.starts) == 0 {
		return
	}
	fmt.Fprintf(table, "| %s | %s |", s.place.barrier.name(), s.client)
	for _, visit := range s.starts {
		fmt.Fprintf(table, " %s |", visit.stayed())
	}
	table.WriteString("\n")
}

func (s start) stayed() string {
	switch {
	case s.Error == "":
		return matrixQuiet.Round(time.Second).String()
	case s.Connected == 0:
		return "no"
	default:
		return s.Error
	}
}
