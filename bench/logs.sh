#!/usr/bin/env bash
# logs.sh [PAIRS]: CPU time of the program per connect with the log at INFO, as a ratio to WARN.
# Both programs run at the same time and are measured in turn, so that changes of the host
# affect both. D is the duration of a measurement, N the number of connections at a time.
#
# Most lines are left out here, because all clients have one address; see docs/operations.md.
set -euo pipefail
pairs=${1:-10} duration=${D:-3s} clients=${N:-50}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
pids=()
cleanup() { kill "${pids[@]}" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
(cd "$here/.." && go build -o "$work/gateway" ./cmd/gateway)

# start LEVEL ADDRESS: starts a program and waits until it is ready.
start() {
  "$work/gateway" --addr "$2" --interval=-1s --log-level "$1" --log-format json 2>"$work/$1.log" &
  pids+=($!)
  until "$work/gateway" bench --mode negotiate --warmup=0s -d 10ms -c 1 "http://$2/hubs/clock" >/dev/null 2>&1; do sleep 0.1; done
}

# measure PID ADDRESS: prints the microseconds of CPU time per connect.
measure() {
  "$work/gateway" bench --mode connect --json --warmup=200ms -d "$duration" -c "$clients" --pid "$1" "http://$2/hubs/clock" |
    python3 -c 'import json,sys; r=json.load(sys.stdin); print(next(v["cpuMicrosPerOperation"] for v in r.values() if isinstance(v, dict) and "cpuMicrosPerOperation" in v))'
}

start info 127.0.0.1:18471
start warn 127.0.0.1:18472
for ((i = 0; i < pairs; i++)); do
  if ((i % 2)); then
    w=$(measure "${pids[1]}" 127.0.0.1:18472); n=$(measure "${pids[0]}" 127.0.0.1:18471)
  else
    n=$(measure "${pids[0]}" 127.0.0.1:18471); w=$(measure "${pids[1]}" 127.0.0.1:18472)
  fi
  echo "$n $w"
done | python3 -c '
import statistics as s, sys
pairs = [tuple(map(float, l.split())) for l in sys.stdin]
ratios = sorted(n / w for n, w in pairs)
print(f"INFO {s.median(n for n, _ in pairs):.0f} us, WARN {s.median(w for _, w in pairs):.0f} us per connect")
print(f"ratio: median {s.median(ratios):.3f}, from {ratios[0]:.3f} to {ratios[-1]:.3f} ({len(ratios)} pairs)")'
