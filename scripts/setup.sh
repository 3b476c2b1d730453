#!/usr/bin/env bash
# Installs what Foundry needs on a Debian machine, or with Homebrew on a Mac, and is missing; does nothing,
# quickly, when everything is there. It says what it will install before it does.
#
#   scripts/setup.sh             to build, test and run: compiler, make, five libraries, python3 with pip
#   scripts/setup.sh --checks    also what `make check`, `make fuzz` and `make test-metal` need: clang, its runtimes, clang-format, shellcheck, pkg-config, groff
#   scripts/setup.sh --arm64     also what `make arm64` needs: a compiler and a C library for arm64, and qemu-user, which runs its programs
#   scripts/setup.sh --peer      also what the build of the peer in bench/ needs: cmake, ninja
set -euo pipefail

checks=false peer=false arm64=false
for arg in "$@"; do
    case $arg in
    --checks) checks=true ;;
    --peer) peer=true ;;
    --arm64) arm64=true ;;
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

has() { command -v "$1" >/dev/null 2>&1; }
# The compiler of a Mac is there under its name, but may be a program that asks for its installation.
brew=''
if [ "$(uname -s)" = Darwin ]; then
    xcode-select -p >/dev/null 2>&1 || die "install Apple's command line tools first: xcode-select --install"
    brew=$(brew --prefix 2>/dev/null || true)
fi
# The compiler itself says which headers it finds, wherever they were installed, all in one call.
compiler=$(command -v "${CC:-cc}" || command -v gcc || command -v clang || true)
headers=$(for h in stdio pcre2 jansson xxhash utf8proc histedit; do printf '#if __has_include(<%s.h>)\nfound:%s\n#endif\n' $h $h; done |
    { [ -z "$compiler" ] || "$compiler" -E -x c ${brew:+"-I$brew/include"} - 2>/dev/null || true; })
has_header() { case $headers in *"found:$1"*) ;; *) return 1 ;; esac }
# The runtimes that -fsanitize needs with clang lie beside its builtin headers.
has_clang_runtime() {
    local runtimes
    runtimes=$(clang -print-runtime-dir 2>/dev/null) || return 1
    [ -n "$(compgen -G "$runtimes/*fuzzer*.a")" ] || [ -n "$(compgen -G "${runtimes%/*}/linux/*fuzzer*.a")" ]
}

missing=()
want() { missing+=("$@"); }
# A C compiler without the C library's headers (gcc alone, say) is not enough.
has_header stdio || want build-essential
has make || want make
has_header pcre2 || want libpcre2-dev
has_header jansson || want libjansson-dev
has_header xxhash || want libxxhash-dev
has_header utf8proc || want libutf8proc-dev
has_header histedit || want libedit-dev
has python3 || want python3
python3 -c 'import importlib.util as u, sys; sys.exit(u.find_spec("pip") is None)' 2>/dev/null || want python3-pip
if $checks; then
    { has gcc && has g++; } || want build-essential
    has clang || want clang
    has clang-format || want clang-format
    has shellcheck || want shellcheck
    has pkg-config || want pkgconf
    has groff || want groff-base
    { has clang && has_clang_runtime; } || want libclang-rt-dev
fi
if $arm64 && [ "$(uname -m)" != aarch64 ]; then
    { has "${ARM64_CC:-aarch64-linux-gnu-gcc}" && [ -e /usr/aarch64-linux-gnu/include/stdio.h ]; } || want gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    has qemu-aarch64 || want qemu-user
fi
if $peer; then
    has g++ || want build-essential
    has cmake || want cmake
    has ninja || want ninja-build
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(uname -s)" = Darwin ]; then
    formulas=()
    for package in "${missing[@]}"; do
        case $package in
        libpcre2-dev) formulas+=(pcre2) ;;
        libjansson-dev) formulas+=(jansson) ;;
        libxxhash-dev) formulas+=(xxhash) ;;
        libutf8proc-dev) formulas+=(utf8proc) ;;
        clang-format | shellcheck | cmake) formulas+=("$package") ;;
        pkgconf) formulas+=(pkgconf) ;;
        groff-base) formulas+=(groff) ;;
        ninja-build) formulas+=(ninja) ;;
        libclang-rt-dev) ;; # only fuzzing needs it; Apple's clang has the other runtimes
        *) formulas+=(python3) ;; # the rest is Apple's: xcode-select --install
        esac
    done
    [ ${#formulas[@]} -gt 0 ] || exit 0
    [ -n "$brew" ] || die "these are missing: ${formulas[*]}; install Homebrew (its web site says how) and run this again"
    say "installing with Homebrew: ${formulas[*]}"
    brew install --quiet "${formulas[@]}" || die "Homebrew could not install ${formulas[*]}; its words are above"
    say "done"
    exit 0
fi

# shellcheck disable=SC2207 # names of packages hold no blanks
missing=($(printf '%s\n' "${missing[@]}" | sort -u))
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
