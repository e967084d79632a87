#!/bin/bash
# What an option names to be written never replaces what bqb did not make, and nothing of a library.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh

"$bqb" synth --out "$tmp/set" --count 12 >/dev/null 2>&1
mkdir "$tmp/own"
cp tests/golden/images/wide.png "$tmp/own/a.png"
cp tests/golden/images/square.jpg "$tmp/own/b.jpg"
cp tests/golden/images/wide.png "$tmp/own/chart.svg" # told by content, not by name
echo 'a letter' >"$tmp/own/letter.html"
echo '{"text_id":1,"text":"猫","image_ids":[1]}' >"$tmp/own/texts.jsonl"
echo '{"text_id":1,"image_ids":[1]}' >"$tmp/own/link-to"
ln -s a.png "$tmp/own/link.png"
"$bqb" import "$tmp/own" >/dev/null 2>&1
everything() { find "$tmp/own" "$BQB_LIBRARY/library.db" -type f -exec sha256sum {} + | sort; }
before=$(everything)

commands=("stats --chart" "duplicates --sheet" "synth --sheet" "embed text 猫 --npy"
    "train --data $tmp/set --init $model --preview" "eval --data $tmp/set --html" "eval --data $tmp/set --predictions" "eval --data $tmp/set --save-score")
for command in "${commands[@]}"; do
    for file in "$tmp/own/a.png" "$tmp/own/b.jpg" "$tmp/own/chart.svg" "$tmp/own/letter.html" "$tmp/own/texts.jsonl" "$tmp/own/link.png"; do
        run "$bqb" $command "$file"
        is "$command over ${file##*/}: status" $status 2
        has "$command over ${file##*/}" "$tmp/err" "${file##*/}: is there and is no .* that bqb made"
    done
    for file in library.db library.db-journal new.png; do
        run "$bqb" $command "$BQB_LIBRARY/$file"
        is "$command over the library's $file: status" $status 2
        has "$command over the library's $file" "$tmp/err" "$file: this is the folder of a library"
    done
    run "$bqb" $command "$tmp/own"
    is "$command over a folder: status" $status 2
done
for command in "eval --data $tmp/set -z --confusion" "eval --data $tmp/set --muge" "train --data $tmp/set --init $model --out" "synth --out"; do
    run "$bqb" $command "$BQB_LIBRARY"
    is "$command into a library: status" $status 2
    has "$command into a library" "$tmp/err" 'folder of a library'
done
run "$bqb" train --data "$tmp/set" --init "$model" --out "$model" --steps 1
is "training into a model's folder: status" $status 1
has "training into a model's folder" "$tmp/err" 'holds a model; choose another folder'
run "$bqb" eval --data "$tmp/set" --muge "$tmp/own"
is "MUGE files beside somebody's texts.jsonl: status" $status 2
has "MUGE files beside somebody's texts.jsonl" "$tmp/err" 'own/texts.jsonl: is there and is no'
is "all of them are as they were" "$(everything)" "$before"

# What bqb made is made anew, under whatever name; and an empty file is nothing to lose.
again() {
    for time in first second; do
        run "$bqb" "$@"
        is "$* $time" "$status" 0
    done
}
: >"$tmp/chart.png"
again stats --chart "$tmp/chart.png"
again stats --chart "$tmp/chart.svg"
again synth --count 2 --sheet "$tmp/sheet"
again synth --count 2 --sheet "$tmp/chart.png"
again embed text 猫 --npy "$tmp/v.npy"
again train --data "$tmp/set" --init "$model" --preview "$tmp/preview.png"
again eval --data "$tmp/set" -z --html "$tmp/page.html" --predictions "$tmp/p.jsonl" --save-score "$tmp/score.json" --confusion "$tmp/conf" --muge "$tmp/muge"
is "predictions are no score" "$("$bqb" eval --data "$tmp/set" --save-score "$tmp/p.jsonl" >/dev/null 2>&1; echo $?)" 2

# A picture that bqb drew, but that is a sticker now.
mkdir "$tmp/drawn"
cp "$tmp/sheet" "$tmp/drawn/sheet.png"
run "$bqb" import "$tmp/drawn"
run "$bqb" stats --chart "$tmp/drawn/sheet.png"
is "a drawing that became a sticker: status" $status 2
has "a drawing that became a sticker" "$tmp/err" 'sheet.png: is a sticker of the library'
same_bytes=$(cmp "$tmp/sheet" "$tmp/drawn/sheet.png" && echo same)
is "it is as it was" "$same_bytes" same

summary spare
