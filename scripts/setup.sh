#!/usr/bin/env bash
# Installs what Foundry needs on a Debian machine and is missing; does nothing, quickly, when
# everything is there. It says what it will install before it does.
#
#   scripts/setup.sh             to build, test and run: compiler, make, three libraries, python3 with pip
#   scripts/setup.sh --checks    also what `make check` and `make fuzz` need: clang, its runtimes, clang-format
#   scripts/setup.sh --peer      also what the build of the peer in bench/ needs: cmake, ninja
set -euo pipefail

checks=false peer=false
for arg in "$@"; do
    case $arg in
    --checks) checks=true ;;
    --peer) peer=true ;;
    *)
        sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" >&2
        exit 2
        ;;
    esac
done

say() { printf '%s\n' "setup: $*" >&2; }
die() {
    say "$*"
    exit 1
}

# Headers are looked for as files (fast, and right when a library was installed by hand), in the
# folders where compilers look.
has_header() {
    local dir
    for dir in /usr/include /usr/include/*-linux-gnu* /usr/local/include /opt/homebrew/include ${CPATH:+${CPATH//:/ }}; do
        [ -f "$dir/$1" ] && return 0
    done
    return 1
}
has() { command -v "$1" >/dev/null 2>&1; }
# The runtimes that -fsanitize needs with clang lie beside its builtin headers.
has_clang_runtime() {
    local runtimes
    runtimes=$(clang -print-runtime-dir 2>/dev/null) || return 1
    [ -n "$(compgen -G "$runtimes/*fuzzer*.a")" ] || [ -n "$(compgen -G "${runtimes%/*}/linux/*fuzzer*.a")" ]
}

missing=()
want() { missing+=("$@"); }
# A C compiler without the C library's headers (gcc alone, say) is not enough.
{ { has cc || has gcc || has clang; } && has_header stdio.h; } || want build-essential
has make || want make
has_header pcre2.h || want libpcre2-dev
has_header jansson.h || want libjansson-dev
has_header xxhash.h || want libxxhash-dev
has python3 || want python3
python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pip") is None)' 2>/dev/null || want python3-pip
if $checks; then
    { has gcc && has g++; } || want build-essential
    has clang || want clang
    has clang-format || want clang-format
    { has clang && has_clang_runtime; } || want libclang-rt-dev
fi
if $peer; then
    has g++ || want build-essential
    has cmake || want cmake
    has ninja || want ninja-build
fi
[ ${#missing[@]} -gt 0 ] || exit 0

mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
has apt-get || die "this machine has no apt-get; install the counterparts of these Debian packages yourself: ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    has sudo || die "missing: ${missing[*]}; run as root: apt-get install ${missing[*]}"
    as_root=(sudo)
fi
say "installing with apt-get: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=2 -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1
}
if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
    tail -n 5 "$log" >&2
    if grep -qiE 'no space left|not enough free space' "$log"; then die "the disk is full: the packages were not installed"; fi
    if grep -qiE 'could not resolve|failed to fetch|unable to connect|could not connect|temporary failure' "$log"; then
        die "the package server cannot be reached; connect the network and run this again"
    fi
    die "apt-get could not install ${missing[*]}; its words are above"
fi
say "done"
