#!/bin/bash
# Packs of stickers: zip archives, Telegram sets.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_THREADS=2
packs=fuzz/corpus/zip_set

cp $packs/names "$tmp/表情.zip"
run "$bqb" import "$tmp/表情.zip"
is "zip: status" "$status" 0
has "zip" "$tmp/out" '^6 added, 0 already there, 2 skipped$'
has "zip: what it does not hold" "$tmp/err" '表情.zip/夹/no.png: captions.tsv names it'
run "$bqb" search --json 好累啊
json "zip: a name in GBK is a caption" '.results[0]|[.caption,(.file|test("/lib/files/"))]' '["好累啊",true]'
run "$bqb" search --json 说明
json "zip: captions.tsv inside" '.results[0]|[.caption,.emotion]' '["说明","开心"]'
run "$bqb" import "$tmp/表情.zip"
has "zip again" "$tmp/out" '^0 added, 6 already there, 2 skipped$'

run "$bqb" stats
is "stored files: nothing is said of what is there" "$(cat "$tmp/err")" ""
mv "$tmp/lib/files" "$tmp/kept"
run "$bqb" stats
is "stored files that are gone: status" "$status" 0
has "stored files that are gone" "$tmp/err" '^bqb: 6 stickers whose files are gone \(deleted from .*/lib/files/\): import the archive or set again$'
run "$bqb" import "$tmp/表情.zip"
run "$bqb" stats
is "stored files: another import brings them back" "$(cat "$tmp/err")" ""
rm -r "$tmp/kept"

# Nothing is written but into the library, and what is wrong has its name.
cp $packs/hostile "$tmp/hostile.zip"
elsewhere() { find "$tmp" -not -path "$tmp/lib*" -not -name out -not -name err | sort; }
before=$(elsewhere)
BQB_LIBRARY=$tmp/lib2 run "$bqb" import "$tmp/hostile.zip"
is "hostile: status" "$status" 0
has "hostile" "$tmp/out" '^1 added, 0 already there, 11 skipped$'
has "hostile: encrypted" "$tmp/err" 'hostile.zip/locked.png: it is encrypted'
is "hostile: nothing is written elsewhere" "$(elsewhere)" "$before"
head -c 700 $packs/names >"$tmp/cut.zip"
BQB_LIBRARY=$tmp/lib3 run "$bqb" import "$tmp/cut.zip"
is "cut: status" "$status" 1
has "cut: it is an archive" "$tmp/out" '^1 archive could not be read to its end$'
has "cut" "$tmp/err" 'cut.zip: it has no directory at its end: not a zip archive, or cut short'

# In a folder an archive is one of the files that are no pictures.
mkdir "$tmp/in"
cp "$tmp/表情.zip" tests/golden/images/gray.png "$tmp/in/"
BQB_LIBRARY=$tmp/lib3 run "$bqb" import "$tmp/in" --json
json "an archive in a folder" '[.added,.others,.skipped]' '[1,1,0]'

# Telegram's animations, in a folder and in an archive; exported as they are.
mkdir "$tmp/set"
cp fuzz/corpus/image/disc.tgs "$tmp/set/圆.tgs"
cp fuzz/corpus/image/film.webm "$tmp/set/电影.webm"
cp fuzz/corpus/image/film.webm "$tmp/set/misnamed.png"
gzip -c tests/e2e/packs.sh >"$tmp/set/other.gz"
head -c 200 fuzz/corpus/image/disc.tgs >"$tmp/set/cut.tgs"
export BQB_LIBRARY=$tmp/telegram
run "$bqb" import "$tmp/set" --json
is "telegram: status" "$status" 0
if grep -q 'built without' "$tmp/err"; then
    skip "built without librlottie or libvpx"
    has "telegram: how to get it" "$tmp/err" 'Debian: lib'
else
    json "telegram" '[.added,.already,.skipped,.others]' '[2,1,1,1]'
    has "telegram: a damaged one" "$tmp/err" 'skipped .*cut.tgs: its gzip data are damaged or cut short'
    run "$bqb" search --json --animated 圆
    json "telegram: found" '.results[0]|[.caption,.animated]' '["圆",true]'
    run "$bqb" similar "$tmp/set/圆.tgs" --json
    json "telegram: similar" '.results|length' 1
    run "$bqb" export "$tmp/telegram-out"
    same "telegram: exported as it is" "$tmp/telegram-out/images/$(sha256sum <fuzz/corpus/image/disc.tgs | head -c 12).tgs" fuzz/corpus/image/disc.tgs
fi

# What the set's JSON says of its stickers, in a folder and in an archive; a captions.tsv says more.
mkdir "$tmp/emoji"
cp tests/golden/images/gray.png "$tmp/emoji/AgADa.png"
cp tests/golden/images/wide.png "$tmp/emoji/AgADb.png"
printf '{"ok":true,"result":{"name":"x","stickers":[{"file_unique_id":"AgADa","emoji":"😂"},{"file_unique_id":"AgADb","emoji":"🍉"}]}}' >"$tmp/emoji/set.json"
printf 'file\tcaption\nAgADb.png\t西瓜\n' >"$tmp/emoji/captions.tsv"
BQB_LIBRARY=$tmp/emoji1 run "$bqb" import "$tmp/emoji"
has "set.json" "$tmp/out" '^2 added, 0 already there, 0 skipped$'
BQB_LIBRARY=$tmp/emoji1 run "$bqb" search --json 破涕为笑
json "set.json: words" '.results[0]|[.caption,.emotion]' '["😂 破涕为笑","大笑"]'
BQB_LIBRARY=$tmp/emoji1 run "$bqb" search --json 西瓜
json "set.json: captions.tsv first" '.results[0].caption' '西瓜'

summary packs
