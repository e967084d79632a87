#!/bin/bash
# make install puts everything where it belongs, the result works from there,
# and make uninstall takes it all away again.
set -u
cd "$(dirname "$0")/../.." || exit 2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

check() { # check NAME COMMAND…
    local name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name:"
        sed 's/^/    /' "$tmp/log"
    fi
}

build=$(dirname "${BQB:-build/bqb}")
version=$(sed -n 's/^#define BQB_VERSION "\(.*\)"/\1/p' include/bqb.h)
root=$tmp/root prefix=/opt/bqb
at=$root$prefix
mk() { env -u MAKEFLAGS -u CI make -s BUILD="$build" DESTDIR="$root" PREFIX="$prefix" "$1"; }

check install mk install
for f in bin/bqb lib/libbqb.a "lib/libbqb.so.$version" include/bqb.h lib/pkgconfig/bqb.pc share/man/man1/bqb.1; do
    check "has $f" test -s "$at/$f"
done
check program_runs "$at/bin/bqb" --version
check program_says_version grep -qF "$version" <("$at/bin/bqb" --version)
check soname test "$(readlink "$at/lib/libbqb.so")" = libbqb.so.0 -a "$(readlink "$at/lib/libbqb.so.0")" = "libbqb.so.$version"

# The same folders and files as in the source tree, and nothing that only the owner can read.
files() { (cd "$1" && find models data -type f 2>/dev/null | sort); }
check models_and_data diff <(files .) <(files "$at/share/bqb")
check readable test -z "$(find "$root" ! -type l ! -perm -444)"

# A program of somebody else's, built with what pkg-config says: the README's.
sed -n '/^```c$/,/^```$/p' README.md | grep -v '^```' >"$tmp/user.c"
check example_in_readme grep -q bqb_search "$tmp/user.c"
export PKG_CONFIG_PATH=$at/lib/pkgconfig
pc() { pkg-config --define-variable=prefix="$at" "$@" bqb; }
check pkg_config_version test "$(pc --modversion)" = "$version"
mkdir "$tmp/stickers"
cp tests/golden/images/small.png "$tmp/stickers/猫在睡觉.png"
check import "$at/bin/bqb" -L "$tmp/library" import "$tmp/stickers"
# shellcheck disable=SC2046
check user_shared ${CC:-gcc} -std=c11 -Wall -Werror -o "$tmp/user" "$tmp/user.c" $(pc --cflags --libs)
check user_shared_finds test "$(LD_LIBRARY_PATH=$at/lib "$tmp/user" "$tmp/library" 猫)" = "$tmp/stickers/猫在睡觉.png"
# shellcheck disable=SC2046
check user_static ${CC:-gcc} -std=c11 -Wall -Werror -o "$tmp/user2" "$tmp/user.c" $(pc --cflags) "$at/lib/libbqb.a" \
    $(pkg-config --libs vips sqlite3 jansson libutf8proc zlib $(pc --print-requires-private | grep -xE 'rlottie|vpx')) -ldnnl -lpthread -lm
check user_static_finds test "$("$tmp/user2" "$tmp/library" 猫)" = "$tmp/stickers/猫在睡觉.png"
LD_LIBRARY_PATH=$at/lib "$tmp/user" "$tmp/nowhere" 猫 2>"$tmp/said"
check no_library_fails test $? = 1
check no_library_is_told grep -q nowhere "$tmp/said"
check header_alone sh -c "echo '#include <bqb.h>' | ${CC:-gcc} -fsyntax-only -Wall -Wextra -Werror -I'$at/include' -xc -std=c99 -"

check uninstall mk uninstall
check nothing_left test -z "$(find "$root" ! -type d)"

echo "install: $passed passed, $failed failed"
[ "$failed" = 0 ]
