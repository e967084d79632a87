#!/bin/bash
# Where training data may come from, splitting it and describing it.
cd "$(dirname "$0")/../.." || exit 2
. tests/library_help.sh
export BQB_THREADS=2

run "$bqb" synth --out "$tmp/set" --count 16 --seed 3
is synth "$status" 0
cp -r "$tmp/set" "$tmp/odd"

# --- the same stickers as a table, as a library, and inside MUGE's files ---
run "$bqb" import "$tmp/set"
is import "$status" 0
{
    n=0
    while IFS=$'\t' read -r file _; do
        printf '%d\t%s\n' $((n++)) "$(base64 -w0 "$tmp/set/$file")"
    done < <(tail -n +2 "$tmp/set/captions.tsv")
} >"$tmp/train_imgs.tsv"
tail -n +2 "$tmp/set/captions.tsv" | awk -F'\t' '{ gsub(/"/, "", $2); printf "{\"text_id\": %d, \"text\": \"%s\", \"image_ids\": [%d]}\n", NR, $2, NR - 1 }' >"$tmp/train_texts.jsonl"
scores=
for data in "$tmp/set" "$BQB_LIBRARY" "$tmp/train_imgs.tsv" "$tmp/train"; do
    run "$bqb" eval --data "$data" --query caption --json
    is "eval $data" "$status" 0
    json "pictures of $data" .images 16
    scores="$scores $(jq -c .query.caption.text_to_any "$tmp/out")"
done
is same_scores "$(echo $scores | tr ' ' '\n' | sort -u | wc -l)" 1
run "$bqb" eval --data "$tmp/train" --predictions "$tmp/p.jsonl"
has muge_ids "$tmp/p.jsonl" '"image_ids":\[[0-9]+,'
run "$bqb" train --data "$BQB_LIBRARY" --valid "$tmp/train" --init "$model" --steps 1 --batch 4 --out "$tmp/out1"
is train_on_a_library "$status" 0
has "train names the whole" "$tmp/err" '16 stickers'
run "$bqb" train --data "$tmp/train" --init "$model" --steps 1 --batch 400 --out "$tmp/out2"
is train_on_muge "$status" 0
has batch_larger_than_data "$tmp/err" 'only 16 stickers can be used'

# --- what is not as it should be ---
first=$(sed -n 2p "$tmp/odd/captions.tsv" | cut -f1)
rm "$tmp/odd/$first"
sed -i '3s/\t.*/\t\t\t\t\t/' "$tmp/odd/captions.tsv"
run "$bqb" eval --data "$tmp/odd" --json
json odd .images 14
has missing_named "$tmp/err" "$first: No such file"
has empty_named "$tmp/err" 'no text'
awk -F'\t' -v OFS='\t' 'NR == 1 { print "file", "caption" } NR > 1 { print $1, "表情" }' "$tmp/set/captions.tsv" >"$tmp/odd/captions.tsv"
cp "$tmp/set/$first" "$tmp/odd/$first"
run "$bqb" train --data "$tmp/odd" --init "$model" --steps 1 --batch 4 --out "$tmp/out3"
is one_text "$status" 1
has one_text_said "$tmp/err" 'all 16 stickers have the same text \(表情\)'
run "$bqb" eval --data "$tmp"
is two_or_none "$status" 0 # of one set in a folder that one is meant
cp "$tmp/train_imgs.tsv" "$tmp/valid_imgs.tsv"
run "$bqb" eval --data "$tmp"
is which_set "$status" 1
has which_set "$tmp/err" 'name one of them: .*_imgs.tsv, .*_imgs.tsv'

# --- splitting ---
rm "$tmp/valid_imgs.tsv"
first=$(sed -n 2p "$tmp/set/captions.tsv" | cut -f1)
cp "$tmp/set/$first" "$tmp/set/images/again.${first##*.}"
printf 'images/again.%s\t再来一次\t\t\t\t\n' "${first##*.}" >>"$tmp/set/captions.tsv"
run "$bqb" split "$tmp/set" --out "$tmp/parts" --valid 0.25 --test 0.25 --json
is split "$status" 0
json split_counts '[.stickers, .exact, .unreadable, .train + .valid + .test + .near]' '[17,1,0,16]'
is split_left_out "$(grep -c "again.*$first.*exact" "$tmp/parts/left-out.tsv")" 1
names=$(for side in train valid test; do tail -n +2 "$tmp/parts/$side/captions.tsv" | cut -f1; done | sort)
is split_once "$(uniq -d <<<"$names" | wc -l)" 0
for side in train valid test; do
    while read -r file; do [ -f "$tmp/parts/$side/$file" ] && ok || fail "$side names $file, which is not there"; done < <(tail -n +2 "$tmp/parts/$side/captions.tsv" | cut -f1)
    run "$bqb" eval --data "$tmp/parts/$side" --query short
    is "eval of $side" "$status" 0
done
run "$bqb" split "$tmp/set" --out "$tmp/parts" --valid 0.25 --test 0.25
is split_again "$status" 1
has split_again "$tmp/err" 'already'
run "$bqb" split "$tmp/set" --out "$tmp/parts2" --valid 0.25 --test 0.25
cmp -s "$tmp/parts/test/captions.tsv" "$tmp/parts2/test/captions.tsv" && ok || fail 'the same seed gives another split'
run "$bqb" split "$tmp/set" --out "$tmp/parts3" --valid 0.25 --test 0.25 --seed 2
cmp -s "$tmp/parts/test/captions.tsv" "$tmp/parts3/test/captions.tsv" && fail 'another seed gives the same split' || ok
run "$bqb" split "$tmp/train" --out "$tmp/parts4" --test 0 --pictures link
is split_muge "$status" 0
has split_muge "$tmp/out" 'pictures copied'
[ ! -e "$tmp/parts4/test" ] && [ -f "$tmp/parts4/valid/captions.tsv" ] && ok || fail 'a share of 0 is written'
run "$bqb" split "$tmp/set" --out "$tmp/x" --valid 0.6 --test 0.4
is split_no_train "$status" 2
run "$bqb" split "$tmp/set"
is split_no_out "$status" 2
run "$bqb" split "$tmp/set" --out "$tmp/x" --pictures move
is split_how "$status" 2
run "$bqb" split "$tmp/nothing" --out "$tmp/x"
is split_nothing "$status" 1
# Ctrl-C: no tables, no scratch file, and the same command goes on.
"$bqb" split "$tmp/set" "$tmp/set" "$tmp/set" --out "$tmp/parts5" >"$tmp/out" 2>"$tmp/err" &
pid=$!
for _ in $(seq 100); do [ -d "$tmp/parts5/train" ] && break; sleep 0.01; done
kill -INT $pid
wait $pid
status=$?
if [ $status = 0 ]; then ok # it was faster
else
    is split_stopped "$status" 1
    [ -z "$(find "$tmp/parts5" -type f)" ] && ok || fail "a stopped split leaves $(find "$tmp/parts5" -type f)"
    run "$bqb" split "$tmp/set" "$tmp/set" "$tmp/set" --out "$tmp/parts5"
    is split_after_stop "$status" 0
fi

# --- in figures ---
run "$bqb" stats --json
json stats_library '[.stickers, .files, .caption_length.n, (.emotions | map(.n) | add), (.caption_length.histogram | map(.n) | add)]' '[16,16,16,16,16]'
run "$bqb" stats --data "$tmp/train" --json --chart "$tmp/chart.png"
json stats_muge '[.stickers, .queries, .unreadable, .left_out, has("files")]' '[16,16,0,0,false]'
is chart_png "$(head -c 4 "$tmp/chart.png" | tail -c 3)" PNG
run "$bqb" stats --data "$tmp/odd" --chart "$tmp/chart.svg" --title '一<二'
is stats_table "$status" 0
has stats_table "$tmp/out" '^caption, characters +16 +2\.0 '
has chart_title "$tmp/chart.svg" '一&lt;二'
if command -v xmllint >/dev/null; then run xmllint --noout "$tmp/chart.svg"; is chart_is_xml "$status" 0; fi
printf 'no picture' >"$tmp/odd/$first"
run "$bqb" stats --data "$tmp/odd"
has stats_unreadable "$tmp/out" '^ +1  cannot be read'
run "$bqb" stats --data "$tmp/nothing"
is stats_nothing "$status" 1
run "$bqb" stats --chart "$tmp/no/such/folder.svg"
is chart_nowhere "$status" 1
run "$bqb" stats --title x
is title_alone "$status" 2

summary data
