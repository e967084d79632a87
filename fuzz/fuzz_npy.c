/* .npy: a matrix that is handed out lies inside the file, to its last number. */
#include "file/npy.h"
#include "target.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *path = fuzz_file(data, size);
    bqb_npy a;
    bqb_err err = {0};
    if (!path) return 0;
    if (bqb_npy_open(&a, path, &err)) {
        if (!err.msg[0] || a.map.data) abort();
        return 0;
    }
    if (a.D && a.x.n / a.D != a.N) abort();
    if (a.x.n > size) abort();
    float *all = malloc((a.x.n + 1) * sizeof *all);
    if (!all || bqb_npy_rows(all, &a, 0, a.N, NULL)) abort();
    if (!bqb_npy_rows(all, &a, a.N, 1, NULL) || (a.N && bqb_npy_rows(all, &a, a.N - 1, 1, NULL))) abort();
    free(all);
    bqb_npy_close(&a);
    return 0;
}
