#!/bin/bash
# bqb bench at toy sizes: every figure comes, in CSV, and means something.
set -u
cd "$(dirname "$0")/../.." || exit 2
bqb=${BQB:-build/bqb}
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
export BQB_THREADS=2
passed=0 failed=0

check() { # NAME COMMAND…
    local name=$1
    shift
    if "$@" >/dev/null; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $name"
        sed 's/^/    /' "$tmp/out" "$tmp/err" | head -20
    fi
}

# value PATTERN: the fifth column of the row that has it
value() { awk -F, -v p="$1" 'index($3, p) { print $5; found = 1; exit } END { exit !found }' "$tmp/out"; }

cat >"$tmp/config.json" <<'JSON'
{"embed_dim": 32, "image_resolution": 32, "vision_patch_size": 8, "vision_layers": 3, "vision_width": 64, "vision_head_width": 32,
 "vocab_size": 100, "text_num_attention_heads": 2, "text_hidden_size": 64, "text_intermediate_size": 256,
 "text_num_hidden_layers": 3, "text_max_position_embeddings": 64, "text_type_vocab_size": 2, "text_hidden_act": "gelu"}
JSON

run() { "$bqb" bench --config "$tmp/config.json" --seconds 0.01 "$@" >"$tmp/out" 2>"$tmp/err"; }

check all_runs run --scan 1000 --batch 4
check all_stills value stills
check all_training value 'training pairs (one frame; 40 tokens)'
check all_scan value 'exact scan of 1000'
check all_columns awk -F, 'NF != 8 { exit 1 }' "$tmp/out"

check recipe_runs run --recipe --batch 6
check recipe_plain value 'three frames; 40 tokens)'
check recipe_masked value 'half of the patches'
check recipe_top value 'top 2 blocks)'
check recipe_trunks value 'top 2 blocks from stored trunks'
check recipe_alone awk -F, '/stills|scan/ { exit 1 }' "$tmp/out"

check memory_runs run --memory 300
plain=$(value 'plain): estimated') cached=$(value 'caching): estimated') peak=$(value 'peak memory')
check memory_columns awk -F, 'NF != 8 { exit 1 }' "$tmp/out"
check memory_saved awk -v a="${cached:-9}" -v b="${plain:-0}" 'BEGIN { exit !(a < b / 2) }'
check memory_true awk -v a="${peak:-9}" -v b="${cached:-0}" 'BEGIN { exit !(a > b / 2 && a < b + 0.15) }'

check words_runs run --words 300
check words_written value 'stickers with readings written'
check words_median value 'match of 8 characters: median'
check words_alone awk -F, '/stills|scan/ { exit 1 }' "$tmp/out"
check words_columns awk -F, 'NF != 8 { exit 1 }' "$tmp/out"

cat >"$tmp/llm.json" <<'JSON'
{"model_type": "qwen2", "vocab_size": 300, "hidden_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
 "intermediate_size": 512, "max_position_embeddings": 4096, "rope_theta": 1000000, "tie_word_embeddings": true}
JSON
llm() { TMPDIR="$tmp/models" "$bqb" bench --llm "$@" --seconds 0.01 >"$tmp/out" 2>"$tmp/err"; }
mkdir "$tmp/models"
check llm_runs llm --config "$tmp/llm.json"
check llm_columns awk -F, 'NF != 8 { exit 1 }' "$tmp/out"
check llm_prefill value 'prefill of 512 tokens'
check llm_formats bash -c "grep -q 'tokens one by one after 2048,BF16,' '$tmp/out' && grep -q ',Q8_0,' '$tmp/out' && grep -q ',Q4_K,' '$tmp/out'"
check llm_shares awk -F, '/tokens one by one/ { n++; if ($8 <= 0) exit 1 } END { exit n != 6 }' "$tmp/out"
check llm_memory value 'peak memory'
check llm_leaves_nothing bash -c "[ -z \"\$(ls '$tmp/models')\" ]"
check llm_alone awk -F, '/stills|scan/ { exit 1 }' "$tmp/out"
check llm_no_model bash -c "! '$bqb' bench --llm '$tmp/nothing' 2>'$tmp/err' >'$tmp/out' && grep -q nothing '$tmp/err'"

check bad_batch bash -c "! '$bqb' bench --batch 0 2>'$tmp/err'"
check bad_memory bash -c "! '$bqb' bench --memory 70000 2>'$tmp/err'"
check bad_batch_status bash -c "'$bqb' bench --batch 5000 2>'$tmp/err'; [ \$? = 2 ]"

echo "e2e-bench-csv: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
