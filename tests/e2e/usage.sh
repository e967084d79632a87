#!/bin/bash
# The program's manners: help, wrong usage, exit statuses, where output goes;
# and that the man page and the README know every command and option.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh

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

summary usage
