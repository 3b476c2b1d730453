#!/usr/bin/env bash
# For owners of a Mac: runs Foundry's tests and measurements once and writes all results to one file.
# Foundry is made on machines that are no Macs; what is in this file is how its authors learn what works.
#
#   scripts/mac-report.sh [FILE]     FILE: foundry-mac-report.txt when none is named
#   scripts/mac-report.sh --dry-run  says what would be run, and does nothing
#
# It installs what is missing, builds, runs doctor (which also compares Foundry's table of Metal calls with the
# system's), the tests, doctor again, the check of all kernel texts, the golden tests of a small model, and
# benchmarks on every backend that works here. That takes half an hour or so, fetches a model of 98 MB, and goes
# on when a part fails. The file names the Mac's model and versions; names of folders under
# your home are shortened. Send it, as an attachment of a new issue titled "Mac report", to the issue
# tracker of the project where you got these sources. SMALL=1 leaves out models and benchmarks.
set -u
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
report=${1:-foundry-mac-report.txt} dry=
case ${1:-} in
-h | --help)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
    exit 0
    ;;
--dry-run) dry=yes report=/dev/null ;;
-*)
    echo "$0: there is no option $1; --help says what there is" >&2
    exit 2
    ;;
esac
: >"$report" || exit 1
log=$(mktemp -d) || exit 1
trap 'rm -rf "$log"' EXIT
trap 'exit 130' INT
passed=0 failed=0 summary=()

plain() { sed "s|$PWD|.|g; s|${HOME:-/nonexistent}|~|g"; }
put() { printf '%s\n' "$*" | plain >>"$report"; }

# limited SECONDS COMMAND...: a Mac has no timeout, but always perl.
limited() {
    local seconds=$1
    shift
    perl -e 'use strict; my $limit = shift; my $child = fork; if (!$child) { setpgrp; exec @ARGV or exit 127 }
        $SIG{ALRM} = sub { kill "KILL", -$child; print "stopped after $limit seconds\n"; exit 124 }; alarm $limit; waitpid $child, 0; exit($? & 127 ? 128 + ($? & 127) : $? >> 8)' \
        "$seconds" "$@"
}

# part NAME SECONDS COMMAND...: a section of the report; at most the last 4,000 lines of what was said.
part() {
    local name=$1 seconds=$2 start=$SECONDS status verdict
    shift 2
    if [ "$dry" ]; then
        printf '%-28s %s\n' "$name" "$*"
        return
    fi
    printf '%s ...\n' "$name" >&2
    limited "$seconds" "$@" </dev/null >"$log/out" 2>&1
    status=$?
    if [ $status = 0 ]; then verdict=ok passed=$((passed + 1)); else verdict="FAILED ($status)" failed=$((failed + 1)); fi
    summary+=("$(printf '%-12s %5d s  %s' "$verdict" $((SECONDS - start)) "$name")")
    put ""
    put "=== $name: $verdict, $((SECONDS - start)) s"
    put "\$ $*"
    tail -n 4000 "$log/out" | plain >>"$report"
}

works() { build/foundry doctor 2>/dev/null | grep -q "^backend $1 *works"; }

put "Foundry on a Mac, $(date -u '+%Y-%m-%d %H:%M UTC')"
put "commit $(git rev-parse HEAD 2>/dev/null || echo 'unknown: no clone')$(git diff --quiet HEAD 2>/dev/null || echo ', changed')"
[ "$(uname -s)" = Darwin ] || put "NOT A MAC: $(uname -sm); this report says nothing about one"

part "the machine" 60 sh -c 'uname -mrs; sw_vers; sysctl -n hw.model machdep.cpu.brand_string hw.memsize hw.ncpu; sysctl hw.perflevel0.logicalcpu hw.perflevel1.logicalcpu hw.optional.arm; system_profiler SPDisplaysDataType; true'
part "compilers" 60 sh -c 'cc --version; xcode-select -p; xcrun -f metal; true'
part "setup" 1800 make setup
part "build" 1800 make everything
part "doctor" 120 build/foundry doctor
part "tests" 3600 make test
part "tests on Metal" 3600 make test-metal
part "doctor behind the tests" 120 build/foundry doctor
part "kernels, checked for Metal" 1800 make kernels only=metal
if [ -z "${SMALL:-}" ]; then
    part "golden tests" 1800 make test-models MODEL=smollm2-135m
    model=MODEL
    [ "$dry" ] || model=$(scripts/fetch-model.sh smollm2-135m 2>/dev/null)
    for backend in cpu metal; do
        [ "$dry" ] || works $backend || continue
        part "an answer on $backend" 600 build/foundry run --model "$model" --backend $backend --temperature 0 --max-tokens 40 --prompt "Name the capital of France."
        part "bench on $backend" 1800 build/foundry bench --model "$model" --backend $backend
        part "profile on $backend" 600 build/foundry profile --model "$model" --backend $backend
    done
fi

[ -z "$dry" ] || exit 0
put ""
put "=== summary"
for line in "${summary[@]}"; do put "$line"; done
put "$passed passed, $failed failed"
printf '%s\n' "${summary[@]}" >&2
printf '\nThe results are in %s (%s bytes). Please look through it, and attach it to a new issue titled\n"Mac report" in the issue tracker of the project where you got these sources.\n' \
    "$report" "$(wc -c <"$report" | tr -d ' ')" >&2
[ "$failed" = 0 ]
