#!/bin/bash
# usage: BQB=build/bqb tools/paper.sh FOLDER [full | quick | tiny]
# The Sticker820K paper in miniature, on stickers that bqb draws itself: a generic
# CLIP, StickerCLIP fine-tuned from it, ablations, three seeds of everything.
# Everything goes into FOLDER; the report is FOLDER/paper.md, and a copy of it $PAPER_OUT (of a full run docs/paper.md).
#
# What is done is kept: a rerun goes on where the last one stopped, also in the
# middle of a training, and does again only what would now be done otherwise
# (other settings or other data; a newer program alone does not count, but
# the report says which commit made what).
#   $RUNS  some of the trainings only: "main one-frame …" (all, see below);
#          "llm" is the part with the language model (tools/paper-llm.sh)
#   $SEEDS  "1 2 3"
set -euo pipefail
cd "$(dirname "$0")/.."
bqb=${BQB:-build/bqb}
dir=${1:?usage: paper.sh FOLDER [full | quick | tiny]}
size=${2:-full}
unset BQB_LIBRARY BQB_MODEL
vocab=models/mini/vocab.txt

# Sizes. full: an hour on two processors; quick: two minutes; tiny: a test of this script.
case $size in
full) plain=4000 train=10000 test=1000 seeds="1 2 3" batch=128 general_steps=600 steps=1200 warmup=40 every=200
    R=64 width=128 layers=3 heads=2 text_width=128 text_layers=2 embed=128 rows=6 ;;
quick) plain=600 train=1200 test=300 seeds="1 2" batch=64 general_steps=80 steps=60 warmup=10 every=20
    R=64 width=96 layers=2 heads=3 text_width=96 text_layers=2 embed=96 rows=3 ;;
tiny) plain=32 train=64 test=32 seeds="1 2" batch=16 general_steps=4 steps=6 warmup=2 every=3
    R=32 width=32 layers=1 heads=2 text_width=32 text_layers=1 embed=32 rows=1 ;;
*) echo "paper.sh: size \"$size\": full, quick or tiny is needed" >&2; exit 2 ;;
esac
seeds=${SEEDS:-$seeds}
out=${PAPER_OUT:-}
[ "$size" = full ] && out=${out:-docs/paper.md}

# NAME|data|what differs from main|in words. The first is what all others are held against.
all_runs='main|all||as in the paper: three frames, all fields in random order, crops and colour
one-frame|all|--frames 1|one of the three frames, at random
no-augment|all|--augment off|pictures as they are
rand-augment|all|--augment rand|two random operations on each picture, as RandAugment does
positives|all|--duplicates positive|equal texts, and copies of a picture, are right answers, too
caption-only|caption||only the description
ocr-only|ocr||only the words on the picture (stickers that have some)
style-only|style||only the style, so that every text stands in a batch many times
style-positives|style|--duplicates positive|the same, and equal texts are right answers'
runs=${RUNS:-$(cut -d'|' -f1 <<<"$all_runs") llm}
case " $(echo $runs) " in *' llm '*) with_llm=yes ;; *) with_llm= ;; esac
runs=$(for r in $runs; do [ "$r" = llm ] || echo "$r"; done)
field() { awk -F'|' -v n="$1" -v k="$2" '$1 == n { print $k }' <<<"$all_runs"; }
for r in $runs; do [ -n "$(field "$r" 1)" ] || { echo "paper.sh: no run is called \"$r\"" >&2; exit 2; }; done

mkdir -p "$dir/data" "$dir/runs" "$dir/cache"
commit=$(git describe --always --dirty 2>/dev/null || "$bqb" --version)
started=$SECONDS
if [ -z "$runs" ]; then # the language model alone
    BQB=$bqb tools/paper-llm.sh "$dir" "$size" "${out:-$dir/paper.md}"
    exit
fi

# ---- data ----

. tools/paper-parts.sh
draw plain "$plain" 5 --plain
draw train "$train" 2026 --split train
draw valid "$((test / 2))" 77 --split test
draw test "$test" 999 --split test

# only NAME COLUMN…: a table of train with these columns alone, and the stickers that have any of them.
only() {
    local to=$dir/data/train/only-$1.tsv
    shift
    awk -F'\t' -v OFS='\t' -v want="$*" '
        NR == 1 { n = split(want, w, " "); for (k = 1; k <= NF; k++) for (i = 1; i <= n; i++) if ($k == w[i]) at[i] = k }
        { line = $1; any = ""; for (i = 1; i <= n; i++) { line = line OFS $at[i]; any = any $at[i] } if (any != "") print line }' \
        "$dir/data/train/captions.tsv" >"$to.new"
    cmp -s "$to.new" "$to" && rm "$to.new" || mv "$to.new" "$to"
}
only caption caption
only ocr ocr
only style style
table() { case $1 in all) echo "$dir/data/train/captions.tsv" ;; *) echo "$dir/data/train/only-$1.tsv" ;; esac; }

cat >"$dir/config.json" <<JSON
{"model_type": "chinese_clip", "projection_dim": $embed, "context_length": 64,
 "text_config": {"vocab_size": $(wc -l <$vocab), "hidden_size": $text_width, "num_hidden_layers": $text_layers,
                 "num_attention_heads": $heads, "intermediate_size": $((4 * text_width)), "max_position_embeddings": 64,
                 "type_vocab_size": 2},
 "vision_config": {"hidden_size": $width, "num_hidden_layers": $layers, "num_attention_heads": $heads,
                   "intermediate_size": $((4 * width)), "image_size": $R, "patch_size": 16}}
JSON

# ---- trainings ----

total=$((($(wc -w <<<"$runs") + 1) * $(wc -w <<<"$seeds")))
done_runs=0

# pick FILE KEY…: the number that follows these keys, one inside the other; nothing where there is none.
pick() {
    awk -v keys="${*:2}" '{ s = $0; n = split(keys, k, " ")
        for (i = 1; i <= n; i++) { p = index(s, "\"" k[i] "\": "); if (!p) exit; s = substr(s, p + length(k[i]) + 4)
            if (s ~ /^\{"(texts|images)": 0,/) exit }
        if (match(s, /^-?[0-9.]+(e-?[0-9]+)?/)) print substr(s, 1, RLENGTH) }' "$1"
}

# learn NAME SEED OPTION…: train into runs/NAME-SEED and measure it, unless that was done with the same settings.
learn() {
    local name=$1 seed=$2 run=$dir/runs/$1-$2 want begun
    shift 2
    done_runs=$((done_runs + 1))
    # What counts: options, model and data; a data set's line says how it was drawn.
    want=$(echo "$* seed $seed"; cat "$dir/config.json"; cat "$dir"/data/*.made)
    want=${want//"$dir"/.}
    [ "$name" != general ] && want+=$(cat "$dir/runs/general-$seed/settings")
    if [ -s "$run/eval.json" ] && [ "$(cat "$run/settings")" = "$want" ]; then return; fi
    begin_run "$run" "$want"
    printf '[%d/%d] %s, seed %s: ' "$done_runs" "$total" "$name" "$seed"
    begun=$SECONDS
    if [ -e "$run/checkpoint.safetensors" ]; then set -- --resume; else rm -f "$run"/*.csv; fi
    # Stopped or killed: what it had done counts, too.
    local status=0
    "$bqb" train --out "$run" --cache "$dir/cache" "$@" 2>"$run/log.txt" || status=$?
    echo $(($(cat "$run/seconds") + SECONDS - begun)) >"$run/seconds"
    if [ $status != 0 ]; then
        echo stopped
        tail -3 "$run/log.txt" >&2
        exit 1
    fi
    "$bqb" eval --model "$run" --data "$dir/data/test" --query all --zero-shot --json >"$run/eval.json.new" 2>>"$run/log.txt" ||
        { tail -3 "$run/log.txt" >&2; exit 1; }
    mv "$run/eval.json.new" "$run/eval.json"
    # The model itself is needed where others start from it or where it is shown; the rest only takes room.
    rm -rf "$run/checkpoint.safetensors" "$run/last" "$run/best"
    case $name-$seed in general-* | "main-${seeds%% *}") ;; *) rm -f "$run/model.safetensors" ;; esac
    printf '%s s, MR %.1f\n' "$(cat "$run/seconds")" "$(pick "$run/eval.json" full text_to_image mr)"
}

common=(--batch "$batch" --wd 0.05 --clip-norm 1 --eps 1e-8 --warmup "$warmup" --save-minutes 2)
for seed in $seeds; do
    learn general "$seed" --data "$dir/data/plain" --from-scratch "$dir/config.json" --vocab $vocab --seed "$seed" \
        "${common[@]}" --steps "$general_steps" --lr 1e-3
done
for run in $runs; do
    for seed in $seeds; do
        extra=()
        [ "$run" = main ] && extra=(--valid "$dir/data/valid" --valid-every "$every")
        read -ra differs <<<"$(field "$run" 3)"
        learn "$run" "$seed" --data "$(table "$(field "$run" 2)")" --init "$dir/runs/general-$seed" --seed "$seed" \
            "${common[@]}" --steps "$steps" --lr 1e-3 "${differs[@]}" "${extra[@]}"
    done
done
rm -rf "$dir/cache"

# ---- the report ----

# values NAME KEY…: of every seed.
values() { for seed in $seeds; do pick "$dir/runs/$1-$seed/eval.json" "${@:2}"; done; }
# spread: mean ± standard deviation of the numbers on standard input, "–" where there are none.
spread() {
    awk -v sign="${1:-}" '{ n++; s += $1; q += $1 * $1 }
        END { if (!n) { print "–"; exit } m = s / n; printf (sign ? "%+.1f" : "%.1f"), m
              if (n > 1) { v = (q - n * m * m) / (n - 1); printf " ± %.1f", sqrt(v > 0 ? v : 0) } print "" }'
}
# gain NAME OTHER KEY…: NAME's numbers less OTHER's, seed by seed.
gain() { paste <(values "$1" "${@:3}") <(values "$2" "${@:3}") | awk 'NF == 2 { print $1 - $2 }' | spread sign; }

query_words() {
    case $1 in
    full) echo "whole annotation" ;; short) echo "short queries" ;; ocr) echo "words on it" ;;
    emotion_label) echo "finer emotion" ;; *) echo "$1" ;;
    esac
}

report() {
    local q first=${seeds%% *} commits
    commits=$(cat "$dir"/runs/*/commit | sort -u | paste -sd' ')
    echo "# The paper in miniature"
    echo
    echo "Written by \`make paper\` (\`tools/paper.sh\`, size $size) at commit $commit; trainings by commit ${commits// /, }."
    echo "Machine: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), ${BQB_THREADS:-$(nproc)} processors. Seeds: $seeds; figures are means over them ± their standard deviation, in percent."
    echo
    echo "Everything is drawn by \`bqb synth\`: no number here says anything about real stickers, but each says whether a part of the recipe does what it should."
    echo
    echo "## Data"
    echo
    echo "| set | stickers | distinct captions | with words | emotions | styles | short queries |"
    echo "|---|---|---|---|---|---|---|"
    local s
    for s in train valid test; do
        awk -F'\t' -v s=$s 'FNR == 1 { f++; next } f == 1 { n++; c[$2] = 1; e[$3] = 1; y[$5] = 1; w += $6 != "" } f == 2 { q++ }
            END { print "| " s " | " n " | " length(c) " | " w " | " length(e) " | " length(y) " | " q + 0 " |" }' \
            "$dir/data/$s/captions.tsv" "$dir/data/$s/queries.tsv"
    done
    echo
    echo "Train and test share no combination of subject and phrase. The general model learns from $plain pictures of bare emoji on white with their plain names and nothing else."
    if "$bqb" stats --help | grep -q -- '--data'; then
        printf '\n```\n'
        "$bqb" stats --data "$dir/data/train" 2>/dev/null
        printf '```\n'
    fi
    echo
    echo "## A general CLIP and StickerCLIP"
    echo
    echo "The same network ($R × $R pixels, width $width, layers $layers; texts: width $text_width, layers $text_layers): first trained on plain pictures ($general_steps steps of $batch), then fine-tuned on annotated stickers ($steps steps of $batch). Text to picture over $test held-out stickers, strictly: only the query's own sticker is right."
    echo
    echo "| asked with | general R@1 | R@5 | R@10 | MR | StickerCLIP R@1 | R@5 | R@10 | MR | gain in MR |"
    echo "|---|---|---|---|---|---|---|---|---|---|"
    for q in full short caption emotion emotion_label style ocr; do
        printf '| %s' "$(query_words $q)"
        for m in general main; do
            for k in r1 r5 r10 mr; do printf ' | %s' "$(values $m $q text_to_image $k | spread)"; done
        done
        printf ' | %s |\n' "$(gain main general $q text_to_image mr)"
    done
    echo
    echo "| | general | StickerCLIP | gain |"
    echo "|---|---|---|---|"
    while read -r keys words; do
        printf '| %s | %s | %s | %s |\n' "$words" "$(values general ${keys//\// } | spread)" "$(values main ${keys//\// } | spread)" \
            "$(gain main general ${keys//\// })"
    done <<'ROWS'
full/image_to_text/mr picture to text, whole annotation, MR
full/text_to_image_or_near_duplicate/mr text to picture, near-duplicates right, too, MR
emotion/text_to_any/mr emotion, any sticker with it, MR
style/text_to_any/mr style, any sticker with it, MR
zero_shot/emotion/top1 emotion by its label in words, right at once
zero_shot/emotion/macro_top1 the same, mean over classes
zero_shot/style/top1 style by its label in words, right at once
ROWS
    echo
    echo "The paper's own figures, on 820,000 real stickers: CLIP 16.7, StickerCLIP 82.7, a gain of 66.0."
    echo
    echo "## What each part is worth"
    echo
    echo "Every line starts from the general model of its seed and differs from *main* in one thing. The effect is the difference to *main* seed by seed; one that is not clearly larger than its ± is none."
    echo
    echo "| training | effect on MR | MR, whole annotation | short queries | caption | words on it | emotion at once | style at once | seconds |"
    echo "|---|---|---|---|---|---|---|---|---|"
    local r
    for r in $runs; do
        printf '| **%s**: %s' "$r" "$(field "$r" 4)"
        if [ "$r" = main ]; then printf ' | '; else printf ' | %s' "$(gain "$r" main full text_to_image mr)"; fi
        for q in full short caption ocr; do printf ' | %s' "$(values "$r" $q text_to_image mr | spread)"; done
        for q in emotion style; do printf ' | %s' "$(values "$r" zero_shot $q top1 | spread)"; done
        printf ' | %s |\n' "$(for seed in $seeds; do cat "$dir/runs/$r-$seed/seconds"; done | awk '{ s += $1; n++ } END { printf "%.0f", s / n }')"
    done
    if [ -e "$dir/runs/style-only-$first/eval.json" ] && [ -e "$dir/runs/style-positives-$first/eval.json" ]; then
        echo
        echo "Where every text stands in a batch many times, counting equal ones as right changes the style's accuracy by $(gain style-positives style-only zero_shot style top1)."
    fi
    echo
    echo "![loss and held-out recall of main, seed $first](paper-curve.svg)"
    echo
    echo "## Again"
    echo
    echo '`make paper` does all of it in about an hour on two processors, `make paper QUICK=1` a smaller form in two (into paper/quick; docs stay as they are). Stopped, it goes on where it was.'
}

case " $runs " in *main*) ;; *) echo "no main among the runs: no report"; exit 0 ;; esac
first=${seeds%% *}
report >"$dir/paper.md.new"
mv "$dir/paper.md.new" "$dir/paper.md"
if [ -n "$with_llm" ]; then BQB=$bqb tools/paper-llm.sh "$dir" "$size" "$dir/paper.md"; fi
cp "$dir/runs/main-$first/curve.svg" "$dir/paper-curve.svg"
if [ ! -e "$dir/stickerclip.html" ] || [ "$dir/runs/main-$first/eval.json" -nt "$dir/stickerclip.html" ]; then
    "$bqb" eval --model "$dir/runs/main-$first" --data "$dir/data/test" --query all --html "$dir/stickerclip.html" --html-rows $rows \
        >/dev/null 2>>"$dir/runs/main-$first/log.txt"
fi
if [ -n "$out" ]; then
    cp "$dir/paper.md" "$out"
    cp "$dir/paper-curve.svg" "$(dirname "$out")/paper-curve.svg"
fi
echo "$((SECONDS - started)) s; ${out:-$dir/paper.md}, $dir/stickerclip.html"
