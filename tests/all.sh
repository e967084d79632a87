#!/bin/bash
# Everything that `make test` runs, as a plan for tests/run.sh.
# $CC is the first compiler (gcc), clang the second; $JOBS at a time.
set -u
cd "$(dirname "$0")/.." || exit 2

jobs=${JOBS:-2}
make="make -s --no-print-directory -j$jobs WERROR=-Werror"
asan="BUILD=build-asan OPT=-O1 SANITIZE='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'"
asan_env="ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 LSAN_OPTIONS=suppressions=tests/lsan.supp:print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1"
export BQB=${BQB:-build/bqb}

{
    # Two programs at a time from here on; a build has both processors to itself.
    echo "+build-gcc: $make CC='${CC:-gcc}' all test-programs"
    echo "---"
    echo "+build-clang: $make CC=clang BUILD=build-clang all test-programs fuzz-programs"
    echo "---"
    echo "+build-sanitizers: $make CC='${CC:-gcc}' $asan test-programs fuzz-programs"
    echo "---"
    echo "layers: tools/check-layers.sh"
    echo "unit: build/test-unit"
    echo "unit-clang: build-clang/test-unit"
    echo "unit-sanitizers: $asan_env build-asan/test-unit"
    echo "golden: build/test-golden"
    echo "golden-clang: build-clang/test-golden"
    for f in fuzz/fuzz_*.c; do
        [ -e "$f" ] || continue
        name=$(basename "$f" .c) name=${name#fuzz_}
        echo "fuzz-$name: $asan_env build-asan/fuzz-$name fuzz/corpus/$name"
    done
    for s in tests/e2e/*.sh; do
        [ -e "$s" ] || continue
        echo "e2e-$(basename "$s" .sh): bash $s"
    done
} | tests/run.sh -j "$jobs"
