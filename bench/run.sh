#!/usr/bin/env bash
# run.sh [ROUNDS] [MODE...] [-- SERVER...]: ours beside floors and peers, as ratios to the
# first server. Modes: broadcast idle echo connect negotiate. The load generator, the floors
# and the peers are those of PEERS (default: ../../shared/bench from here), whose README says
# what each is and how to read the figures. NS is the number of connections, PH the phases of
# a broadcast, WARM how long each server is warmed up.
#
#   ./run.sh                                          three rounds of everything, 10,000 connections
#   NS=2000 WARM=0 ./run.sh 1 echo -- tcp-go-raw carillon-ws
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
peers=${PEERS:-$here/../../shared/bench}
export BENCH_WORK=${BENCH_WORK:-$HOME/.cache/carillon-bench} NS=${NS:-10000} WARM=${WARM:-3s}
export PH=${PH:-w2:1500ms,w1:1500ms,r1:4s}

rounds=3
if [[ ${1:-} =~ ^[0-9]+$ ]]; then rounds=$1; shift; fi
modes=()
while [[ $# -gt 0 && $1 != -- ]]; do modes+=("$1"); shift; done
[[ $# -gt 0 ]] && shift
((${#modes[@]})) || modes=(broadcast idle echo connect negotiate)
servers=("$@")
((${#servers[@]})) || servers=(tcp-go-raw gorilla-chan detach-sse nethttp-lp centrifuge-ws carillon-ws carillon-sse carillon-lp)

mkdir -p "$BENCH_WORK/bin" "$BENCH_WORK/results"
[[ -x $BENCH_WORK/loadgen ]] || (cd "$peers/loadgen" && go build -o "$BENCH_WORK/loadgen" .)
for p in rawws rawsse rawlp rawfloor r3sse centrifuge; do
  [[ -x $BENCH_WORK/bin/$p ]] || (cd "$peers/peers" && go build -o "$BENCH_WORK/bin/$p" "./$p")
done
[[ -x $BENCH_WORK/bin/floor ]] || cc -O2 -o "$BENCH_WORK/bin/floor" "$peers/peers/floor/floor.c"
(cd "$here" && go build -o "$BENCH_WORK/bin/carillon" ./server && go build -o "$BENCH_WORK/bin/ratios" ./ratios)

out=$(mktemp -d "$BENCH_WORK/results/XXXXXX")
"$peers/run.sh" "$out" "$rounds" "${modes[@]}" -- "${servers[@]}"
"$BENCH_WORK/bin/ratios" "$out"/*.jsonl
