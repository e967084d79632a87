#!/bin/bash
# Files of language models as a user meets them: looked into, damaged, at odds with each other.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
llm=$PWD/tests/golden/llm
export BQB_THREADS=2

for family in llama qwen2 qwen3; do
    expect "info_$family" 0 "language model, $family, 0\.[0-9]+ million" - "$bqb" model info "$llm/$family"
done
expect info_memory 0 'memory .*weights .*keys and values .*work' - "$bqb" model info "$llm/qwen2"
expect info_formats 0 'matrices: [0-9]+ (F32|BF16)' - "$bqb" model info "$llm/qwen2"
expect info_no_tokenizer 0 'no tokenizer' - "$bqb" model info "$llm/qwen2"
expect info_json 0 '"family": "qwen3"' - "$bqb" model info "$llm/qwen3" --json
jq -e '.memory.total > .memory.weights and .parameters > 0 and .tokenizer == null and (.id | length) == 64' "$tmp/out" >/dev/null && ok || fail 'JSON of a language model'

# What a folder says of itself, and what it holds.
cp -r "$llm/qwen2" "$tmp/model" && chmod -R u+w "$tmp/model"
change() { jq "$1" "$llm/qwen2/config.json" >"$tmp/model/config.json"; }
change '.num_hidden_layers = 1000'
expect layers 1 - 'model: the configuration says 1000 layers, but there is no tensor' "$bqb" model info "$tmp/model"
change '.model_type = "mamba"'
expect family 1 - '"mamba", needed "llama", "qwen2" or "qwen3"' "$bqb" model info "$tmp/model"
change '.hidden_size = 7'
expect odd 1 - 'model/config.json|model' "$bqb" model info "$tmp/model"
change '.rope_scaling = {"type": "yarn", "factor": 4}'
expect yarn 1 - 'yarn' "$bqb" model info "$tmp/model"
change '.'
head -c 3000 "$llm/qwen2/model.safetensors" >"$tmp/model/model.safetensors"
expect cut 1 - 'model.safetensors' "$bqb" model info "$tmp/model"
rm "$tmp/model/model.safetensors"
echo '{"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}}' >"$tmp/model/model.safetensors.index.json"
expect shard 1 - 'model-00001-of-00002.safetensors' "$bqb" model info "$tmp/model"

# GGUF files that are none.
printf 'GGUF\003\0\0\0\377\377\377\377\377\377\377\177\0\0\0\0\0\0\0\0' >"$tmp/counts.gguf"
expect counts 1 - 'counts.gguf: .*tensors' "$bqb" model info "$tmp/counts.gguf"
printf 'GGUF\003\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >"$tmp/empty.gguf"
expect empty 1 - 'empty.gguf: general.architecture is "missing"' "$bqb" model info "$tmp/empty.gguf"
printf 'GGUF\001\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' >"$tmp/old.gguf"
expect version 1 - 'old.gguf: GGUF version 1' "$bqb" model info "$tmp/old.gguf"
printf 'GGUF' >"$tmp/short.gguf"
expect short 1 - 'short.gguf' "$bqb" model info "$tmp/short.gguf"

# A tokenizer with more tokens than the weights have rows; one that fits.
rm -f "$tmp/model/model.safetensors.index.json"
cp "$llm"/qwen2/model.safetensors "$tmp/model/"
jq '.model.vocab |= with_entries(select(.value < 256)) | .model.merges = [] | .added_tokens = [.added_tokens[0] | .id = 300]' "$llm/tokenizer/qwen2/tokenizer.json" >"$tmp/model/tokenizer.json"
expect tokenizer_fits 0 'vocabulary  301 tokens, room for 384' - "$bqb" model info "$tmp/model"
jq '.added_tokens[0].id = 384' "$tmp/model/tokenizer.json" >"$tmp/other" && mv "$tmp/other" "$tmp/model/tokenizer.json"
expect tokenizer_too_large 1 - 'the tokenizer has 385 tokens, but the weights have rows for 384' "$bqb" model info "$tmp/model"

summary llm-files
