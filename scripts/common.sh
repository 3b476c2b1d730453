# shellcheck shell=bash
# Shared by the scripts that download things; sourced, never run. Standard output is kept for
# results (a path), so everything said goes to standard error.

say() { printf '%s\n' "$*" >&2; }
die() {
    say "error: $*"
    exit 1
}

cache_root() { printf '%s\n' "${XDG_CACHE_HOME:-${HOME:?set it, or XDG_CACHE_HOME}/.cache}/foundry"; }

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

# need_space FOLDER MEGABYTES PURPOSE: says so before a download instead of failing half-way.
need_space() {
    [ "$(free_mb "$1")" -ge "$2" ] || die "$1 has $(free_mb "$1") MB free and $3 needs $2 MB; make room first"
}

# pip_download FOLDER NAME==VERSION [option...]: one package, without what it depends on.
pip_download() {
    local folder=$1 package=$2 log=$1/pip.log
    shift 2
    python3 -m pip --version >/dev/null 2>&1 || die "python3 with pip is missing; run scripts/setup.sh"
    if ! TMPDIR=$folder python3 -m pip download --quiet --no-deps --no-cache-dir --disable-pip-version-check \
        -d "$folder" "$@" "$package" >"$log" 2>&1; then
        tail -n 2 "$log" >&2
        if grep -qi 'no space left' "$log" || [ "$(free_mb "$folder")" -lt 8 ]; then
            die "the disk is full: downloading $package to $folder failed"
        fi
        die "cannot download $package from the Python package registry; is the network reachable? (pip's words are above)"
    fi
}
