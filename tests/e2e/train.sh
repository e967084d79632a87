#!/bin/bash
# Training, measuring, embedding and converting with the built program: a tiny
# model on drawn stickers; killed, resumed, fed with broken input.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
vocab=$PWD/tests/golden/vocab.txt
export BQB_THREADS=2

cat >"$tmp/config.json" <<'JSON'
{"model_type": "chinese_clip", "projection_dim": 32,
 "text_config": {"vocab_size": 2425, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "intermediate_size": 64, "max_position_embeddings": 64, "type_vocab_size": 2},
 "vision_config": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128,
                   "image_size": 32, "patch_size": 8}}
JSON
expect synth 0 '' '' "$bqb" synth --out "$tmp/set" --count 24 --seed 5
data=$tmp/set/captions.tsv
scratch=(--from-scratch "$tmp/config.json" --vocab "$vocab" --batch 8 --lr 2e-3 --warmup 5 --precision f32)

# A run straight through, and what it leaves behind.
expect train 0 - 'held-out MR' "$bqb" train --data "$data" --valid "$data" "${scratch[@]}" --steps 60 --save-every 20 --out "$tmp/straight"
for f in config.json model.safetensors vocab.txt checkpoint.safetensors log.csv valid.csv curve.svg train.json last/model.safetensors best/model.safetensors; do
    [ -s "$tmp/straight/$f" ] && ok || fail "train left no $f"
done
[ "$(wc -l <"$tmp/straight/log.csv")" = 61 ] && ok || fail "log.csv has $(wc -l <"$tmp/straight/log.csv") lines, expected 61"
expect again 1 - 'resume' "$bqb" train --data "$data" "${scratch[@]}" --steps 60 --out "$tmp/straight"

# Killed without warning, three times at different moments; then gone on with to the end.
first=yes
for pause in 0.15 0.3 0.2; do
    if [ $first = yes ] || [ ! -e "$tmp/killed/checkpoint.safetensors" ]; then
        "$bqb" train --data "$data" --valid "$data" "${scratch[@]}" --steps 60 --save-every 3 --out "$tmp/killed" 2>/dev/null &
        pid=$!
        for _ in $(seq 200); do [ -e "$tmp/killed/checkpoint.safetensors" ] && break; sleep 0.05; done
    else
        "$bqb" train --resume --out "$tmp/killed" 2>/dev/null &
        pid=$!
    fi
    first=no
    sleep "$pause"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
expect resume_after_kill 0 - '' "$bqb" train --resume --out "$tmp/killed"
same kill_9_resume "$tmp/straight/model.safetensors" "$tmp/killed/model.safetensors"
same kill_9_valid "$tmp/straight/valid.csv" "$tmp/killed/valid.csv"
[ -z "$(find "$tmp/killed" -name '*.tmp.*')" ] && ok || fail "half-written files are left: $(find "$tmp/killed" -name '*.tmp.*')"

cp "$tmp/killed/model.safetensors" "$tmp/copy.safetensors"

# The same run again from what it wrote down; an option wins over that.
expect settings 0 - '' "$bqb" train --settings "$tmp/straight/train.json" --out "$tmp/again"
same settings "$tmp/straight/model.safetensors" "$tmp/again/model.safetensors"
expect settings_option 0 - '' "$bqb" train --settings "$tmp/straight/train.json" --steps 3 --out "$tmp/shorter"
[ "$(wc -l <"$tmp/shorter/log.csv")" = 4 ] && ok || fail "--steps does not win over --settings"
echo '{"learning_rate": 1}' >"$tmp/wrong.json"
expect settings_unknown 1 - 'wrong.json: "learning_rate" is no setting' "$bqb" train --settings "$tmp/wrong.json" --out "$tmp/x"

# Average and patience: with no rate there is no gain.
expect patience 0 - 'stopped early, after step 6' "$bqb" train --data "$data" --valid "$data" "${scratch[@]}" --lr 0 --ema 0.9 \
    --valid-every 2 --patience 3 --steps 60 --out "$tmp/patient"
expect patience_blind 1 - 'patience' "$bqb" train --data "$data" "${scratch[@]}" --patience 3 --steps 60 --out "$tmp/x"

# A look at the first batch, nothing else; then with the same data twice.
expect preview 0 - 'sheet.png: the first batch' "$bqb" train --data "$data" "${scratch[@]}" --augment rand --mask-ratio 0.25 --preview "$tmp/sheet.png" --out "$tmp/looked"
head -c 8 "$tmp/sheet.png" | grep -q PNG && [ ! -e "$tmp/looked" ] && ok || fail 'preview'
expect duplicates 0 - '' "$bqb" train --data "$data" --data "$data" "${scratch[@]}" --augment rand --duplicates positive --steps 4 --out "$tmp/twice"
expect duplicates_said 0 - '24 different texts' "$bqb" train --data "$data" --data "$data" "${scratch[@]}" --augment rand --steps 4 --out "$tmp/twice2"
differ duplicates "$tmp/twice/model.safetensors" "$tmp/twice2/model.safetensors"
expect duplicates_how 1 - 'duplicates "maybe"' "$bqb" train --data "$data" "${scratch[@]}" --duplicates maybe --out "$tmp/x"

# Out of range: by name, before the first step.
expect eps_0 1 - 'eps 0 is not within' "$bqb" train --data "$data" "${scratch[@]}" --eps 0 --steps 4 --out "$tmp/x"
expect context_long 1 - 'context 65: .*64 tokens' "$bqb" train --data "$data" "${scratch[@]}" --context 65 --steps 4 --out "$tmp/x"

# What would not fit is refused before it begins, with what would; and then that does run.
sed 's/"vision_config": {\(.*\)"num_hidden_layers": 2/"vision_config": {\1"num_hidden_layers": 40/' "$tmp/config.json" | sed 's/"patch_size": 8/"patch_size": 2/' >"$tmp/deep.json"
deep=(--data "$data" --from-scratch "$tmp/deep.json" --vocab "$vocab" --precision f32 --batch 24 --steps 1)
expect memory 1 - 'needs about [0-9.]+ GiB .*there are 1.0; --batch [0-9]+.*--chunk' bash -c 'ulimit -v 1000000; exec "$@"' - "$bqb" train "${deep[@]}" --out "$tmp/deep"
expect memory_said 0 - 'memory: about [0-9.]+ of [0-9.]+ GiB' "$bqb" train "${deep[@]}" --batch 2 --chunk 1 --recompute --freeze image:38 --out "$tmp/deep2"

# Only the top learns: the rest is computed once, or in every step and then says so.
expect frozen 0 - 'million parameters learn' "$bqb" train --data "$data" --init "$tmp/straight" --freeze image:1,text --augment off --batch 8 --steps 6 --precision f32 --out "$tmp/frozen"
ls "$tmp/frozen"/trunk-*.cache >"$tmp/out" 2>&1 && ok || fail "no trunk: $(cat "$tmp/out")"
expect frozen_augmented 0 - 'with --augment off' "$bqb" train --data "$data" --init "$tmp/straight" --freeze image:1 --batch 8 --steps 2 --out "$tmp/frozen2"
expect frozen_too_much 1 - 'cannot be frozen, it has 2' "$bqb" train --data "$data" --init "$tmp/straight" --freeze image:3 --batch 8 --steps 2 --out "$tmp/frozen3"

# Ctrl-C writes the checkpoint.
"$bqb" train --data "$data" --valid "$data" "${scratch[@]}" --steps 60 --save-minutes 0 --out "$tmp/stopped" 2>"$tmp/err" &
pid=$!
for _ in $(seq 200); do [ "$(wc -l 2>/dev/null <"$tmp/stopped/log.csv")" -gt 5 ] 2>/dev/null && break; sleep 0.02; done
kill -TERM $pid
wait $pid
status=$?
if [ $status = 0 ]; then ok # it was faster
elif [ $status = 1 ] && grep -q 'stopped after step' "$tmp/err"; then ok
else fail "SIGTERM: exit status $status: $(tail -2 "$tmp/err")"; fi
expect resume_after_stop 0 - '' "$bqb" train --resume --out "$tmp/stopped"
same stop_resume "$tmp/straight/model.safetensors" "$tmp/stopped/model.safetensors"

# Planted: another seed must not give the same bytes.
expect other_seed 0 - '' "$bqb" train --data "$data" "${scratch[@]}" --steps 60 --seed 2 --out "$tmp/other"
differ other_seed "$tmp/straight/model.safetensors" "$tmp/other/model.safetensors"

expect resume_changed 1 - 'batch = 8' "$bqb" train --resume --batch 4 --out "$tmp/straight"
expect resume_nothing 1 - 'checkpoint' "$bqb" train --resume --out "$tmp/nowhere"
expect longer 0 - 'learning rate' "$bqb" train --resume --steps 64 --out "$tmp/straight"
[ "$(wc -l <"$tmp/straight/log.csv")" = 65 ] && ok || fail "after going on, log.csv has $(wc -l <"$tmp/straight/log.csv") lines"
expect fine_tune 0 - '' "$bqb" train --data "$data" --init "$tmp/straight" --steps 3 --batch 8 --half --out "$tmp/tuned"
[ "$(stat -c %s "$tmp/tuned/model.safetensors")" -lt "$(stat -c %s "$tmp/straight/model.safetensors")" ] && ok || fail "--half is not smaller"

# Input that is not what it should be.
expect no_data 2 - 'data is needed' "$bqb" train --out "$tmp/x"
expect no_file 1 - 'nothing.tsv: No such file' "$bqb" train --data "$tmp/nothing.tsv" "${scratch[@]}" --out "$tmp/x"
expect no_start 2 - 'init' "$bqb" train --data "$data" --out "$tmp/x"
expect no_number 1 - 'step [0-9]+: the loss is' "$bqb" train --data "$data" "${scratch[@]}" --lr 1e30 --warmup 0 --steps 50 --out "$tmp/nan"
cp -r "$tmp/set" "$tmp/broken"
first=$(sed -n 2p "$tmp/broken/captions.tsv" | cut -f1)
second=$(sed -n 3p "$tmp/broken/captions.tsv" | cut -f1)
head -c 100 "$tmp/set/$first" >"$tmp/broken/$first"
rm "$tmp/broken/$second"
expect broken_pictures 0 - "$second" "$bqb" train --data "$tmp/broken" "${scratch[@]}" --steps 4 --out "$tmp/x1"
grep -q "$first" "$tmp/err" && grep -q '1 picture could not be read and is left out' "$tmp/err" && grep -q 'left out: 1 missing file$' "$tmp/err" &&
    grep -q '^22 stickers (1 more cannot be read and is left out), 8 in a batch, 4 steps' "$tmp/err" && ok || fail "a cut picture is not named: $(head -5 "$tmp/err")"
mkdir -p "$tmp/x3/pixels-32.cache"
expect no_room_for_the_cache 1 - 'pixel cache .*pictures need [0-9.]+ MiB, up to [0-9.]+' "$bqb" train --data "$data" "${scratch[@]}" --steps 4 --out "$tmp/x3"
expect no_cache 0 - '' "$bqb" train --data "$tmp/broken" "${scratch[@]}" --steps 4 --cache-max 0 --out "$tmp/x2"
head -c 1000 "$tmp/straight/checkpoint.safetensors" >"$tmp/killed/checkpoint.safetensors"
expect cut_checkpoint 0 - 'checkpoint.safetensors: .*going on from the one before it' "$bqb" train --resume --out "$tmp/killed"
same cut_checkpoint "$tmp/copy.safetensors" "$tmp/killed/model.safetensors"
for f in checkpoint checkpoint.older; do head -c 1000 "$tmp/straight/checkpoint.safetensors" >"$tmp/killed/$f.safetensors"; done
expect cut_checkpoints 1 - 'checkpoint.safetensors' "$bqb" train --resume --out "$tmp/killed"

# A full disk (a limit on the size of files stands for it): what is needed, what is kept.
trap '' XFSZ
"$bqb" train --data "$data" "${scratch[@]}" --steps 4 --save-every 2 --out "$tmp/full" 2>"$tmp/err" </dev/null || fail "full: $(tail -1 "$tmp/err")"
cp "$tmp/full/checkpoint.safetensors" "$tmp/kept"
expect full_disk 1 - 'checkpoint.safetensors: .*[0-9.]+ MB are needed.*of step 4, is kept' bash -c "ulimit -f 600; exec '$bqb' train --resume --steps 8 --out '$tmp/full'"
same full_disk "$tmp/kept" "$tmp/full/checkpoint.safetensors"
expect room_again 0 - '' "$bqb" train --resume --steps 8 --out "$tmp/full"
trap - XFSZ

# Without room for a first checkpoint there is nothing to resume; the limit is named, and the same command begins again.
fine=(--data "$data" --init "$tmp/straight" --batch 8 --steps 4 --save-every 2 --precision f32 --out "$tmp/first")
expect no_first 1 - 'checkpoint.safetensors: .*files may have 0\.6: ulimit -f.*no checkpoint yet\. The same command begins again' \
    bash -c 'ulimit -f 600; exec "$@"' - "$bqb" train "${fine[@]}"
expect first_again 0 - '' "$bqb" train "${fine[@]}"

# Recall of what was learnt by heart, in every form.
expect eval_table 0 '^full +24 +0 ' '' "$bqb" eval --model "$tmp/straight" --data "$data"
expect eval_all 0 '^short +[0-9]+ ' '' "$bqb" eval --model "$tmp/straight" --data "$data" --query all
expect eval_json 0 '"images": 24' '' "$bqb" eval --model "$tmp/straight" --data "$data" --json --save-score "$tmp/score.json" --predictions "$tmp/p.jsonl"
grep -qE '^\{"success":true,"score":[0-9.]+,"scoreJson":\{"score":[0-9.]+,"mean_recall":[0-9.]+,"r1":[0-9.]+,"r5":[0-9.]+,"r10":[0-9.]+\}\}$' "$tmp/score.json" && ok || fail "score: $(cat "$tmp/score.json")"
[ "$(grep -cE '^\{"text_id":[0-9]+,"image_ids":\["images/.*"\]\}$' "$tmp/p.jsonl")" = 24 ] && ok || fail "predictions: $(head -2 "$tmp/p.jsonl")"
# The score says what the predictions say.
hits=$(paste <(tail -n +2 "$data" | cut -f1) <(sed 's/.*"image_ids":\["\([^"]*\)".*/\1/' "$tmp/p.jsonl") | awk -F'\t' '$1 == $2' | wc -l)
r1=$(sed 's/.*"r1":\([0-9]*\).*/\1/' "$tmp/score.json")
[ $((hits * 100 / 24)) = "$r1" ] && ok || fail "R@1 is $r1, but $hits of 24 predictions begin with the right one"
expect eval_limit 0 '^full +5 ' '' "$bqb" eval --model "$tmp/straight" --data "$data" --limit 5
expect eval_kind 2 - 'everything' "$bqb" eval --model "$tmp/straight" --data "$data" --query everything
expect eval_no_model 1 - 'nothing' "$bqb" eval --model "$tmp/nothing" --data "$data"

# Vectors.
expect embed_text 0 '^\{"text":"a\\"好","feature":\[-?[0-9.e-]+(,-?[0-9.e-]+){31}\]\}$' - "$bqb" embed text --model "$tmp/straight" 'a"好'
printf '好\n\n坏\xff\n下班\r\n' >"$tmp/lines"
"$bqb" embed text --model "$tmp/straight" - <"$tmp/lines" >"$tmp/out" 2>"$tmp/err"
[ $? = 1 ] && [ "$(wc -l <"$tmp/out")" = 3 ] && grep -q UTF-8 "$tmp/err" && grep -q '^{"text":"下班",' "$tmp/out" && ok || fail "lines of standard input: $(cut -c1-60 "$tmp/out") $(cat "$tmp/err")"
length=$(awk -F'[][]' '{n = split($2, v, ","); s = 0; for (i = 1; i <= n; i++) s += v[i] * v[i]; if (s < 0.99999 || s > 1.00001) bad++} END {print bad + 0}' "$tmp/out")
[ "$length" = 0 ] && ok || fail "$length vectors are not of unit length"
expect embed_image 1 '^\{"image":".*/images/.*","feature":' 'none.png' "$bqb" embed image --model "$tmp/straight" "$tmp/set/images" "$tmp/none.png"
[ "$(wc -l <"$tmp/out")" = 24 ] && ok || fail "a folder gives $(wc -l <"$tmp/out") lines, expected 24"
expect embed_npy 0 '^\{"image":".*","row":23\}$' '' "$bqb" embed image --model "$tmp/straight" --npy "$tmp/v.npy" "$tmp/set/images"
[ $(($(stat -c %s "$tmp/v.npy") % 64)) = 0 ] && grep -aq "'shape': (24, 32)" "$tmp/v.npy" && ok || fail "npy: $(head -c 128 "$tmp/v.npy" | tr -d '\0')"
expect embed_int8 1 - 'int8 is not supported by this build' "$bqb" embed text --model "$tmp/straight" --precision int8 x
expect embed_nothing 2 - 'nothing to embed' "$bqb" embed text --model "$tmp/straight"
expect embed_word 2 - 'neither' "$bqb" embed sound x

# Model folders.
expect info 0 'vocabulary  2425' - "$bqb" model info "$tmp/straight"
expect info_json 0 '"vocabulary": 2425' - "$bqb" model info "$tmp/straight" --json
expect to_ofa 0 - - "$bqb" model convert "$tmp/straight" "$tmp/ofa" --to ofa
expect to_hf 0 - - "$bqb" model convert "$tmp/ofa" "$tmp/hf"
same there_and_back "$tmp/straight/model.safetensors" "$tmp/hf/model.safetensors"
"$bqb" embed text --model "$tmp/straight" 下班 >"$tmp/a" && "$bqb" embed text --model "$tmp/ofa" 下班 >"$tmp/b"
same ofa_embeds_the_same "$tmp/a" "$tmp/b"
expect convert_itself 1 - 'same folder' "$bqb" model convert "$tmp/straight" "$tmp/straight/."
expect info_nothing 1 - 'nowhere' "$bqb" model info "$tmp/nowhere"

summary train
