#!/bin/bash
# bqb model convert with the built program: Hugging Face folders, the original
# code's names and PyTorch checkpoints, back and forth; hostile checkpoints.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh

# HF → the original names, as a checkpoint and as safetensors → HF: not one bit differs.
expect to_f32 0 '' - "$bqb" model convert models/mini "$tmp/hf"
expect to_pt 0 '' - "$bqb" model convert "$tmp/hf" "$tmp/pt" --to pt
expect from_pt_folder 0 '' - "$bqb" model convert "$tmp/pt" "$tmp/back"
same pt_folder "$tmp/hf/model.safetensors" "$tmp/back/model.safetensors"
same pt_config "$tmp/hf/config.json" "$tmp/back/config.json"
same pt_vocabulary "$tmp/hf/vocab.txt" "$tmp/back/vocab.txt"
expect to_ofa 0 '' - "$bqb" model convert "$tmp/hf" "$tmp/ofa" --to ofa
expect from_ofa 0 '' - "$bqb" model convert "$tmp/ofa" "$tmp/back2"
same ofa "$tmp/hf/model.safetensors" "$tmp/back2/model.safetensors"

# The file alone: shapes from the weights.
mkdir "$tmp/alone"
cp "$tmp/pt/model.pt" "$tmp/alone/clip_cn_mini.pt"
expect no_vocabulary 1 '' 'no vocab.txt and no tokenizer.json beside it; --vocab FILE' "$bqb" model convert "$tmp/alone/clip_cn_mini.pt" "$tmp/never"
expect alone 0 '' - "$bqb" model convert "$tmp/alone/clip_cn_mini.pt" "$tmp/back3" --vocab "$tmp/hf/vocab.txt"
same alone "$tmp/hf/model.safetensors" "$tmp/back3/model.safetensors"
same alone_config "$tmp/hf/config.json" "$tmp/back3/config.json"
sed '/image_resolution/s/128/112/' "$tmp/pt/config.json" >"$tmp/other.json"
expect given_config 1 '' 'positional_embedding.*\[65,256\], the config needs \[50,256\]' \
    "$bqb" model convert "$tmp/alone/clip_cn_mini.pt" "$tmp/never" --vocab "$tmp/hf/vocab.txt" --config "$tmp/other.json"
cp "$tmp/ofa/model.safetensors" "$tmp/alone/x.safetensors"
cp "$tmp/hf/vocab.txt" "$tmp/alone"
expect safetensors_alone 0 '' - "$bqb" model convert "$tmp/alone/x.safetensors" "$tmp/back4"
same safetensors_alone "$tmp/hf/model.safetensors" "$tmp/back4/model.safetensors"
expect half 0 '' - "$bqb" model convert "$tmp/alone/x.safetensors" "$tmp/half" --to pt --half
differ half "$tmp/half/model.pt" "$tmp/pt/model.pt"
expect half_back 0 '' - "$bqb" model convert "$tmp/half" "$tmp/half2" --half
same half_back models/mini/model.safetensors "$tmp/half2/model.safetensors"
expect stale 1 '' 'model.safetensors is there already' "$bqb" model convert "$tmp/hf" "$tmp/ofa" --to pt
sum=$(sha256sum "$tmp/half2"/*)
expect over_a_model 1 '' 'model.safetensors is there already: name another folder' "$bqb" model convert "$tmp/hf" "$tmp/half2"
[ "$(sha256sum "$tmp/half2"/*)" = "$sum" ] && ok || fail "a model was written over"
expect folder_options 1 '' 'for a file of weights' "$bqb" model convert "$tmp/hf" "$tmp/never" --vocab "$tmp/hf/vocab.txt"
expect form 2 '' 'hf, ofa or pt' "$bqb" model convert "$tmp/hf" "$tmp/never" --to onnx

# A folder with a checkpoint is a model folder.
a=$("$bqb" embed text --model "$tmp/hf" 猫 2>&1) b=$("$bqb" embed text --model "$tmp/pt" 猫 2>&1)
[ -n "$a" ] && [ "$a" = "$b" ] && ok || fail "embed: the checkpoint's folder gives another vector"
"$bqb" model info "$tmp/pt" | grep -q model.pt && ok || fail "info does not name model.pt"

# Hostile and broken checkpoints end in a message, and nothing is run or written.
for f in evil big_endian no_storage outside script; do
    cp "fuzz/corpus/torch/$f" "$tmp/alone/$f.pt"
    expect "hostile $f" 1 '' "$f.pt: " "$bqb" model convert "$tmp/alone/$f.pt" "$tmp/never"
done
expect evil 1 '' 'system at byte [0-9]+ is not among the names that are read as data: refused' "$bqb" model convert "$tmp/alone/evil.pt" "$tmp/never"
head -c 20000000 "$tmp/pt/model.pt" >"$tmp/alone/cut.pt"
expect cut 1 '' 'cut.pt: it has no directory at its end: not a zip archive, or cut short' "$bqb" model convert "$tmp/alone/cut.pt" "$tmp/never"
expect other_model 1 '' 'is missing: without a config.json' "$bqb" model convert fuzz/corpus/torch/checkpoint "$tmp/never" --vocab "$tmp/hf/vocab.txt"
[ ! -e "$tmp/never" ] && ok || fail "a refused checkpoint left $tmp/never"

summary convert
