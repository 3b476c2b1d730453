#!/usr/bin/env bash
# How long foundry takes to a first token, and what memory it holds beside the model's file.
#
#     bench/start-time.sh [-n ROUNDS] [-p WORDS] MODEL [FOUNDRY ..]
#
# Several programs (default: build/foundry) are started alternately; medians are printed. Warm: the
# kernels are in the cache and the file is in memory. "start" is the first token less the time for
# the prompt. Cold: nothing is in the cache of kernels. Memory: the most that no file backs
# (RssAnon + RssShmem) while a context of 2,048 tokens is filled.
set -euo pipefail
rounds=11
words=1000
while getopts n:p: option; do
    case $option in
    n) rounds=$OPTARG ;;
    p) words=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ $# -ge 1 ] || { sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2; exit 2; }
model=$1
shift
[ $# -ge 1 ] || set -- "$(dirname "$0")/../build/foundry"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b - a) / 1e9 }'; }
number_after() { sed -n "s/.*$1 \([0-9.]*\) s.*/\1/p" "$work/err" | head -n 1; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { printf "%.3f", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# one INDEX PROGRAM CACHE: start once; figures go to files named after them
one() {
    local before after first prompt
    before=$(date +%s%N)
    "$2" run --model "$model" --prompt 'Name the capital of France.' --max-tokens 1 --cache-dir "$3" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    after=$(date +%s%N)
    first=$(number_after 'first token after')
    prompt=$(number_after 'prompt: [0-9]* tokens* in')
    seconds "$before" "$after" >>"$work/$1.wall"
    echo >>"$work/$1.wall"
    echo "$first" >>"$work/$1.first"
    awk -v a="$first" -v b="$prompt" 'BEGIN { print a - b }' >>"$work/$1.start"
    number_after 'weights in' >>"$work/$1.weights"
    number_after 'kernels in' >>"$work/$1.kernels"
}

# memory PROGRAM CACHE: the most KiB that no file backs
memory() {
    local pid kib most=0
    awk -v n="$words" 'BEGIN { while (n--) printf "the sea " }' >"$work/prompt"
    "$1" run --model "$model" --raw --prompt-file "$work/prompt" --context 2048 --cache-dir "$2" >/dev/null 2>"$work/err" &
    pid=$!
    while kib=$(awk '/^State:.*Z/ { ended = 1 } /^Rss(Anon|Shmem):/ { sum += $2 } END { print sum + 0; exit ended }' "/proc/$pid/status" 2>/dev/null); do
        [ "$kib" -le "$most" ] || most=$kib
        sleep 0.02
    done
    wait "$pid" || cat "$work/err" >&2
    echo "$most"
}

index=0
for program; do
    one "cold$index" "$program" "$work/cache$index"
    # A short run ends before its kernels are compiled; this one waits for them.
    "$program" run --compile --model "$model" --prompt x --max-tokens 2 --cache-dir "$work/cache$index" >/dev/null 2>&1
    index=$((index + 1))
done
for ((round = 0; round < rounds; round++)); do
    index=0
    for program; do
        one "warm$index" "$program" "$work/cache$index"
        index=$((index + 1))
    done
done
printf '%-6s %8s %8s %8s %8s %8s  %s\n' '' first start weights kernels exit program
index=0
for program; do
    for kind in cold warm; do
        printf '%-6s' "$kind"
        for what in first start weights kernels wall; do printf ' %8s' "$(median "$work/$kind$index.$what")"; done
        printf '  %s\n' "$program"
    done
    memory "$program" "$work/cache$index" | awk -v p="$program" '{ printf "memory %.1f MB (%.1f MiB)  %s\n", $1 * 1024 / 1e6, $1 / 1024, p }'
    index=$((index + 1))
done
