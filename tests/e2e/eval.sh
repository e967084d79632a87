#!/bin/bash
# bqb eval with the built program and the bundled model: zero-shot, confusion, the page.
set -u
cd "$(dirname "$0")/../.." || exit 2
bqb=${BQB:-build/bqb}
case $bqb in /*) ;; *) bqb=$PWD/$bqb ;; esac
export BQB_DATA=$PWD/data BQB_MODEL=$PWD/models/mini BQB_THREADS=2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

ok() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAIL $*"
}
# expect NAME STATUS STDOUT STDERR COMMAND…: patterns of grep -E; "" means anything.
expect() {
    local name=$1 status=$2 out=$3 err=$4 got
    shift 4
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got != "$status" ]; then fail "$name: exit status $got, expected $status: $(head -3 "$tmp/err")"
    elif [ -n "$out" ] && ! grep -qE -- "$out" "$tmp/out"; then fail "$name: no \"$out\" on standard output: $(head -c 600 "$tmp/out")"
    elif [ -n "$err" ] && ! grep -qE -- "$err" "$tmp/err"; then fail "$name: no \"$err\" on standard error: $(head -3 "$tmp/err")"
    else ok; fi
}
has() { grep -qF -- "$2" "$1" && ok || fail "$1 has no $2"; }
lacks() { grep -qiE -- "$2" "$1" && fail "$1 has $(grep -oiE -m1 -- ".{0,30}($2).{0,30}" "$1" | head -1)" || ok; }

if [ ! -e models/mini/model.safetensors ]; then
    echo "eval: 0 passed, 0 failed, 1 skipped"
    exit 0
fi

"$bqb" synth --out "$tmp/set" --count 48 --seed 3 2>/dev/null || fail synth
set=$tmp/set/captions.tsv
# One annotation that would like to be part of the page, and ten stickers twice.
sed -i '2s/\t[^\t]*/\t<script>alert("喵"\&amp;)<\/script>/' "$set"
sed -n 4,13p "$set" >"$tmp/rows"
while IFS= read -r line; do
    file=${line%%$'\t'*}
    cp "$tmp/set/$file" "$tmp/set/images/again-${file##*/}"
    echo "images/again-${file##*/}"$'\t'"${line#*$'\t'}" >>"$set"
done <"$tmp/rows"

expect all 0 '^emotion +[0-9]+ +[0-9]+ +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$' '' \
    "$bqb" eval --data "$set" --query all --zero-shot --confusion "$tmp/conf" --html "$tmp/page.html" --html-rows 2
cp "$tmp/out" "$tmp/table"
has "$tmp/table" '58 pictures; 20 have a near-duplicate'

# Of two that are the same each ties with the other: strictly a hit is worth half, with near-duplicates all of it.
strict=$(awk '$1 == "full" { print $4 }' "$tmp/table") near=$(awk '$1 == "full" { print $14 }' "$tmp/table")
awk -v s="$strict" -v n="$near" 'BEGIN { exit !(n > s) }' && ok || fail "recall with near-duplicates ($near) is not above the strict one ($strict)"

# The page: everything in it, nothing from outside, nobody's markup.
for s in '<!doctype html>' 'Zero-shot: emotion' 'Asked with: full' 'Asked with: short' 'Found first' 'class=heat' 'data:image/webp;base64,' \
    '&lt;script>alert(&quot;喵' '</html>'; do
    has "$tmp/page.html" "$s"
done
lacks "$tmp/page.html" '<script|https?://|<link|src='
grep -qE "class='p p[0-9]+ hit'" "$tmp/page.html" && ok || fail 'no right one is marked'
lacks "$tmp/page.html" 'Asked with: emotion'
rows=$(grep -c '^<div class=row>' "$tmp/page.html")
[ "$rows" -ge 8 ] && [ "$rows" -le 32 ] && ok || fail "$rows rows"
# Every picture that is shown was written, and written once.
shown=$(grep -oE "class='p p[0-9]+" "$tmp/page.html" | grep -oE '[0-9]+$' | sort -u)
written=$(grep -oE '^\.p[0-9]+\{' "$tmp/page.html" | grep -oE '[0-9]+' | sort)
[ -n "$shown" ] && [ "$shown" = "$written" ] && ok || fail 'shown and written pictures differ'
# Some move: WebP with an ANIM chunk.
grep -oE '^\.p[0-9]+\{.*base64,[A-Za-z0-9+/=]*' "$tmp/page.html" | sed 's/.*base64,//' | while read -r b; do base64 -d <<<"$b" | head -c 64 | grep -aq ANIM && echo; done >"$tmp/moving"
[ -s "$tmp/moving" ] && ok || fail 'no picture moves'
[ "$(stat -c %s "$tmp/page.html")" -lt 8000000 ] && ok || fail "the page has $(stat -c %s "$tmp/page.html") bytes"

# Confusion: every picture once, and right ones as often as the diagonal says.
for f in emotion style; do
    csv=$tmp/conf/confusion-$f.csv
    want=$(awk -v f=$f '/^zero-shot/ { z = 1 } z && $1 == f { print $2, $4 }' "$tmp/table")
    got=$(awk -F, 'NR > 1 { n += $2; for (k = 4; k <= NF; k++) all += $k } END { print (n == all ? n : "unequal"), NR - 1 }' "$csv")
    [ "$want" = "$got" ] && ok || fail "confusion of $f: $got, the table says $want"
done

expect json 0 '"zero_shot": \{"emotion": \{"images": [0-9]+, "left_out": [0-9]+, "classes": [0-9]+, "top1": ' '' "$bqb" eval --data "$set" --json -z -n 20
expect json_near 0 '"near_duplicates": \{"cosine": 0.94[0-9]*, "images": 20, "not_looked_for": 0\}.*"text_to_image_or_near_duplicate"' '' "$bqb" eval --data "$set" --json
expect no_rows 0 '^full ' '' "$bqb" eval --data "$set" -n 12 --html "$tmp/plain.html" --html-rows 0
lacks "$tmp/plain.html" 'data:image|class=row'
expect nowhere 1 '' 'No such file' "$bqb" eval --data "$set" -n 6 --html "$tmp/no/page.html"
expect too_many_rows 2 '' '1000 is more than 100' "$bqb" eval --data "$set" --html "$tmp/x.html" --html-rows 1000

echo "eval: $passed passed, $failed failed"
[ "$failed" = 0 ]
