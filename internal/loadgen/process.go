package loadgen

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// ticksPerSecond is the unit of /proc/PID/stat. Linux reports 100 on all architectures.
const ticksPerSecond = 100

// usage is the CPU time and the memory of a process.
type usage struct {
	user, system float64 // seconds
	resident     int64   // bytes
}

// readUsage reads /proc. The sums include threads that have ended.
func readUsage(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("loadgen: CPU time of the process: %w", err)
	}
	// The name, in parentheses, may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 22 {
		return usage{}, fmt.Errorf("loadgen: /proc/%d/stat has %d fields", pid, len(fields))
	}
	number := func(i int) float64 { n, _ := strconv.ParseFloat(fields[i], 64); return n }
	return usage{
		user:     number(11) / ticksPerSecond,
		system:   number(12) / ticksPerSecond,
		resident: int64(number(21)) * int64(os.Getpagesize()),
	}, nil
}

// since returns the usage between before and after.
func (after usage) since(before usage, seconds float64, operations int64) *Process {
	p := &Process{
		UserSeconds:   after.user - before.user,
		SystemSeconds: after.system - before.system,
		ResidentBytes: after.resident,
	}
	p.CPUSeconds = p.UserSeconds + p.SystemSeconds
	p.Cores = p.CPUSeconds / seconds
	if operations > 0 {
		p.MicrosPerOperation = p.CPUSeconds * 1e6 / float64(operations)
	}
	return p
}
