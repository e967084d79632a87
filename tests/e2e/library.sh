#!/bin/bash
# import, search, similar, show, stats, remove: what they promise, from outside.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

mkdir -p "$tmp/in/more"
cp tests/golden/images/wide.png "$tmp/in/加班好累.png"
cp tests/golden/images/tall.webp "$tmp/in/more/IMG_0001.webp"
cp tests/golden/images/animated.gif "$tmp/in/more/开心.gif"
cp tests/golden/images/square.jpg "$tmp/in/a00001.jpg"
cp tests/golden/images/square.jpg "$tmp/in/more/the same.jpg"
printf 'file\tcaption\temotion\temotion_label\tstyle\tocr\na00001.jpg\t一只猫在睡觉\t平静\t困\t像素\t晚安\n' >"$tmp/in/captions.tsv"

# Before there is a library.
for c in "search x" "similar x" "show x" stats "remove x"; do
    run "$bqb" $c
    is "$c without a library: status" $status 1
    has "$c without a library" "$tmp/err" 'no library here yet.*bqb import'
done
[ ! -e "$tmp/lib" ] && ok || fail "asking made a library"

run "$bqb" import "$tmp/in"
is "import: status" $status 0
has "import" "$tmp/out" '^4 added, 1 already there, 0 skipped$'
is "import: a sticker with two files got one vector" "$(grep -c 'got a vector' "$tmp/out")" 0
run "$bqb" import "$tmp/in" --json
json "import again" '[.found,.added,.already,.embedded,.skipped,.others]' '[5,0,5,0,0,0]'

run "$bqb" stats --json
json "stats" '[.stickers,.animated,.files,.with_caption,.with_ocr,.with_emotion,.with_style,.with_embedding,.missing]' \
    '[4,1,5,3,1,1,1,4,0]'
run "$bqb" stats
has "stats in words" "$tmp/out" '^ +4  stickers$'

run "$bqb" search --json 加班 好累
json "search: query" .query '加班 好累'
json "search: fits" .fits true
json "search: shape" '[.results[0]|has("rank","id","file","score","caption","ocr","emotion","style")]|all' true
json "search: types" '[(.took_ms|type),(.results[0].score|type),(.results[0].rank)]' '["number","number",1]'
json "search: the words win" '.results[0]|[.caption,.file]' "[\"加班好累\",\"$tmp/in/加班好累.png\"]"
json "search: all four" '.results|length' 4
json "search: best first" '[.results[].score]|. == (sort|reverse)' true
is "search --json: nothing on stderr" "$(cat "$tmp/err")" ""
run "$bqb" search 晚安 -n 1
has "search as text" "$tmp/out" '^ 1  0\.[0-9]{3}  [0-9a-f]{12}  一只猫在睡觉'
run "$bqb" search 晚安 -n 2 --json
json "search -n" '[.results[].rank]' '[1,2]'
run "$bqb" search --json --animated 晚安
json "search --animated" '[.results[]|[.caption,.animated]]' '[["开心",true]]'
run "$bqb" search --json --emotion 困 加班
json "search --emotion by label" '[.results[].ocr]' '["晚安"]'
run "$bqb" search --json --emotion 平静 --style 像素 加班
json "search --emotion --style" '[.results[]|[.emotion,.style]]' '[["平静","像素"]]'
run "$bqb" search --json --emotion 愤怒 加班
is "an emotion that nothing has: status" $status 1
json "an emotion that nothing has" '.results' '[]'
has "an emotion that nothing has: says which there are" "$tmp/err" '平静 \(1\)'
run "$bqb" search --json --emotion 平靜 --style 像素 加班
json "traditional in a filter" '[.results[].ocr]' '["晚安"]'
run "$bqb" search --json 開心 -n 1
json "a traditional query finds simplified words" '.results[0].caption' 开心
run "$bqb" search --json --emotion 困 微积分
json "nothing fits" '[.fits,(.results|length)]' '[false,1]'
run "$bqb" search --emotion 困 微积分
has "nothing fits: says so" "$tmp/err" 'nothing in the library fits this query well'
run "$bqb" search --json --image "$tmp/in/a00001.jpg"
json "a picture: cannot be told" .fits null
json "search --image" '.results[0]|[.ocr,(.score > 0.999)]' '["晚安",true]'
run "$bqb" search --json --image "$tmp/in/a00001.jpg" 加班好累
json "search --image with words" '.results|length' 4

run "$bqb" similar --json "$tmp/in/more/开心.gif"
json "similar to a file of the library leaves it out" '[.results[].caption]|index("开心")' null
json "similar: the others" '.results|length' 3
cp "$tmp/in/more/开心.gif" "$tmp/elsewhere.gif"
run "$bqb" similar --json "$tmp/elsewhere.gif" -n 1
json "similar to another file" '.results[0]|[.caption,(.score > 0.999)]' '["开心",true]'

run "$bqb" search --json 晚安 -n 1
id=$(jq -r '.results[0].id' "$tmp/out")
sha=$(sha256sum "$tmp/in/a00001.jpg" | cut -d' ' -f1)
is "ids are the beginning of the SHA-256" "$id" "${sha:0:12}"
run "$bqb" show --json "$id"
json "show" '[.sha256,.format,.caption,.emotion,.emotion_label,.style,.ocr,.origin.caption]' \
    "[\"$sha\",\"jpeg\",\"一只猫在睡觉\",\"平静\",\"困\",\"像素\",\"晚安\",\"given\"]"
json "show: both files" '[.files[].file]|length' 2
run "$bqb" show "${id:0:4}"
has "show by a shorter prefix" "$tmp/out" "^id +$sha"
run "$bqb" show "$tmp/in/加班好累.png"
has "show by file" "$tmp/out" '^caption +加班好累  \(filename\)'
run "$bqb" similar --json "$id" -n 3
json "similar to an id" '.results|length' 3
run "$bqb" show zzz
is "show of no id: status" $status 1
run "$bqb" show 0000000000000000
has "show of an unknown id" "$tmp/err" 'no sticker 0000000000000000'

run "$bqb" remove "$id" ffffffffffff
is "remove is all or nothing: status" $status 1
run "$bqb" stats --json
json "remove is all or nothing" .stickers 4
run "$bqb" remove "$id"
is "remove: status" $status 0
run "$bqb" search --json 晚安
json "removed" '[.results[].ocr]|index("晚安")' null
json "removed: the rest is there" '.results|length' 3
[ -e "$tmp/in/a00001.jpg" ] && ok || fail "remove deleted a file"
run "$bqb" import "$tmp/in"
has "removed stickers come back" "$tmp/out" '^1 added, 4 already there'
run "$bqb" remove "$tmp/in/加班好累.png" "$tmp/in/加班好累.png"
is "remove of one sticker named twice" "$(cat "$tmp/out")" "1 removed"
run "$bqb" import "$tmp/in"

# Simplified words find traditional ones.
printf 'file\tcaption\na00001.jpg\t喵喵萬歲\n' >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"
run "$bqb" search --json 喵喵万岁 -n 1
json "a simplified query finds traditional words" '.results[0].caption' 喵喵萬歲
printf 'file\tcaption\temotion\temotion_label\tstyle\tocr\na00001.jpg\t一只猫在睡觉\t平静\t困\t像素\t晚安\n' >"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/in"

# The cache may go at any time.
run "$bqb" search --json 开心
jq -c '[.results[]|[.id,.score]]' "$tmp/out" >"$tmp/before"
rm -rf "$tmp/lib/cache"
run "$bqb" search --json 开心
is "without the cache the same" "$(jq -c '[.results[]|[.id,.score]]' "$tmp/out")" "$(cat "$tmp/before")"
[ -d "$tmp/lib/cache" ] && ok || fail "the cache did not come back"

# Gone and back.
mv "$tmp/in/more/开心.gif" "$tmp/"
run "$bqb" import "$tmp/in"
has "gone" "$tmp/out" '^1 file is gone: its sticker is no longer shown$'
run "$bqb" search --json 开心
json "what is gone is not shown" '[.results[].caption]|index("开心")' null
mv "$tmp/开心.gif" "$tmp/in/more/"
run "$bqb" import "$tmp/in"
has "back" "$tmp/out" '^1 file is back$'
run "$bqb" search --json 开心
json "back again" '.results[0].caption' 开心

# Another model: words only until its vectors are there.
cp -r "$model" "$tmp/other"
sed -i 's/"logit_scale_init_value": [0-9.]*/"logit_scale_init_value": 2.5/' "$tmp/other/config.json"
head -c -40 "$model/model.safetensors" >"$tmp/other/model.safetensors"
printf 'a%.0s' {1..40} >>"$tmp/other/model.safetensors"
run "$bqb" --model "$tmp/other" stats
is "stats with another model: status" $status 0

# Nobody's library is nowhere, not at the root.
run env -u BQB_LIBRARY -u XDG_DATA_HOME -u HOME "$bqb" import "$tmp/in"
is "no home: status" $status 1
has "no home" "$tmp/err" 'no library is named: -L, .BQB_LIBRARY or .HOME is needed'
run env BQB_DATA="$tmp/nowhere" "$bqb" synth --out "$tmp/synth" -n 1
has "no data folder" "$tmp/err" 'BQB_DATA \(.*nowhere\) is no folder'

# Messages name a thing once, as it was named.
head -c 30 "$tmp/in/more/开心.gif" >"$tmp/cut.gif"
run "$bqb" import "$tmp/cut.gif"
has "a broken file is named once" "$tmp/err" '^skipped [^:]*cut\.gif: [^:]*$|^skipped [^:]*cut\.gif: gif'
run "$bqb" search -n -1 x
has "-n -1" "$tmp/err" '^bqb search: -n -1: needs a whole number, 0 or more$'
run "$bqb" search --number 99999999999999999999 x
has "--number too large" "$tmp/err" '--number 99999999999999999999: needs a smaller number'
run "$bqb" similar nothing.png
has "similar to no file" "$tmp/err" '^bqb: nothing.png: no such file$'
run "$bqb" stats
has "one model" "$tmp/out" '^ +1  model with vectors$'

# Wrong usage.
for c in "search" "search -n 0 x" "search -n x y" "similar" "similar a b" "show" "stats x" "remove" "import" \
    "search --fold 2 x" "search --frobnicate x" "search --emotion= x" export "export a b" "synth --out=" "synth --out x -n 0" "synth --sheet x --side 1"; do
    run "$bqb" $c
    is "$c: status" $status 2
    is "$c: stdout" "$(cat "$tmp/out")" ""
done
run "$bqb" search "  "
is "an empty query: status" $status 2
has "an empty query" "$tmp/err" 'query is empty'

# An explicit model that is not there fails; a missing default one leaves the words.
run "$bqb" search --model "$tmp/nowhere" 加班
is "a wrong --model: status" $status 1
has "a wrong --model" "$tmp/err" 'nowhere'
run env BQB_MODEL="$tmp/nowhere" "$bqb" search 加班
is "a wrong \$BQB_MODEL: status" $status 1
run "$bqb" --model "$tmp/nowhere" import "$tmp/in"
is "import with a wrong --model: status" $status 1
mkdir "$tmp/alone"
cp "$bqb" "$tmp/alone/bqb"
run env -u BQB_MODEL "$tmp/alone/bqb" search --json 加班好累
json "no model: words" '.results[0].caption' 加班好累
has "no model: says so" "$tmp/err" 'words only'

# A folder that was renamed is found at its new place.
mkdir "$tmp/moved-from"
cp tests/golden/images/square.jpg "$tmp/moved-from/搬家快乐.jpg"
BQB_LIBRARY=$tmp/moved run "$bqb" import "$tmp/moved-from"
mv "$tmp/moved-from" "$tmp/moved-to"
BQB_LIBRARY=$tmp/moved run "$bqb" import "$tmp/moved-to"
BQB_LIBRARY=$tmp/moved run "$bqb" search --json 搬家快乐
json "renamed folder" '.results[0].file' "$tmp/moved-to/搬家快乐.jpg"

# A pipe is no table and no model.
mkfifo "$tmp/pipe.tsv"
run timeout 10 "$bqb" import "$tmp/pipe.tsv"
is "a pipe as a table: status" $status 1
has "a pipe as a table" "$tmp/err" 'not a regular file'

# Weights that are no numbers rank nothing.
mkdir "$tmp/damaged"
cp tests/golden/clip_hf_config.json "$tmp/damaged/config.json"
cp tests/golden/vocab.txt "$tmp/damaged/"
size=$(od -An -t u8 -N 8 tests/golden/clip_hf.safetensors | tr -d ' ')
all=$(wc -c <tests/golden/clip_hf.safetensors)
{ head -c $((size + 8)) tests/golden/clip_hf.safetensors; head -c $((all - size - 8)) /dev/zero | tr '\0' '\377'; } \
    >"$tmp/damaged/model.safetensors"
run "$bqb" embed text --model "$tmp/damaged" 猫
is "damaged weights: status" $status 1
has "damaged weights" "$tmp/err" 'damaged'

# A caption cannot steer the terminal.
cp tests/golden/images/small.png "$tmp/in/$(printf 'red \033[31malert')x.png"
printf 'file\tcaption\nx.png\t%b\n' '\033]0;title\007 好' >"$tmp/steer.tsv"
cp tests/golden/images/gray.png "$tmp/x.png"
run "$bqb" import "$tmp/in" "$tmp/steer.tsv"
run "$bqb" search -n 10 title
is "no escape reaches stdout" "$(grep -c "$(printf '\033')" "$tmp/out")" 0
run "$bqb" search --json title
json "a caption has no control characters" '.results[0].caption|length' 10


# What is not said by name alone: two lines for one file, a table that is none, tables that name what is not there.
mkdir "$tmp/odd" "$tmp/many"
cp tests/golden/images/small.png "$tmp/odd/a.png"
printf 'file\tcaption\na.png\t一\na.png\t二\na.png\t三\n' >"$tmp/odd/captions.tsv"
BQB_LIBRARY=$tmp/odd-lib run "$bqb" import "$tmp/odd"
has "two lines for one file" "$tmp/err" '^skipped .*/odd/a.png: lines 2 and 3 of its captions.tsv name it: the first is taken; so with 1 more line$'
has "two lines for one file: nothing is left out" "$tmp/out" '^1 added, 0 already there, 0 skipped$'
rm "$tmp/odd/captions.tsv"
mkfifo "$tmp/odd/captions.tsv"
BQB_LIBRARY=$tmp/odd-lib run "$bqb" import "$tmp/odd"
has "a captions.tsv that is a fifo" "$tmp/err" 'odd/captions.tsv: not a regular file'
{ echo file; seq -f '%g.png' 100; } >"$tmp/many/captions.tsv"
cp tests/golden/images/small.png "$tmp/many/a.png"
BQB_LIBRARY=$tmp/odd-lib run "$bqb" import "$tmp/many"
is "many that are not there: lines" "$(wc -l <"$tmp/err")" 6
has "many that are not there: counted" "$tmp/err" '^skipped 95 more pictures that tables name: no such files$'
run "$bqb" search --not-image "$tmp/x.png"
has "--not-image alone" "$tmp/err" '^bqb search: --not-image alone|--not-image alone'

# Files that are gone are said.
BQB_LIBRARY=$tmp/odd-lib run "$bqb" search --json a
is "nothing is gone: nothing is said" "$(cat "$tmp/err")" ""
rm "$tmp/odd/a.png" "$tmp/many/a.png"
BQB_LIBRARY=$tmp/odd-lib run "$bqb" search a
has "search: a file that is gone" "$tmp/err" '^bqb: 1 of these is a sticker whose file is gone'

# A full disk: a library can still be searched.
if unshare -rm true 2>/dev/null; then
    mkdir "$tmp/disk"
    cat >"$tmp/full.sh" <<'END'
mount -t tmpfs -o size=4m none "$1/disk" && cp -r "$1/lib" "$1/disk/lib" || exit 9
rm -rf "$1/disk/lib/cache" "$1"/disk/lib/library.db-*
dd if=/dev/zero of="$1/disk/fill" bs=4k 2>/dev/null
exec "$2" -L "$1/disk/lib" search --json 晚安
END
    run unshare -rm bash "$tmp/full.sh" "$tmp" "$bqb"
    is "full disk: search" $status 0
    json "full disk: found" '.results|length > 0' true
else skip "no name spaces to fill a disk in"; fi

# Export is what import and train read.
run "$bqb" export "$tmp/out folder"
is "export: status" $status 0
has "export" "$tmp/out" '^[0-9]+ written, 0 skipped$'
run "$bqb" stats --json
jq -c '[.stickers,.animated,.with_caption,.with_ocr,.with_emotion,.with_emotion_label,.with_style,.bytes]' "$tmp/out" >"$tmp/before"
BQB_LIBRARY=$tmp/lib2 run "$bqb" import "$tmp/out folder"
is "import of the export: status" $status 0
BQB_LIBRARY=$tmp/lib2 run "$bqb" stats --json
is "nothing is lost on the way" \
    "$(jq -c '[.stickers,.animated,.with_caption,.with_ocr,.with_emotion,.with_emotion_label,.with_style,.bytes]' "$tmp/out")" \
    "$(cat "$tmp/before")"
run "$bqb" export "$tmp/out folder"
is "export does not overwrite: status" $status 1
has "export does not overwrite" "$tmp/err" 'captions.tsv is there already'

summary library
