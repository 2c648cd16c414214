// Command ratios reads results of the load generator, lines of JSON. For each load it
// prints the cost of each server, as the median of its rounds, and the ratio of that to
// the cost of the first server: ratios FILE...
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"text/tabwriter"
)

// result is the result of one run. Each mode fills one of the costs.
type result struct {
	Label  string
	Mode   string
	N      int
	C      int
	Depth  int
	Window int
	Rate   float64
	Failed bool

	Message  float64 `json:"srv_cpu_us_per_msg"`
	Last     float64 `json:"last_p50_us"`
	Call     float64 `json:"srv_cpu_us_per_call"`
	Connect  float64 `json:"srv_cpu_us_per_connect"`
	Resident float64 `json:"rss_per_conn_after_gc"`
	Missing  int
	Closed   int
}

// cost is one column of figures.
type cost struct {
	name string
	of   func(r result) float64
}

var costs = []cost{
	{"CPU µs/message", func(r result) float64 { return r.Message }},
	{"last has it, µs", func(r result) float64 { return r.Last }},
	{"CPU µs/call", func(r result) float64 { return r.Call }},
	{"CPU µs/connect", func(r result) float64 { return r.Connect }},
	{"resident B/connection", func(r result) float64 { return r.Resident }},
}

// load describes the load of the run.
func (r result) load() string {
	s := r.Mode
	if r.N > 0 {
		s += fmt.Sprintf(", %d connections", r.N)
	}
	if r.C > 0 {
		s += fmt.Sprintf(", %d clients", r.C)
	}
	switch {
	case r.Window > 0:
		s += fmt.Sprintf(", %d under way", r.Window)
	case r.Rate > 0:
		s += fmt.Sprintf(", %g a second", r.Rate)
	case r.Depth > 0:
		s += fmt.Sprintf(", %d in flight", r.Depth)
	}
	return s
}

func main() {
	log.SetFlags(0)
	rounds := map[string]map[string][]result{} // by load and server
	var loads, servers []string
	for _, name := range os.Args[1:] {
		results, err := read(name)
		if err != nil {
			log.Fatal(err)
		}
		for _, r := range results {
			if rounds[r.load()] == nil {
				rounds[r.load()] = map[string][]result{}
				loads = append(loads, r.load())
			}
			if !slices.Contains(servers, r.Label) {
				servers = append(servers, r.Label)
			}
			rounds[r.load()][r.Label] = append(rounds[r.load()][r.Label], r)
		}
	}
	for _, l := range loads {
		show(l, servers, rounds[l])
	}
}

func read(name string) ([]result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []result
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func show(load string, servers []string, rounds map[string][]result) {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	defer out.Flush()
	fmt.Fprintf(out, "%s\n", load)
	for _, c := range costs {
		floor := 0.0
		for _, s := range servers {
			m := median(rounds[s], c.of)
			if m == 0 {
				continue
			}
			if floor == 0 {
				floor = m
			}
			fmt.Fprintf(out, "%s\t%s\t%.2f\t%.2f x\t%s\n", c.name, s, m, m/floor, lost(rounds[s]))
		}
	}
	fmt.Fprintln(out)
}

func median(rounds []result, of func(result) float64) float64 {
	var all []float64
	for _, r := range rounds {
		if v := of(r); !r.Failed && v > 0 {
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// lost describes the losses of the run, which make its figures worthless.
func lost(rounds []result) string {
	var failed, missing, closed int
	for _, r := range rounds {
		if r.Failed {
			failed++
		}
		missing, closed = missing+r.Missing, closed+r.Closed
	}
	if failed+missing+closed == 0 {
		return ""
	}
	return fmt.Sprintf("%d runs failed, %d messages missing, %d connections lost", failed, missing, closed)
}
