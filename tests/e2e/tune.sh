#!/bin/bash
# Tuning and measuring a language model with the built program: killed, resumed, stopped, the wrong pair, its report.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
export BQB_THREADS=2
llm=$PWD/${LLM:-models/mini-lm}
[ -n "${LLM:-}" ] && llm=$LLM
if [ ! -e "$llm/model.safetensors" ]; then
    echo "  skipped: there is no language model $llm"
    echo "tune: 0 passed, 0 failed, 1 skipped"
    exit 0
fi

expect synth 0 '' '' "$bqb" synth --out "$tmp/set" --count 24 --seed 5 --split train
expect synth_test 0 '' '' "$bqb" synth --out "$tmp/test" --count 12 --seed 6 --split test
common=(--llm "$llm" --data "$tmp/set" --batch 8 --lr 2e-3 --steps 12 --cache "$tmp/cache")
expect tune 0 - 'held-out MR' "$bqb" tune "${common[@]}" --valid "$tmp/test" --out "$tmp/straight"
for f in adapter.json adapter.safetensors checkpoint.safetensors log.jsonl; do
    [ -s "$tmp/straight/$f" ] && ok || fail "tune left no $f"
done
grep -q 'memory: about' "$tmp/err" && ok || fail "the memory is not said: $(head -3 "$tmp/err")"
[ "$(grep -c loss_words "$tmp/straight/log.jsonl")" = 12 ] && ok || fail "log.jsonl has $(wc -l <"$tmp/straight/log.jsonl") lines"
expect again 1 - '--resume goes on' "$bqb" tune "${common[@]}" --out "$tmp/straight"

# Killed without warning after some checkpoints, gone on with to the end: the same adapter.
"$bqb" tune "${common[@]}" --save-every 1 --out "$tmp/killed" 2>/dev/null &
pid=$!
for _ in $(seq 400); do [ "$(cat "$tmp/killed/log.jsonl" 2>/dev/null | wc -l)" -ge 4 ] && break; sleep 0.02; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
[ -e "$tmp/killed/checkpoint.safetensors" ] && ok || fail 'no checkpoint after kill -9'
expect resume 0 - '12 steps|nothing to do' "$bqb" tune --resume --out "$tmp/killed"
same killed "$tmp/straight/adapter.safetensors" "$tmp/killed/adapter.safetensors"
[ "$(grep -c loss_words "$tmp/killed/log.jsonl")" = 12 ] && ok || fail "the log of the resumed run has $(wc -l <"$tmp/killed/log.jsonl") lines"
# Ctrl-C.
"$bqb" tune "${common[@]}" --steps 1000 --out "$tmp/stopped" 2>"$tmp/stopped.err" &
pid=$!
for _ in $(seq 400); do [ "$(cat "$tmp/stopped/log.jsonl" 2>/dev/null | wc -l)" -ge 2 ] && break; sleep 0.02; done
kill -INT $pid
wait $pid
[ $? = 1 ] && grep -q 'stopped after step' "$tmp/stopped.err" && [ -s "$tmp/stopped/adapter.json" ] && ok || fail "Ctrl-C: $(tail -1 "$tmp/stopped.err")"
expect resume_other 1 - 'lr 0.002' "$bqb" tune --resume --out "$tmp/stopped" --lr 1
expect no_out 2 - '--out is needed' "$bqb" tune --llm "$llm"
expect no_llm 2 - '--llm is needed' "$bqb" tune --out "$tmp/x"
expect no_such_llm 1 - 'nowhere' "$bqb" tune --llm "$tmp/nowhere" --data "$tmp/set" --out "$tmp/x"
expect both_sources 2 - 'either --data or --library' "$bqb" tune --llm "$llm" --data "$tmp/set" --library "$tmp/lib" --out "$tmp/x"

# From a library.
expect import 0 '' '' "$bqb" -L "$tmp/lib" import "$tmp/set"
expect library 0 - '3 steps' "$bqb" tune --llm "$llm" --library "$tmp/lib" --steps 3 --batch 4 --out "$tmp/from-library"

# The report.
expect eval 0 'recall .*language model' '' "$bqb" eval --llm "$llm" --adapter "$tmp/straight" --data "$tmp/test" --asks 5
for s in '^words: whole annotation +12 ' '^for something else ' ' 0 logits differ '; do
    grep -qE "$s" "$tmp/out" && ok || fail "the report has no $s: $(cat "$tmp/out")"
done
expect eval_json 0 '"logits_changed": 0' '' "$bqb" eval --llm "$llm" --adapter "$tmp/straight" --data "$tmp/test" --asks 5 --json
expect eval_mixed 2 - '--llm has a report of its own' "$bqb" eval --llm "$llm" --data "$tmp/test" --html "$tmp/x.html"
expect eval_no_adapter 1 - 'adapter.json' "$bqb" eval --llm "$llm" --adapter "$tmp/set" --data "$tmp/test"

# Another language model: one number of it changed. Both are named.
cp -r "$llm" "$tmp/other"
sed -i 's/"rms_norm_eps": *[0-9.e-]*/"rms_norm_eps": 0.0009/' "$tmp/other/config.json"
expect wrong_pair 1 - "belongs to the language model \"$(basename "$llm")\".* not to \"other\"" "$bqb" eval --llm "$tmp/other" --adapter "$tmp/straight" --data "$tmp/test"
expect bench 0 'tuning: lessons .*a tape of every token' '' "$bqb" bench --tune "$llm" --seconds 0.01

summary tune
