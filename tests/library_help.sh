# Sourced by the end-to-end tests of the library (tests/e2e/*.sh), from the top folder.
# $tmp is an empty folder, $model the small model of the golden fixtures, $bqb the program.
. tests/program_help.sh

# run COMMAND…: its output to $tmp/out and $tmp/err, its exit status to $status.
run() {
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    status=$?
}

# is NAME GOT WANTED
is() {
    if [ "$2" = "$3" ]; then ok; else fail "$1: \"$2\", expected \"$3\"; $(head -c 500 "$tmp/err")"; fi
}

# has NAME FILE PATTERN: of grep -E
has() {
    if grep -aqE -- "$3" "$2"; then ok; else fail "$1: no \"$3\" in: $(head -c 500 "$2")"; fi
}

# json NAME FILTER WANTED: what jq gives for $tmp/out
json() { is "$1" "$(jq -cr "$2" "$tmp/out" 2>&1)" "$3"; }

model=$tmp/model
mkdir "$model"
cp tests/golden/vocab.txt "$model/"
cp tests/golden/clip_hf_config.json "$model/config.json"
cp tests/golden/clip_hf.safetensors "$model/model.safetensors"
export BQB_LIBRARY=$tmp/lib BQB_MODEL=$model BQB_DATA=$PWD/data
