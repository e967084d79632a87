#!/bin/bash
# tools/paper.sh (make paper) in its smallest form: what it writes, that it goes
# on where it stopped, and that it does again only what has changed.
cd "$(dirname "$0")/../.." || exit 2
. tests/program_help.sh
export BQB=$bqb BQB_DATA=$PWD/data BQB_THREADS=2
p=$tmp/p
# paper NAME STATUS RUNS SEEDS
paper() {
    RUNS=$3 SEEDS=$4 tools/paper.sh "$p" tiny >"$tmp/out" 2>&1
    local got=$?
    [ $got = "$2" ] && ok || fail "$1: exit status $got, expected $2: $(tail -4 "$tmp/out")"
}
trained() { grep -cE '^\[[0-9]+/[0-9]+\] .*: [0-9]+ s, MR [0-9.]+$' "$tmp/out"; }

if [ ! -e models/mini/vocab.txt ]; then
    echo "miniature: 0 passed, 0 failed, 1 skipped"
    exit 0
fi

report=$(cksum docs/paper.md 2>&1)
paper first 0 main 1
[ "$(trained)" = 2 ] && ok || fail "$(trained) trainings, expected general and main: $(cat "$tmp/out")"
for s in '^| train | 64 | ' '^| whole annotation | [0-9.]+ | [0-9.]+ | [0-9.]+ | [0-9.]+ | [0-9.]+ | ' '^| \*\*main\*\*: ' 'commit '; do
    grep -qE "${s//|/\\|}" "$p/paper.md" && ok || fail "paper.md has no $s"
done
grep -q '–' "$p/paper.md" && fail "figures are missing: $(grep -m1 '–' "$p/paper.md")" || ok
[ -s "$p/paper-curve.svg" ] && grep -q 'Asked with: full' "$p/stickerclip.html" && ok || fail 'no curve or no page'
[ "$(cksum docs/paper.md 2>&1)" = "$report" ] && ok || fail 'a tiny run has changed docs/paper.md'
# The figure in the table is the one that was measured.
mr=$(grep -oE '"full": \{"texts": 32, "left_out": 0, "text_to_image": \{[^}]*' "$p/runs/main-1/eval.json" | grep -oE '"mr": [0-9.]+' | awk '{ printf "%.1f", $2 }')
[ -n "$mr" ] && [ "$(awk -F' *\\| *' '/^\| whole annotation/ { print $10; exit }' "$p/paper.md")" = "$mr" ] && ok || fail "the table does not say $mr: $(grep '^| whole' "$p/paper.md")"

# A training that fails stops it; the next run goes on, and does nothing twice.
cat >"$tmp/bqb" <<WRAP
#!/bin/bash
[ "\$1" = train ] && [[ "\$*" == *style-positives-1* ]] && { echo "bqb: no luck" >&2; exit 1; }
exec "$bqb" "\$@"
WRAP
chmod +x "$tmp/bqb"
stamp=$(stat -c %Y.%i "$p/runs/main-1/eval.json")
BQB=$tmp/bqb paper fails 1 'main style-positives' '1 2'
grep -q 'no luck' "$tmp/out" && ok || fail "why it stopped is not said: $(tail -3 "$tmp/out")"
paper goes_on 0 'main style-positives' '1 2'
[ "$(trained)" = 2 ] && ok || fail "$(trained) trainings after a failure, expected 2: $(cat "$tmp/out")"
[ "$stamp" = "$(stat -c %Y.%i "$p/runs/main-1/eval.json")" ] && ok || fail 'main was measured again'
grep -qE '^\| \*\*style-positives\*\*: .* \| [+-][0-9.]+ ± [0-9.]+ \| [0-9.]+ ± ' "$p/paper.md" && ok || fail "no effect with its spread: $(grep style-pos "$p/paper.md")"
paper nothing_to_do 0 'main style-positives' '1 2'
[ "$(trained)" = 0 ] && ! grep -q drawing "$tmp/out" && ok || fail "something was done again: $(cat "$tmp/out")"

# Other settings: that training again, and no other.
echo changed >>"$p/runs/main-2/settings"
paper changed 0 'main style-positives' '1 2'
[ "$(trained)" = 1 ] && grep -q 'main, seed 2' "$tmp/out" && ok || fail "after a change: $(cat "$tmp/out")"

paper no_such_run 2 nonsense 1
tools/paper.sh "$tmp/q" gigantic >"$tmp/out" 2>&1
[ $? = 2 ] && [ ! -e "$tmp/q" ] && ok || fail 'a size that is none was taken'

summary miniature
