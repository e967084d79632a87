#!/bin/bash
# usage: BQB=build/bqb tools/demo.sh FOLDER
# Draw stickers, make a library of them in FOLDER, search it. What is there
# already is kept, so that the second run only searches.
set -eu
cd "$(dirname "$0")/.."

bqb=${BQB:-build/bqb}
dir=${1:?usage: demo.sh FOLDER}
count=${COUNT:-300}
model=${MODEL:-models/mini}
unset BQB_LIBRARY BQB_MODEL

say() { printf '\n%s\n' "$*"; }

if [ ! -e "$model/model.safetensors" ]; then
    echo "The demo needs the bundled model, and $model/model.safetensors is not there." >&2
    echo "It is part of the repository: look whether your copy is complete (git status), or train one as docs/mini.md says." >&2
    exit 1
fi

if [ ! -e "$dir/stickers/captions.tsv" ]; then
    say "Drawing $count stickers into $dir/stickers"
    rm -rf "$dir/stickers"
    [ -e "$dir/stickers.new/synth.json" ] || rm -rf "$dir/stickers.new"
    mkdir -p "$dir"
    "$bqb" synth --out "$dir/stickers.new" --count "$count" --seed 820 --force
    mv "$dir/stickers.new" "$dir/stickers"
fi

if [ ! -e "$dir/imported" ]; then
    say "Making a library of them in $dir/library"
    "$bqb" -L "$dir/library" --model "$model" import "$dir/stickers"
    touch "$dir/imported"
fi

for query in 猫 笑死我了 "下班了，开心" "委屈地哭"; do
    say "\$ bqb search $query"
    "$bqb" -L "$dir/library" --model "$model" search "$query" -n 3
done

if [ -e models/mini-lm/adapter/adapter.json ]; then
    say "\$ bqb chat"
    for message in 你好 来一张小猫的表情 换一张; do
        echo "> $message"
        echo "$message" >&3
    done 3>"$dir/messages"
    "$bqb" -L "$dir/library" --model "$model" chat --llm models/mini-lm <"$dir/messages"
fi

cat <<TEXT

Try more:
    $bqb -L $dir/library search 加油 -n 5
    $bqb -L $dir/library search 狗 --emotion 开心
    $bqb -L $dir/library search 生气 --animated --json
    $bqb -L $dir/library stats
    $bqb -L $dir/library chat
A library of your own pictures:
    $bqb import ~/Pictures/stickers
    $bqb search 谢谢老板
TEXT
