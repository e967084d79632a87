#!/bin/bash
# usage: BQB=build/bqb tools/bench.sh FOLDER
# What `make bench` runs: CSV on standard output. First the engine and the scan
# (`bqb bench`), then what a user waits for: drawing, importing, a cold search.
# FOLDER is for what is drawn on the way; the figures go to FOLDER.csv, too.
set -euo pipefail
cd "$(dirname "$0")/.."
bqb=${BQB:-build/bqb}
dir=${1:?usage: bench.sh FOLDER}
model=${MODEL:-models/mini}
count=${COUNT:-300}
unset BQB_LIBRARY BQB_MODEL

threads=${BQB_THREADS:-$(nproc)}
rm -rf "$dir"
mkdir -p "$dir"

row() { printf '%s,%s,%s,,%s,%s,,\n' "$machine" "$threads" "$1" "$2" "$3"; }

# seconds COMMAND…: how long it takes, in seconds.
seconds() {
    local start=$EPOCHREALTIME
    "$@" >/dev/null 2>"$dir/stderr" || { cat "$dir/stderr" >&2; return 1; }
    awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.6f", b - a }'
}
rate() { awk -v n="$1" -v s="$2" 'BEGIN { printf "%.4g", n / s }'; }

measure() {
    "$bqb" bench | tee "$dir/engine"
    machine=$(sed -n '2s/,.*//p' "$dir/engine")
    t=$(seconds "$bqb" synth --out "$dir/stickers" --count "$count" --seed 1)
    row "stickers drawn" "$(rate "$count" "$t")" /s

    if [ ! -e "$model/model.safetensors" ]; then
        echo "bench: $model/model.safetensors is missing: import and search are not measured" >&2
        return 0
    fi
    t=$(seconds "$bqb" -L "$dir/library" --model "$model" import "$dir/stickers")
    row "files imported" "$(rate "$count" "$t")" /s
    t=$(seconds "$bqb" -L "$dir/library" --model "$model" import "$dir/stickers")
    row "files imported again; nothing new" "$(rate "$count" "$t")" /s

    # A process that starts, loads the model, searches and ends; the middle one of nine.
    for _ in 1 2 3 4 5 6 7 8 9; do
        seconds "$bqb" -L "$dir/library" --model "$model" search 下班了，开心 --json
        echo
    done | sort -n | sed -n 5p >"$dir/median"
    row "one search; program start included" "$(awk '{ printf "%.4g", $1 * 1000 }' "$dir/median")" ms
}

measure | tee "$dir.csv"
