#!/bin/sh
# usage: tools/make-emoji-names.sh >src/text/emoji_table.h
# What emoji are called in Chinese: the everyday names of data/aliases.tsv first, then Unicode's own name (CLDR, Debian:
# unicode-cldr-core). Without variation selectors, in the order of bytes.
set -eu
LC_ALL=C
export LC_ALL
cd "$(dirname "$0")/.."
names=${CLDR:-/usr/share/unicode/cldr/common}/annotations/zh.xml

cat <<'END'
/* Made by tools/make-emoji-names.sh: an emoji, its names, the everyday ones first; in the order of bytes.
 * Unicode's names from Unicode CLDR, Copyright 1991-2022 Unicode, Inc.; its terms are in data/LICENSES. */
/* clang-format off */
END
{
    grep -v '^#' data/aliases.tsv
    sed -n 's|.*<annotation cp="\([^"]*\)" type="tts"[^>]*>\([^<]*\)</annotation>.*|\1\t\2|p' "$names"
} | awk -F '\t' '
    {
        gsub(/\357\270\217/, "", $1)
        # emoji alone: U+2300 to U+2BFF, U+3030, U+303D, U+3297, U+3299 and four bytes
        first = substr($1, 1, 1)
        if (first != "\360" && !($1 >= "\342\214\200" && $1 <= "\342\257\277") && $1 !~ /^\343(\200\260|\200\275|\212\227|\212\231)/) next
        n = split($2, name, "|")
        if (!($1 in known)) order[++count] = $1
        for (i = 1; i <= n; i++)
            if (!(($1, name[i]) in seen)) {
                seen[$1, name[i]] = 1
                known[$1] = known[$1] (known[$1] == "" ? "" : "|") name[i]
            }
    }
    END { for (i = 1; i <= count; i++) printf "%s\t%s\n", order[i], known[order[i]] }' |
    sort -t "$(printf '\t')" -k 1,1 | awk -F '\t' '{ printf "{\"%s\", \"%s\"},\n", $1, $2 }'
echo '/* clang-format on */'
