#!/bin/sh
# usage: tools/make-variants.sh >src/text/variants_table.h
# Which traditional character is which simplified one: the single characters of CLDR's rules
# between the two scripts (Debian: unicode-cldr-core), and a few everyday ones that they lack.
# Only characters of three bytes, so that a text can be folded in place.
set -eu
LC_ALL=C
export LC_ALL
rules=${CLDR:-/usr/share/unicode/cldr/common}/transforms/Simplified-Traditional.xml

cat <<'END'
/* Made by tools/make-variants.sh: a traditional character, its simplified one; in the order of bytes.
 * From Unicode CLDR, Copyright 1991-2022 Unicode, Inc.; its terms are in data/LICENSES. */
/* clang-format off */
END
{
    printf '%s\n' 妳你 牠它 衹只 祇只 隣邻 艶艳 鬪斗 麪面 |
        awk '{ print substr($0, 1, 3), substr($0, 4, 3) }'
    # SIMPLIFIED↔TRADITIONAL; or SIMPLIFIED←TRADITIONAL; each of three bytes
    tr -d '\r\t ' <"$rules" | awk '
        length($0) == 10 && substr($0, 10) == ";" {
            arrow = substr($0, 4, 3)
            if (arrow != "\342\206\224" && arrow != "\342\206\220") next
            print substr($0, 7, 3), substr($0, 1, 3)
        }'
} | awk '
    # ideographs alone: U+3400 to U+9FFF
    $1 == $2 || $1 < "\343\220\200" || $1 > "\351\277\277" || $2 < "\343\220\200" || $2 > "\351\277\277" { next }
    !($1 in to) { to[$1] = $2 }
    END {
        for (t in to) {
            s = to[t]
            if (s in to && to[s] == t && s > t) continue # each is the other: the later one goes to the earlier
            while (s in to && !(to[s] in to && to[to[s]] == s && s < to[s])) s = to[s]
            if (s != t) print t s
        }
    }' | sort | awk '
    { line = line "\"" $0 "\"," (NR % 12 ? " " : "") }
    NR % 12 == 0 { print line; line = "" }
    END { if (line != "") { sub(/ $/, "", line); print line } }'
