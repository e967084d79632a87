#!/bin/bash
# LMDB databases of Chinese-CLIP and Sticker820K: imported, measured and trained on with the built program.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_THREADS=2

run "$bqb" import tests/lmdb
is import "$status" 0
has import "$tmp/out" '^4 added, 0 already there, 2 skipped$'
has import_names "$tmp/err" 'chinese_clip:404: its picture is not in imgs'
run "$bqb" search --json 动起来
json search '.results[0]|[.caption,.animated]' '["动起来",true]'
run "$bqb" eval --data tests/lmdb/chinese_clip --query all --json
is eval "$status" 0
json eval .images 3
run "$bqb" eval --data tests/lmdb/sticker820k/valid.txt --json
json "a split" .images 1
run "$bqb" eval --data tests/lmdb/sticker820k
is "both splits: status" "$status" 1
has "both splits" "$tmp/err" 'name one of them: train.txt, valid.txt'
run "$bqb" train --data tests/lmdb/chinese_clip --valid tests/lmdb/sticker820k/valid.txt --init "$model" --steps 1 --batch 3 --out "$tmp/out1"
is train "$status" 0
[ ! -e tests/lmdb/chinese_clip/imgs/lock.mdb ]
is "nothing is written beside a database" $? 0

# A damaged database is an error with its name, and no crash.
cp -r tests/lmdb/chinese_clip "$tmp/bad"
truncate -s 9000 "$tmp/bad/pairs/data.mdb"
run "$bqb" eval --data "$tmp/bad"
is "cut: status" "$status" 1
has cut "$tmp/err" 'bad/pairs/data.mdb: page [0-9]+ is asked for, the file has 2'
run "$bqb" import "$tmp/bad"
has "cut import" "$tmp/err" 'skipped .*bad: .*page [0-9]+ is asked for'
is "cut import: status" "$status" 1
# So is one whose beginning is lost, beside one that is whole.
mkdir "$tmp/two"
cp -r tests/lmdb/chinese_clip "$tmp/two/bad" && cp -r tests/lmdb/sticker820k "$tmp/two/whole"
head -c 4096 /dev/zero | tr '\0' x | dd of="$tmp/two/bad/imgs/data.mdb" conv=notrunc status=none
run "$bqb" import --json "$tmp/two"
is "overwritten import: status" "$status" 1
has "overwritten import" "$tmp/err" 'skipped .*bad: .*imgs/data.mdb: not an LMDB database'
json "the whole one is read" '[.found,.damaged]' '[3,1]'
for f in train eval stats; do
    extra=()
    [ $f = train ] && extra=(--init "$model" --out "$tmp/x")
    run "$bqb" $f --data "$tmp/two/bad" "${extra[@]}"
    is "overwritten $f: status" "$status" 1
    has "overwritten $f" "$tmp/err" 'bad/imgs/data.mdb: not an LMDB database'
done

summary lmdb
