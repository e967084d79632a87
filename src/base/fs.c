#define _GNU_SOURCE
#include "base/fs.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bqb_status read_all(bqb_map *m, int fd, size_t size, const char *path, bqb_err *err) {
    uint8_t *p = bqb_alloc_aligned(size, 1);
    size_t done = 0;
    if (!p) return bqb_fail_nomem(err, path, size);
    while (done < size) {
        ssize_t n = read(fd, p + done, size - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            bqb_status s = n < 0 ? bqb_fail_errno(err, "%s", path) : bqb_fail(err, BQB_EIO, "%s: was cut while it was read", path);
            free(p);
            return s;
        }
        done += (size_t)n;
    }
    *m = (bqb_map){.data = p, .size = size};
    return BQB_OK;
}

bqb_status bqb_map_open(bqb_map *m, const char *path, bqb_err *err) {
    *m = (bqb_map){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return bqb_fail_errno(err, "%s", path);
    struct stat st;
    bqb_status s = BQB_OK;
    if (fstat(fd, &st)) s = bqb_fail_errno(err, "%s", path);
    else if (!S_ISREG(st.st_mode)) s = bqb_fail(err, BQB_EFORMAT, "%s: not a regular file", path);
    else if (st.st_size > 0 && st.st_size <= BQB_MAP_READ_MAX) s = read_all(m, fd, (size_t)st.st_size, path, err);
    else if (st.st_size > 0) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) s = bqb_fail_errno(err, "%s", path);
        else *m = (bqb_map){.data = p, .size = (size_t)st.st_size};
    }
    close(fd);
    return s;
}

void bqb_map_close(bqb_map *m) {
    void *p = (void *)(uintptr_t)m->data;
    if (m->size <= BQB_MAP_READ_MAX) free(p);
    else munmap(p, m->size);
    *m = (bqb_map){0};
}

bqb_status bqb_file_read(char **data, size_t *size, const char *path, size_t max, bqb_err *err) {
    *data = NULL;
    if (bqb_is_dir(path)) return bqb_fail(err, BQB_EFORMAT, "%s: is a folder", path);
    /* Not blocking: opening a pipe that nobody writes to would wait for ever. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    FILE *f = fd < 0 || fstat(fd, &st) ? NULL : fdopen(fd, "rb");
    if (!f) {
        bqb_status failed = bqb_fail_errno(err, "%s", path);
        if (fd >= 0) close(fd);
        return failed;
    }
    if (!S_ISREG(st.st_mode)) {
        fclose(f);
        return bqb_fail(err, BQB_EFORMAT, "%s: not a regular file", path);
    }
    bqb_buf b = {.max = max};
    char chunk[65536];
    size_t n;
    bqb_status s = bqb_buf_append(&b, "", 0, err);
    while (!s && (n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        if (b.len + n > max)
            s = bqb_fail(err, BQB_ELIMIT, "%s: larger than %zu bytes", path, max);
        else s = bqb_buf_append(&b, chunk, n, err);
    }
    if (!s && ferror(f)) s = bqb_fail_errno(err, "%s", path);
    fclose(f);
    if (s) {
        bqb_buf_free(&b);
        return s;
    }
    *data = b.data;
    if (size) *size = b.len;
    return BQB_OK;
}

bqb_status bqb_outfile_open(bqb_outfile *o, const char *path, bqb_err *err) {
    *o = (bqb_outfile){0};
    o->path = bqb_strdup(path);
    o->tmp = bqb_asprintf("%s.tmp.%ld", path, (long)getpid());
    if (!o->path || !o->tmp) {
        bqb_outfile_abort(o);
        return bqb_fail_nomem(err, path, strlen(path));
    }
    o->f = fopen(o->tmp, "wbe");
    if (!o->f) {
        bqb_status s = bqb_fail_errno(err, "%s", path);
        bqb_outfile_abort(o);
        return s;
    }
    return BQB_OK;
}

bqb_status bqb_outfile_write(bqb_outfile *o, const void *bytes, size_t n, bqb_err *err) {
    if (n && fwrite(bytes, 1, n, o->f) != n) return bqb_fail_errno(err, "%s", o->path);
    return BQB_OK;
}

bqb_status bqb_outfile_printf(bqb_outfile *o, bqb_err *err, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    int n = vfprintf(o->f, fmt, args);
    va_end(args);
    return n < 0 ? bqb_fail_errno(err, "%s", o->path) : BQB_OK;
}

/* The rename is durable only once the folder is synced. */
static void sync_folder_of(const char *path) {
    char *dir = bqb_strdup(path);
    if (!dir) return;
    char *slash = strrchr(dir, '/');
    if (slash) *slash = 0;
    int fd = open(slash ? (*dir ? dir : "/") : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
}

static bqb_status commit(bqb_outfile *o, bool sync, bqb_err *err) {
    bqb_status s = BQB_OK;
    if (fflush(o->f) || (sync && fsync(fileno(o->f)))) s = bqb_fail_errno(err, "%s", o->path);
    if (fclose(o->f) && !s) s = bqb_fail_errno(err, "%s", o->path);
    o->f = NULL;
    if (!s && rename(o->tmp, o->path)) s = bqb_fail_errno(err, "%s", o->path);
    if (!s) {
        if (sync) sync_folder_of(o->path);
        free(o->tmp);
        o->tmp = NULL;
    }
    bqb_outfile_abort(o);
    return s;
}

bqb_status bqb_outfile_commit(bqb_outfile *o, bqb_err *err) { return commit(o, true, err); }

void bqb_outfile_abort(bqb_outfile *o) {
    if (o->f) fclose(o->f);
    if (o->tmp) unlink(o->tmp);
    free(o->tmp);
    free(o->path);
    *o = (bqb_outfile){0};
}

static bqb_status write_file(const char *path, const void *bytes, size_t n, bool sync, bqb_err *err) {
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, err);
    if (!s) s = bqb_outfile_write(&o, bytes, n, err);
    if (!s) s = commit(&o, sync, err);
    bqb_outfile_abort(&o);
    return s;
}

bqb_status bqb_file_write(const char *path, const void *bytes, size_t n, bqb_err *err) {
    return write_file(path, bytes, n, true, err);
}

bqb_status bqb_file_write_later(const char *path, const void *bytes, size_t n, bqb_err *err) {
    return write_file(path, bytes, n, false, err);
}

bool bqb_is_dir(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool bqb_is_file(const char *path) {
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode);
}

bqb_status bqb_make_dirs(const char *path, bqb_err *err) {
    char *p = bqb_strdup(path);
    if (!p) return bqb_fail_nomem(err, path, strlen(path));
    bqb_status s = BQB_OK;
    for (char *c = p + 1; !s; c++) {
        if (*c && *c != '/') continue;
        char end = *c;
        *c = 0;
        if (*p && mkdir(p, 0777) && !(errno == EEXIST && bqb_is_dir(p))) {
            if (errno == EEXIST) errno = ENOTDIR;
            s = bqb_fail_errno(err, "%s", p);
        }
        *c = end;
        if (!end) break;
    }
    free(p);
    return s;
}

char *bqb_path_join(const char *dir, const char *name) {
    if (!*dir || *name == '/') return bqb_strdup(name);
    return bqb_asprintf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
}

const char *bqb_path_base(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}
