#!/bin/bash
# bqb annotate --emotion --style: guesses with the bundled model, right more often than not, never over a
# person's label, the same again after kill -9, and found by the filters.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_MODEL=

"$bqb" synth --out "$tmp/set" --count 60 --seed 3 >/dev/null 2>&1
mkdir "$tmp/in"
cp -r "$tmp/set/images" "$tmp/in/"
guesses() { sqlite3 "$1/library.db" "SELECT f.path, a.field, a.value, a.score FROM annotation a JOIN file f ON f.sticker = a.sticker WHERE a.origin = 2 ORDER BY 1, 2"; }

run "$bqb" annotate --style
is "no library: status" $status 1
has "no library" "$tmp/err" 'no library here yet'
run "$bqb" import "$tmp/in"
is "import: status" $status 0
run "$bqb" annotate --emotion --style --json
is "annotate: status" $status 0
json "annotate" '[.emotion.asked,.style.asked,.emotion.given,.style.without_vector,.emotion.classes,.style.classes,.style.own_classes]' '[60,60,0,0,29,14,false]'
json "annotate: the figures add up" '[.emotion,.style|.labelled + .unsure == 60]' '[true,true]'
guesses "$tmp/lib" >"$tmp/first"

# Against what was drawn.
right() {
    awk -F'[|\t]' -v field="$1" 'NR == FNR { emotion[$1] = $3; style[$1] = $5; next }
        $2 == field { n++; sub(/.*\/images\//, "images/", $1); t = field == "emotion" ? emotion[$1] : style[$1]; if (t == $3) k++ }
        END { print n + 0, k + 0 }' "$tmp/set/captions.tsv" "$tmp/first"
}
read -r n k < <(right style)
[ "$n" -ge 40 ] && [ "$k" -ge $((n * 3 / 4)) ] && ok || fail "styles: $k of $n guesses are right"
read -r n k < <(right emotion)
[ "$n" -ge 5 ] && [ $((k * 2)) -gt "$n" ] && ok || fail "emotions: $k of $n guesses are right"
[ -z "$(awk -F'|' '$4 < 0.6 || $4 > 1' "$tmp/first")" ] && ok || fail "chances outside 0.6 … 1"

# Shown, filtered, counted.
IFS='|' read -r path field value score < <(grep '|style|' "$tmp/first" | head -n 1)
run "$bqb" show --json "$path"
json "show: origin" .origin.style zero-shot
json "show: chance" ".confidence.style == $score" true
run "$bqb" show "$path"
has "show in words" "$tmp/out" "^style +$value  \(zero-shot, 0\.[0-9]{2}|1\.00\)"
run "$bqb" search --json --style "$value" -n 100 x
json "the filter finds it" "[.results[].file]|index(\"$path\") != null" true
json "and nothing else" "[.results[].style]|unique" "[\"$value\"]"

# Again: nothing changes. Surer: fewer. Of one sticker alone.
run "$bqb" annotate --emotion --style --json
json "again" '[.emotion.changed,.style.changed]' '[0,0]'
run "$bqb" annotate --emotion --style --min-score 0.99
[ "$(guesses "$tmp/lib" | wc -l)" -lt "$(wc -l <"$tmp/first")" ] && ok || fail "--min-score 0.99 took nothing back"
run "$bqb" annotate --style --json "$path"
json "one sticker" '[.style.asked,.emotion]' '[1,null]'
run "$bqb" annotate --emotion --style
guesses "$tmp/lib" | cmp -s - "$tmp/first" && ok || fail "the default gives other guesses than before"

# What people say is never touched: set, or given by a table, before the guess or after it.
run "$bqb" set --style 我画的 --emotion 说不清 "$path"
printf 'file\tstyle\nimages/%s\t表里写的\n' "$(ls "$tmp/in/images" | tail -n 1)" >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
run "$bqb" annotate --emotion --style --min-score 0 --json
json "people's labels are left alone" '[.emotion.given,.style.given]' '[1,2]'
json "and all others have a guess when any will do" '[.emotion.labelled,.style.labelled]' '[59,58]'
run "$bqb" show --json "$path"
json "a person's label stays" '[.style,.emotion,.origin.style]' '["我画的","说不清","edited"]'
run "$bqb" show --json "$tmp/in/images/$(ls "$tmp/in/images" | tail -n 1)"
json "a table's label stays" '[.style,.origin.style]' '["表里写的","given"]'
run "$bqb" set --clear all "$path"
run "$bqb" annotate --emotion --style
guesses "$tmp/lib" | grep -vF "$(ls "$tmp/in/images" | tail -n 1)" >"$tmp/second"
grep -vF "$(ls "$tmp/in/images" | tail -n 1)" "$tmp/first" | cmp -s - "$tmp/second" && ok || fail "taken back, the guesses are others than before"

# Guesses are for finding: nothing is taught by them, and they are handed on only as guesses.
run "$bqb" export "$tmp/out of it"
n=$(grep -c '|style|' "$tmp/second")
is "export says which styles are guesses" "$(cut -f7 "$tmp/out of it/captions.tsv" | grep -cE '(^| )style=zero-shot:0\.[0-9]+#[0-9a-f]{4}$')" "$n"
BQB_LIBRARY=$tmp/again run "$bqb" import "$tmp/out of it"
BQB_LIBRARY=$tmp/again run "$bqb" stats --json
json "guesses come back as guesses" '[.origins.style["given","zero-shot","edited"]]' "[1,$n,0]"
run "$bqb" stats --data "$tmp/out of it" --json
json "an exported folder as data leaves guesses out" '[.with_emotion,.with_style]' '[0,1]'
run "$bqb" export --format muge "$tmp/muge"
grep -qF "$(cut -f3 "$tmp/out of it/captions.tsv" | grep . | sed -n 2p)" "$tmp/muge/train_texts.jsonl"
is "a format without a place for who says so leaves guesses out" $? 1
run "$bqb" stats --data "$tmp/lib" --json
json "a library as data leaves guesses out" '[.with_emotion,.with_style]' '[0,1]'
run "$bqb" stats --json
json "stats: who says it" "[.origins.style[\"given\",\"zero-shot\",\"edited\"]]" "[1,$(grep -c '|style|' "$tmp/second"),0]"
run "$bqb" stats
has "stats in words: who says it" "$tmp/out" "^style +0 +1 +0 +$(grep -c '|style|' "$tmp/second") +0\$"

# Four labels on three stickers each are the library's own classes.
{
    printf 'file\tstyle\n'
    ls "$tmp/in/images" | head -n 12 | awk '{ split("甲风 乙风 丙风 丁风", s, " "); print "images/" $1 "\t" s[NR % 4 + 1] }'
} >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
run "$bqb" annotate --style --min-score 0 --json
json "own classes" '[.style.classes,.style.own_classes]' '[4,true]'

# A model that the library has no vectors of: nothing changes, and that is said.
guesses "$tmp/lib" >"$tmp/before"
run "$bqb" annotate --emotion --style --model "$model"
is "another model: status" $status 0
has "another model" "$tmp/err" 'have no vector of this model.*bqb import'
guesses "$tmp/lib" | cmp -s - "$tmp/before" && ok || fail "a model without vectors changed labels"
run "$bqb" annotate --style --model "$tmp/nowhere"
is "a model that is not there: status" $status 1

# Killed at several moments, then again: as if nothing had been.
cut=0 RANDOM=5
for i in 1 2 3 4 5 6; do
    "$bqb" -L "$tmp/killed" import "$tmp/set/images" >/dev/null 2>&1
    "$bqb" -L "$tmp/killed" annotate --emotion --style >/dev/null 2>&1 &
    pid=$!
    sleep "0.$(printf %03d $((i * 25 + RANDOM % 20)))"
    kill -9 $pid 2>/dev/null && cut=$((cut + 1))
    wait $pid 2>/dev/null
done
[ $cut -ge 1 ] && ok || fail "none was killed in time"
run "$bqb" -L "$tmp/killed" annotate --emotion --style
is "after kill -9: status" $status 0
guesses "$tmp/killed" | cut -d'|' -f2- | sort >"$tmp/a"
cut -d'|' -f2- "$tmp/first" | sort | cmp -s - "$tmp/a" && ok || fail "after kill -9 the guesses are others"
run sqlite3 "$tmp/killed/library.db" 'PRAGMA integrity_check'
is "the database is sound" "$(cat "$tmp/out")" ok

# Nothing asked for: all of it, also where there is nothing to read words with.
run "$bqb" -L "$tmp/killed" annotate --json "$tmp/set/images/$(ls "$tmp/set/images" | head -n 1)"
is "everything: status" $status 0
json "everything" '[.emotion.asked,.style.asked]' '[1,1]'
jq -e .ocr "$tmp/out" >/dev/null || grep -q 'esseract' "$tmp/err" && ok || fail "everything: neither read nor said why not"

expect "a chance above 1" 2 - 'from 0 to 1' "$bqb" annotate --style --min-score 1.5

summary labels
