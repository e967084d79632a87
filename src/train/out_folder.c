#define _XOPEN_SOURCE 700 /* lockf */
#include "train/out_folder.h"

#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_MAX = 1 << 28 };

bqb_status bqb_out_lock(int *fd, const char *dir, const char *who, bqb_err *err) {
    char *path = bqb_path_join(dir, ".lock");
    *fd = -1;
    if (!path) return bqb_fail_nomem(err, dir, strlen(dir));
    bqb_status s = BQB_OK;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0) s = bqb_fail_errno(err, "%s", path);
    else if (lockf(*fd, F_TLOCK, 0)) {
        s = bqb_fail(err, BQB_EIO, "%s: another %s is writing here", dir, who);
        close(*fd);
        *fd = -1;
    }
    free(path);
    return s;
}

uint64_t bqb_csv_step(const char *line) { return *line >= '0' && *line <= '9' ? strtoull(line, NULL, 10) : UINT64_MAX; }

bqb_status bqb_out_log(const char *dir, const char *name, const char *header, bool keep, uint64_t step, bqb_step_of step_of, bqb_err *err) {
    char *path = bqb_path_join(dir, name), *old = NULL;
    if (!path) return bqb_fail_nomem(err, dir, strlen(dir));
    bqb_outfile f;
    bqb_status s = bqb_outfile_open(&f, path, err);
    if (!s && header) s = bqb_outfile_printf(&f, err, "%s\n", header);
    if (!s && keep && bqb_is_file(path)) s = bqb_file_read(&old, NULL, path, LOG_MAX, err);
    for (char *line = old, *end; line && !s && (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        uint64_t at = step_of(line);
        if (at != UINT64_MAX && at <= step) s = bqb_outfile_printf(&f, err, "%s\n", line);
    }
    free(old);
    if (!s) s = bqb_outfile_commit(&f, err);
    bqb_outfile_abort(&f);
    free(path);
    return s;
}
