#!/bin/bash
# The paper's experiment with a language model, in miniature: the bundled language model learns to answer with
# stickers (bqb tune) and is asked for held-out ones (bqb eval --llm). Part of `make paper`; alone:
#   RUNS=llm tools/paper.sh FOLDER [full | quick | tiny]
#
#   tools/paper-llm.sh FOLDER SIZE REPORT   REPORT: the file whose section about the language model is written anew
#   $LLM    another language model (models/mini-lm), $CLIP another StickerCLIP (models/mini)
# Stopped or killed, it goes on where it was.
set -euo pipefail
cd "$(dirname "$0")/.."
bqb=${BQB:-build/bqb}
dir=${1:?usage: paper-llm.sh FOLDER SIZE REPORT}
size=${2:?} report=${3:?}
llm=${LLM:-models/mini-lm} clip=${CLIP:-models/mini}
title='## A language model that answers with stickers'

case $size in
full) train=10000 test=1000 steps=800 batch=128 lr=1e-2 asks=500 ;;
quick) train=600 test=200 steps=60 batch=64 lr=1e-2 asks=60 ;;
tiny) train=24 test=16 steps=3 batch=8 lr=1e-2 asks=6 ;;
*) echo "paper-llm.sh: size \"$size\": full, quick or tiny is needed" >&2; exit 2 ;;
esac
[ -e "$llm/config.json" ] || [ -f "$llm" ] || { echo "no language model $llm: its part is left out"; exit 0; }
mkdir -p "$dir/data" "$dir/llm"
commit=$(git describe --always --dirty 2>/dev/null || "$bqb" --version)

. tools/paper-parts.sh
draw llm-train "$train" 4242 --split train
draw llm-test "$test" 999 --split test

# What counts: settings, data and both models.
want=$(echo "$steps $batch $lr $asks"; cat "$dir"/data/llm-*.made; cat "$llm/config.json" "$clip/config.json" 2>/dev/null; sha256sum "$llm"/*.safetensors "$clip"/*.safetensors 2>/dev/null | cut -c1-64)
run=$dir/llm/run
begin_run "$run" "$want"
if [ ! -s "$run/eval.txt" ]; then
    echo "tuning $llm: $steps steps of $batch lessons"
    begun=$SECONDS status=0 more=()
    [ -e "$run/checkpoint.safetensors" ] && more=(--resume)
    [ ${#more[@]} = 0 ] && more=(--llm "$llm" --model "$clip" --data "$dir/data/llm-train" --steps "$steps" --batch "$batch" --lr "$lr" --talk 0.4 --rounds 0.15 --at-once --save-minutes 1)
    "$bqb" tune --out "$run" "${more[@]}" 2>"$run/log.txt" || status=$?
    echo $(($(cat "$run/seconds") + SECONDS - begun)) >"$run/seconds"
    [ $status = 0 ] || { tail -3 "$run/log.txt" >&2; exit 1; }
    "$bqb" eval --llm "$llm" --adapter "$run" --model "$clip" --data "$dir/data/llm-test" --asks "$asks" >"$run/eval.new" 2>>"$run/log.txt" || { tail -3 "$run/log.txt" >&2; exit 1; }
    mv "$run/eval.new" "$run/eval.txt"
fi

# The tables of `bqb eval --llm`, whose first 33 columns are words, as Markdown.
section() {
    echo "$title"
    echo
    echo "\`$llm\`, frozen, learnt the five tokens and the two small maps of the paper's second half for \`$clip\`: $steps steps of $batch lessons about $train drawn stickers, learning rate $lr, $(cat "$run/seconds") s"
    echo "(commit $(cat "$run/commit"); \`RUNS=llm tools/paper.sh $dir $size\` does this part alone). It was asked for $test held-out stickers, which share no combination of subject and phrase with those. Text to picture, strictly; the query is the"
    echo "hidden state at the \`[RET]\` that it generates. Beside it StickerCLIP's own towers with the same words, the same altered picture (a crop with other light), or the sum of both."
    echo
    echo "| asked with | queries | LLM R@1 | R@5 | R@10 | MR | towers R@1 | R@5 | R@10 | MR | LLM less towers |"
    echo "|---|---|---|---|---|---|---|---|---|---|---|"
    awk '/^asked with/ { on = 1; next } !NF { exit } on { name = substr($0, 1, 33); sub(/ +$/, "", name); split(substr($0, 34), n, " ")
        printf "| %s | %s | %s | %s | %s | %s | %s | %s | %s | %s | %+.1f |\n", name, n[1], n[2], n[3], n[4], n[5], n[7], n[8], n[9], n[10], n[5] - n[10] }' "$run/eval.txt"
    echo
    echo "How often it answers with a sticker, in percent of $asks questions of each kind:"
    echo
    echo "| asked | wordings learnt | with \`[PRET]\` | wordings never learnt | with \`[PRET]\` |"
    echo "|---|---|---|---|---|"
    awk '/^asked  .*plainly/ { on = 1; next } !NF { on = 0 } on { name = substr($0, 1, 33); sub(/ +$/, "", name); k = split(substr($0, 34), n, " ")
        if (k == 4) printf "| %s | %s | %s | %s | %s |\n", name, n[1], n[2], n[3], n[4]; else printf "| %s | %s | – | %s | – |\n", name, n[1], n[2] }' "$run/eval.txt"
    echo
    sed -n 's/^perplexity/Perplexity/p' "$run/eval.txt" | sed '/ 0 logits differ/s/$/. So what it says about other things is what it said before, bit for bit./'
    echo
}
section >"$dir/llm/section.md"

# Into the report: in the place of the old section, or before the last one.
if [ -e "$report" ]; then
    awk -v title="$title" -v new="$dir/llm/section.md" '
        function put() { if (!done) while ((getline line < new) > 0) print line; done = 1 }
        $0 == title { skip = 1; put(); next }
        /^## / { skip = 0; if ($0 == "## Again") put() }
        !skip
        END { put() }' "$report" >"$report.new"
    mv "$report.new" "$report"
fi
echo "language model: $dir/llm/section.md"
