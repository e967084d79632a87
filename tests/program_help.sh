# Sourced by the end-to-end tests (tests/e2e/*.sh), from the top folder: $bqb is the program, $tmp an empty
# folder that goes at the end, ok and fail count, summary NAME says what came of it.
set -u
bqb=$(realpath "${BQB:-build/bqb}")
tmp=$(mktemp -d "${TMPDIR:-/tmp}/bqb-e2e-XXXXXX") || exit 2
trap 'chmod -R u+rwx "$tmp" 2>/dev/null; rm -rf "$tmp"' EXIT
passed=0 failed=0 skipped=0

ok() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "FAIL $*"
}
skip() {
    skipped=$((skipped + 1))
    echo "SKIP $*"
}

# expect NAME STATUS STDOUT STDERR COMMAND…: patterns of grep -E; "-" means empty, "" anything.
expect() {
    local name=$1 status=$2 out=$3 err=$4 got
    shift 4
    "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    got=$?
    if [ $got != "$status" ]; then
        fail "$name: exit status $got, expected $status: $(head -3 "$tmp/err")"
    elif [ "$out" = - ] && [ -s "$tmp/out" ]; then
        fail "$name: standard output should be empty: $(head -c 300 "$tmp/out")"
    elif [ -n "${out#-}" ] && ! grep -qE -- "$out" "$tmp/out"; then
        fail "$name: no \"$out\" on standard output: $(head -c 600 "$tmp/out")"
    elif [ "$err" = - ] && [ -s "$tmp/err" ]; then
        fail "$name: standard error should be empty: $(head -3 "$tmp/err")"
    elif [ -n "${err#-}" ] && ! grep -qE -- "$err" "$tmp/err"; then
        fail "$name: no \"$err\" on standard error: $(head -3 "$tmp/err")"
    else
        ok
    fi
}

# NAME FILE FILE
same() { cmp -s "$2" "$3" && ok || fail "$1: $2 and $3 differ"; }
differ() { cmp -s "$2" "$3" && fail "$1: $2 and $3 are the same" || ok; }

summary() {
    echo "$1: $passed passed, $failed failed, $skipped skipped"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}
