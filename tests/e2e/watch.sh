#!/bin/bash
# bqb watch keeps a library in step with folders: files that come, grow, move, change, go; folders that do; and its end.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

images=$PWD/tests/golden/images
in=$tmp/in
mkdir "$in" "$in/deep"
cp $images/wide.png "$in/加班好累.png"
cp $images/tall.webp "$in/deep/开心.webp"
touch -d '1 hour ago' "$in"/*.png "$in"/deep/*
pid=

# start ARGUMENT…: a watch whose events are lines of $tmp/events
start() {
    : >"$tmp/events"
    "$bqb" watch --json "$@" >"$tmp/events" 2>"$tmp/watch.err" &
    pid=$!
}

# The watch ends by a signal, cleanly.
stop() {
    kill "-$1" $pid 2>/dev/null
    wait $pid
    is "ended by $1: status" $? 0
    pid=
}
trap '[ -n "$pid" ] && kill -9 $pid 2>/dev/null; chmod -R u+rwx "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT

# event NAME FILTER [N]: within a minute there are N (1) events for which FILTER is true.
event() {
    for _ in $(seq 600); do
        [ "$(jq -c "select($2)" "$tmp/events" 2>/dev/null | wc -l)" -ge "${3:-1}" ] && { ok; return; }
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    fail "$1: no $2 in: $(tail -n 5 "$tmp/events"; tail -n 5 "$tmp/watch.err")"
}
never() { [ -z "$(jq -c "select($2)" "$tmp/events")" ] && ok || fail "$1: $(jq -c "select($2)" "$tmp/events" | head -n 3)"; }
shown() { "$bqb" stats --json | jq .stickers; }

# A folder that never was is a mistake, and nothing is made for it; one that vanishes is waited for.
expect "a folder that is not there" 1 - "later: no such folder" "$bqb" watch "$in" "$tmp/later"
[ ! -e "$tmp/lib" ] && ok || fail "a library was made for a folder that is not there"
mkdir "$tmp/later"
start "$in" "$tmp/later"
event "the first import" '.event == "ready" and .added == 2 and .skipped == 0 and .settling == 0'
rmdir "$tmp/later"
event "a folder that vanishes" ".event == \"vanished\" and .file == \"$tmp/later\""

# New, at once and slowly; what is no picture; what is hidden.
cp $images/animated.gif "$in/动.gif"
event "a new file" ".event == \"added\" and .file == \"$in/动.gif\""
half=$(($(stat -c %s $images/square.jpg) / 2))
{ head -c $half $images/square.jpg; sleep 1.5; tail -c +$((half + 1)) $images/square.jpg; } >"$in/slow.jpg"
event "a file that is written slowly" ".event == \"added\" and .file == \"$in/slow.jpg\""
never "not before it is closed" ".event == \"skipped\" or .event == \"changed\""
cp $images/gray.png "$in/.hidden.png"
echo text >"$in/notes.txt"
bad=$(printf -- '-bad\377\nname.png')
cp $images/small.png "$in/$bad"
event "a name in any bytes" '.event == "added" and ((.file_bytes // "")|endswith("2d626164ff0a6e616d652e706e67"))'
never "hidden files" '(.file // "")|endswith("hidden.png")'
head -c 100 $images/wide.png >"$in/broken.png"
event "a broken file" ".event == \"skipped\" and .file == \"$in/broken.png\" and (.reason|length > 0)"
mkfifo "$in/pipe.png"

# Moved, changed, deleted, and back.
mv "$in/动.gif" "$in/deep/"
event "moved" ".event == \"moved\" and .file == \"$in/deep/动.gif\" and .from == \"$in/动.gif\""
cp $images/gray.png "$in/slow.jpg"
event "changed" ".event == \"changed\" and .file == \"$in/slow.jpg\""
mv "$in/slow.jpg" "$tmp/aside.jpg"
event "gone" ".event == \"gone\" and .file == \"$in/slow.jpg\""
mv "$tmp/aside.jpg" "$in/slow.jpg"
event "and back" ".event == \"returned\" and .file == \"$in/slow.jpg\""
rm "$in/slow.jpg"
event "deleted" ".event == \"gone\" and .file == \"$in/slow.jpg\"" 2

# Folders: made later, filled later, renamed, a table beside them.
mkdir -p "$in/new/er"
cp $images/cmyk.jpg "$in/new/er/小.jpg"
event "in a folder made later" ".event == \"added\" and .file == \"$in/new/er/小.jpg\""
mv "$in/new" "$in/renamed"
event "a renamed folder" ".event == \"moved\" and .file == \"$in/renamed/er/小.jpg\" and .from == \"$in/new/er/小.jpg\""
printf 'file\tcaption\nrenamed/er/小.jpg\t一只企鹅\n' >"$in/captions.tsv"
event "a table" ".event == \"words\" and .file == \"$in/renamed/er/小.jpg\""
cp $images/alpha.png "$in/renamed/a00001.png"
event "in the renamed folder" ".event == \"added\" and .file == \"$in/renamed/a00001.png\""
run "$bqb" search --json 企鹅 -n 1
json "found by the table's words" '.results[0].file' "$in/renamed/er/小.jpg"
printf 'file\tcaption\na00001.png\tx\ty\n' >"$in/renamed/captions.tsv"
event "a table with a broken line" ".event == \"skipped\" and .file == \"$in/renamed/captions.tsv\""
for i in 2 3; do
    cp $images/alpha.png "$in/renamed/a0000$i.png"
    event "beside it" ".file == \"$in/renamed/a0000$i.png\""
done
is "is told once, not with each picture" "$(jq -r 'select(.event == "skipped" and (.file|endswith("captions.tsv")))|.reason' "$tmp/events")" "1 broken line left out, the first is line 2"
rm "$in/renamed"/a0000[23].png "$in/renamed/captions.tsv"
ln -s .. "$in/deep/loop"
ln -s "$images/gray.png" "$in/deep/link.png"
event "a link to a picture" ".file == \"$in/deep/link.png\""

# The folder that was not there; a folder that goes as a whole.
mkdir "$tmp/later"
cp $images/wide.png "$tmp/later/加班.png"
event "there now" ".event == \"back\" and .file == \"$tmp/later\""
event "and what is in it" ".file == \"$tmp/later/加班.png\""
before=$(shown)
mv "$in" "$tmp/away"
event "the folder vanished" ".event == \"vanished\" and .file == \"$in\""
event "its stickers are missing" ".event == \"gone\" and .file == \"$in/deep/动.gif\""
mv "$tmp/away" "$in"
event "the folder is back" ".event == \"back\" and .file == \"$in\""
event "its stickers, too" ".event == \"returned\" and .file == \"$in/deep/动.gif\""
event "all of them" ".event == \"returned\" and .file == \"$in/renamed/er/小.jpg\""
is "as many as before" "$(shown)" "$before"
cp $images/animated.gif "$in/nochmal.gif"
event "watched as before" ".event == \"copy\" and .file == \"$in/nochmal.gif\""

# Two hundred at once; an import beside it, which comes upon them, too, by the link that leads back.
"$bqb" synth --out "$tmp/set" --count 200 --seed 3 >/dev/null 2>&1
mkdir "$tmp/burst"
find "$tmp/set/images" -type f -exec cp -t "$tmp/burst" {} +
cp "$tmp/burst"/* "$in/"
run "$bqb" import "$in/deep"
is "an import meanwhile: status" $status 0
event "a burst" "(.event == \"added\" or .event == \"copy\") and (.file|test(\"/in/[^/]*\\\\.(png|gif|webp|jpg)$\"))" 200
is "each of them once" "$(jq -r 'select(.event == "added")|.file' "$tmp/events" | sort | uniq -d)" ""
[ -z "$(find "$in" -maxdepth 1 -type f -newer "$tmp/events" -name '*.tmp*')" ] && ok || fail "something was written into the folder"
stop INT

# More than the queue of events holds, while the watch is not looking.
most=$(cat /proc/sys/fs/inotify/max_queued_events 2>/dev/null || echo 0)
if [ "$most" -gt 0 ] && [ "$most" -le 40000 ]; then
    mkdir "$in/many"
    seq -f "$in/many/%g.txt" $((most / 2 + 500)) | xargs touch
    start "$in"
    event "again: nothing new" '.event == "ready" and .added == 0'
    kill -STOP $pid
    seq -f "$in/many/%g.txt" $((most / 2 + 500)) | xargs touch
    cp $images/alpha_lossless.webp "$in/after.webp"
    kill -CONT $pid
    event "the queue ran over" '.event == "overflow"'
    event "nothing is missed" ".file == \"$in/after.webp\""
    stop TERM
fi

# What happens while nobody watches; and killed in the middle.
mv "$in/deep/动.gif" "$in/再动.gif"
start "$in"
event "moved meanwhile" ".event == \"moved\" and .file == \"$in/再动.gif\""
event "ready again" '.event == "ready"'
kill -9 $pid
wait $pid 2>/dev/null
cp $images/tall.webp "$in/tall again.webp"
touch -d '1 hour ago' "$in/tall again.webp"
start "$in"
event "after a kill" ".event == \"copy\" and .file == \"$in/tall again.webp\""
event "ready after a kill" '.event == "ready"'
stop TERM
is "standard error stays empty" "$(grep -vE '^skipped|^[a-z ]+: [0-9]+/' "$tmp/watch.err")" ""

# In words.
"$bqb" watch "$in" >"$tmp/out" 2>"$tmp/err" &
pid=$!
for _ in $(seq 600); do grep -q watching "$tmp/err" && break; sleep 0.1; done
has "in words: ready" "$tmp/err" '^0 added, [0-9]+ already there, [0-9]+ skipped; watching \(Ctrl-C ends\)$'
printf 'file\tcaption\n' >"$tmp/names.tsv"
printf 'none %s.png\tx\n' $(seq 1000) >>"$tmp/names.tsv"
cp "$tmp/names.tsv" "$in/deep/captions.tsv"
for _ in $(seq 600); do grep -q 'not there' "$tmp/err" && break; sleep 0.1; done
has "in words: a table without its pictures" "$tmp/err" "^skipped 1000 pictures that tables name are not there: $in/deep/none 1\.png, $in/deep/none 10\.png, $in/deep/none 100\.png, …$"
is "in words: is one line" "$(grep -c none "$tmp/err")" 1
rm "$in/nochmal.gif"
for _ in $(seq 600); do grep -q nochmal "$tmp/err" && break; sleep 0.1; done
has "in words: gone" "$tmp/err" "^gone $in/nochmal.gif$"
stop INT
is "in words: nothing on standard output" "$(cat "$tmp/out")" ""
rm "$in/deep/captions.tsv"

# What was copied in this moment is told at once, and added when it has settled.
mkdir "$tmp/young"
cp $images/small.png $images/gray.png "$tmp/young/"
BQB_LIBRARY=$tmp/young-lib "$bqb" watch "$tmp/young" >"$tmp/out" 2>"$tmp/err" &
pid=$!
for _ in $(seq 600); do grep -q '^added.*gray' "$tmp/err" && grep -q '^added.*small' "$tmp/err" && break; sleep 0.1; done
has "just copied" "$tmp/err" '^0 added, 0 already there, 0 skipped; 2 files have just changed and are looked at in a moment; watching'
has "just copied: added then" "$tmp/err" "^added $tmp/young/small.png$"

# The library is deleted, moved away or replaced while it is watched for: said at once, and the end.
rm -r "$tmp/young-lib"
wait $pid
is "a deleted library: status" $? 1
has "a deleted library" "$tmp/err" '^bqb: .*/young-lib/library.db: the library was deleted or moved away$'
[ ! -e "$tmp/young-lib" ] && ok || fail "something was made where the library had been: $(ls -R "$tmp/young-lib")"
export BQB_LIBRARY=$tmp/young-lib
start "$tmp/young"
event "a library again" '.event == "ready"'
mv "$tmp/young-lib" "$tmp/aside"
cp $images/wide.png "$tmp/young/more.png"
wait $pid
is "a library that is moved away: status" $? 1
never "nothing is said to be added there" '(.file // "")|endswith("more.png")'
start "$tmp/young"
event "a new library" '.event == "ready"'
rm "$tmp/young-lib"/library.db*
cp "$tmp/aside"/library.db* "$tmp/young-lib/"
cp $images/cmyk.jpg "$tmp/young/"
wait $pid
is "a library that is replaced: status" $? 1
has "a library that is replaced" "$tmp/watch.err" 'deleted or moved away|another library has taken the place'
pid=
export BQB_LIBRARY=$tmp/lib

# Words are read beside it.
mkdir "$tmp/words" "$tmp/tess"
"$bqb" synth --words --out "$tmp/said" --count 6 --seed 5 >/dev/null 2>&1
words=("$tmp"/said/images/*)
cp "${words[0]}" "${words[1]}" "$tmp/words/"
touch -d '1 hour ago' "$tmp/words"/*
export BQB_LIBRARY=$tmp/words-lib
TESSDATA_PREFIX=$tmp/tess start --ocr "$tmp/words"
event "without languages: said" '.event == "trouble" and (.reason|contains("apt-get install"))'
cp "${words[2]}" "$tmp/words/"
event "without languages: the watch goes on" '.event == "added" and (.file|endswith("'"${words[2]##*/}"'"))'
sleep 1
is "without languages: said once" "$(jq -c 'select(.event == "trouble")' "$tmp/events" | wc -l)" 1
stop INT
start --ocr "$tmp/words"
event "words: ready" '.event == "ready"'
for _ in $(seq 100); do grep -q '"read"\|"trouble"' "$tmp/events" && break; sleep 0.1; done
if grep -q trouble "$tmp/events"; then
    skip "Tesseract or Chinese for it is not installed"
    stop INT
else
    event "words: what was there is read" '.event == "read"' 3
    cp "${words[3]}" "$tmp/words/"
    event "words: a new one is added" ".event == \"added\" and .file == \"$tmp/words/${words[3]##*/}\""
    event "words: and read" ".event == \"read\" and .file == \"$tmp/words/${words[3]##*/}\""
    run "$bqb" annotate --ocr --json
    json "words: nothing is left" '.ocr|[.already,.words+.blank]' '[4,0]'
    stop INT
    # Stopped while it reads: what is left is said, and stays for annotate.
    sqlite3 "$BQB_LIBRARY/library.db" 'DELETE FROM reading'
    "$bqb" watch --ocr "$tmp/words" >"$tmp/out" 2>"$tmp/watch.err" &
    pid=$!
    for _ in $(seq 600); do grep -q watching "$tmp/watch.err" && break; sleep 0.1; done
    stop INT
    has "words: that it stops is said at once" "$tmp/watch.err" '^stopping…$'
    has "words: what is left is said" "$tmp/watch.err" '^[1-4] stickers? ha(s|ve) not been read yet; `bqb annotate --ocr` goes on$'
    run "$bqb" annotate --ocr --json
    json "words: and is read then" '.ocr|(.words+.blank > 0 and .skipped == 0)' true
fi
export BQB_LIBRARY=$tmp/lib

# A disk that is unmounted and mounted again, where a user may do that.
if unshare -rm true 2>/dev/null; then
    mkdir "$tmp/disk"
    cat >"$tmp/mounts.sh" <<'END'
mount -t tmpfs none "$1/disk" && cp "$2/wide.png" "$1/disk/" || exit 1
"$3" watch --json "$1/disk" >"$1/events" 2>"$1/watch.err" &
pid=$!
w() { for _ in $(seq 600); do grep -q "\"event\": \"$1\"" "$tmp/events" && return; sleep 0.1; done; }
tmp=$1
w added
umount "$1/disk"
w gone
mount -t tmpfs none "$1/disk"
cp "$2/wide.png" "$1/disk/"
w returned
kill -INT $pid
wait $pid
END
    BQB_LIBRARY=$tmp/mounted unshare -rm bash "$tmp/mounts.sh" "$tmp" "$images" "$bqb"
    is "mounts: status" $? 0
    is "a disk that goes and comes" "$(jq -r .event "$tmp/events" | uniq | tr '\n' ' ')" "ready added replaced gone replaced returned "
fi

# Wrong usage.
run "$bqb" watch
is "no folder: status" $status 2
run "$bqb" watch "$in/再动.gif"
is "a file: status" $status 1
has "a file" "$tmp/err" 'not a folder.*bqb import'

summary watch
