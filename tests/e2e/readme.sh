#!/bin/bash
# The README's commands work: every fenced block that starts with "```sh run" is
# run, one after another, in a home of its own, with bqb on the PATH. A line of the block
# that starts with "# " is a comment; the first command that fails fails its block.
set -u
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
bqb=$(realpath "${BQB:-build/bqb}")
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

# Links to files of this repository lead somewhere.
broken=
for doc in *.md docs/*.md; do
    for link in $(grep -oE '\]\([^):#]+\)' "$doc" | tr -d ']()'); do
        [ -e "$(dirname "$doc")/$link" ] || broken="$broken $doc:$link"
    done
done
if [ -z "$broken" ]; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAIL links that lead nowhere:$broken"
fi

if [ ! -e models/mini/model.safetensors ]; then
    echo "  skipped: models/mini/model.safetensors is missing"
    echo "readme: $passed passed, $failed failed, 1 skipped"
    exit $((failed > 0))
fi

mkdir "$tmp/bin" "$tmp/home" "$tmp/blocks"
ln -s "$bqb" "$tmp/bin/bqb"
awk -v dir="$tmp/blocks" '
    /^```sh run/ { n++; out = sprintf("%s/%03d.%d", dir, n, NR); next }
    /^```/       { out = "" }
    out          { print > out }' README.md

export HOME=$tmp/home PATH=$tmp/bin:$PATH
unset BQB_LIBRARY BQB_MODEL XDG_DATA_HOME
cd "$HOME" || exit 2
# What the examples find in their folder.
ln -s "$root/models" models
for block in "$tmp"/blocks/*; do
    [ -e "$block" ] || break
    line=${block##*.}
    out=$(timeout 240 bash -eu "$block" 2>&1 </dev/null)
    status=$?
    if [ $status = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL README.md:$line: exit status $status"
        sed 's/^/    | /' "$block"
        tail -n 20 <<<"$out" | sed 's/^/    /'
    fi
done
echo "readme: $passed passed, $failed failed"
[ "$failed" = 0 ]
