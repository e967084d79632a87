#define _GNU_SOURCE
#include "library/export.h"

#include "base/mem.h"
#include "library/export_format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_FILE = 64 << 20 };
static const char unfinished[] = "UNFINISHED.txt";

static const char *const names[] = {"folder", "muge", "clip-retrieval", "lmdb", "sticker820k"};

const char *bqb_export_format_name(bqb_export_format f) { return f < BQB_EXPORT_FORMATS ? names[f] : ""; }

bqb_export_format bqb_export_format_parse(const char *name) {
    int f = 0;
    while (f < BQB_EXPORT_FORMATS && strcmp(names[f], name) != 0) f++;
    return (bqb_export_format)f;
}

bqb_status bqb_export_clear(char **path, const char *dir, const char *name, bqb_err *err) {
    *path = bqb_path_join(dir, name);
    if (!*path) return bqb_fail_nomem(err, name, strlen(name));
    return unlink(*path) && errno != ENOENT ? bqb_fail_errno(err, "%s", *path) : BQB_OK;
}

bqb_status bqb_export_open(bqb_outfile *out, const char *dir, const char *name, bqb_err *err) {
    char *path;
    bqb_status s = bqb_export_clear(&path, dir, name, err);
    if (!s) s = bqb_outfile_open(out, path, err);
    free(path);
    return s;
}

/* ---- the folder ---- */

static bool holds(const char *dir, const char *name) {
    char *path = bqb_path_join(dir, name);
    bool yes = path && bqb_is_file(path);
    free(path);
    return yes;
}

/* Whether there is anything in it but an export that was stopped. */
static bqb_status check_empty(const char *dir, bqb_err *err) {
    struct dirent *e;
    bqb_status s = BQB_OK;
    if (holds(dir, unfinished)) return BQB_OK;
    DIR *d = opendir(dir);
    if (!d) return bqb_fail_errno(err, "%s", dir);
    if (holds(dir, "captions.tsv"))
        s = bqb_fail(err, BQB_EINVAL, "%s%scaptions.tsv is there already; choose another folder, or replace it with --force",
                     dir, dir[strlen(dir) - 1] == '/' ? "" : "/");
    while (!s && (e = readdir(d)))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            s = bqb_fail(err, BQB_EINVAL, "%s is not empty (%s is there); choose another folder, or write into it with --force",
                         dir, e->d_name);
    closedir(d);
    return s;
}

/* Two exports at once would take each other's tables away. Where the system cannot lock a folder they may. */
static bqb_status lock_folder(int *fd, const char *dir, bqb_err *err) {
    *fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return bqb_fail_errno(err, "%s", dir);
    return flock(*fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK ? bqb_fail(err, BQB_EIO, "%s: another bqb is exporting into it", dir) : BQB_OK;
}

/* "NAME.tmp.PID" of an atomic write of ours whose process is gone. Another program's file has another NAME. */
static bool is_leftover(const char *file) {
    static const char *const ours[] = {"UNFINISHED.txt", "captions.tsv", ".bqb-export"};
    static const char middle[] = ".tmp.";
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        size_t n = strlen(ours[i]);
        if (strncmp(file, ours[i], n) != 0 || strncmp(file + n, middle, sizeof middle - 1) != 0) continue;
        const char *digits = file + n + sizeof middle - 1;
        size_t length = strspn(digits, "0123456789");
        if (!length || length > 9 || digits[length]) return false;
        pid_t pid = (pid_t)strtol(digits, NULL, 10);
        return pid > 0 && (pid == getpid() || (kill(pid, 0) && errno == ESRCH)); /* we have written nothing yet */
    }
    return false;
}

/* The folder is ours alone now (lock_folder). What cannot be taken away is in the way, and said by whoever trips over it. */
static void sweep(const char *dir) {
    DIR *d = opendir(dir);
    struct stat st;
    for (struct dirent *e; d && (e = readdir(d));)
        if (is_leftover(e->d_name) && !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
}

static bqb_status prepare(const char *dir, const char *mark, bool force, bqb_err *err) {
    static const char text[] = "An export by bqb was stopped before this folder was complete.\n"
                               "The same command writes it again; the folder may as well be deleted.\n";
    bqb_status s = BQB_OK;
    if (holds(dir, "library.db")) s = bqb_fail(err, BQB_EINVAL, "%s is a library; choose another folder", dir);
    if (!s) sweep(dir);
    if (!s && !force) s = check_empty(dir, err);
    return s ? s : bqb_file_write(mark, text, sizeof text - 1, err);
}

/* The pictures were written without waiting for the disk: now wait for all of them together. */
static bqb_status settle(const char *dir, bqb_err *err) {
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bqb_status s = fd < 0 || syncfs(fd) ? bqb_fail_errno(err, "%s", dir) : BQB_OK;
    if (fd >= 0) close(fd);
    return s;
}

/* ---- one sticker ---- */

/* A file of the sticker that still is what was imported; why: what is wrong with the last that is not. */
typedef struct {
    const bqb_sticker *sticker;
    char *path, *bytes;
    size_t size;
    bqb_err why;
} content;

static int try_file(void *ctx, const char *path, const bqb_file *f) {
    content *k = ctx;
    uint8_t sha[BQB_SHA256_SIZE];
    (void)f;
    if (bqb_file_read(&k->bytes, &k->size, path, MAX_FILE, &k->why)) return 0;
    bqb_sha256_of(sha, k->bytes, k->size);
    if (!memcmp(sha, k->sticker->sha256, sizeof sha)) return 1;
    free(k->bytes);
    k->bytes = NULL;
    bqb_fail(&k->why, BQB_EFORMAT, "%s: it has changed since it was imported; import it again", path);
    return 0;
}

/* What a file's name says where another caption is believed. */
static int take_filename(void *ctx, const bqb_said *s) {
    char **filename = ctx;
    if (s->field != BQB_CAPTION || s->origin != BQB_FROM_FILE_NAME) return 0;
    *filename = bqb_strndup(s->text, s->n_bytes);
    return 1;
}

/* What only a format with a place for it takes: who read the words, and what; and the file's name. Each NULL where there is none. */
typedef struct {
    char *reader, *reading, *filename;
} sources;

static bqb_status get_sources(sources *x, bqb_catalogue *c, bqb_sticker_id id, const bqb_annotated *note, bqb_err *err) {
    bqb_status s = bqb_catalogue_get_reading(c, id, &x->reader, &x->reading, err);
    if (s && s != BQB_ENOTFOUND) return s;
    if (!note->field[BQB_CAPTION] || note->origin[BQB_CAPTION] == BQB_FROM_FILE_NAME) return BQB_OK;
    s = bqb_catalogue_each_said(c, id, take_filename, &x->filename, err);
    return s == BQB_ECANCEL ? x->filename ? BQB_OK : bqb_fail_nomem(err, "file's name", 1) : s;
}

typedef struct {
    bqb_exporter x;
    const bqb_export_writer *w;
    bqb_export_report *report;
} job;

static void skip(job *j, const char *path, const char *reason) {
    j->report->skipped++;
    if (j->x.o->skipped) j->x.o->skipped(j->x.o->ctx, path, reason);
}

static bqb_status export_one(job *j, bqb_sticker_id id, bqb_err *err) {
    bqb_catalogue *c = j->x.c;
    bqb_export_item item = {.size = 0};
    bqb_annotated note = {0};
    content k = {.sticker = &item.sticker};
    const char *why = NULL;
    sources from = {0};
    bqb_status s = bqb_catalogue_get_sticker(c, id, &item.sticker, err);
    if (!s) s = bqb_catalogue_short_id(c, item.sticker.sha256, item.id, err);
    if (!s) snprintf(item.name, sizeof item.name, "%s.%s", item.id, strcmp(item.sticker.format, "jpeg") ? item.sticker.format : "jpg");
    if (!s) s = bqb_catalogue_path_of(c, id, &k.path, NULL, err);
    if (!s) s = bqb_catalogue_get_annotation(c, id, &note, err);
    if (!s && j->w->origins) s = get_sources(&from, c, id, &note, err);
    if (!j->w->origins) bqb_annotated_leave_out(&note, BQB_ZERO_SHOT); /* whoever reads them would take them for given */
    if (!s && j->w->pictures) {
        s = bqb_catalogue_each_file_of(c, id, try_file, &k, err);
        if (s == BQB_ECANCEL) s = BQB_OK; /* found */
        if (!s && !k.bytes) why = *k.why.msg ? k.why.msg : "the library knows no file of it";
    }
    if (!s && !why) {
        item.path = k.path;
        item.bytes = k.bytes;
        item.size = k.size;
        item.note = &note;
        item.reader = from.reader;
        item.reading = from.reading;
        item.filename = from.filename;
        s = j->w->add(&j->x, &item, &why, err);
    }
    if (!s && why) skip(j, k.path, why);
    else if (!s) j->report->written++;
    bqb_annotated_free(&note);
    free(from.reader);
    free(from.reading);
    free(from.filename);
    free(k.bytes);
    free(k.path);
    return s;
}

static bqb_status export_all(job *j, const bqb_sticker_id *id, size_t n, bqb_err *err) {
    const bqb_export_options *o = j->x.o;
    bqb_status s = BQB_OK;
    for (size_t i = 0; i < n && !s; i++) {
        s = export_one(j, id[i], err);
        if (!s && o->progress && o->progress(o->ctx, "export", i + 1, n))
            s = bqb_fail(err, BQB_ECANCEL, "stopped; %s is not complete, the same command writes it again", j->x.dir);
    }
    return s;
}

bqb_status bqb_library_export(bqb_catalogue *c, const char *dir, const bqb_export_options *o, bqb_export_report *report,
                              bqb_err *err) {
    static const bqb_export_writer *const writers[] = {&bqb_export_folder, &bqb_export_muge, &bqb_export_clip_retrieval,
                                                        &bqb_export_pairs, &bqb_export_infos};
    bqb_sticker_id *all = NULL;
    size_t n = o->n;
    int lock = -1;
    job j = {.x = {.c = c, .dir = dir, .o = o, .report = report}, .report = report};
    *report = (bqb_export_report){0};
    if (!*dir || o->format >= BQB_EXPORT_FORMATS) return bqb_fail(err, BQB_EINVAL, "export: no folder or no format");
    j.w = writers[o->format];
    char *mark = bqb_path_join(dir, unfinished);
    bqb_status s = mark ? j.w->check(o, err) : bqb_fail_nomem(err, dir, strlen(dir));
    if (!s && !o->id) s = bqb_catalogue_list_shown(c, &all, &n, err);
    if (!s) s = bqb_make_dirs(dir, err);
    if (!s) s = lock_folder(&lock, dir, err);
    if (!s) s = prepare(dir, mark, o->force, err);
    if (!s) s = j.w->begin(&j.x, err);
    if (!s) s = export_all(&j, o->id ? o->id : all, n, err);
    if (!s && j.w->pictures) s = settle(dir, err);
    if (!s) s = j.w->commit(&j.x, err);
    if (!s && unlink(mark)) s = bqb_fail_errno(err, "%s", mark);
    j.w->end(&j.x);
    if (lock >= 0) close(lock);
    free(all);
    free(mark);
    return s;
}
