#!/bin/bash
# The program's manners: help, wrong usage, exit statuses, where output goes;
# and that the man page and the README know every command and option.
set -u
cd "$(dirname "$0")/../.." || exit 2
bqb=${BQB:-build/bqb}
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAIL $*"
}

# expect NAME STATUS STDOUT STDERR COMMAND…: patterns of grep -E; "-" means empty.
expect() {
    local name=$1 status=$2 out=$3 err=$4 got
    shift 4
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got != "$status" ]; then
        fail "$name: exit status $got, expected $status: $(head -3 "$tmp/err")"
    elif [ "$out" = - ] && [ -s "$tmp/out" ]; then
        fail "$name: standard output should be empty: $(head -3 "$tmp/out")"
    elif [ "$out" != - ] && ! grep -qE -- "$out" "$tmp/out"; then
        fail "$name: no \"$out\" on standard output: $(head -3 "$tmp/out")"
    elif [ "$err" = - ] && [ -s "$tmp/err" ]; then
        fail "$name: standard error should be empty: $(head -3 "$tmp/err")"
    elif [ "$err" != - ] && ! grep -qE -- "$err" "$tmp/err"; then
        fail "$name: no \"$err\" on standard error: $(head -3 "$tmp/err")"
    else
        ok
    fi
}

expect help 0 '^usage: bqb' - "$bqb" --help
expect help_letter 0 '^usage: bqb' - "$bqb" -h
expect help_command 0 '^usage: bqb' - "$bqb" help
expect version 0 '^bqb [0-9]+\.[0-9]+\.[0-9]+$' - "$bqb" --version
expect no_command 2 - 'usage: bqb' "$bqb"
expect unknown_command 2 - 'no command "frobnicate"' "$bqb" frobnicate
expect unknown_option 2 - 'unknown option --frobnicate' "$bqb" --frobnicate stats
expect option_without_value 2 - 'needs a value' "$bqb" -L
expect empty_library 2 - "bqb: " "$bqb" -L "" stats
expect help_of_unknown 2 - 'no command' "$bqb" help frobnicate
if [ -e /dev/full ]; then
    expect full_disk 1 - 'No space left' sh -c "'$bqb' --help >/dev/full"
fi

commands=$("$bqb" --help | sed -n '/^usage/,/--library/s/^  \([a-z][a-z]*\)  .*/\1/p')
[ -n "$commands" ] && ok || fail 'bqb --help lists no commands'

for c in $commands; do
    [ "$c" = help ] && continue
    expect "$c --help" 0 "^usage: bqb( \[[^]]*\])* $c" - "$bqb" "$c" --help
    expect "$c -h" 0 "^usage: bqb" - "$bqb" "$c" -h
    expect "help $c" 0 "^usage: bqb" - "$bqb" help "$c"
    expect "$c: unknown option" 2 - 'unknown option' "$bqb" "$c" --frobnicate
    grep -q "^\.Ss bqb $c\$" docs/bqb.1 && ok || fail "docs/bqb.1 has no section \".Ss bqb $c\""
    grep -q "bqb $c" README.md && ok || fail "README.md does not mention bqb $c"
    # The options of one command, and its section of the man page.
    section=$(sed -n "/^\.Ss bqb $c\$/,/^\.S[sh] /p" docs/bqb.1)
    missing=
    for o in $("$bqb" "$c" --help | sed -n 's/^  \(-[A-Za-z], \|    \)--\([a-z0-9-]*\).*/\2/p'); do
        [ "$o" = help ] && continue
        grep -qE "Fl -${o//-/(-|\\\\-)}( |\$)" <<<"$section" || missing="$missing --$o"
    done
    [ -z "$missing" ] && ok || fail "docs/bqb.1 does not explain these options of $c:$missing"
    # And the other way round: nothing there that is not.
    extra=
    for o in $(sed -n 's/^\.It.* Fl -\([a-z0-9-]*\).*/\1/p' <<<"$section"); do
        "$bqb" "$c" --help | grep -qE -- "--$o( |\$)" || extra="$extra --$o"
    done
    [ -z "$extra" ] && ok || fail "docs/bqb.1 explains options that $c does not have:$extra"
done

echo "usage: $passed passed, $failed failed"
[ "$failed" = 0 ]
