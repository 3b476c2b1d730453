#!/usr/bin/env bash
# run-fuzz.sh SECONDS PROGRAM...: runs each libFuzzer program for that long, starting from
# fuzz/corpus/<name> where there is one, with the words of fuzz/<name>.dict. New inputs go to
# build/fuzz/corpus, a crash is left beside the program, and the words of a run are shown only when
# it fails. JOBS=N: so many programs at a time.
set -euo pipefail

fuzz() { # SECONDS PROGRAM
    local name folder found runs words=() seeds=()
    name=$(basename "$2") folder=$(dirname "$2")
    found=$folder/corpus/$name
    mkdir -p "$found"
    [ ! -d "fuzz/corpus/${name#fuzz_}" ] || seeds=("fuzz/corpus/${name#fuzz_}")
    [ ! -f "fuzz/${name#fuzz_}.dict" ] || words=("-dict=fuzz/${name#fuzz_}.dict")
    if "$2" ${words[@]+"${words[@]}"} -max_total_time="$1" -timeout=20 -print_final_stats=1 -artifact_prefix="$folder/$name-" \
        "$found" ${seeds[@]+"${seeds[@]}"} >"$folder/$name.log" 2>&1; then
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
        echo "fuzz: $name, ${runs:-0} inputs in $1 s, nothing found"
    else
        echo "$(tail -n 40 "$folder/$name.log")"$'\n'"fuzz: $name failed; its input is beside $2"
        return 1
    fi
}

seconds=$1
shift
if [ -n "${FUZZ_ONE:-}" ]; then
    fuzz "$seconds" "$1"
    exit
fi
if FUZZ_ONE=1 xargs -P "${JOBS:-1}" -n 1 "$0" "$seconds" < <(printf '%s\n' "$@"); then
    echo "fuzz: $# programs, none failed"
else
    echo "fuzz: $# programs, some failed"
    exit 1
fi
