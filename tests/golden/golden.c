#include "golden/golden.h"

#include "base/fs.h"
#include "test.h"

#include <math.h>
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

float *golden_values(const bqb_safetensors *st, const char *name, size_t *n) {
    if (n) *n = 0;
    const bqb_tensor *t = bqb_safetensors_find(st, name);
    if (!CHECK_MSG(t != NULL, "%s is not among the fixtures", name)) return NULL;
    float *x = malloc((t->n ? t->n : 1) * sizeof *x);
    bqb_err err;
    CHECK_OK(bqb_tensor_to_f32(x, t, 0, t->n, &err), err);
    if (n) *n = t->n;
    return x;
}

double golden_distance(const float *got, const float *want, size_t n) {
    double top = 0, diff = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - (double)want[i]);
        if (!(d < HUGE_VAL)) return HUGE_VAL;
        if (d > diff) diff = d;
        if (fabs((double)want[i]) > top) top = fabs((double)want[i]);
    }
    return top > 0 ? diff / top : diff;
}
