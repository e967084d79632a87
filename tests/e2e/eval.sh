#!/bin/bash
# bqb eval with the built program and the bundled model: zero-shot, confusion, the page.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
export BQB_DATA=$PWD/data BQB_MODEL=$PWD/models/mini BQB_THREADS=2
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
strict=$(awk '$1 == "full" { print $4; exit }' "$tmp/table") near=$(awk '/^near/ { n = 1 } n && $1 == "full" { print $2 }' "$tmp/table")
awk -v s="$strict" -v n="$near" 'BEGIN { exit !(n > s) }' && ok || fail "recall with near-duplicates ($near) is not above the strict one ($strict)"

[ "$(wc -L <"$tmp/table")" -le 100 ] && ok || fail "the table is $(wc -L <"$tmp/table") columns wide"

# Without labels there is nothing to classify or to count: a line says so instead of an empty table or panel.
mkdir "$tmp/bare"
sed 's|^images|../set/images|' "$tmp/set/captions.tsv" | cut -f1,2 >"$tmp/bare/captions.tsv"
expect bare 0 '^no zero-shot style: no sticker has one' '' "$bqb" eval --data "$tmp/bare" -n 20 -z --html "$tmp/bare.html" --html-rows 0
lacks "$tmp/out" '^zero-shot|nan'
has "$tmp/bare.html" 'No zero-shot emotion: no sticker has one'
lacks "$tmp/bare.html" '<h2>Zero-shot'
expect bare_chart 0 '' '' "$bqb" stats --data "$tmp/bare" --chart "$tmp/bare.svg"
has "$tmp/bare.svg" 'no sticker has them: words on them, emotions, styles'
lacks "$tmp/bare.svg" '>Emotions<|>Styles<|>none<'
expect full_chart 0 '' '' "$bqb" stats --data "$set" --chart "$tmp/full.svg"
lacks "$tmp/full.svg" 'Not drawn'
has "$tmp/full.svg" '>Emotions<'

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

# MUGE: pictures and texts under their own integer ids; a text with three pictures, one without any.
n=0
: >"$tmp/muge_imgs.tsv" && : >"$tmp/muge_texts.jsonl"
while IFS=$'\t' read -r file caption _; do
    n=$((n + 1))
    printf '%d\t%s\n' $((5000 + n)) "$(base64 -w0 "$tmp/set/$file")" >>"$tmp/muge_imgs.tsv"
    ids=$((5000 + n))
    [ $n = 10 ] && ids="5010,5011,5012"
    printf '{"text_id":%d,"text":"%s","image_ids":[%s]}\n' $((900 + n)) "$(tr -d '"\\' <<<"$caption")" "$ids" >>"$tmp/muge_texts.jsonl"
done < <(sed -n '3,42p' "$set")
echo '{"text_id":990,"text":"一只猫"}' >>"$tmp/muge_texts.jsonl"
expect muge 0 '^texts +41 +40 +[0-9.]+ ' '' "$bqb" eval --data "$tmp/muge_imgs.tsv" --texts "$tmp/muge_texts.jsonl" --muge "$tmp/muge" --predictions "$tmp/own.jsonl"
cmp -s "$tmp/own.jsonl" "$tmp/muge/predictions.jsonl" && ok || fail 'ids that are integers were not kept'
[ -e "$tmp/muge/ids.tsv" ] && fail 'ids.tsv for ids that were kept' || ok
[ "$(grep -cE '^\{"text_id":9[0-9]{2},"image_ids":\[50[0-9]{2}(,50[0-9]{2}){9}\]\}$' "$tmp/own.jsonl")" = 41 ] && ok || fail "predictions: $(head -2 "$tmp/own.jsonl")"
[ "$(wc -l <"$tmp/muge/imgs.img_feat.jsonl") $(wc -l <"$tmp/muge/texts.txt_feat.jsonl")" = '40 41' ] && ok || fail 'features'
grep -qE '^\{"image_id":50[0-9]{2},"feature":\[-?[0-9.e-]+(,-?[0-9.e-]+)+\]\}$' "$tmp/muge/imgs.img_feat.jsonl" && ok || fail "a feature: $(head -c 80 "$tmp/muge/imgs.img_feat.jsonl")"

# The official script's rule, again, over its own two files: any right id among the first 1, 5, 10.
score() {
    paste "$1/texts.jsonl" "$1/predictions.jsonl" | awk -F'\t' '
        function ids(s, v) { sub(/.*"image_ids":\[/, "", s); sub(/\].*/, "", s); return split(s, v, ",") }
        { n = ids($1, right); m = ids($2, top); if (!n) next
          best = 11; for (k = m; k; k--) for (j in right) if (right[j] == top[k]) best = k
          r1 += best <= 1; r5 += best <= 5; r10 += best <= 10; all++; delete right }
        END { printf "%.4f %.4f %.4f", 100 * r1 / all, 100 * r5 / all, 100 * r10 / all }'
}
said() { sed -E 's/.*"r1":([0-9.]+),"r5":([0-9.]+),"r10":([0-9.]+).*/\1 \2 \3/' "$1/score.json" | awk '{ printf "%.4f %.4f %.4f", $1, $2, $3 }'; }
[ "$(score "$tmp/muge")" = "$(said "$tmp/muge")" ] && ok || fail "score.json says $(said "$tmp/muge"), its files $(score "$tmp/muge")"

# File names become integers, and a list says which.
sed -n '1,41p' "$set" >"$tmp/set/some.tsv"
expect muge_names 0 '^full ' '' "$bqb" eval --data "$tmp/set/some.tsv" --muge "$tmp/names"
[ "$(score "$tmp/names")" = "$(said "$tmp/names")" ] && ok || fail "score.json says $(said "$tmp/names"), its files $(score "$tmp/names")"
grep -qE '^image	0	images/000000\.' "$tmp/names/ids.tsv" && [ "$(wc -l <"$tmp/names/ids.tsv")" = 41 ] && ok || fail "ids.tsv: $(head -2 "$tmp/names/ids.tsv")"
expect muge_all 2 '' 'one kind' "$bqb" eval --data "$set" --query all --muge "$tmp/x"
expect muge_no_texts 1 '' 'nothing.jsonl' "$bqb" eval --data "$set" -n 4 --texts "$tmp/nothing.jsonl"

summary eval
