#!/bin/bash
# An OpenAI-style CLIP (causal text tower, byte-level BPE) wherever a model goes:
# looked into, converted, embedding, a library, training and measuring.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
clip=$PWD/tests/golden/clip_openai
export BQB_THREADS=2 BQB_LIBRARY=$tmp/library

expect info 0 'causal.*77 tokens at most' '' "$bqb" model info "$clip"
expect info_json 0 '"kind": "clip"' '' "$bqb" model info "$clip" --json
expect info_other 0 '"kind": "chinese_clip"' '' "$bqb" model info models/mini --json

# A folder of the same kind; again from there, and from its file of weights, the same bits.
expect convert 0 '' '' "$bqb" model convert "$clip" "$tmp/once"
expect convert_again 0 '' '' "$bqb" model convert "$tmp/once" "$tmp/twice"
expect convert_file 0 '' '' "$bqb" model convert "$tmp/once/model.safetensors" "$tmp/thrice"
for f in config.json model.safetensors vocab.json merges.txt; do
    same "converted $f" "$tmp/once/$f" "$tmp/twice/$f"
    same "converted $f" "$tmp/once/$f" "$tmp/thrice/$f"
done
same vocabulary "$clip/vocab.json" "$tmp/once/vocab.json"
same merges "$clip/merges.txt" "$tmp/once/merges.txt"
grep -q '"model_type": "clip"' "$tmp/once/config.json" && ok || fail 'config.json is of another kind'
expect half 0 '' '' "$bqb" model convert "$clip" "$tmp/half" --half
expect to_ofa 1 '' 'causal' "$bqb" model convert "$clip" "$tmp/ofa" --to ofa
expect to_pt 1 '' 'causal' "$bqb" model convert "$clip" "$tmp/pt" --to pt

"$bqb" embed text 'a happy cat' '开心' --model "$clip" >"$tmp/a" 2>/dev/null && "$bqb" embed text 'A  Happy CAT' '开心' --model "$tmp/thrice" >"$tmp/b" 2>/dev/null
[ "$(wc -l <"$tmp/a")" = 2 ] && ok || fail 'embed text'
feature() { sed 's/.*"feature": *//' "$1" >"$1.f"; }
feature "$tmp/a"
feature "$tmp/b"
same embeddings "$tmp/a.f" "$tmp/b.f"

# A library, training and measuring.
expect synth 0 '' '' "$bqb" synth --out "$tmp/set" --count 24 --seed 5
expect import 0 '' '' "$bqb" import "$tmp/set" --model "$clip"
expect search 0 '"results"|"id"' '' "$bqb" search 'cat' --json --model "$clip"
expect train 0 '' 'held-out MR' "$bqb" train --data "$tmp/set" --valid "$tmp/set" --init "$clip" --steps 4 --batch 8 --lr 1e-3 --precision f32 --out "$tmp/run"
for f in config.json model.safetensors vocab.json merges.txt last/vocab.json best/merges.txt; do
    [ -s "$tmp/run/$f" ] && ok || fail "train left no $f"
done
expect go_on 0 '' '' "$bqb" train --resume --steps 6 --out "$tmp/run"
expect straight 0 '' '' "$bqb" train --data "$tmp/set" --init "$tmp/twice" --steps 6 --batch 8 --lr 1e-3 --precision f32 --seed 2 --out "$tmp/other"
differ other_seed "$tmp/run/model.safetensors" "$tmp/other/model.safetensors"
expect eval 0 '^full +24 ' '' "$bqb" eval --model "$tmp/run" --data "$tmp/set"
expect scratch 0 '' '' "$bqb" train --data "$tmp/set" --from-scratch "$clip/config.json" --vocab "$clip/vocab.json" --steps 2 --batch 8 --out "$tmp/fresh"
[ -s "$tmp/fresh/merges.txt" ] && ok || fail 'a model from nothing has no merges.txt'
expect wrong_words 1 '' 'vocabulary size 2514' "$bqb" train --data "$tmp/set" --from-scratch "$clip/config.json" --vocab tests/golden/vocab.txt --steps 2 --batch 8 --out "$tmp/x"

# A tokenizer.json alone, as many published folders have it: the same words, and it goes where the model goes.
whole=$tmp/whole
mkdir "$whole" && cp "$clip/config.json" "$clip/model.safetensors" "$whole"
{
    printf '{"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": '
    cat "$clip/vocab.json"
    printf ', "merges": ['
    tail -n +2 "$clip/merges.txt" | sed 's/[\\"]/\\&/g; s/.*/"&"/' | paste -sd,
    printf ']}}\n'
} >"$whole/tokenizer.json"
"$bqb" embed text 'a happy cat' '开心' --model "$whole" >"$tmp/b" 2>"$tmp/err" && feature "$tmp/b" && same 'tokenizer.json' "$tmp/a.f" "$tmp/b.f" || fail "tokenizer.json: $(cat "$tmp/err")"
expect whole_converted 0 '' '' "$bqb" model convert "$whole" "$tmp/whole2"
same 'tokenizer.json is copied' "$whole/tokenizer.json" "$tmp/whole2/tokenizer.json"
expect whole_train 0 '' '' "$bqb" train --data "$tmp/set" --init "$whole" --steps 2 --batch 8 --out "$tmp/whole3"
expect whole_resume 0 '' '' "$bqb" train --resume --steps 3 --out "$tmp/whole3"
same 'tokenizer.json is kept' "$whole/tokenizer.json" "$tmp/whole3/tokenizer.json"
expect whole_scratch 0 '' '' "$bqb" train --data "$tmp/set" --from-scratch "$clip/config.json" --vocab "$whole/tokenizer.json" --steps 1 --batch 8 --out "$tmp/whole4"
sed -i 's/"BPE"/"Unigram"/' "$tmp/whole2/tokenizer.json"
expect whole_unknown 1 '' 'tokenizer.json: model "Unigram"' "$bqb" embed text a --model "$tmp/whole2"

# Damage is named.
chmod -R u+w "$tmp/twice" && rm "$tmp/twice/merges.txt"
expect no_merges 1 '' 'merges.txt' "$bqb" embed text a --model "$tmp/twice"
echo 'in' >"$tmp/twice/merges.txt"
expect bad_merges 1 '' 'merges.txt: line 1' "$bqb" embed text a --model "$tmp/twice"
echo '{"a": 0}' >"$tmp/thrice/vocab.json"
echo >"$tmp/thrice/merges.txt"
expect bad_vocab 1 '' 'vocab.json: the vocabulary has no' "$bqb" embed text a --model "$tmp/thrice"

summary openai
