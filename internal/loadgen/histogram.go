package loadgen

import (
	"math/bits"
	"time"
)

// subSteps is the number of steps per power of two. Values are exact to within 1.6 %.
const (
	subBits  = 6
	subSteps = 1 << subBits
)

// histogram counts durations in steps that grow with the duration. It is our own because
// the histograms of shards are added up without a copy.
type histogram struct {
	counts [(64 - subBits) * subSteps]uint32
	total  int64
	sum    int64
	max    int64
}

func (h *histogram) add(d time.Duration) {
	v := max(int64(d), 0) // clocks of two machines may differ
	h.counts[stepOf(v)]++
	h.total++
	h.sum += v
	h.max = max(h.max, v)
}

func (h *histogram) merge(from *histogram) {
	for i, n := range from.counts {
		h.counts[i] += n
	}
	h.total += from.total
	h.sum += from.sum
	h.max = max(h.max, from.max)
}

func stepOf(v int64) int {
	if v < subSteps {
		return int(v)
	}
	shift := bits.Len64(uint64(v)) - subBits - 1
	return (shift+1)*subSteps + int(v>>shift) - subSteps
}

// valueOf is the middle of a step.
func valueOf(step int) int64 {
	if step < subSteps {
		return int64(step)
	}
	shift := step/subSteps - 1
	return int64(step%subSteps+subSteps)<<shift + 1<<shift/2
}

// quantile is the value that a share q of all values does not exceed.
func (h *histogram) quantile(q float64) time.Duration {
	want := int64(q * float64(h.total))
	var seen int64
	for step, n := range h.counts {
		if seen += int64(n); seen > want {
			return time.Duration(min(valueOf(step), h.max))
		}
	}
	return time.Duration(h.max)
}
