#!/usr/bin/env bash
# run-fuzz.sh SECONDS PROGRAM...: runs each libFuzzer program for that long, starting from
# fuzz/corpus/<name> where there is one, with the words of fuzz/<name>.dict. New inputs go to
# build/fuzz/corpus, a crash is left beside the program, and the words of a run are shown only when
# it fails.
set -euo pipefail
seconds=$1
shift
failed=0
for program in "$@"; do
    name=$(basename "$program") folder=$(dirname "$program")
    found=$folder/corpus/$name
    mkdir -p "$found"
    seeds=()
    [ ! -d "fuzz/corpus/${name#fuzz_}" ] || seeds=("fuzz/corpus/${name#fuzz_}")
    words=()
    [ ! -f "fuzz/${name#fuzz_}.dict" ] || words=("-dict=fuzz/${name#fuzz_}.dict")
    if "$program" ${words[@]+"${words[@]}"} -max_total_time="$seconds" -timeout=20 -print_final_stats=1 -artifact_prefix="$folder/$name-" \
        "$found" ${seeds[@]+"${seeds[@]}"} >"$folder/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
        echo "fuzz: $name, ${runs:-0} inputs in $seconds s, nothing found"
    else
        tail -n 40 "$folder/$name.log"
        echo "fuzz: $name failed; its input is beside $program"
        failed=$((failed + 1))
    fi
done
echo "fuzz: $# programs, $failed failed"
[ "$failed" = 0 ]
