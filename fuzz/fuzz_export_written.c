/* The list of pictures that exports wrote into a folder: whatever it says, a file that is not what it says stays. */
#define _GNU_SOURCE
#include "library/export_written.h"
#include "base/fs.h"
#include "target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64], list[128];
static const char *const files[] = {"images/mine.png", "images/0123456789ab.png", "0123456789ab.png"};

static const char *in_dir(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void remove_dir(void) {
    unlink(list);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) unlink(in_dir(files[i]));
    rmdir(in_dir("images"));
    rmdir(dir);
}

static void make_dir(void) {
    strcpy(dir, "/tmp/fuzz-written-XXXXXX");
    if (!mkdtemp(dir) || bqb_make_dirs(in_dir("images"), NULL)) abort();
    snprintf(list, sizeof list, "%s/.bqb-export", dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (bqb_file_write(in_dir(files[i]), "mine", 4, NULL)) abort();
    atexit(remove_dir);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t sha256[BQB_SHA256_SIZE] = {1};
    bqb_written *w = NULL;
    bqb_leftovers left;
    if (!*dir) make_dir();
    if (bqb_file_write(list, data, size, NULL) || bqb_written_open(&w, dir, NULL)) abort();
    /* No catalogue: it would be asked only about a file that is what the list says, and that takes its SHA-256. */
    if (bqb_written_add(w, "ba9876543210.png", sha256, NULL) || bqb_written_finish(&left, w, NULL, true, NULL, NULL, NULL)) abort();
    bqb_written_close(w);
    if (left.removed || left.left + left.others != 2) abort();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (!bqb_is_file(in_dir(files[i]))) abort();

    /* What was written is read back: with nothing new, the same again. */
    bqb_leftovers again;
    if (bqb_written_open(&w, dir, NULL) || bqb_written_finish(&again, w, NULL, false, NULL, NULL, NULL)) abort();
    bqb_written_close(w);
    if (again.left != left.left || again.others != left.others) abort();
    return 0;
}
