#include "golden/golden.h"

#include "base/fs.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

const char *golden_path(const char *file) {
    static char path[4][4096];
    static unsigned turn;
    char *p = path[turn++ % 4];
    const char *dir = getenv("BQB_GOLDEN");
    if (!dir || !*dir) dir = test_path("golden");
    snprintf(p, sizeof path[0], "%s/%s", dir, file);
    return p;
}

bool golden_has(const char *file) {
    const char *dir = getenv("BQB_GOLDEN");
    if (!dir || !*dir || bqb_is_file(golden_path(file))) return true;
    printf("  %s is not in this set: not compared\n", file);
    return false;
}
