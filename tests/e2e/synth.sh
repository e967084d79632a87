#!/bin/bash
# bqb synth: stopped and gone on with, and folders that hold something else.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

# A signal ends it as Ctrl-C on a terminal does; the rerun keeps what is drawn.
"$bqb" synth --out "$tmp/set" --count 1000 --seed 3 >/dev/null 2>"$tmp/err" &
pid=$!
for _ in $(seq 600); do [ -n "$(ls -A "$tmp/set/images" 2>/dev/null)" ] && break; sleep 0.05; done
kill -TERM $pid
wait $pid
is "a signal: status" $? 1
has "a signal: message" "$tmp/err" 'set: stopped'
[ ! -e "$tmp/set/captions.tsv" ] && ok || fail "an interrupted set has its table"
is "a signal: no half picture" "$(find "$tmp/set/images" -name '*.part' | wc -l)" 0

run "$bqb" synth --out "$tmp/set" --count 20 --seed 3
is "another count: status" $status 1
has "another count" "$tmp/err" 'set: holds another set \(count 1000, now 20\).*--force'
run "$bqb" synth --out "$tmp/set" --count 20 --seed 3 --force
is "--force: status" $status 0
is "--force: only the new set" "$(ls "$tmp/set/images" | wc -l)" 20
rm "$tmp/set/captions.tsv" "$tmp/set/images"/00001*
run "$bqb" synth --out "$tmp/set" --count 20 --seed 3
is "the same set again: status" $status 0
run "$bqb" synth --out "$tmp/straight" --count 20 --seed 3
is "as drawn at once" "$(diff -r "$tmp/set" "$tmp/straight")" ""

mkdir "$tmp/mine"
echo x >"$tmp/mine/captions.tsv"
for force in "" --force; do
    run "$bqb" synth --out "$tmp/mine" --count 2 $force
    is "a folder of the user's $force: status" $status 1
    has "a folder of the user's $force" "$tmp/err" 'mine: there is captions.tsv, but no synth.json'
done
is "a folder of the user's is left alone" "$(ls "$tmp/mine")" captions.tsv

summary synth
