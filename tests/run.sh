#!/bin/bash
# usage: tests/run.sh [-j N] [-t SECONDS] < PLAN
# Run the checks of a plan and add up what they say.
#
# A plan has one check a line:
#   NAME: COMMAND     run by bash; its last line that reads
#                     "SOMETHING: N passed, N failed" (", N skipped" may follow) counts
#   +NAME: COMMAND    has no such line: exit status 0 is one check passed, else one failed
#   ---               wait for everything above
# Empty lines and lines that start with # are left out.
#
# A check that prints no such line, is killed, takes longer than SECONDS (1200)
# or ends with another status than what it printed means counts as one failure
# more. In CI ($CI set) skipped checks are failures. The last line sums it up;
# the exit status is 0 only when nothing failed and something passed.
set -u

jobs=1 limit=1200
while getopts j:t: o; do
    case $o in
    j) jobs=$OPTARG ;;
    t) limit=$OPTARG ;;
    *) exit 2 ;;
    esac
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/bqb-run-XXXXXX") || exit 2
trap 'rm -rf "$tmp"' EXIT
# Stopped from outside: so are the checks (timeout passes the signal on), and the last line says that it is no success.
stopped() {
    for p in "$tmp"/*.pid; do [ -e "$p" ] && kill "$(cat "$p")" 2>/dev/null; done
    wait
    echo "FAIL run.sh: stopped by SIG$1"
    echo "$passed passed, $((failed + 1)) failed"
    exit 130
}
trap 'stopped INT' INT
trap 'stopped TERM' TERM

# The checks see neither the user's library nor the user's settings.
mkdir "$tmp/home"
export HOME="$tmp/home"
unset BQB_LIBRARY BQB_MODEL XDG_DATA_HOME XDG_CONFIG_HOME

passed=0 failed=0 skipped=0
waiting=()

# Runs in the background: all output and the exit status go to files.
start() {
    local n=$1 command=$2
    (
        timeout -k 10 "$limit" bash -c "$command" </dev/null >"$tmp/$n.out" 2>&1 &
        echo $! >"$tmp/$n.pid"
        wait $!
        echo $? >"$tmp/$n.status"
    ) &
}

# Show what check n printed and count it.
finish() {
    local n=$1 name=$2 exit_only=$3 status line p=0 f=0 s=0 why=
    local pattern='^[^ ]+: ([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$'
    status=$(cat "$tmp/$n.status" 2>/dev/null || echo 255)
    echo "== $name ($(($(date +%s) - started[n])) s)"
    cat "$tmp/$n.out"
    [ -z "$(tail -c 1 "$tmp/$n.out")" ] || echo
    line=$(grep -aE "$pattern" "$tmp/$n.out" | tail -n 1)
    if [ "$exit_only" = yes ]; then
        if [ "$status" = 0 ]; then p=1; else why="exit status $status"; fi
    elif [[ "$line" =~ $pattern ]]; then
        p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
        if [ "$status" != 0 ] && [ "$f" = 0 ]; then why="exit status $status, but no failure counted"; fi
        if [ "$status" = 0 ] && [ "$f" != 0 ]; then why="exit status 0 in spite of failures"; fi
        if [ $((p + f + s)) = 0 ]; then why="checked nothing"; fi
    else
        why="exit status $status, no summary line"
    fi
    case $status in 124 | 137) why="$why (stopped after $limit s)" ;; esac
    if [ -n "$why" ]; then
        echo "FAIL $name: $why"
        f=$((f + 1))
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    rm -f "$tmp/$n.out" "$tmp/$n.pid"
}

# Wait for the oldest check, so that output comes in the order of the plan.
finish_first() {
    local n=${waiting[0]}
    wait "${pid[n]}"
    finish "$n" "${names[n]}" "${kinds[n]}"
    waiting=("${waiting[@]:1}")
}

declare -a names kinds pid started
n=0
while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    '' | '#'*) continue ;;
    ---)
        while [ ${#waiting[@]} -gt 0 ]; do finish_first; done
        continue
        ;;
    *': '*) ;;
    *)
        echo "FAIL run.sh: not a line of a plan: $line"
        failed=$((failed + 1))
        continue
        ;;
    esac
    names[n]=${line%%: *} kinds[n]=no
    if [ "${line:0:1}" = + ]; then names[n]=${names[n]#+} kinds[n]=yes; fi
    while [ ${#waiting[@]} -ge "$jobs" ]; do finish_first; done
    started[n]=$(date +%s)
    start "$n" "${line#*: }"
    pid[n]=$! waiting+=("$n") n=$((n + 1))
done
while [ ${#waiting[@]} -gt 0 ]; do finish_first; done

if [ -n "${CI:-}" ] && [ "$skipped" -gt 0 ]; then
    echo "$skipped skipped: in CI that is a failure"
    failed=$((failed + skipped)) skipped=0
fi
if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
