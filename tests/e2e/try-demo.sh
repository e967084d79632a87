#!/bin/bash
# The demo works from nothing, works again without doing anything twice, and
# says what is wrong when the bundled model is missing.
set -u
cd "$(dirname "$0")/../.." || exit 2
export BQB=${BQB:-build/bqb}
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

check() { # check NAME STATUS-OF-A-TEST
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAIL $1:"
        tail -n 15 "$tmp/log" | sed 's/^/    /'
    fi
}

if [ -e models/mini/model.safetensors ]; then
    COUNT=60 tools/demo.sh "$tmp/demo" >"$tmp/log" 2>&1
    check first_run $?
    grep -q '^ 1 ' "$tmp/log"
    check shows_results $?
    before=$(stat -c %Y "$tmp/demo/stickers/captions.tsv")
    start=$(date +%s)
    COUNT=60 tools/demo.sh "$tmp/demo" >"$tmp/log" 2>&1
    check second_run $?
    ! grep -qE 'Drawing|Making' "$tmp/log" && [ "$before" = "$(stat -c %Y "$tmp/demo/stickers/captions.tsv")" ]
    check second_run_only_searches $?
    echo "  the second run took $(($(date +%s) - start)) s"
    skipped=0
else
    echo "  skipped: models/mini/model.safetensors is missing"
    skipped=1
fi

mkdir "$tmp/none"
COUNT=10 MODEL="$tmp/none" tools/demo.sh "$tmp/demo2" >"$tmp/log" 2>&1
[ $? = 1 ] && grep -q 'model.safetensors is not there' "$tmp/log"
check missing_model_is_told $?

echo "try-demo: $passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
