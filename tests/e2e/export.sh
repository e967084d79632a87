#!/bin/bash
# Out: folders, MUGE, clip-retrieval; selections; what is stopped, full, changed or in the way.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_THREADS=2 BQB_MODEL=$PWD/models/mini

mkdir "$tmp/in"
"$bqb" synth --out "$tmp/set" --count 24 --seed 3 >/dev/null 2>&1
cp tests/golden/images/gray.png "$tmp/in/$(printf 'tab\\n [x]').png"
cp tests/golden/images/small.png "$tmp/in/IMG_0001.png"
{ cat tests/golden/images/alpha.png && head -c 300000 /dev/zero; } >"$tmp/in/long.png"
printf 'file\tcaption\temotion\temotion_label\tstyle\tocr\n' >"$tmp/in/captions.tsv"
printf 'IMG_0001.png\t一行\\n两行\\t\\\\尾\t开心\t开心\t文字\t字\n' >>"$tmp/in/captions.tsv"
run "$bqb" import "$tmp/set" "$tmp/in"
is "import: status" "$status" 0
run "$bqb" stats --json
total=$(jq .stickers "$tmp/out")

# Round trip: what is believed of each content, and who says so, is the same afterwards.
"$bqb" set --caption '人说的' "$tmp/in/long.png" >/dev/null
known() { # LIBRARY
    sqlite3 "$1/library.db" "select hex(sha256), field, value, origin, round(score, 4) from annotation join sticker on sticker.id = annotation.sticker
        group by sticker, field having origin = min(origin) order by 1, 2" 2>&1
}
run "$bqb" export "$tmp/folder"
is "folder: status" "$status" 0
has "folder" "$tmp/out" "^$total written, 0 skipped\$"
[ ! -e "$tmp/folder/UNFINISHED.txt" ]
is "a complete folder has no mark" $? 0
is "nothing temporary stays" "$(find "$tmp/folder" -name '*.tmp.*' | wc -l)" 0
BQB_LIBRARY=$tmp/lib2 run "$bqb" import "$tmp/folder"
is "round trip: status" "$status" 0
known "$tmp/lib" >"$tmp/known1"
known "$tmp/lib2" >"$tmp/known2"
[ "$(wc -l <"$tmp/known1")" -gt "$total" ]
is "round trip: there is something to compare" $? 0
same "round trip" "$tmp/known1" "$tmp/known2"
has "round trip: edited" "$tmp/known2" '\|caption\|人说的\|-1\|'
has "round trip: a file's name" "$tmp/known2" '\|caption\|tab.*\|3\|'

# MUGE.
run "$bqb" export --format muge --split valid "$tmp/muge"
is "muge: status" "$status" 0
is "muge: pictures" "$(wc -l <"$tmp/muge/valid_imgs.tsv")" "$total"
is "muge: lines are JSON with these keys" \
    "$(jq -c 'keys' "$tmp/muge/valid_texts.jsonl" | sort -u)" '["image_ids","text","text_id"]'
is "muge: numbers" "$(jq -c '[.text_id,.image_ids[0]]|map(type)|unique' "$tmp/muge/valid_texts.jsonl" | sort -u)" '["number"]'
id=$(tail -1 "$tmp/muge/valid_ids.tsv" | cut -f2)
tail -1 "$tmp/muge/valid_imgs.tsv" | cut -f2 | base64 -d | sha256sum >"$tmp/sum"
has "muge: the last picture is the sticker that ids.tsv says" "$tmp/sum" "^$id"
BQB_LIBRARY=$tmp/lib3 run "$bqb" import "$tmp/muge/valid_imgs.tsv"
has "muge: import" "$tmp/out" "^$total added, 0 already there, 0 skipped\$"
BQB_LIBRARY=$tmp/lib4 run "$bqb" import "$tmp/muge"
has "muge: import of the folder" "$tmp/out" "^$total added, 0 already there, 0 skipped\$"
run "$bqb" eval --data "$tmp/muge/valid_imgs.tsv" --query caption --json
is "muge: eval" "$status" 0
expect muge_split 1 - 'no name of a split' "$bqb" export --format muge --split ../x "$tmp/no"
[ ! -e "$tmp/x_imgs.tsv" ]
is "a split cannot leave the folder" $? 0

# LMDB databases: read back.
run "$bqb" export --format lmdb --split valid "$tmp/lmdb"
is "lmdb: status" "$status" 0
is "lmdb: files" "$(cd "$tmp/lmdb" && find . -type f | sort | tr '\n' ' ')" './valid/imgs/data.mdb ./valid/pairs/data.mdb '
BQB_LIBRARY=$tmp/lib5 run "$bqb" import "$tmp/lmdb"
has "lmdb: import" "$tmp/out" "^$total added, 0 already there, 0 skipped\$"
for l in lib4 lib5; do # the same texts as MUGE's
    sqlite3 "$tmp/$l/library.db" "select hex(sha256), value from annotation join sticker on sticker.id = annotation.sticker
        where field = 'caption' and origin = 0 order by 1" >"$tmp/texts.$l"
done
same "lmdb: texts" "$tmp/texts.lib4" "$tmp/texts.lib5"
[ "$(wc -l <"$tmp/texts.lib5")" -gt $((total / 2)) ]
is "lmdb: there is something to compare" $? 0
run "$bqb" export --format sticker820k "$tmp/820k"
is "sticker820k: files" "$(cd "$tmp/820k" && find . -type f | sort | tr '\n' ' ')" './imgs/data.mdb ./infos/data.mdb ./train.txt '
BQB_LIBRARY=$tmp/lib6 run "$bqb" import "$tmp/820k/train.txt"
has "sticker820k: import" "$tmp/out" "^$total added, 0 already there, 0 skipped\$"
known "$tmp/lib6" | cut -d'|' -f1-3 >"$tmp/known6"
cut -d'|' -f1-3 "$tmp/known1" >"$tmp/known1.values"
same "sticker820k: all five fields" "$tmp/known1.values" "$tmp/known6"
expect lmdb_split 1 - 'no name of a split' "$bqb" export --format lmdb --split .. "$tmp/no"
expect folder_split 2 - '--split is for' "$bqb" export --split x "$tmp/no"

# clip-retrieval: rows of three files that belong together.
run "$bqb" export --format clip-retrieval "$tmp/clip"
is "clip-retrieval: status" "$status" 0
is "clip-retrieval: rows" "$(wc -l <"$tmp/clip/metadata/metadata_0.jsonl")" "$total"
for m in img text; do
    head -c 128 "$tmp/clip/${m}_emb/${m}_emb_0.npy" | tr -cd ' -~' >"$tmp/head"
    has "clip-retrieval: $m" "$tmp/head" "'descr': '<f2', 'fortran_order': False, 'shape': \\($total, [0-9]+\\)"
done
# Row 7's text, encoded again, gives row 7 of text_emb; its picture row 7 of img_emb.
row() { # FILE ROW: the f16 numbers as f64 text, one a line
    local d
    d=$(head -c 128 "$1" | tr -cd ' -~' | sed "s/.*'shape': ([0-9]*, \([0-9]*\)).*/\1/")
    tail -c +129 "$1" | tail -c +$((2 * d * $2 + 1)) | head -c $((2 * d)) | od -An -v -t u2 -w2 | awk '{
        s = int($1 / 32768); e = int($1 / 1024) % 32; m = $1 % 1024
        v = e ? (1 + m / 1024) * 2 ^ (e - 15) : m / 1024 * 2 ^ -14
        print s ? -v : v }'
}
cosine() { paste "$1" "$2" | awk '{ab += $1 * $2; aa += $1 * $1; bb += $2 * $2} END {print (ab / sqrt(aa * bb) > 0.999) ? "same" : "other " ab}'; }
sed -n 8p "$tmp/clip/metadata/metadata_0.jsonl" >"$tmp/meta"
"$bqb" embed text "$(jq -r .text "$tmp/meta")" | jq '.feature[]' >"$tmp/want"
row "$tmp/clip/text_emb/text_emb_0.npy" 7 >"$tmp/got"
is "clip-retrieval: text row" "$(cosine "$tmp/want" "$tmp/got")" same
row "$tmp/clip/text_emb/text_emb_0.npy" 6 >"$tmp/got"
[ "$(cosine "$tmp/want" "$tmp/got")" != same ]
is "clip-retrieval: its neighbour is another" $? 0
"$bqb" embed image "$(jq -r .image_path "$tmp/meta")" | jq '.feature[]' >"$tmp/want"
row "$tmp/clip/img_emb/img_emb_0.npy" 7 >"$tmp/got"
is "clip-retrieval: picture row" "$(cosine "$tmp/want" "$tmp/got")" same
BQB_LIBRARY=$tmp/bare run "$bqb" import --model "$model" "$tmp/in"
BQB_LIBRARY=$tmp/bare run "$bqb" export --format clip-retrieval "$tmp/none"
is "no vectors of this model: status" "$status" 1
has "no vectors of this model" "$tmp/err" 'no vector of this model'

# Selections.
run "$bqb" search --json -n 3 开心
jq -r '.results[].id' "$tmp/out" >"$tmp/ids"
run "$bqb" export --query 开心 -n 3 "$tmp/q"
is "--query" "$(tail -n +2 "$tmp/q/captions.tsv" | sed 's/^images\/\([0-9a-f]*\)\..*/\1/')" "$(cat "$tmp/ids")"
tac "$tmp/ids" >"$tmp/backwards"
expect ids_stdin 0 '^3 written, 0 skipped$' - sh -c "cat '$tmp/backwards' '$tmp/ids' | '$bqb' export --ids - '$tmp/i2'"
is "--ids keeps the order, each once" "$(tail -n +2 "$tmp/i2/captions.tsv" | sed 's/^images\/\([0-9a-f]*\)\..*/\1/')" \
    "$(cat "$tmp/backwards")"
printf '%s\n\nzzz\n' "$(head -1 "$tmp/ids")" >"$tmp/bad"
expect ids_unknown 1 - '--ids, line 3: ' "$bqb" export --ids "$tmp/bad" "$tmp/no"
[ ! -e "$tmp/no" ]
is "an unknown id: nothing is written" $? 0
animated=$("$bqb" stats --json | jq .animated)
expect animated 0 "^$animated written" - "$bqb" export --animated "$tmp/a"
expect none 1 - 'no sticker has this emotion|no sticker' "$bqb" export --emotion 没有这种 "$tmp/no"
expect both 2 - 'not both' "$bqb" export --ids - --query x "$tmp/no"
expect format 2 - 'folder, muge, clip-retrieval, lmdb and sticker820k' "$bqb" export --format parquet "$tmp/no"
expect number 2 - 'for --query' "$bqb" export -n 3 "$tmp/no"

# In the way.
expect again 1 - 'captions.tsv is there already' "$bqb" export "$tmp/folder"
mkdir "$tmp/full"
echo mine >"$tmp/full/mine"
expect not_empty 1 - 'full is not empty \(mine is there\)' "$bqb" export "$tmp/full"
expect forced 0 "^$total written" - "$bqb" export --force "$tmp/full"
is "--force leaves other files alone" "$(cat "$tmp/full/mine")" mine
own=$(printf 'file\tcaption\na.png\t我的猫')
mkdir "$tmp/own" && echo "$own" >"$tmp/own/captions.tsv"
expect own_table 0 'captions.tsv that was there .* kept as captions.tsv.bak$' - "$bqb" export --force "$tmp/own"
is "a table of one's own is kept" "$(cat "$tmp/own/captions.tsv.bak")" "$own"
run "$bqb" export --force --json "$tmp/own"
json "a table of an export is not" .kept_table null
echo "images/mine.png	我" >>"$tmp/own/captions.tsv"
sum=$(sha256sum <"$tmp/own/captions.tsv")
run "$bqb" export --force --json "$tmp/own"
json "a table that was changed is kept, too" .kept_table captions.tsv.bak2
is "as it was" "$(sha256sum <"$tmp/own/captions.tsv.bak2")" "$sum"
is "and the first one, too" "$(cat "$tmp/own/captions.tsv.bak")" "$own"
expect library 1 - 'is a library' "$bqb" export --force "$tmp/lib"

# A kill leaves the file that was being written: the next export knows its own, and nobody else's.
sleep 0 &
dead=$!
wait $dead
mkdir "$tmp/killed"
touch "$tmp/killed/UNFINISHED.txt.tmp.$dead" "$tmp/killed/captions.tsv.tmp.$dead"
expect after_kill 0 "^$total written" - "$bqb" export "$tmp/killed"
is "what the killed one left is gone" "$(find "$tmp/killed" -name '*.tmp.*' | wc -l)" 0
mkdir "$tmp/living"
touch "$tmp/living/UNFINISHED.txt.tmp.$$"
expect of_the_living 1 - "UNFINISHED.txt.tmp.$$ is there" "$bqb" export "$tmp/living"
mv "$tmp/living/UNFINISHED.txt.tmp.$$" "$tmp/living/notes.tmp.$dead"
expect of_others 1 - "notes.tmp.$dead is there" "$bqb" export "$tmp/living"

# What an earlier export left.
run "$bqb" export --force --ids "$tmp/ids" "$tmp/full"
has "left: named" "$tmp/err" '^left .*images/[0-9a-f]{12}.*: it is of an earlier export$'
has "left: counted" "$tmp/out" "^$((total - 3)) pictures of earlier exports are left in images/\$"
expect prune_kind 2 - 'for --format folder' "$bqb" export --force --prune --format muge "$tmp/full"
run "$bqb" export --force --prune --json --ids "$tmp/ids" "$tmp/full"
json "prune" '[.written,.removed,.left,.others]' "[3,$((total - 3)),0,0]"
is "prune: what stays" "$(ls "$tmp/full/images" | wc -l)" 3
(cd "$tmp/full" && sha256sum -c --quiet .bqb-export)
is "the list is true" $? 0

# A full disk: a limit on the size of files stands in for it. Nothing looks whole, and the same command goes on.
run bash -c "ulimit -f 200; exec '$bqb' export '$tmp/small'"
is "no more room: status" "$status" 1
has "no more room: the file is named" "$tmp/err" 'small/.*: File too large'
[ ! -e "$tmp/small/captions.tsv" ] && [ -e "$tmp/small/UNFINISHED.txt" ]
is "no more room: it does not look whole" $? 0
is "no more room: nothing half-written" "$(find "$tmp/small" -name '*.tmp.*' | wc -l)" 0
expect "no more room: again" 0 "^$total written" - "$bqb" export "$tmp/small"
same "no more room: as if nothing had been" "$tmp/small/captions.tsv" "$tmp/folder/captions.tsv"

# Files that are no longer what was imported.
cp tests/golden/images/small.png "$tmp/in/tab\\n [x].png"
rm "$tmp/in/IMG_0001.png"
run "$bqb" export "$tmp/late"
is "changed files: status" "$status" 0
has "changed files" "$tmp/out" "^$((total - 2)) written, 2 skipped\$"
has "changed" "$tmp/err" 'has changed since it was imported'
has "gone" "$tmp/err" 'IMG_0001.png: No such file'

summary export
