#!/bin/bash
# Bad input to the library: each is named, the rest goes on, the exit status tells.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
images=tests/golden/images

# Broken pictures among good ones.
mkdir -p "$tmp/in"
cp $images/wide.png "$tmp/in/good.png"
: >"$tmp/in/empty.png"
head -c 40 $images/square.jpg >"$tmp/in/cut.jpg"
head -c 300 $images/animated.gif >"$tmp/in/cut.gif"
cp $images/tall.webp "$tmp/in/really webp.png"
printf '<html>hello</html>' >"$tmp/in/page.jpg"
head -c 5000 /dev/urandom >"$tmp/in/noise.gif"
ln -s loop "$tmp/in/loop"
ln -s ../in "$tmp/in/again"
mkfifo "$tmp/in/pipe.png"
mkdir "$tmp/in/folder.png"
bad=$(printf 'bad \377\376 name.png')
cp $images/small.png "$tmp/in/$bad"
run timeout 60 "$bqb" import "$tmp/in"
is "broken files: status" $status 0
for f in empty.png noise.gif page.jpg loop; do has "broken files: $f is named" "$tmp/err" "^skipped .*/$f: "; done
has "broken files: the rest is there" "$tmp/out" '^[345] added, 0 already there, [4567] skipped$'
added=$(sed -n 's/ added.*//p' "$tmp/out")
run "$bqb" stats --json
json "broken files: stickers" .stickers "$added"
run "$bqb" search --json name
json "a name in any bytes" '.results[0]|[(.file|endswith("name.png")),(.file_bytes|endswith("206e616d652e706e67"))]' '[true,true]'
run "$bqb" show "$tmp/in/$bad"
is "show by a name in any bytes: status" $status 0
run "$bqb" show --json "$tmp/in/really webp.png"
json "by content, not by name" .format webp

# Pictures that claim to be huge, are tiny, or have another extension: named with what is wrong, or taken by content.
mkdir "$tmp/sizes"
printf '\211\120\116\107\015\012\032\012\000\000\000\015\111\110\104\122\000\000\116\040\000\000\116\040\001\000\000\000\000\313\013\173\224\000\000\000\014\111\104\101\124\170\234\143\140\240\075\000\000\000\144\000\001\206\144\074\065\000\000\000\000\111\105\116\104\256\102\140\202' >"$tmp/sizes/huge.png"
frame='\041\371\004\000\005\000\000\000\054\000\000\000\000\004\000\004\000\000\002\004\204\217\011\005\000'
{
    printf 'GIF89a\004\000\004\000\200\000\000\377\000\000\000\000\377'
    printf "$frame%.0s" $(seq 5000)
    printf ';'
} >"$tmp/sizes/long.gif"
cp $images/one_pixel.png "$tmp/sizes/one.png"
cp $images/tall.webp "$tmp/sizes/x.gif"
BQB_LIBRARY=$tmp/sizes-lib run timeout 60 "$bqb" import "$tmp/sizes"
is "sizes: status" $status 0
has "sizes: 20,000 × 20,000 is named" "$tmp/err" '^skipped .*/huge.png: .*20000 x 20000 pixels, at most'
has "sizes: 5,000 frames are named" "$tmp/err" '^skipped .*/long.gif: .*5000 frames, at most 2000'
has "sizes: 1 × 1 and a WebP named .gif are taken" "$tmp/out" '^2 added, 0 already there, 2 skipped$'
BQB_LIBRARY=$tmp/sizes-lib run "$bqb" show --json "$tmp/sizes/x.gif"
json "sizes: by content" .format webp
BQB_LIBRARY=$tmp/sizes-lib run "$bqb" duplicates --json
json "sizes: nothing to see is like nothing" '.groups|length' 0

# Nothing could be imported at all.
mkdir "$tmp/bad"
cp "$tmp/in/page.jpg" "$tmp/in/empty.png" "$tmp/bad/"
run "$bqb" import "$tmp/bad"
is "nothing but broken files: status" $status 1
run "$bqb" import "$tmp/nowhere"
is "a path that is not there: status" $status 1
has "a path that is not there" "$tmp/err" 'nowhere: No such file'
mkdir "$tmp/hollow"
run "$bqb" import "$tmp/hollow"
is "an empty folder: status" $status 0

# captions.tsv with missing files and broken lines.
printf 'file\tcaption\nin/good.png\t一只好猫\nin/none.png\t没有\n\t空\nin/x\ty\tz\tw\nin/\xff.png\tq\n' >"$tmp/captions.tsv"
run "$bqb" import "$tmp/captions.tsv"
is "a broken table: status" $status 0
has "a broken table: the missing file" "$tmp/err" 'none.png: No such file'
has "a broken table: the lines" "$tmp/err" 'captions.tsv: .*2 broken lines.*line 5'
has "a broken table: the line without a name" "$tmp/err" 'captions.tsv: line 4 names no file'
run "$bqb" search --json 好猫
json "a broken table: the good line" '.results[0].caption' 一只好猫
for table in 'caption\tocr\nx\ty\n' '' '\0\0\0\0' 'file'; do
    printf "$table" >"$tmp/t.tsv"
    run "$bqb" import "$tmp/t.tsv"
    [ $status -le 1 ] && ok || fail "table \"$table\": status $status"
done
run "$bqb" stats --json
json "still as many" .stickers "$added"

# A library of a newer bqb, of another program, cut, replaced by junk.
version() { printf "\\x00\\x00\\x00\\x0$1" | dd of="$tmp/lib/library.db" bs=1 seek=60 conv=notrunc status=none; }
cp "$tmp/lib/library.db" "$tmp/good.db"
version 7
for c in "import $tmp/in" "search x" stats; do
    run "$bqb" $c
    is "newer library, $c: status" $status 1
    has "newer library, $c" "$tmp/err" 'library.db: written by a newer bqb'
done
version 1
run "$bqb" stats
is "and back: status" $status 0
for n in 0 50 100 4096 20000; do
    head -c $n "$tmp/good.db" >"$tmp/lib/library.db"
    rm -f "$tmp/lib/library.db-wal" "$tmp/lib/library.db-shm"
    run "$bqb" search --json 好猫
    is "library cut to $n bytes: status" $status 1
    has "library cut to $n bytes" "$tmp/err" "$tmp/lib"
done
: >"$tmp/lib/library.db"
for c in "import $tmp/in" "search x" stats "annotate --ocr" "duplicates"; do
    run "$bqb" $c
    is "an emptied library, $c: status" $status 1
    has "an emptied library, $c" "$tmp/err" 'library.db: empty \(0 bytes\), but .* move this file away and import again'
done
is "an emptied library stays as it is" "$(wc -c <"$tmp/lib/library.db")" 0
mkdir "$tmp/new-lib" && : >"$tmp/new-lib/library.db"
BQB_LIBRARY=$tmp/new-lib run "$bqb" import "$tmp/in/good.png"
is "an empty file and nothing else is a new library" $status 0
cp "$tmp/in/noise.gif" "$tmp/lib/library.db"
run "$bqb" import "$tmp/in"
is "junk for a library: status" $status 1
has "junk for a library" "$tmp/err" 'library.db: damaged.*pictures are untouched.*sqlite3 FILE .recover'
cp "$tmp/good.db" "$tmp/lib/library.db"
run "$bqb" search --json 好猫
json "the good one again" '.results[0].caption' 一只好猫

# A cache of junk is not believed.
for f in "$tmp"/lib/cache/*; do head -c 3000 /dev/urandom >"$f"; done
run "$bqb" search --json 好猫
json "junk in the cache" '.results[0].caption' 一只好猫

# A folder that nobody may write to (as a user without privileges; root may everything).
as_user=
[ "$(id -u)" = 0 ] && as_user="setpriv --reuid=65534 --regid=65534 --clear-groups"
chmod 755 "$tmp"
rm -f "$tmp/lib/library.db-wal" "$tmp/lib/library.db-shm"
rm -rf "$tmp/lib/cache"
cp -r "$tmp/lib" "$tmp/ro"
chmod 444 "$tmp/ro/library.db"
chmod 555 "$tmp/ro"
if $as_user "$bqb" --version >/dev/null 2>&1; then
    BQB_LIBRARY=$tmp/ro run $as_user "$bqb" search --json 好猫
    json "read-only library" '.results[0].caption' 一只好猫
    BQB_LIBRARY=$tmp/ro run $as_user "$bqb" import "$tmp/in"
    is "import into it: status" $status 1
    has "import into it" "$tmp/err" "$tmp/ro/library.db"
    mkdir "$tmp/locked"
    cp $images/gray.png "$tmp/locked/"
    chmod 700 "$tmp/locked"
    mkdir -m 777 "$tmp/open" "$tmp/open/lib"
    BQB_LIBRARY=$tmp/open/lib run $as_user "$bqb" import "$tmp/in" "$tmp/locked"
    if [ -n "$as_user" ]; then
        is "a folder that may not be read: status" $status 0
        has "a folder that may not be read" "$tmp/err" 'locked: Permission denied'
    fi
    cp -r "$tmp/lib" "$tmp/closed"
    chmod 000 "$tmp/closed"
    BQB_LIBRARY=$tmp/closed run $as_user "$bqb" search 好猫
    is "a library that may not be entered: status" $status 1
    has "a library that may not be entered" "$tmp/err" 'closed: cannot be read as a library: Permission denied'
else
    skip "this user may not become another"
fi

# A closed standard input is no empty one, and no file that happens to be opened first.
for command in "search --queries -" "show -" "set --style x -" "remove -" "annotate --emotion -" "export --ids - $tmp/closed-out" "embed text -"; do
    "$bqb" $command >"$tmp/out" 2>"$tmp/err" <&-
    is "$command, closed: status" $? 1
    has "$command, closed" "$tmp/err" 'standard input: Bad file descriptor'
done
"$bqb" stats 2>"$tmp/err" >&-
is "closed standard output: status" $? 1
"$bqb" stats >"$tmp/out" 2>&-
is "closed standard error: status" $? 0

# No more room: a limit on the size of files stands in for a full disk.
mkdir "$tmp/many"
"$bqb" synth --out "$tmp/many" --count 60 --seed 5 >/dev/null 2>&1
export BQB_LIBRARY=$tmp/full
run bash -c "ulimit -f 160; exec '$bqb' import '$tmp/many'"
is "no more room: status" $status 1
has "no more room" "$tmp/err" 'library.db: .*full'
run "$bqb" stats --json
is "no more room: what was committed can be read" $status 0
run "$bqb" import "$tmp/many" --json
json "no more room: the next import completes" '.added + .already' 60
run "$bqb" stats --json
json "no more room: nothing is lost" '[.stickers,.with_embedding]|unique|length' 1

summary hostile
