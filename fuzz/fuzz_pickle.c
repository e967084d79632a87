/* Pickles: read as plain values and with names; whatever comes out is sound all the way down. */
#include "file/pickle.h"
#include "target.h"

#include <stdlib.h>
#include <string.h>

static volatile unsigned char seen;
static size_t budget;

static void walk(const bqb_pickle_value *v, unsigned depth, bool names) {
    if (!v || depth > BQB_PICKLE_DEPTH || v->depth > BQB_PICKLE_DEPTH - depth) abort();
    if (!names && v->kind > BQB_PICKLE_DICT) abort();
    if (!budget) return; /* a value may be part of many others: not all paths are walked */
    budget--;
    switch (v->kind) {
    case BQB_PICKLE_STR:
        if (v->text[v->n]) abort();
        /* fall through */
    case BQB_PICKLE_BYTES:
        for (size_t i = 0; i < v->n; i++) seen ^= (unsigned char)v->text[i];
        break;
    case BQB_PICKLE_NAME:
        if (strlen(v->text) != v->n) abort();
        break;
    case BQB_PICKLE_DICT:
        if (v->n % 2) abort();
        bqb_pickle_get(v, "state_dict");
        /* fall through */
    default:
        for (size_t i = 0; i < v->n; i++) walk(v->item[i], depth + 1, names);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const bqb_pickle_name names[] = {
        {"collections.OrderedDict", true}, {"torch._utils._rebuild_tensor_v2", false}, {"os.system", false}, {0}};
    static bqb_pickle *p;
    if (!p && !(p = bqb_pickle_new())) abort();
    for (int pass = 0; pass < 2; pass++) {
        const bqb_pickle_value *v;
        budget = 10000;
        if (!bqb_pickle_read(p, &v, data, size, pass ? names : NULL, NULL)) walk(v, 0, pass);
        else if (v) abort();
    }
    return 0;
}
