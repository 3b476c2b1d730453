#!/usr/bin/env bash
# How long foundry takes to a first token, and what memory it holds beside the model's file.
#
#     bench/start-time.sh [options] MODEL [FOUNDRY ..]
#
#     -n, --rounds N           starts of each kind, of which the medians count (11)
#     -p, --words N            words of the text that fills a context to measure memory (1000); 0: leave that out
#         --repack W[,W..]     on, off or auto, each measured (as foundry does by itself)
#         --threads N[,N..]    each measured (as foundry does by itself)
#         --prompt-tokens N    a prompt of exactly N tokens (a question in the chat template)
#
# MODEL: a file, a name that scripts/fetch-model.sh knows, or synth:ARCH:SIZE:FORMAT, which foundry
# synth writes once. All kinds - programs (default: build/foundry), --repack, --threads - are started
# alternately; medians are printed as a table, in seconds of wall-clock time. Warm: the kernels are in
# the cache and the file is in memory. "start" is the first token less the time for the prompt. "exit"
# is the whole process, from before it is forked. Cold: nothing is in the cache of kernels; one start.
# "read" is the bandwidth that foundry doctor measures in each round with the same threads, in GB/s.
# Memory: the most that no file backs (RssAnon + RssShmem) while a context of 2,048 tokens is filled.
#
#     bench/start-time.sh -p 0 --repack on,off --threads 1,2 --prompt-tokens 8 synth:qwen2:1.5b:q8_0
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

usage() {
    sed -n '2,/^set/p' "$here/start-time.sh" | sed '$d; s/^# \{0,1\}//' >&2
    exit 2
}
fail() {
    echo "start-time.sh: $*" >&2
    exit 1
}

rounds=11 words=1000 repacks=('') threads=('') prompt_tokens=
while [ $# -gt 0 ]; do
    case $1 in -n | --rounds | -p | --words | --repack | --threads | --prompt-tokens) [ $# -ge 2 ] || usage ;; esac
    case $1 in
    -n | --rounds) rounds=$2 ;;
    -p | --words) words=$2 ;;
    --repack) IFS=, read -r -a repacks <<<"$2" ;;
    --threads) IFS=, read -r -a threads <<<"$2" ;;
    --prompt-tokens) prompt_tokens=$2 ;;
    -*) usage ;;
    *) break ;;
    esac
    shift 2
done
[ $# -ge 1 ] || usage
for number in "$rounds" "$words" "${prompt_tokens:-1}"; do
    [[ $number =~ ^[0-9]+$ ]] || fail "'$number' is no number"
done
if [ "$rounds" -lt 1 ] || [ "${prompt_tokens:-1}" -lt 1 ]; then fail "there is nothing to measure in 0 rounds, and no prompt of 0 tokens"; fi
if [ ${#repacks[@]} -lt 1 ] || [ ${#threads[@]} -lt 1 ]; then usage; fi
model=$1
shift
[ $# -ge 1 ] || set -- "$here/../build/foundry"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [[ $model == synth:* ]]; then
    IFS=: read -r _ arch size format <<<"$model"
    folder=${XDG_CACHE_HOME:-$HOME/.cache}/foundry/synth
    model=$folder/$arch-$size-${format^^}.gguf
    mkdir -p "$folder"
    [ -f "$model" ] || "$1" synth --arch "$arch" --size "$size" --format "$format" -o "$model" >&2
elif [ ! -f "$model" ]; then
    model=$("$here/../scripts/fetch-model.sh" "$model")
fi

# prompt PROGRAM: what asks for the prompt, in the array `prompt`
prompt() {
    local text='' count=0 tries=0 letters=abcdefgh
    prompt=(--prompt 'Name the capital of France.')
    [ -n "$prompt_tokens" ] || return 0
    while [ "$count" -ne "$prompt_tokens" ]; do
        [ $((++tries)) -le 100 ] || fail "found no text of $prompt_tokens tokens"
        [ "$count" -lt "$prompt_tokens" ] || text=${text% ?}
        # A letter more is a token more, or two.
        for ((; count < prompt_tokens; count += 2)); do text+=" ${letters:${#text} / 2 % 8:1}"; done
        count=$("$1" tokenize --model "$model" --text "$text" | wc -l)
    done
    prompt=(--raw --prompt "$text")
}

seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f\n", (b - a) / 1e9 }'; }
number_after() { sed -n "s/.*$1 \([0-9.]*\) s.*/\1/p" "$work/err" | head -n 1; }
median() { sort -n "$1" | awk -v f="${2:-%.3f}" '{ v[NR] = $1 } END { printf f, NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# A kind is a program and its options; each has a cache of its own.
programs=() kinds=() shown=() thread_of=()
for program; do
    for w in "${repacks[@]}"; do
        for t in "${threads[@]}"; do
            programs+=("$program")
            kinds+=("${w:+--repack $w} ${t:+--threads $t}")
            shown+=("${w:--} | ${t:--}")
            thread_of+=("$t")
        done
    done
done

# one NAME KIND: start once; figures go to files named after them
one() {
    local before after first taken
    before=$(date +%s%N)
    # shellcheck disable=SC2086 # words
    "${programs[$2]}" run --model "$model" "${prompt[@]}" --max-tokens 1 --cache-dir "$work/cache$2" ${kinds[$2]} >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    after=$(date +%s%N)
    first=$(number_after 'first token after')
    taken=$(number_after 'prompt: [0-9]* tokens* in')
    read_tokens=$(sed -n 's/.*prompt: \([0-9]*\) token.*/\1/p' "$work/err" | head -n 1)
    [ -z "$prompt_tokens" ] || [ "$read_tokens" = "$prompt_tokens" ] || fail "the prompt has $read_tokens tokens where $prompt_tokens were asked for"
    seconds "$before" "$after" >>"$work/$1.exit"
    echo "$first" >>"$work/$1.first"
    awk -v a="$first" -v b="$taken" 'BEGIN { print a - b }' >>"$work/$1.start"
    number_after 'weights in' >>"$work/$1.weights"
    number_after 'kernels in' >>"$work/$1.kernels"
}

# bandwidth THREADS: GB/s, to the file of these threads
bandwidth() {
    "${programs[0]}" doctor ${1:+--threads "$1"} | sed -n 's/^reads *\([0-9.]*\) GB.*/\1/p' >>"$work/read$1"
}

# memory KIND: the most KiB that no file backs
memory() {
    local pid kib most=0
    awk -v n="$words" 'BEGIN { while (n--) printf "the sea " }' >"$work/prompt"
    # shellcheck disable=SC2086 # words
    "${programs[$1]}" run --model "$model" --raw --prompt-file "$work/prompt" --context 2048 --cache-dir "$work/cache$1" ${kinds[$1]} >/dev/null 2>"$work/err" &
    pid=$!
    while kib=$(awk '/^State:.*Z/ { ended = 1 } /^Rss(Anon|Shmem):/ { sum += $2 } END { print sum + 0; exit ended }' "/proc/$pid/status" 2>/dev/null); do
        [ "$kib" -le "$most" ] || most=$kib
        sleep 0.02
    done
    wait "$pid" || cat "$work/err" >&2
    echo "$most"
}

prompt "$1"
cat "$model" >/dev/null # into memory
for k in "${!kinds[@]}"; do
    one "cold$k" "$k"
    # A short run ends before its kernels are compiled; this one waits for them.
    # shellcheck disable=SC2086 # words
    "${programs[$k]}" run --compile --model "$model" "${prompt[@]}" --max-tokens 2 --cache-dir "$work/cache$k" ${kinds[$k]} >/dev/null 2>&1
done
for ((round = 0; round < rounds; round++)); do
    for t in "${threads[@]}"; do bandwidth "$t"; done
    cat "$model" >/dev/null
    for k in "${!kinds[@]}"; do one "warm$k" "$k"; done
done
printf '%s, a prompt of %s tokens, medians of %s starts; load %s\n\n' "$(basename "$model")" "$read_tokens" "$rounds" "$(cut -d' ' -f1 /proc/loadavg)"
echo "| | repack | threads | read GB/s | first token | start | weights | kernels | exit | program |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
for k in "${!kinds[@]}"; do
    for kind in cold warm; do
        printf '| %s | %s | %s' "$kind" "${shown[$k]}" "$(median "$work/read${thread_of[$k]}" %.1f)"
        for what in first start weights kernels exit; do printf ' | %s' "$(median "$work/$kind$k.$what")"; done
        printf ' | %s |\n' "${programs[$k]#"$here/../"}"
    done
done
[ "$words" -gt 0 ] || exit 0
echo
for k in "${!kinds[@]}"; do
    memory "$k" | awk -v p="${programs[$k]} ${kinds[$k]}" '{ printf "memory %.1f MB (%.1f MiB)  %s\n", $1 * 1024 / 1e6, $1 / 1024, p }'
done
