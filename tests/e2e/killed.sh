#!/bin/bash
# kill -9 in the middle of an import, twenty times at random moments: nothing
# committed is lost, and the next import completes. And two imports at once.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

"$bqb" synth --out "$tmp/set" --count 160 --seed 11 >/dev/null 2>&1
stickers() { "$bqb" stats --json 2>/dev/null | jq .stickers; }
now_ms() { date +%s%3N; }
# Sleep $1 milliseconds.
nap() { sleep "$(($1 / 1000)).$(printf %03d $(($1 % 1000)))"; }

# How long one round takes here undisturbed, so that the moments fall inside it on any machine.
mkdir "$tmp/eight"
find "$tmp/set/images" -type f | sort | tail -n 8 | while read -r f; do ln -f "$f" "$tmp/eight/"; done
BQB_LIBRARY=$tmp/timed "$bqb" import "$tmp/eight" >/dev/null 2>&1
rm -rf "$tmp/timed"
start=$(now_ms)
BQB_LIBRARY=$tmp/timed "$bqb" import "$tmp/eight" >/dev/null 2>&1
round_ms=$(($(now_ms) - start))
RANDOM=17 # the moments are random, but the same in every run

last=0 cut=0
for i in $(seq 20); do
    # The set grows, so that each round has something left to do.
    mkdir -p "$tmp/in"
    find "$tmp/set/images" -type f | sort | head -n $((i * 8)) | while read -r f; do ln -f "$f" "$tmp/in/"; done
    "$bqb" import "$tmp/in" >/dev/null 2>&1 &
    pid=$!
    nap $((RANDOM % (round_ms + 1)))
    kill -9 $pid 2>/dev/null && cut=$((cut + 1))
    wait $pid 2>/dev/null
    now=$(stickers)
    now=${now:-0}
    [ "$now" -ge "$last" ] && ok || fail "round $i: $last stickers before, $now after"
    last=$now
done
[ $cut -ge 5 ] && ok || fail "only $cut imports were killed in time"
run "$bqb" import "$tmp/in"
is "the next import completes: status" $status 0
run "$bqb" stats --json
json "every sticker is there, once, with its vector" '[.stickers,.files,.with_embedding]' '[160,160,160]'
run sqlite3 "$tmp/lib/library.db" 'PRAGMA integrity_check; PRAGMA foreign_key_check'
is "the database is sound" "$(cat "$tmp/out")" ok
run "$bqb" search --json -n 3 开心
json "it can be searched" '.results|length' 3
[ -z "$(find "$tmp/lib" -name '*.tmp.*' -newer "$tmp/out")" ] && ok || fail "half-written files"

# The vectors of a library that was killed are those of one that was not.
start=$(now_ms)
BQB_LIBRARY=$tmp/calm run "$bqb" import "$tmp/in"
whole_ms=$(($(now_ms) - start))
run "$bqb" search --json -n 160 猫
jq -c '[.results[]|[.id,.score]]' "$tmp/out" >"$tmp/a"
BQB_LIBRARY=$tmp/calm run "$bqb" search --json -n 160 猫
is "and the same" "$(jq -c '[.results[]|[.id,.score]]|sort' "$tmp/out" | md5sum)" "$(jq -c sort "$tmp/a" | md5sum)"

# Ctrl-C: what is done is kept, and the status tells.
BQB_LIBRARY=$tmp/stopped "$bqb" import "$tmp/set" >"$tmp/out" 2>"$tmp/err" &
pid=$!
nap $((whole_ms / 2))
kill -INT $pid 2>/dev/null
wait $pid
status=$?
if [ $status = 0 ]; then skip "the import was over before it could be stopped"
else
    is "stopped: status" $status 1
    has "stopped" "$tmp/err" '^bqb: stopped'
fi
BQB_LIBRARY=$tmp/stopped run "$bqb" import "$tmp/set" --json
json "stopped: it goes on" '.added + .already' 160

# Two at once, of the same folder.
export BQB_LIBRARY=$tmp/two
"$bqb" import --json "$tmp/in" >"$tmp/one.out" 2>"$tmp/one.err" &
pid=$!
run "$bqb" import --json "$tmp/in"
is "two at once: the second's status" $status 0
wait $pid
is "two at once: the first's status" $? 0
is "two at once: nothing is done twice" "$(jq -cs '[([.[].added]|add),([.[].embedded]|add)]' "$tmp/out" "$tmp/one.out")" '[160,160]'
run "$bqb" stats --json
json "two at once: every sticker, once" '[.stickers,.files,.with_embedding]' '[160,160,160]'
run sqlite3 "$tmp/two/library.db" 'PRAGMA integrity_check'
is "two at once: the database is sound" "$(cat "$tmp/out")" ok

summary killed
