package matrix_test

import (
	"fmt"
	"slices"
	"strings"
)

// tableOf shows the results, a row for each box and client.
func tableOf(results []result) string {
	direct := map[string]int64{}
	for _, r := range results {
		if r.barrier.box == "" {
			direct[r.client] = median(r.delays())
		}
	}
	var b strings.Builder
	b.WriteString("| box | client | transport | connected, ms | first tick, ms | attempts | delay added, ms |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range results {
		if len(r.starts) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", r.barrier.name(), r.client,
			r.both(start.transport), r.both(start.connected), r.both(start.first), r.both(start.attempts), r.added(direct[r.client]))
	}
	return b.String()
}

// both is a value of the first and of the second start.
func (r result) both(value func(start) string) string {
	first, second := value(r.starts[0]), value(r.starts[1])
	return first + " / " + second
}

var shortNames = map[string]string{byWebSocket: "WS", byEventStream: "SSE", byPolling: "LP"}

func (s start) transport() string {
	if s.Error != "" {
		return "–"
	}
	return shortNames[s.Transport]
}

func (s start) connected() string { return s.time(s.Connected) }
func (s start) first() string     { return s.time(s.First) }
func (s start) attempts() string  { return fmt.Sprint(s.Negotiations) }

func (s start) time(ms int64) string {
	if s.Error != "" {
		return "fails"
	}
	return fmt.Sprint(ms)
}

func (r result) delays() []int64 {
	var all []int64
	for _, s := range r.starts {
		all = append(all, s.Delays...)
	}
	return all
}

// added is what a tick takes longer than without a box: median, largest.
func (r result) added(direct int64) string {
	all := r.delays()
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf("%d, %d", max(median(all)-direct, 0), max(slices.Max(all)-direct, 0))
}
