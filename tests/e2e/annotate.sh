#!/bin/bash
# bqb annotate --ocr: words on pictures are read, kept, found; stopped, killed,
# without languages, with damaged ones, on a disk that cannot be written to.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_MODEL=

"$bqb" synth --words --out "$tmp/set" --count 10 --seed 5 >/dev/null 2>&1
mkdir "$tmp/in"
cp "$tmp"/set/images/* "$tmp/in/"
count() { sqlite3 "$tmp/lib/library.db" 'SELECT count(*) FROM reading'; }

run "$bqb" annotate --ocr
is "no library: status" $status 1
has "no library" "$tmp/err" 'no library here yet'
[ ! -e "$tmp/lib" ] && ok || fail "annotate made a library"
run "$bqb" import "$tmp/in"
is "import: status" $status 0
run "$bqb" annotate --min-score 2
is "a chance above 1: status" $status 2
run "$bqb" annotate --ocr --threads 65
is "too many threads: status" $status 2

run "$bqb" annotate --ocr --json
if grep -q 'needs Tesseract\|not installed' "$tmp/err"; then
    skip "Tesseract or Chinese for it is not installed"
    summary annotate
    exit
fi

# What was read, against the truth: some of the stickers have most of their characters.
is "read: status" $status 0
json "read" '.ocr|[.asked,.already,.skipped,.words+.blank]' '[10,0,0,10]'
is "read: nothing on stderr" "$(grep -v '^read: ' "$tmp/err")" ""
good=0
while IFS=$'\t' read -r file truth; do
    "$bqb" show --json "$tmp/in/${file##*/}" >"$tmp/out" 2>"$tmp/err"
    got=$(jq -r '.ocr' "$tmp/out") hits=0
    for ((i = 0; i < ${#truth}; i++)); do [[ $got == *"${truth:i:1}"* ]] && hits=$((hits + 1)); done
    [ $((hits * 10)) -ge $((${#truth} * 8)) ] && good=$((good + 1)) && found=$file words=$truth
done < <(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at["file"] "\t" $at["ocr"] }' "$tmp/set/captions.tsv")
[ $good -ge 3 ] && ok || fail "only $good of 10 were read well"
run "$bqb" search --json -n 3 "$words"
json "found by its words" "[.results[].file|select(endswith(\"${found##*/}\"))]|length" 1
"$bqb" show --json "$tmp/in/${found##*/}" >"$tmp/out"
json "the words are read, not given" '.origin.ocr' ocr

run "$bqb" annotate --ocr
is "again: status" $status 0
has "again: nothing to do" "$tmp/out" '^0 read.*10 passed over'
run "$bqb" annotate --ocr --again --json "$tmp/in/${found##*/}"
json "one of them, again" '.ocr|[.asked,.words]' '[1,1]'
run "$bqb" annotate --ocr --again --json - </dev/null
json "none of them" '.ocr|[.asked,.words]' '[0,0]'
run "$bqb" annotate --ocr "$tmp"
has "a folder without stickers of the library would be a mistake; this one has ten" "$tmp/out" '10 passed over'
mkdir "$tmp/empty"
run "$bqb" annotate --ocr "$tmp/empty"
is "a folder without stickers: status" $status 1

# Words that somebody gave are believed, and need no reading.
printf 'file\tocr\n%s\t给的字\n' "$(basename "$found")" >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
run "$bqb" annotate --ocr --again "$tmp/in/${found##*/}"
"$bqb" show --json "$tmp/in/${found##*/}" >"$tmp/out"
json "given words stay" '[.ocr,.origin.ocr]' '["给的字","given"]'

# Killed in the middle, at several moments; then it goes on.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
last=0
for ms in 300 600 900 1200; do
    "$bqb" annotate --ocr --threads 1 >/dev/null 2>&1 &
    pid=$!
    sleep "$((ms / 1000)).$((ms % 1000))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    now=$(count)
    [ "$now" -ge "$last" ] && ok || fail "killed after $ms ms: $last readings before, $now after"
    last=$now
done
of_ours() { # processes of this library
    local p
    for p in $(grep -lx bqb /proc/[0-9]*/comm 2>/dev/null); do
        cat "${p%comm}environ" 2>/dev/null | tr '\0' '\n' | grep -x "BQB_LIBRARY=$BQB_LIBRARY"
    done
}
for _ in $(seq 50); do
    [ -z "$(of_ours)" ] && break
    sleep 0.2
done
is "after kills: no process that read is left" "$(of_ours)" ""
run "$bqb" annotate --ocr
is "after kills: status" $status 0
is "after kills: every one that lacked words" "$(count)" 9
run sqlite3 "$tmp/lib/library.db" 'PRAGMA integrity_check; PRAGMA foreign_key_check'
is "after kills: the database is sound" "$(cat "$tmp/out")" ok

# Each is kept as soon as it was read: the first row is there long before the eighth, and a kill leaves it.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
"$bqb" annotate --ocr --threads 1 >/dev/null 2>&1 &
pid=$!
for _ in $(seq 1200); do [ "$(count)" -gt 0 ] && break; sleep 0.05; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
now=$(count)
[ "$now" -ge 1 ] && [ "$now" -lt 8 ] && ok || fail "killed when the first reading was there: $now of them"

# Two at once share the work: each sticker is read by one of them. What a stopped one has in hand is left to it, and
# read by others once it is dead.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
"$bqb" annotate --ocr --threads 1 --json >"$tmp/first" 2>/dev/null &
pid=$!
"$bqb" annotate --ocr --threads 1 --json >"$tmp/second" 2>/dev/null
is "two at once: the second's status" $? 0
wait $pid
is "two at once: the first's status" $? 0
cat "$tmp/first" "$tmp/second" >"$tmp/out"
is "two at once: each was read once" "$(jq -s 'map(.ocr.words + .ocr.blank)|add' "$tmp/out") $(count)" "9 9"
is "two at once: both worked" "$(jq -s 'map(.ocr.words + .ocr.blank > 0)|all' "$tmp/out")" true
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
"$bqb" annotate --ocr --threads 1 >/dev/null 2>&1 &
pid=$!
claimed=":$(stat -c %i "$tmp/lib/read.lock") "
for _ in $(seq 300); do grep -q "$claimed" /proc/locks && break; sleep 0.1; done
kill -STOP $pid
before=$(count)
run "$bqb" annotate --ocr --json
is "beside a stopped one: status" $status 0
[ "$(jq '.ocr.words + .ocr.blank' "$tmp/out")" -lt 9 ] && [ "$(count)" -lt 9 ] && ok || fail "what a stopped one has in hand was read: $before before, $(cat "$tmp/out")"
kill -9 $pid
wait $pid 2>/dev/null
run "$bqb" annotate --ocr
is "once it is dead: all are read" "$(count)" 9

# A picture that is gone, one that changed, one that is damaged.
list=("$tmp"/in/0*)
rm "${list[0]}"
cp "${list[2]}" "${list[1]}"
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
run "$bqb" annotate --ocr --json
is "gone and changed: status" $status 0
json "gone and changed are skipped" .ocr.skipped 2
has "gone" "$tmp/err" "^skipped ${list[0]}: No such file"
has "changed" "$tmp/err" "^skipped ${list[1]}: it has changed"

# Languages: none, damaged, only English.
mkdir "$tmp/tess"
TESSDATA_PREFIX=$tmp/tess run "$bqb" annotate --ocr --again
is "no language: status" $status 1
has "no language: says what to install" "$tmp/err" 'apt-get install .*tesseract-ocr-chi-sim'
is "no language: nothing else on stderr" "$(wc -l <"$tmp/err")" 1
data=$(find /usr/share/tesseract-ocr /usr/share/tessdata -name chi_sim.traineddata 2>/dev/null | head -n 1)
if [ -n "$data" ]; then
    for n in 0 100 100000 2000000; do
        head -c $n "$data" >"$tmp/tess/chi_sim.traineddata"
        TESSDATA_PREFIX=$tmp/tess run "$bqb" annotate --ocr --again
        is "language file cut to $n bytes: status" $status 1
        has "language file cut to $n bytes" "$tmp/err" '^bqb: .*apt-get install'
    done
    cat /dev/urandom | head -c 100000 >"$tmp/tess/chi_sim.traineddata"
    TESSDATA_PREFIX=$tmp/tess run "$bqb" annotate --ocr --again
    is "a language file of junk: status" $status 1
    rm "$tmp/tess/chi_sim.traineddata"
    if [ -e "${data%/*}/eng.traineddata" ]; then
        cp "${data%/*}/eng.traineddata" "$tmp/tess/"
        TESSDATA_PREFIX=$tmp/tess run "$bqb" annotate --ocr --again "${list[3]}"
        is "only English: status" $status 0
        has "only English: says what is missing" "$tmp/err" 'tesseract-ocr-chi-sim is not installed'
    fi
fi
# A libtesseract that cannot be loaded is as one that is not there.
mkdir "$tmp/lib5"
echo junk >"$tmp/lib5/libtesseract.so.5"
LD_LIBRARY_PATH=$tmp/lib5 run "$bqb" annotate --ocr
is "no Tesseract: status" $status 1
has "no Tesseract: says what to install" "$tmp/err" 'apt-get install tesseract-ocr '

# Tesseract crashes on a picture, takes for ever, is killed: that costs this picture, once. (A false libtesseract does so.)
${CC:-gcc} -shared -fPIC -o "$tmp/lib5/libtesseract.so.5" tests/fake_tesseract.c || fail "the false Tesseract cannot be built"
gif() { # gif NAME WIDTH HEIGHT: plain
    printf "GIF89a\\$(printf %03o $(($2 % 256)))\\$(printf %03o $(($2 / 256)))\\$(printf %03o $(($3 % 256)))\\$(printf %03o $(($3 / 256)))\\200\\000\\000\\377\\000\\000\\000\\000\\377" >"$1"
    printf '\054\000\000\000\000\004\000\004\000\000\002\004\204\217\011\005\000;' >>"$1"
}
mkdir "$tmp/moods"
for i in 1 2 3 4 5 6; do gif "$tmp/moods/good$i.gif" $((80 + i)) 80; done
gif "$tmp/moods/crash.gif" 300 100
gif "$tmp/moods/late.gif" 100 300
gif "$tmp/moods/kill.gif" 170 100
read_moods() { LD_LIBRARY_PATH=$tmp/lib5 BQB_LIBRARY=$tmp/moods-lib run "$bqb" annotate --ocr --json "$@"; }
BQB_LIBRARY=$tmp/moods-lib "$bqb" import "$tmp/moods" >/dev/null 2>&1
for threads in 1 2; do
    sqlite3 "$tmp/moods-lib/library.db" 'DELETE FROM reading'
    read_moods --threads $threads
    is "crashes, $threads threads: status" $status 0
    json "crashes, $threads threads: the others are read" '.ocr|[.asked,.already,.words,.skipped]' '[9,0,6,3]'
    has "crashes, $threads threads: named" "$tmp/err" '^skipped .*/crash.gif: Tesseract crashes on it .signal 6.'
    has "out of time, $threads threads: named" "$tmp/err" '^skipped .*/late.gif: Tesseract takes longer than 60 s'
    has "killed, $threads threads: named" "$tmp/err" '^skipped .*/kill.gif: Tesseract was killed'
done
read_moods
json "again: only what was killed by somebody else is tried" '.ocr|[.already,.words,.skipped]' '[8,0,1]'
read_moods --again
json "--again: all are tried" '.ocr|[.already,.words,.skipped]' '[0,6,3]'
# Nor does a crash cost what was read before.
sqlite3 "$tmp/moods-lib/library.db" "UPDATE reading SET text = '1	旧' WHERE reader LIKE 'Tesseract crashes%'"
read_moods --again "$tmp/moods/crash.gif"
is "an earlier reading stays" "$(sqlite3 "$tmp/moods-lib/library.db" "SELECT count(*) FROM reading WHERE text LIKE '%旧'")" 1
# One that crashes on everything is not the pictures' fault.
mkdir "$tmp/wide"
for i in 1 2 3 4 5 6 7 8; do gif "$tmp/wide/$i.gif" $((300 + i)) 100; done
BQB_LIBRARY=$tmp/wide-lib "$bqb" import "$tmp/wide" >/dev/null 2>&1
LD_LIBRARY_PATH=$tmp/lib5 BQB_LIBRARY=$tmp/wide-lib run "$bqb" annotate --ocr
is "crashes on everything: status" $status 1
has "crashes on everything: said" "$tmp/err" 'fails on each of 8 pictures.*apt-get install --reinstall'
is "crashes on everything: nothing is remembered" "$(sqlite3 "$tmp/wide-lib/library.db" 'SELECT count(*) FROM reading')" 0

# A library that nobody may write to.
as_user=
[ "$(id -u)" = 0 ] && as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
cp -r "$tmp/lib" "$tmp/ro"
chmod 755 "$tmp"
chmod 444 "$tmp/ro/library.db"
chmod 555 "$tmp/ro"
if $as_user "$bqb" --version >/dev/null 2>&1; then
    BQB_LIBRARY=$tmp/ro run $as_user "$bqb" annotate --ocr --again
    is "read-only library: status" $status 1
    has "read-only library" "$tmp/err" 'library.db'
else skip "the program cannot be run as another user here"; fi

# A sticker that is removed while it is read: the others are kept.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
cp -r "$tmp/lib" "$tmp/fewer"
BQB_LIBRARY=$tmp/fewer "$bqb" annotate --ocr --threads 1 --json >"$tmp/out" 2>"$tmp/err" &
pid=$!
claimed=":$(stat -c %i "$tmp/fewer/read.lock") "
for _ in $(seq 300); do grep -q "$claimed" /proc/locks && break; sleep 0.1; done
BQB_LIBRARY=$tmp/fewer "$bqb" remove "${list[3]}" >/dev/null
unread=$(sqlite3 "$tmp/fewer/library.db" 'SELECT count(*) FROM sticker s WHERE missing = 0')
wait $pid
is "removed while it is read: status" $? 0
json "removed while it is read: it is passed over" '.ocr.skipped >= 1' true
[ "$(sqlite3 "$tmp/fewer/library.db" 'SELECT count(*) FROM reading')" -ge $((unread - 3)) ] && ok || fail "removed while it is read: only $(sqlite3 "$tmp/fewer/library.db" 'SELECT count(*) FROM reading') of $unread others were kept"

# A library that is deleted meanwhile: nothing is said to be read into a file that nobody will see.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
cp -r "$tmp/lib" "$tmp/doomed"
BQB_LIBRARY=$tmp/doomed "$bqb" annotate --ocr --threads 1 --json >"$tmp/out" 2>"$tmp/err" &
pid=$!
claimed=":$(stat -c %i "$tmp/doomed/read.lock") "
for _ in $(seq 300); do grep -q "$claimed" /proc/locks && break; sleep 0.1; done
rm -r "$tmp/doomed"
wait $pid
is "a library deleted meanwhile: status" $? 1
has "a library deleted meanwhile" "$tmp/err" 'doomed/library.db: the library was deleted or moved away'
json "a library deleted meanwhile: what was not noted does not count as read" '.ocr.words + .ocr.blank < 3' true

# Ctrl-C: what is read is kept.
sqlite3 "$tmp/lib/library.db" 'DELETE FROM reading'
"$bqb" annotate --ocr --threads 1 >"$tmp/out" 2>"$tmp/err" &
pid=$!
sleep 1
kill -INT $pid 2>/dev/null
wait $pid
status=$?
if [ $status = 0 ]; then ok # over before it could be stopped
else
    is "stopped: status" $status 1
    has "stopped" "$tmp/err" '^bqb: stopped'
    has "stopped: said at once" "$tmp/err" '^stopping…'
fi

summary annotate
