# Sourced by paper.sh and paper-llm.sh, with $bqb, $dir and $commit set: data sets and runs that are kept as long as
# they would be made in the same way again.

# draw NAME COUNT SEED OPTION…: a set, unless the very same is there.
draw() {
    local name=$1 count=$2 seed=$3
    shift 3
    local want="$count $seed $*"
    [ "$(cat "$dir/data/$name.made" 2>/dev/null)" = "$want" ] && return
    echo "drawing $count stickers: $name"
    rm -f "$dir/data/$name.made"
    "$bqb" synth --out "$dir/data/$name" --count "$count" --seed "$seed" --force "$@" 2>"$dir/data/$name.log" ||
        { tail -3 "$dir/data/$name.log" >&2; exit 1; }
    echo "$want" >"$dir/data/$name.made"
}

# begin_run FOLDER WANT: an empty folder, unless what is there was begun with the same settings.
begin_run() {
    [ "$(cat "$1/settings" 2>/dev/null)" = "$2" ] && return
    rm -rf "$1"
    mkdir -p "$1"
    echo "$2" >"$1/settings"
    echo "$commit" >"$1/commit"
    echo 0 >"$1/seconds"
}
