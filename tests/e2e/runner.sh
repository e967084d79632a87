#!/bin/bash
# tests/run.sh must see what goes wrong: each case plants one fault.
set -u
cd "$(dirname "$0")/../.." || exit 2
passed=0 failed=0

# expect NAME STATUS LAST-LINE [ENV…] < PLAN
expect() {
    local name=$1 status=$2 last=$3 out got
    shift 3
    out=$(env -u CI "$@" tests/run.sh -t 2 2>&1)
    got=$?
    if [ "$got" = "$status" ] && [ "$(tail -n 1 <<<"$out")" = "$last" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $name: exit status $got, expected $status; last line should be \"$last\" in:"
        sed 's/^/    /' <<<"$out"
    fi
}

ok='good: echo "good: 3 passed, 0 failed, 0 skipped"'

expect all_pass 0 '3 passed, 0 failed' <<<"$ok"
expect sums 0 '5 passed, 0 failed' <<<"$ok"$'\n''two: echo "two: 2 passed, 0 failed"'
expect plan_without_last_newline 0 '3 passed, 0 failed' < <(printf '%s' "$ok")
expect counted_failure 1 '4 passed, 2 failed' <<<"$ok"$'\n''bad: echo "bad: 1 passed, 2 failed, 0 skipped"; exit 1'
expect crash_before_summary 1 '3 passed, 1 failed' <<<"$ok"$'\n''crash: kill -SEGV $$'
expect crash_after_summary 1 '4 passed, 1 failed' <<<"$ok"$'\n''crash: echo "crash: 1 passed, 0 failed"; kill -SEGV $$'
expect silent_program 1 '3 passed, 1 failed' <<<"$ok"$'\n''silent: true'
expect failure_hidden_by_exit_status 1 '3 passed, 2 failed' <<<"$ok"$'\n''liar: echo "liar: 0 passed, 1 failed"'
expect missing_program 1 '3 passed, 1 failed' <<<"$ok"$'\n''missing: build/no-such-program'
expect empty_program 1 '3 passed, 1 failed' <<<"$ok"$'\n''empty: echo "empty: 0 passed, 0 failed"'
expect hang 1 '3 passed, 1 failed' <<<"$ok"$'\n''hang: sleep 20'
expect nothing_at_all 1 '0 passed, 0 failed' </dev/null
expect broken_plan 1 '3 passed, 1 failed' <<<"$ok"$'\n''no colon here'
expect build_passes 0 '1 passed, 0 failed' <<<'+build: true'
expect build_fails 1 '3 passed, 1 failed' <<<'+build: false'$'\n''---'$'\n'"$ok"
expect skips_shown 0 '1 passed, 0 failed, 2 skipped' <<<'s: echo "s: 1 passed, 0 failed, 2 skipped"'
expect skips_fail_in_ci 1 '1 passed, 2 failed' CI=true <<<'s: echo "s: 1 passed, 0 failed, 2 skipped"'
expect last_summary_counts 0 '2 passed, 0 failed' <<<'s: echo "a: 9 passed, 9 failed"; echo "s: 2 passed, 0 failed"'
expect no_standard_input 0 '1 passed, 0 failed' <<<'s: read -r x || echo "s: 1 passed, 0 failed"'

# Stopped from outside, while the second check runs.
out=$(mktemp)
{
    echo "$ok"
    echo "slow: sleep 20"
} | env -u CI tests/run.sh >"$out" 2>&1 &
pid=$!
for _ in $(seq 50); do
    grep -q '^== good' "$out" && break
    sleep 0.1
done
kill -TERM $pid
wait $pid
status=$?
if [ $status = 130 ] && [ "$(tail -n 1 "$out")" = '3 passed, 1 failed' ] && grep -q 'stopped by SIGTERM' "$out"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAIL stopped: exit status $status and:"
    sed 's/^/    /' "$out"
fi
rm -f "$out"

echo "runner: $passed passed, $failed failed"
[ "$failed" = 0 ]
