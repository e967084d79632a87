#!/bin/bash
# usage: check-layers.sh [ROOT]
# Checks of the source tree itself, over the files that git tracks:
#   layers    a folder of src/ includes only itself, folders below it, and bqb.h
#   names     no two source files have the same name
#   tests     every header of the library is included by some test, every command run by one
#   leftovers no unfinished-work marks, no paths of one person's machine
# Prints each offence and a summary line for tests/run.sh.
set -u
root=${1:-$(dirname "$0")/..}
cd "$root" || exit 2

# From the bottom up; the same list stands in docs/architecture.md.
order=(base math file text image model library search train chat serve cli)

# Headers that need no test of their own, each with its reason after the name.
untested_headers=(
    "image/apng.h decode.h's tests play animated PNG through it"
    "library/export.h tests/e2e/library.sh exports and imports again"
    "library/muge_files.h import.h's tests import MUGE sets"
    "model/prenorm.h the gradient tests go through it in both towers"
    "model/layout.h clip.h's tests go through every parameter"
    "search/encode.h bqb.h's tests search by pictures through it"
    "search/filter.h search.h's tests filter"
)

passed=0 failed=0
files=$(git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './.git/*' -not -path './build*' | sed 's|^\./||')
files=$(while IFS= read -r f; do [ -e "$f" ] && echo "$f"; done <<<"$files")

# report NAME OFFENCES: an empty second argument is a pass.
report() {
    if [ -z "$2" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1:"
        sed 's/^/  /' <<<"$2"
    fi
}

sources() { grep -E "$1" <<<"$files" || true; }

# ---- layers: each #include "FOLDER/FILE" in src/LAYER/ against the order
offences=$(sources '^src/[^/]+/.*\.[ch]$' | xargs -r -d '\n' awk -v order="${order[*]}" '
    BEGIN { n = split(order, name, " "); for (i = 1; i <= n; i++) rank[name[i]] = i }
    FNR == 1 {
        split(FILENAME, part, "/"); own = part[2]
        if (!(own in rank)) print FILENAME ": src/" own "/ is not one of the layers"
    }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
        target = $0; sub(/^[^"]*"/, "", target); sub(/".*/, "", target)
        if (target == "bqb.h") next
        where = FILENAME ":" FNR ": "
        if (split(target, t, "/") < 2) print where "\"" target "\" should be written \"FOLDER/" target "\""
        else if (!(t[1] in rank)) print where "\"" target "\" is in no layer"
        else if (rank[t[1]] > rank[own]) print where own "/ may not include " target ": " t[1] "/ is above it"
    }')
report layers "$offences"

# bqb.h stands alone, so that a program needs nothing else of ours.
offences=$(grep -nE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' include/*.h 2>/dev/null)
report public_header "$offences"

# ---- names
offences=$(sources '\.(c|h|sh)$' | sed 's|.*/||' | sort | uniq -d | while read -r name; do
    sources "(^|/)${name//./\\.}\$" | tr '\n' ' '
    echo 'have the same name'
done)
report names "$offences"

# ---- tests
included=$(sources '^(tests|fuzz)/.*\.[ch]$' | xargs -r -d '\n' sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' | sort -u)
offences=$(sources '^src/.*\.h$' | grep -v '^src/cli/' | while read -r f; do
    h=${f#src/}
    grep -qxF "$h" <<<"$included" && continue
    # synth_style.h is a part of synth.h, and tested through it.
    whole=${h%%_*}.h
    [ "$whole" != "$h" ] && grep -qxF "$whole" <<<"$included" && continue
    printf '%s\n' "${untested_headers[@]}" | grep -q "^$h " && continue
    # A contract that is not implemented yet has nothing to test.
    [ -e "${f%.h}.c" ] || continue
    echo "src/$h: no file in tests/ or fuzz/ includes it"
done)
report tests "$offences"

# ---- leftovers. The patterns are put together here so that this file does not match itself.
text_files() { sources '\.(c|h|sh|md|txt|in|1|html|js|css)$|^Makefile$|^\.ci/' | grep -vE '^(models|data|tests/golden|fuzz/corpus)/'; }
marks='TO''DO|FIX''ME|XX''X|HA''CK'
offences=$(text_files | xargs -r -d '\n' grep -nIE "(^|[^A-Za-z_])($marks)([^A-Za-z_]|\$)")
report unfinished_marks "$offences"

offences=$(text_files | xargs -r -d '\n' grep -nIE '(^|[^A-Za-z0-9_.*}/-])/(work|ho''me|root|mnt|media|srv|Users)/')
report machine_paths "$offences"

echo "check-layers: $passed passed, $failed failed, 0 skipped"
[ "$failed" = 0 ]
