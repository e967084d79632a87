/* Runs a fuzz target over files: every input as it is, then changed copies of
 * it (bits flipped, bytes replaced, pieces cut, doubled or moved), the same ones in every run.
 * A fault is a crash, which the sanitizers make of every bad access.
 *
 * Usage: fuzz-NAME [-m COPIES] FILE-or-FOLDER…    (COPIES of each file: 200)
 * The targets have libFuzzer's entry point, so that they can be linked with it instead of this file. */
#include "target.h"

#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_INPUT = 1 << 20, MAX_CHANGES = 8 };

static size_t n_files, n_failed;

/* Exactly-sized memory, so that the sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    if (size) memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* One change of v[0 … n-1], which has room for twice as much. Returns the new length. */
static size_t change(bqb_rand *r, uint8_t *v, size_t n) {
    static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFF, '"', '{', '[', '\t', '\n', '-', '9'};
    if (n == 0) {
        v[0] = (uint8_t)bqb_rand_u64(r);
        return 1;
    }
    size_t at = bqb_rand_below(r, n), left = n - at, len = 1 + bqb_rand_below(r, left < 64 ? left : 64);
    switch (bqb_rand_below(r, 6)) {
    case 0: v[at] ^= (uint8_t)(1u << bqb_rand_below(r, 8)); return n;
    case 1: v[at] = telling[bqb_rand_below(r, sizeof telling)]; return n;
    case 2: return at; /* cut off here */
    case 3:            /* a piece out of the middle */
        memmove(v + at, v + at + len, left - len);
        return n - len;
    case 4: /* a piece twice */
        memmove(v + at + len, v + at, left);
        return n + len;
    default: /* a piece from elsewhere */
        memmove(v + at, v + bqb_rand_below(r, n - len + 1), len);
        return n;
    }
}

static void run_changed(const char *path, const uint8_t *data, size_t size, size_t copies) {
    /* Seeded by the file's name: adding a file changes no other file's copies. */
    uint64_t stream = 1469598103934665603u;
    for (const char *c = bqb_path_base(path); *c; c++) stream = (stream ^ (uint8_t)*c) * 1099511628211u;
    uint8_t *v = malloc(size + 64 * MAX_CHANGES + 1);
    if (!v) abort();
    for (size_t i = 0; i < copies; i++) {
        bqb_rand r = bqb_rand_seed(i, stream);
        size_t n = size, changes = 1 + bqb_rand_below(&r, MAX_CHANGES);
        if (size) memcpy(v, data, size);
        while (changes--) n = change(&r, v, n);
        run(v, n);
    }
    free(v);
}

static void run_path(const char *path, size_t copies) {
    if (bqb_is_dir(path)) {
        struct dirent **entry;
        int n = scandir(path, &entry, NULL, alphasort);
        for (int i = 0; i < n; i++) {
            if (entry[i]->d_name[0] != '.') {
                char *below = bqb_path_join(path, entry[i]->d_name);
                if (below) run_path(below, copies);
                free(below);
            }
            free(entry[i]);
        }
        if (n >= 0) free(entry);
        return;
    }
    char *data = NULL;
    size_t size = 0;
    bqb_err err = {0};
    if (bqb_file_read(&data, &size, path, MAX_INPUT, &err)) {
        printf("FAIL %s\n", err.msg);
        n_failed++;
        return;
    }
    run((const uint8_t *)data, size);
    run_changed(path, (const uint8_t *)data, size, copies);
    n_files++;
    free(data);
}

int main(int argc, char **argv) {
    size_t copies = 200;
    int first = 1;
    if (argc > 2 && !strcmp(argv[1], "-m")) {
        copies = (size_t)strtoul(argv[2], NULL, 10);
        first = 3;
    }
    run((const uint8_t *)"", 0);
    for (int i = first; i < argc; i++) run_path(argv[i], copies);
    printf("%s: %zu passed, %zu failed, 0 skipped\n", bqb_path_base(argv[0]), n_files, n_failed);
    return n_failed || !n_files;
}
