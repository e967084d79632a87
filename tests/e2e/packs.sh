#!/bin/bash
# Packs of stickers: zip archives.
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

# Nothing is written but into the library, and what is wrong has its name.
cp $packs/hostile "$tmp/hostile.zip"
find "$tmp" -not -path "$tmp/lib*" -not -name out -not -name err | sort >"$tmp/before"
BQB_LIBRARY=$tmp/lib2 run "$bqb" import "$tmp/hostile.zip"
is "hostile: status" "$status" 0
has "hostile" "$tmp/out" '^1 added, 0 already there, 11 skipped$'
has "hostile: encrypted" "$tmp/err" 'hostile.zip/locked.png: it is encrypted'
find "$tmp" -not -path "$tmp/lib*" -not -name out -not -name err | sort >"$tmp/after"
same "hostile: nothing is written elsewhere" "$tmp/before" "$tmp/after"
head -c 700 $packs/names >"$tmp/cut.zip"
BQB_LIBRARY=$tmp/lib3 run "$bqb" import "$tmp/cut.zip"
is "cut: status" "$status" 1
has "cut" "$tmp/err" 'cut.zip: it has no directory at its end: not a zip archive, or cut short'

# In a folder an archive is one of the files that are no pictures.
mkdir "$tmp/in"
cp "$tmp/表情.zip" tests/golden/images/gray.png "$tmp/in/"
BQB_LIBRARY=$tmp/lib3 run "$bqb" import "$tmp/in" --json
json "an archive in a folder" '[.added,.others,.skipped]' '[1,1,0]'

summary packs
