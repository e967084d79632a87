#!/bin/bash
# tools/check-layers.sh must see what it checks for: one planted fault each.
set -u
cd "$(dirname "$0")/../.." || exit 2
tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
passed=0 failed=0

# A small tree without a fault.
fresh() {
    rm -rf "$tmp/tree"
    mkdir -p "$tmp/tree"/{include,src/base,src/math,src/cli,tests/unit}
    echo '#include <stddef.h>' >"$tmp/tree/include/bqb.h"
    echo '#include "bqb.h"' >"$tmp/tree/src/base/err.h"
    echo '#include "base/err.h"' >"$tmp/tree/src/base/err.c"
    echo '#include "base/err.h"' >"$tmp/tree/src/math/norm.h"
    echo '#include "math/norm.h"' >"$tmp/tree/src/math/norm.c"
    printf '#include "base/err.h"\n#include "math/norm.h"\n' >"$tmp/tree/tests/unit/test_all.c"
    git -C "$tmp/tree" init -q 2>/dev/null
}

# expect NAME STATUS TEXT-IN-OUTPUT
expect() {
    local out got
    out=$(tools/check-layers.sh "$tmp/tree" 2>&1)
    got=$?
    if [ "$got" = "$2" ] && grep -qF -- "$3" <<<"$out"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAIL $1: exit status $got, expected $2 and \"$3\" in:"
        sed 's/^/    /' <<<"$out"
    fi
}

fresh
expect clean_tree 0 'check-layers: 6 passed, 0 failed'

fresh
echo '  # include "math/norm.h"' >>"$tmp/tree/src/base/err.c"
expect upward_include 1 'src/base/err.c:2: base/ may not include math/norm.h'

fresh
echo '#include "norm.h"' >>"$tmp/tree/src/math/norm.c"
expect include_without_folder 1 'src/math/norm.c:2: "norm.h" should be written'

fresh
echo '#include "other/x.h"' >>"$tmp/tree/src/math/norm.c"
expect unknown_folder 1 '"other/x.h" is in no layer'

fresh
mkdir "$tmp/tree/src/extra" && echo 'int x;' >"$tmp/tree/src/extra/extra.c"
expect new_folder 1 'src/extra/ is not one of the layers'

fresh
echo '#include "base/err.h"' >>"$tmp/tree/include/bqb.h"
expect public_header_includes 1 'FAIL public_header'

fresh
echo 'int y;' >"$tmp/tree/src/math/err.c"
expect same_name_twice 1 'have the same name'

fresh
echo '#include "base/err.h"' >"$tmp/tree/tests/unit/test_all.c"
expect untested_header 1 'src/math/norm.h: no file in tests/'

fresh
echo '/* TO''DO: finish */' >>"$tmp/tree/src/math/norm.c"
expect unfinished_mark 1 'FAIL unfinished_marks'

fresh
echo '/* see /ho''me/someone/notes */' >>"$tmp/tree/src/math/norm.c"
expect machine_path 1 'FAIL machine_paths'

echo "layers: $passed passed, $failed failed"
[ "$failed" = 0 ]
