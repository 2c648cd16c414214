// Package servers tries an endpoint inside other people's servers, routers and middleware.
package servers

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/carillon-go/carillon/client"
)

var update = flag.Bool("update", false, "write the table of the matrix into docs/servers.md")

// column is what is tried in each row, over each protocol.
type column struct {
	name string
	kind client.Transport
	try  func(*testing.T, stack, protocol, client.Transport) (string, error)
	// same is the column whose cells these must be like, which has them in the table.
	same string
}

var columns = []column{
	{name: "a client with all transports uses", try: byChoice},
	{name: "WebSockets", kind: client.WebSockets, try: byTransport},
	{name: "event streams", kind: client.ServerSentEvents, try: byTransport},
	{name: "held event stream", try: byHeldStream, same: "event streams"},
	{name: "long polling", kind: client.LongPolling, try: byTransport},
	{name: "long polling by requests", try: byRequests, same: "long polling"},
	{name: "`/events`", try: byListener},
}

// results are the cells, by row, column and protocol.
type results struct {
	mu    sync.Mutex
	cells map[[3]string]string
}

func (r *results) set(row, column, protocol, cell string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cells[[3]string{row, column, protocol}] = cell
}

const document = "../../docs/servers.md"

// Every cell connects, or is refused so that clients go on, and docs/servers.md says so.
func TestMatrix(t *testing.T) {
	all := &results{cells: map[[3]string]string{}}
	t.Run("cells", func(t *testing.T) {
		for _, s := range stacks() {
			for _, p := range protocols {
				for _, c := range columns {
					t.Run(s.name+"/"+p.name+"/"+c.name, func(t *testing.T) {
						t.Parallel()
						cell, err := c.try(t, s, p, c.kind)
						if err != nil {
							t.Error(err)
						}
						all.set(s.name, c.name, p.name, cell)
					})
				}
			}
		}
	})
	if t.Failed() {
		return
	}
	all.compare(t)
	all.check(t)
}

// compare compares the columns that are not in the table with those that stand for them.
func (r *results) compare(t *testing.T) {
	for _, c := range columns {
		if c.same == "" {
			continue
		}
		for _, s := range stacks() {
			if got, want := r.cell(s.name, c.name), r.cell(s.name, c.same); got != want {
				t.Errorf("%s: %s: %s; %s: %s", s.name, c.name, got, c.same, want)
			}
		}
	}
}

// check compares the table with the document, or writes it there.
func (r *results) check(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- matrix -->\n", "<!-- end of matrix -->\n"
	before, rest, _ := strings.Cut(string(text), begin)
	table, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no place for the table", document)
	}
	switch want := r.table(); {
	case table == want:
	case *update:
		if err := os.WriteFile(document, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s has another table (go test -update writes it):\n%s", document, want)
	}
}

func (r *results) table() string {
	var b strings.Builder
	b.WriteString("| around the endpoint |")
	for _, c := range columns {
		if c.same == "" {
			fmt.Fprintf(&b, " %s |", c.name)
		}
	}
	b.WriteString(" what to do |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, s := range stacks() {
		fmt.Fprintf(&b, "| %s |", s.name)
		for _, c := range columns {
			if c.same == "" {
				fmt.Fprintf(&b, " %s |", r.cell(s.name, c.name))
			}
		}
		fmt.Fprintf(&b, " %s |\n", s.advice)
	}
	return b.String()
}

// cell is a cell of the table: what is so over all protocols, else of each.
func (r *results) cell(row, column string) string {
	var parts []string
	same := true
	for _, p := range protocols {
		cell := r.cells[[3]string{row, column, p.name}]
		same = same && cell == r.cells[[3]string{row, column, protocols[0].name}]
		parts = append(parts, p.name+": "+cell)
	}
	if same {
		return r.cells[[3]string{row, column, protocols[0].name}]
	}
	return strings.Join(parts, "; ")
}
