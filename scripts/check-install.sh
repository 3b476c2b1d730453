#!/usr/bin/env bash
# Installs what was built into a folder of its own and checks what a user gets: the files, programs linked
# with both libraries by pkg-config's words, the program away from the source tree; and that uninstalling
# leaves nothing. Run by `make check-install`.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
die() {
    printf 'check-install: %s\n' "$*" >&2
    exit 1
}
make_() { "${MAKE:-make}" -s --no-print-directory "$1" DESTDIR="$tmp/dest folder" PREFIX=/opt/f; }

# ---- what would be done ----
# Before anything is built: no failure, nothing written, and each step shown.
dry=$("${MAKE:-make}" -n --no-print-directory install BUILD_SUFFIX=dry-run BAKE=1 DESTDIR="$tmp/dry") || die "make -n install fails before the kernels are built"
if [ -e build/dry-run ] || [ -e "$tmp/dry" ]; then die "make -n install wrote something"; fi
for step in 'build/dry-run/bake build/dry-run/baked' "-C build/dry-run/baked CC=.* kernels.o" 'install -m 755 build/dry-run/foundry'; do
    grep -q -- "$step" <<<"$dry" || die "make -n install does not show: $step"
done

make_ install
root="$tmp/dest folder/opt/f"
version=$("$root/bin/foundry" --version)
version=${version#foundry }

# ---- files ----
for file in bin/foundry lib/libfoundry.a lib/libfoundry.so lib/pkgconfig/foundry.pc include/foundry/foundry.h include/foundry/version.h \
    share/bash-completion/completions/foundry share/zsh/site-functions/_foundry share/man/man1/foundry.1; do
    [ -s "$root/$file" ] || die "$file was not installed"
done
for command in $("$root/bin/foundry" --commands); do
    [ -s "$root/share/man/man1/foundry-$command.1" ] || die "there is no manual page of foundry $command"
done
[ "$(cd include && find foundry -name '*.h' | sort)" = "$(cd "$root/include" && find foundry -name '*.h' | sort)" ] || die "other headers than in include/ were installed"
if grep -rlF "$source" "$root"; then die "these files name the folder they were built in"; fi
shown=$(nm -D --defined-only "$root/lib/libfoundry.so" | awk '$3 !~ /^fnd_/ { print $3 }')
[ -z "$shown" ] || die "libfoundry.so shows names that do not begin with fnd_: $shown"
if grep -rlF "$tmp" "$root"; then die "these files name DESTDIR"; fi

# ---- programs of a user ----
# A copy elsewhere, where paths have no blanks: pkg-config's words are split by the shell.
cp -R "$root" "$tmp/f"
export PKG_CONFIG_PATH="$tmp/f/lib/pkgconfig" FOUNDRY_CACHE_DIR="$tmp/cache"
package() { pkg-config --define-variable=prefix="$tmp/f" "$@" foundry; }
[ "$(package --modversion)" = "$version" ] || die "foundry.pc has another version than the program, $version"
[ "$(PKG_CONFIG_PATH="$root/lib/pkgconfig" pkg-config --variable=includedir foundry)" = /opt/f/include ] || die "foundry.pc does not name the prefix"

cp examples/fused_kernel.c "$tmp/user.c"
cd "$tmp"
# shellcheck disable=SC2046 # words, as a user's command has them
{
    "${CC:-cc}" user.c $(package --cflags --libs) -lm -o shared
    "${CC:-cc}" user.c $(package --static --cflags --libs | sed 's/-lfoundry/-l:libfoundry.a/') -o static
}
case $(LD_LIBRARY_PATH="$tmp/f/lib" ldd ./shared) in
*libfoundry.so.[0-9]*" => $tmp/f/lib/"*) ;;
*) die "the linked program does not ask for libfoundry.so by its number" ;;
esac
case $(ldd ./static) in *libfoundry*) die "the program linked with libfoundry.a asks for libfoundry.so" ;; esac
for program in shared static; do
    case $(LD_LIBRARY_PATH="$tmp/f/lib" "./$program") in *': right'*) ;; *) die "the program linked $program does not compute what it should" ;; esac
done

# ---- the program, where its source tree is not ----
env -i HOME="$tmp" PATH=/usr/bin:/bin f/bin/foundry synth --arch llama --size tiny --format q8_0 -o tiny.gguf >/dev/null
env -i HOME="$tmp" PATH=/nonexistent "$tmp/f/bin/foundry" run --model tiny.gguf --prompt Hello --max-tokens 4 >/dev/null 2>answer || {
    cat answer
    die "the installed program does not run"
}

# ---- and away again ----
cd "$source"
make_ uninstall
left=$(find "$root" ! -type d)
[ -z "$left" ] || die "make uninstall leaves: $left"
echo "install: version $version checked"
