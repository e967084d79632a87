#!/bin/bash
# usage: BQB=build/bqb tools/measure-search.sh LIBRARY CAPTIONS.tsv [SEARCH-OPTION…]
# How often a search finds the sticker whose caption is the query: R@1, R@5, R@10 and their mean, in percent, by
# words alone (--by words) and as bqb searches by default. The table's files stand beside it; a sticker is known by
# its SHA-256, wherever the library has it from. The captions themselves must not be in the library.
# Queries: the captions; with one character replaced (by one of another caption), with one missing, and cut to one
# half. $SEED (1) chooses the character and the half. `even` and `odd` are the rows of the table, counted from 0: fit
# on one, report the other.
set -euo pipefail
bqb=${BQB:-build/bqb}
library=${1:?usage: measure-search.sh LIBRARY CAPTIONS.tsv [SEARCH-OPTION…]}
table=${2:?usage: measure-search.sh LIBRARY CAPTIONS.tsv [SEARCH-OPTION…]}
shift 2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# file, caption; without the rows that have none.
awk -F '\t' -v OFS='\t' '{ sub(/\r$/, "") }
    NR == 1 { sub(/^\xef\xbb\xbf/, ""); for (i = 1; i <= NF; i++) at[$i] = i
              if (!at["file"] || !at["caption"]) { print "no columns file and caption" > "/dev/stderr"; exit 1 }
              next }
    $at["caption"] ~ /[^ ]/ { print $at["file"], $at["caption"] }' "$table" >"$tmp/rows"
cut -f 1 "$tmp/rows" | sed "s|^[^/]|$(dirname "$table")/&|" | tr '\n' '\0' | xargs -0 sha256sum -b | cut -c 1-64 >"$tmp/sha"
[ "$(wc -l <"$tmp/sha")" = "$(wc -l <"$tmp/rows")" ] || { echo "files of the table are not there" >&2; exit 1; }
"$bqb" -L "$library" search --by picture --animated -n 10000 --json x | jq -r '.results[].id' >"$tmp/animated"

# One line a query: row, sha, characters that are letters or digits, variant, query. Codepoints, not bytes.
jq -Rnr --argjson seed "${SEED:-1}" --rawfile sha "$tmp/sha" '
    def said: (. >= 48 and . <= 57) or (. >= 65 and . <= 90) or (. >= 97 and . <= 122) or
              (. >= 192 and . < 8192) or (. >= 12352 and . < 65280) or . >= 65536;
    def draw($n; $i; $salt): ((($i + 1) * 40503 + $seed * 30011 + $salt * 7919) % 65521 * 50021 % 65521) % $n;
    ($sha | split("\n")) as $sha
    | [inputs | split("\t")[1] | explode] as $all
    | range($all | length) as $i
    | $all[$i] as $c
    | [range($c | length) | select($c[.] | said)] as $at
    | ($at | length) as $n
    | def row($variant; $query): [$i, $sha[$i], $n, $variant, ($query | implode)] | @tsv;
      row("exact"; $c),
      (if $n > 1 then
          $at[draw($n; $i; 1)] as $k
          | [$all[draw($all | length; $i; 2)][] | select(said and . != $c[$k])] as $others
          | (if $others | length > 0 then
                row("replaced"; $c[:$k] + [$others[draw($others | length; $i; 3)]] + $c[$k + 1:]) else empty end),
            row("missing"; $c[:$k] + $c[$k + 1:]),
            row("half"; if draw(2; $i; 4) == 0 then $c[: ($c | length + 1) / 2 | floor]
                        else $c[($c | length) / 2 | floor:] end)
       else empty end)' "$tmp/rows" >"$tmp/queries"

# ranks WAY: where the right sticker stands in each answer, 0 when not among the ten.
ranks() {
    cut -f 5 "$tmp/queries" | "$bqb" -L "$library" search --queries - --json -n 10 --by "$@" >"$tmp/answers" || true
    jq -r '[.results[]?.id] | join(" ")' "$tmp/answers" | paste "$tmp/queries" - | awk -F '\t' '
        { rank = 0; n = split($6, id, " ")
          for (i = n; i >= 1; i--) if (index($2, id[i]) == 1) rank = i
          print rank }'
}
ranks words "$@" >"$tmp/words"
ranks all "$@" >"$tmp/all"
for way in words all; do
    [ "$(wc -l <"$tmp/$way")" = "$(wc -l <"$tmp/queries")" ] || { echo "bqb answered not every query" >&2; exit 1; }
done

cut -f 1-4 "$tmp/queries" | paste - "$tmp/words" "$tmp/all" | awk -F '\t' -v animated="$tmp/animated" '
    BEGIN { while ((getline id < animated) > 0) moving[substr(id, 1, 12)] = 1 }
    function count(set, way, rank) {
        if (rank >= 1 && rank <= 1) one[set, way]++
        if (rank >= 1 && rank <= 5) five[set, way]++
        if (rank >= 1 && rank <= 10) ten[set, way]++
    }
    function take(set) {
        n[set]++; count(set, "w", $5); count(set, "a", $6)
    }
    function figures(set, way,   a, b, c) {
        a = 100 * one[set, way] / n[set]; b = 100 * five[set, way] / n[set]; c = 100 * ten[set, way] / n[set]
        return sprintf("%5.1f %5.1f %5.1f %5.1f", a, b, c, (a + b + c) / 3)
    }
    { half = $1 % 2 ? "odd" : "even"
      take($4 "\tall"); take($4 "\t" half)
      if ($4 == "exact") {
          kind = substr($2, 1, 12) in moving ? "animated" : "still"
          length_ = $3 <= 2 ? "1-2 characters" : $3 <= 4 ? "3-4 characters" : $3 <= 8 ? "5-8 characters" : "9+ characters"
          take($4 "\t" kind); take($4 "\t" length_); take($4 "\t" length_ ", " half)
      } }
    END {
        printf "%-9s %-22s %5s  %-23s  %-23s\n", "query", "stickers", "n", "words: R@1  @5  @10  MR", "all: R@1  @5  @10  MR"
        s = split("all|even|odd|still|animated|1-2 characters|3-4 characters|5-8 characters|9+ characters|" \
                  "1-2 characters, odd|3-4 characters, odd|5-8 characters, odd|9+ characters, odd", set, "|")
        m = split("exact replaced missing half", variant, " ")
        for (v = 1; v <= m; v++)
            for (i = 1; i <= s; i++)
                if ((variant[v] "\t" set[i]) in n) {
                    key = variant[v] "\t" set[i]
                    printf "%-9s %-22s %5d  %s  %s\n", variant[v], set[i], n[key], figures(key, "w"), figures(key, "a")
                }
    }'
