#include "golden/golden.h"

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
