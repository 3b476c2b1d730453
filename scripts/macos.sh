#!/usr/bin/env bash
# Builds Foundry for macOS on Linux: the program, both libraries, the tests and the examples, for Macs with
# Apple's processors and with Intel's. What it links needs nothing on the Mac but the system itself.
#
#   scripts/macos.sh [arm64] [x86_64]     both when none is named
#
# The compiler and linker is the ziglang package of the Python registry, which brings the C library's
# headers and stubs of its own; frameworks are opened at run time. Jansson, PCRE2, xxHash and utf8proc are
# built from the sources that Debian keeps; libedit is the Mac's own. All versions and sums stand below.
# Everything fetched is kept in foundry/macos of the user's cache folder, everything built in
# build/macos-arm64 and build/macos-x86_64. JOBS=N: that many at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/common.sh
. scripts/common.sh

oldest=11.0 # the first macOS that Apple's processors have
zig_version=0.17.1
# name=version of Debian's source package, its archive, the archive's SHA-256
sources=(
    "jansson=2.14-2 jansson_2.14.orig.tar.gz c739578bf6b764aa0752db9a2fdadcfe921c78f1228c7ec0bb47fa804c55d17b"
    "pcre2=10.42-1 pcre2_10.42.orig.tar.gz c33b418e3b936ee3153de2c61cc638e7e4fe3156022a5c77d0711bcbb9d64f1f"
    "xxhash=0.8.1-1 xxhash_0.8.1.orig.tar.gz 3bb6b7d6f30c591dd65aaaff1c8b7a5b94d81687998ca9400082c739a690436c"
    "utf8proc=2.8.0-1 utf8proc_2.8.0.orig.tar.gz a0a60a79fe6f6d54e7d411facbfcc867a6e198608f2cd992490e46f04b1bcecc"
    "libedit=3.1-20221030-2 libedit_3.1-20221030.orig.tar.gz f0925a5adf4b1bf116ee19766b7daa766917aec198747943b1c4edf67a4be2bb"
)

machines=("$@")
[ ${#machines[@]} -gt 0 ] || machines=(arm64 x86_64)
for machine in "${machines[@]}"; do
    case $machine in
    arm64 | x86_64) ;;
    *)
        say "usage: scripts/macos.sh [arm64] [x86_64]"
        exit 2
        ;;
    esac
done
[ "$(uname -s)" = Linux ] || die "this builds for macOS on Linux; on a Mac, plain make builds for it"

jobs=${JOBS:-$(nproc)}
kept=$(cache_root)/macos
mkdir -p "$kept" || die "cannot create the folder $kept"
work=$(mktemp -d "$kept/.work.XXXXXX") || die "cannot write to $kept"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fetch_compiler() {
    zig=$kept/zig-$zig_version/ziglang/zig
    [ -x "$zig" ] && return
    need_space "$kept" 700 "the compiler for macOS"
    say "fetching the compiler (ziglang $zig_version, 100 MB) ..."
    pip_download "$work" "ziglang==$zig_version" --only-binary :all:
    mkdir "$work/zig"
    python3 -m zipfile -e "$work"/ziglang-*.whl "$work/zig" || die "cannot unpack ziglang"
    chmod +x "$work/zig/ziglang/zig"
    rm -rf "$kept/zig-$zig_version"
    mv "$work/zig" "$kept/zig-$zig_version"
}

# The machine's own package server, asked for sources too: its list is read, and nothing of the system changed.
apt_sources() {
    local file
    mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial" "$work/apt/parts"
    : >"$work/apt/sources.list"
    if [ -f /etc/apt/sources.list ]; then sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$work/apt/sources.list"; fi
    for file in /etc/apt/sources.list.d/*.list; do
        [ -f "$file" ] && sed -n 's/^deb /deb-src /p' "$file" >>"$work/apt/sources.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -f "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$work/apt/parts/${file##*/}"
    done
    apt=(-qq -o Acquire::Retries=2 -o APT::Sandbox::User=root -o "Dir::Etc::sourcelist=$work/apt/sources.list" -o "Dir::Etc::sourceparts=$work/apt/parts"
        -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/archives")
    apt-get "${apt[@]}" update >"$work/apt.log" 2>&1 || { tail -n 3 "$work/apt.log" >&2 && die "the package server gives no list of sources; is the network reachable?"; }
}

# One archive into $kept/sources, and unpacked.
fetch_source() {
    local package=$1 archive=$2 sha256=$3 got
    local to=$kept/sources/${package%%=*}-$sha256
    [ -d "$to" ] && return
    if [ -z "${apt+set}" ]; then
        command -v apt-get >/dev/null || die "the libraries' sources come from Debian's packages, and this machine has no apt-get"
        say "fetching the libraries' sources ..."
        apt_sources
    fi
    (cd "$work" && apt-get "${apt[@]}" source --download-only --tar-only "$package") >"$work/apt.log" 2>&1 ||
        { tail -n 3 "$work/apt.log" >&2 && die "cannot fetch the sources of $package"; }
    got=$(sha256sum "$work/$archive" | cut -d' ' -f1)
    [ "$got" = "$sha256" ] || die "$archive has the SHA-256 $got where $sha256 was expected"
    mkdir -p "$work/unpacked" "$kept/sources"
    tar -C "$work/unpacked" -xzf "$work/$archive" --strip-components=1
    mv "$work/unpacked" "$to"
}

# source NAME: the folder of its sources.
source_of() { printf '%s\n' "$kept/sources/$1"-*; }

# library NAME FLAGS FILE...: $deps/lib/libNAME.a
library() {
    local name=$1 flags=$2
    shift 2
    mkdir -p "$deps/obj/$name"
    # shellcheck disable=SC2016 # the inner shell expands
    printf '%s\n' "$@" | xargs -P "$jobs" -I{} sh -c 'exec "$1" cc -target "$2" -O2 -g0 -w -I"$3/include" $4 -c "$5" -o "$3/obj/$6/$(basename "$5" .c).o"' \
        sh "$zig" "$target" "$deps" "$flags" {} "$name" || die "$name does not compile for $target"
    rm -f "$deps/lib/lib$name.a"
    "$zig" ar rcs "$deps/lib/lib$name.a" "$deps/obj/$name"/*.o
}

libraries() {
    local jansson pcre2 xxhash utf8proc libedit file files=()
    jansson=$(source_of jansson) pcre2=$(source_of pcre2) xxhash=$(source_of xxhash) utf8proc=$(source_of utf8proc) libedit=$(source_of libedit)
    mkdir -p "$deps/include" "$deps/lib"

    sed 's/@json_inline@/inline/; s/@json_[a-z_]*@/1/' "$jansson/src/jansson_config.h.in" >"$deps/include/jansson_config.h"
    cp "$jansson/src/jansson.h" "$deps/include"
    mkdir -p "$deps/jansson"
    : >"$deps/jansson/jansson_private_config.h" # what it would define stands here
    library jansson "-I$deps/jansson -DHAVE_STDINT_H=1 -DHAVE_FCNTL_H -DHAVE_SCHED_H -DHAVE_UNISTD_H -DHAVE_SYS_STAT_H -DHAVE_SYS_TIME_H -DHAVE_SYS_TYPES_H -DHAVE_OPEN -DHAVE_CLOSE -DHAVE_READ
        -DHAVE_GETTIMEOFDAY -DHAVE_GETPID -DHAVE_ATOMIC_BUILTINS -DHAVE_SCHED_YIELD -DUSE_URANDOM=1" "$jansson"/src/*.c

    cp "$pcre2/src/pcre2.h.generic" "$deps/include/pcre2.h"
    mkdir -p "$deps/pcre2"
    cp "$pcre2/src/config.h.generic" "$deps/pcre2/config.h"
    cp "$pcre2/src/pcre2_chartables.c.dist" "$deps/pcre2/pcre2_chartables.c"
    for file in "$pcre2"/src/pcre2_*.c "$deps/pcre2/pcre2_chartables.c"; do
        case ${file##*/} in
        # included by others, or programs of their own
        pcre2_dftables.c | pcre2_fuzzsupport.c | pcre2_jit_match.c | pcre2_jit_misc.c | pcre2_jit_test.c | pcre2_printint.c | pcre2_ucptables.c) ;;
        *) files+=("$file") ;;
        esac
    done
    library pcre2-8 "-DHAVE_CONFIG_H -DPCRE2_CODE_UNIT_WIDTH=8 -DPCRE2_STATIC -DSUPPORT_UNICODE -DSUPPORT_JIT -DHAVE_MEMMOVE -I$deps/pcre2 -I$pcre2/src" "${files[@]}"

    cp "$xxhash/xxhash.h" "$xxhash/xxh3.h" "$utf8proc/utf8proc.h" "$libedit/src/histedit.h" "$deps/include"
    library xxhash "" "$xxhash/xxhash.c"
    library utf8proc "-DUTF8PROC_STATIC" "$utf8proc/utf8proc.c"

    # The Mac has libedit; what the linker has to know of it is its name and what the program calls.
    cat >"$deps/lib/libedit.tbd" <<TBD
--- !tapi-tbd
tbd-version:     4
targets:         [ x86_64-macos, arm64-macos ]
install-name:    '/usr/lib/libedit.3.dylib'
current-version: 3
exports:
  - targets:         [ x86_64-macos, arm64-macos ]
    symbols:         [ _el_end, _el_get, _el_gets, _el_init, _el_resize, _el_set, _el_source, _history, _history_end, _history_init ]
...
TBD
    touch "$deps/done"
}

build() {
    local machine=$1
    target=${machine/arm64/aarch64}-macos.$oldest
    deps=$PWD/build/macos-$machine/deps
    if ! [ "$deps/done" -nt scripts/macos.sh ]; then
        say "building the libraries for $machine ..."
        libraries
    fi
    say "building foundry for $machine ..."
    # Compiled kernels are not built in: what writes them has to run here. Zig spells levels its own way.
    make --no-print-directory -s -j"$jobs" SYSTEM=Darwin BUILD_SUFFIX="macos-$machine" BAKE='' AR="$zig ar" CC="$zig cc -target $target" \
        CFLAGS="-g0 -I$deps/include -DPCRE2_STATIC -DUTF8PROC_STATIC" LIBRARY_PATHS="-L$deps/lib" \
        CODEC_FLAGS_v3=-march=x86_64_v3 CODEC_FLAGS_v4=-march=x86_64_v4 everything | sed '/^  cc/d'
}

fetch_compiler
for line in "${sources[@]}"; do
    read -r package archive sha256 <<<"$line"
    fetch_source "$package" "$archive" "$sha256"
done
export ZIG_GLOBAL_CACHE_DIR=$kept/cache ZIG_LOCAL_CACHE_DIR=$kept/cache
for machine in "${machines[@]}"; do build "$machine"; done
failed=0 checked=0
for machine in "${machines[@]}"; do
    for file in foundry tests libfoundry.so examples/generate; do
        checked=$((checked + 1))
        scripts/check-macho.py "build/macos-$machine/$file" "$machine" "$oldest" || failed=$((failed + 1))
    done
done
printf '%d passed, %d failed\n' $((checked - failed)) $failed
[ "$failed" = 0 ]
