#!/bin/bash
# bqb pretrain: a tiny run learns, and one that was killed or stopped comes to the same numbers.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
export BQB_THREADS=2

# Text of its own: sentences that a model of a few thousand numbers can learn.
for i in $(seq 400); do echo "$i 只小猫，一只小狗；$((i % 10)) 个苹果。"; echo; done >"$tmp/text"
tiny=(--text "$tmp/text" --vocab 320 --width 32 --layers 2 --heads 2 --kv-heads 1 --mlp 48 --context 64 --steps 60 --batch 512 --lr 5e-3 --precision f32
      --valid-every 20 --save-minutes 0)

expect pretrain 0 'held-out perplexity' 'vocabulary of' "$bqb" pretrain "${tiny[@]}" --out "$tmp/straight"
for f in config.json model.safetensors tokenizer.json checkpoint.safetensors log.csv valid.csv; do
    [ -s "$tmp/straight/$f" ] && ok || fail "pretrain left no $f"
done
[ "$(wc -l <"$tmp/straight/log.csv")" = 61 ] && ok || fail "log.csv has $(wc -l <"$tmp/straight/log.csv") lines, expected 61"
awk -F, 'NR == 2 {first = $3} {last = $3} END {exit !(last < first / 2 && last > 1)}' "$tmp/straight/valid.csv" && ok ||
    fail "the held-out perplexity did not sink: $(cat "$tmp/straight/valid.csv")"
expect again 1 - 'resume' "$bqb" pretrain "${tiny[@]}" --out "$tmp/straight"
expect nothing_to_resume 1 - 'no checkpoint' "$bqb" pretrain "${tiny[@]}" --out "$tmp/none" --resume
expect no_text 1 - 'at least 50' "$bqb" pretrain --text tests/program_help.sh --out "$tmp/few"
expect no_out 2 - 'out is needed' "$bqb" pretrain
expect precision 2 - 'precision int4' "$bqb" pretrain --out "$tmp/x" --precision int4

# Killed without warning, then gone on with: the same model, the same tables.
go=()
for pause in 0.1 0.2 0.15; do
    "$bqb" pretrain "${tiny[@]}" --out "$tmp/killed" "${go[@]}" 2>/dev/null &
    pid=$!
    for _ in $(seq 200); do [ -e "$tmp/killed/checkpoint.safetensors" ] && break; sleep 0.05; done
    sleep "$pause"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    go=(--resume)
done
expect resume_after_kill 0 '' '' "$bqb" pretrain "${tiny[@]}" --out "$tmp/killed" --resume
same kill_9_resume "$tmp/straight/model.safetensors" "$tmp/killed/model.safetensors"
same kill_9_valid "$tmp/straight/valid.csv" "$tmp/killed/valid.csv"
expect other_settings 1 - 'lr 0.005' "$bqb" pretrain "${tiny[@]}" --lr 1e-3 --out "$tmp/killed" --resume

# From another model; only what the assistant says.
for i in $(seq 60); do printf '<|im_start|>user\n%d?<|im_end|>\n<|im_start|>assistant\n小猫%d<|im_end|>\n<|endoftext|>\n' $i $i; done >"$tmp/talk"
more=(--text "$tmp/talk" --init "$tmp/straight" --width 32 --layers 2 --heads 2 --kv-heads 1 --mlp 48 --context 64 --steps 5 --batch 512 --precision f32)
expect init 0 'held-out perplexity' '' "$bqb" pretrain "${more[@]}" --out "$tmp/more"
same init_tokenizer "$tmp/straight/tokenizer.json" "$tmp/more/tokenizer.json"
expect init_other_size 1 - '64 is needed' "$bqb" pretrain "${more[@]}" --width 64 --out "$tmp/other"
expect answers_unknown 1 - 'no token "assistant"' "$bqb" pretrain "${more[@]}" --answers --out "$tmp/answers"
expect answers 0 'held-out perplexity' '' "$bqb" pretrain --text "$tmp/talk" --vocab 300 "${more[@]:4}" --answers --out "$tmp/answers2"
expect recall 0 'held-out perplexity' '' "$bqb" pretrain --text "$tmp/talk" --vocab 300 "${more[@]:4}" --answers --recall '小猫' --out "$tmp/recall"
differ recall "$tmp/answers2/model.safetensors" "$tmp/recall/model.safetensors"

# Ctrl-C leaves a checkpoint.
"$bqb" pretrain "${tiny[@]}" --steps 100000 --save-minutes 60 --out "$tmp/stopped" 2>"$tmp/said" &
pid=$!
for _ in $(seq 200); do [ "$(cat "$tmp/stopped/log.csv" 2>/dev/null | wc -l)" -gt 3 ] && break; sleep 0.05; done
kill -INT $pid
wait $pid
[ -s "$tmp/stopped/checkpoint.safetensors" ] && grep -q 'resume goes on' "$tmp/said" && ok || fail "Ctrl-C: $(cat "$tmp/said")"

summary pretrain
