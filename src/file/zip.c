#include "file/zip.h"

#include "base/little_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50,
    LOCAL_BYTES = 30, CENTRAL_BYTES = 46, END_BYTES = 22, END64_BYTES = 56, LOCATOR64_BYTES = 20,
    ENCRYPTED = 1, UTF8_NAME = 1 << 11, STORED = 0, DEFLATED = 8,
    MAX_ENTRIES = 1 << 20, MAX_GROWTH = 64, ALIGN = 64, WIDE = 0x0001, UNICODE_NAME = 0x7075, PADDING = 0x4246
};

struct bqb_zip {
    bqb_map map;
    char *path;
    bqb_zip_entry *entry; /* in name order */
    size_t n;
    bqb_arena *names;
    struct inflated {
        const bqb_zip_entry *of;
        uint8_t *data;
    } *inflated;
    size_t n_inflated;
    uint64_t inflated_bytes;
};

void bqb_zip_close(bqb_zip *z) {
    if (!z) return;
    for (size_t i = 0; i < z->n_inflated; i++) free(z->inflated[i].data);
    free(z->inflated);
    free(z->entry);
    free(z->path);
    bqb_arena_free(z->names);
    bqb_map_close(&z->map);
    free(z);
}

/* Where the directory is, as the record at the end of the file says. */
typedef struct {
    uint64_t n, size, offset;
} directory;

static bqb_status find_directory(const bqb_zip *z, directory *d, bqb_err *err) {
    const uint8_t *b = z->map.data;
    size_t size = z->map.size, at = size;
    for (size_t back = END_BYTES; back <= size && back <= END_BYTES + UINT16_MAX; back++)
        if (bqb_le32(b + size - back) == END && (size_t)END_BYTES + bqb_le16(b + size - back + 20) == back) {
            at = size - back;
            break;
        }
    if (at == size)
        return bqb_fail(err, BQB_EFORMAT, "it has no directory at its end: not a zip archive, or cut short");
    *d = (directory){bqb_le16(b + at + 10), bqb_le32(b + at + 12), bqb_le32(b + at + 16)};
    if (at >= LOCATOR64_BYTES && bqb_le32(b + at - LOCATOR64_BYTES) == LOCATOR64) {
        uint64_t wide = bqb_le(b + at - LOCATOR64_BYTES + 8, 8);
        if (wide > at || at - wide < END64_BYTES || bqb_le32(b + wide) != END64)
            return bqb_fail_at(err, BQB_EFORMAT, (int64_t)at - LOCATOR64_BYTES,
                               "its zip64 record is not at byte %" PRIu64, wide);
        *d = (directory){bqb_le(b + wide + 32, 8), bqb_le(b + wide + 40, 8), bqb_le(b + wide + 48, 8)};
    }
    if (d->offset > at || d->size > at - d->offset)
        return bqb_fail(err, BQB_EFORMAT,
                        "its directory of %" PRIu64 " bytes at byte %" PRIu64 " does not lie before the end record", d->size,
                        d->offset);
    if (d->n > MAX_ENTRIES)
        return bqb_fail(err, BQB_ELIMIT, "%" PRIu64 " entries, at most %d are taken", d->n, MAX_ENTRIES);
    if (d->n > d->size / CENTRAL_BYTES)
        return bqb_fail(err, BQB_EFORMAT, "%" PRIu64 " entries do not fit into a directory of %" PRIu64 " bytes", d->n, d->size);
    return BQB_OK;
}

/* The 64-bit numbers that stand in for those that are all ones. */
static bool read_wide(bqb_zip_entry *e, const uint8_t *extra, size_t n) {
    uint64_t *wanted[3] = {&e->size, &e->stored_size, &e->offset};
    for (size_t at = 0; n - at >= 4;) {
        size_t id = bqb_le16(extra + at), len = bqb_le16(extra + at + 2);
        at += 4;
        if (len > n - at) return false;
        if (id == WIDE) {
            const uint8_t *from = extra + at;
            size_t left = len;
            for (size_t k = 0; k < 3; k++) {
                if (*wanted[k] != UINT32_MAX) continue;
                if (left < 8) return false;
                *wanted[k] = bqb_le(from, 8);
                from += 8;
                left -= 8;
            }
            return true;
        }
        at += len;
    }
    return true;
}

static uint32_t checksum(const void *data, uint64_t n) { return (uint32_t)crc32_z(0, data, n); }

/* The name as UTF-8, which counts while the checksum of the name that it belongs to fits. */
static bqb_status read_unicode(bqb_zip *z, bqb_zip_entry *e, const uint8_t *extra, size_t n, bqb_err *err) {
    for (size_t at = 0; n - at >= 4;) {
        size_t id = bqb_le16(extra + at), len = bqb_le16(extra + at + 2);
        at += 4;
        if (len > n - at) return BQB_OK;
        const uint8_t *field = extra + at;
        if (id == UNICODE_NAME && len > 5 && field[0] == 1 && bqb_le32(field + 1) == checksum(e->name, strlen(e->name)) &&
            !memchr(field + 5, 0, len - 5)) {
            char *copy = bqb_arena_take(z->names, len - 4, 1);
            if (!copy) return bqb_fail_nomem(err, "names", len);
            memcpy(copy, field + 5, len - 5);
            copy[len - 5] = 0;
            e->unicode = copy;
            return BQB_OK;
        }
        at += len;
    }
    return BQB_OK;
}

static bqb_status read_directory(bqb_zip *z, const directory *d, bqb_err *err) {
    const uint8_t *b = z->map.data + d->offset, *end = b + d->size;
    for (uint64_t i = 0; i < d->n; i++) {
        size_t left = (size_t)(end - b);
        int64_t pos = (int64_t)(b - z->map.data);
        if (left < CENTRAL_BYTES || bqb_le32(b) != CENTRAL)
            return bqb_fail_at(err, BQB_EFORMAT, pos, "entry %" PRIu64 " of its directory is broken", i);
        size_t name = bqb_le16(b + 28), extra = bqb_le16(b + 30), comment = bqb_le16(b + 32);
        if (name + extra + comment > left - CENTRAL_BYTES)
            return bqb_fail_at(err, BQB_EFORMAT, pos, "entry %" PRIu64 " of its directory is cut short", i);
        bqb_zip_entry *e = &z->entry[z->n];
        *e = (bqb_zip_entry){.size = bqb_le32(b + 24), .stored_size = bqb_le32(b + 20), .crc32 = bqb_le32(b + 16),
                             .method = bqb_le16(b + 10), .offset = bqb_le32(b + 42)};
        char *copy = bqb_arena_take(z->names, name + 1, 1);
        if (!copy) return bqb_fail_nomem(err, "names", name + 1);
        memcpy(copy, b + CENTRAL_BYTES, name);
        copy[name] = 0;
        e->name = copy;
        if (!name || strlen(copy) != name)
            return bqb_fail_at(err, BQB_EFORMAT, pos, "entry %" PRIu64 " has no proper name", i);
        if (!read_wide(e, b + CENTRAL_BYTES + name, extra))
            return bqb_fail_at(err, BQB_EFORMAT, pos, "\"%.100s\": its extra fields are broken", copy);
        if (bqb_le16(b + 8) & ENCRYPTED) e->method = UINT16_MAX;
        e->utf8 = (bqb_le16(b + 8) & UTF8_NAME) != 0;
        bqb_status s = read_unicode(z, e, b + CENTRAL_BYTES + name, extra, err);
        if (s) return s;
        b += CENTRAL_BYTES + name + extra + comment;
        z->n++;
    }
    return BQB_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const bqb_zip_entry *)a)->name, ((const bqb_zip_entry *)b)->name);
}

static int by_name_and_offset(const void *a, const void *b) {
    const bqb_zip_entry *x = a, *y = b;
    int d = by_name(a, b);
    return d ? d : (x->offset > y->offset) - (x->offset < y->offset);
}

static bqb_status sort(bqb_zip *z, bool twice, bqb_err *err) {
    if (z->n) qsort(z->entry, z->n, sizeof *z->entry, by_name_and_offset);
    for (size_t i = 1; i < z->n && !twice; i++)
        if (!strcmp(z->entry[i - 1].name, z->entry[i].name))
            return bqb_fail(err, BQB_EFORMAT, "entry \"%.100s\" is there twice", z->entry[i].name);
    return BQB_OK;
}

static bqb_status open_zip(bqb_zip **out, const char *path, bool twice, bqb_err *err) {
    *out = NULL;
    bqb_zip *z = bqb_calloc(1, sizeof *z);
    if (!z) return bqb_fail_nomem(err, path, sizeof *z);
    bqb_status s = bqb_map_open(&z->map, path, err);
    if (!s) {
        directory d = {0};
        z->names = bqb_arena_new();
        z->path = bqb_strdup(path);
        if (!z->names || !z->path) s = bqb_fail_nomem(err, "archive", strlen(path));
        if (!s) s = find_directory(z, &d, err);
        if (!s && !(z->entry = bqb_calloc((size_t)d.n, sizeof *z->entry)))
            s = bqb_fail_nomem(err, "directory", (size_t)d.n * sizeof *z->entry);
        if (!s) s = read_directory(z, &d, err);
        if (!s) s = sort(z, twice, err);
        if (s) bqb_err_prefix(err, path);
    }
    if (s) bqb_zip_close(z);
    else *out = z;
    return s;
}

bqb_status bqb_zip_open(bqb_zip **out, const char *path, bqb_err *err) { return open_zip(out, path, false, err); }
bqb_status bqb_zip_open_any(bqb_zip **out, const char *path, bqb_err *err) { return open_zip(out, path, true, err); }

size_t bqb_zip_count(const bqb_zip *z) { return z->n; }
const bqb_zip_entry *bqb_zip_at(const bqb_zip *z, size_t i) { return i < z->n ? &z->entry[i] : NULL; }
uint64_t bqb_zip_size_bytes(const bqb_zip *z) { return z->map.size; }

const bqb_zip_entry *bqb_zip_find(const bqb_zip *z, const char *name) {
    bqb_zip_entry key = {.name = name};
    return z->n ? bsearch(&key, z->entry, z->n, sizeof key, by_name) : NULL;
}

/* The entry's bytes as they lie in the file, by its local header. */
static bqb_status stored_bytes(const bqb_zip *z, const bqb_zip_entry *e, const uint8_t **out, bqb_err *err) {
    const uint8_t *b = z->map.data;
    uint64_t size = z->map.size;
    if (e->offset > size || size - e->offset < LOCAL_BYTES || bqb_le32(b + e->offset) != LOCAL)
        return bqb_fail(err, BQB_EFORMAT, "%s: entry \"%.100s\" is not at byte %" PRIu64, z->path, e->name, e->offset);
    size_t name = bqb_le16(b + e->offset + 26), extra = bqb_le16(b + e->offset + 28);
    uint64_t at = e->offset + LOCAL_BYTES + name + extra;
    if (at > size || e->stored_size > size - at)
        return bqb_fail(err, BQB_EFORMAT,
                        "%s: entry \"%.100s\" of %" PRIu64 " bytes goes past the end of the file", z->path, e->name,
                        e->stored_size);
    if (name != strlen(e->name) || memcmp(b + e->offset + LOCAL_BYTES, e->name, name) != 0)
        return bqb_fail(err, BQB_EFORMAT, "%s: entry \"%.100s\" has another name at byte %" PRIu64, z->path, e->name,
                        e->offset);
    *out = b + at;
    return BQB_OK;
}

static bool inflate_all(uint8_t *out, uint64_t size, const uint8_t *in, uint64_t stored) {
    enum { PIECE = 1 << 30 }; /* zlib counts in 32 bits */
    z_stream zs = {.next_in = (Bytef *)(uintptr_t)in, .next_out = out};
    if (inflateInit2(&zs, -MAX_WBITS) != Z_OK) return false;
    int r = Z_OK;
    uint8_t nothing;
    if (!size) zs.next_out = &nothing;
    while (r == Z_OK) {
        uint64_t in_left = stored - (uint64_t)(zs.next_in - in), out_left = size ? size - (uint64_t)(zs.next_out - out) : 0;
        zs.avail_in = (uInt)(in_left < PIECE ? in_left : PIECE);
        zs.avail_out = (uInt)(out_left < PIECE ? out_left : PIECE);
        r = inflate(&zs, Z_NO_FLUSH);
    }
    bool whole = r == Z_STREAM_END && (!size || (uint64_t)(zs.next_out - out) == size);
    inflateEnd(&zs);
    return whole;
}

/* Whether we can read it at all, and its bytes as they lie in the file. */
static bqb_status find_entry(const bqb_zip *z, const bqb_zip_entry *e, const uint8_t **in, bqb_err *err) {
    if (e->method != STORED && e->method != DEFLATED)
        return bqb_fail(err, BQB_EUNSUPPORTED, "%s: entry \"%.100s\" is %s", z->path, e->name,
                        e->method == UINT16_MAX ? "encrypted" : "compressed by a method other than deflate");
    bqb_status s = stored_bytes(z, e, in, err);
    if (!s && e->method == STORED && e->size != e->stored_size)
        s = bqb_fail(err, BQB_EFORMAT, "%s: entry \"%.100s\" is stored, but its two sizes differ", z->path, e->name);
    return s;
}

static bqb_status damaged(const bqb_zip *z, const bqb_zip_entry *e, bqb_err *err) {
    return bqb_fail(err, BQB_EFORMAT, "%s: entry \"%.100s\" is damaged: it does not inflate to what it was", z->path, e->name);
}

bqb_status bqb_zip_read(const bqb_zip *z, const bqb_zip_entry *e, bqb_buf *out, bqb_err *err) {
    const uint8_t *in = NULL;
    bqb_status s = find_entry(z, e, &in, err);
    if (s) return s;
    if (e->size > out->max - out->len)
        return bqb_fail(err, BQB_ELIMIT, "%s: entry \"%.100s\" of %" PRIu64 " bytes, at most %zu are taken", z->path, e->name,
                        e->size, out->max - out->len);
    if (e->method == STORED) {
        if (checksum(in, e->size) != e->crc32) return damaged(z, e, err);
        return bqb_buf_append(out, in, (size_t)e->size, err);
    }
    uint8_t *data = bqb_alloc_aligned((size_t)e->size, 1);
    if (!data) return bqb_fail_nomem(err, e->name, (size_t)e->size);
    if (!inflate_all(data, e->size, in, e->stored_size) || checksum(data, e->size) != e->crc32) s = damaged(z, e, err);
    else s = bqb_buf_append(out, data, (size_t)e->size, err);
    free(data);
    return s;
}

bqb_status bqb_zip_data(bqb_zip *z, const bqb_zip_entry *e, const uint8_t **data, bqb_err *err) {
    for (size_t i = 0; i < z->n_inflated; i++)
        if (z->inflated[i].of == e) {
            *data = z->inflated[i].data;
            return BQB_OK;
        }
    const uint8_t *in = NULL;
    bqb_status s = find_entry(z, e, &in, err);
    if (s) return s;
    if (e->method == STORED) {
        *data = in;
        return BQB_OK;
    }
    if (e->size > (uint64_t)z->map.size * MAX_GROWTH - z->inflated_bytes)
        return bqb_fail(err, BQB_ELIMIT, "%s: inflated, it would be over %d times as large", z->path, MAX_GROWTH);
    struct inflated *list = realloc(z->inflated, (z->n_inflated + 1) * sizeof *list);
    if (list) z->inflated = list;
    uint8_t *out = list ? bqb_alloc_aligned((size_t)e->size, 1) : NULL;
    if (!out) return bqb_fail_nomem(err, e->name, (size_t)e->size);
    if (!inflate_all(out, e->size, in, e->stored_size) || checksum(out, e->size) != e->crc32) {
        free(out);
        return damaged(z, e, err);
    }
    z->inflated[z->n_inflated++] = (struct inflated){e, out};
    z->inflated_bytes += e->size;
    *data = out;
    return BQB_OK;
}

/* ---- writing ---- */

enum { MAX_DIRECTORY = 256 << 20, VERSION = 45, DOS_DATE = (1 << 5) | 1 }; /* 1980-01-01: the same bytes every time */

static uint8_t *put(uint8_t *b, uint64_t v, size_t n) {
    bqb_put_le(b, v, n);
    return b + n;
}

bqb_status bqb_zip_writer_open(bqb_zip_writer *w, const char *path, bqb_err *err) {
    *w = (bqb_zip_writer){.directory = {.max = MAX_DIRECTORY}};
    return bqb_outfile_open(&w->out, path, err);
}

static bqb_status write_bytes(bqb_zip_writer *w, const void *bytes, uint64_t n, bqb_err *err) {
    w->at += n;
    return bqb_outfile_write(&w->out, bytes, (size_t)n, err);
}

/* What both headers of an entry share: version to version + 24 bytes. */
static uint8_t *put_common(uint8_t *b, uint32_t crc, uint64_t size, size_t name, size_t extra) {
    b = put(b, VERSION, 2);
    b = put(b, 0, 2); /* flags */
    b = put(b, STORED, 2);
    b = put(b, 0, 2);
    b = put(b, DOS_DATE, 2);
    b = put(b, crc, 4);
    b = put(b, size, 4);
    b = put(b, size, 4);
    b = put(b, name, 2);
    return put(b, extra, 2);
}

bqb_status bqb_zip_writer_add(bqb_zip_writer *w, const char *name, const void *data, uint64_t size, bqb_err *err) {
    size_t n = strlen(name);
    if (!n || n > 1000 || size >= UINT32_MAX)
        return bqb_fail(err, BQB_ELIMIT, "\"%.100s\" of %" PRIu64 " bytes cannot be an entry of an archive", name, size);
    uint32_t crc = checksum(data, size);
    uint64_t offset = w->at;
    /* An extra field of zeros moves the data to where they should begin. */
    size_t extra = 4 + (size_t)(ALIGN - (offset + LOCAL_BYTES + n + 4) % ALIGN) % ALIGN;
    uint8_t head[LOCAL_BYTES], pad[4 + ALIGN] = {0}, *b = put(head, LOCAL, 4);
    put_common(b, crc, size, n, extra);
    put(put(pad, PADDING, 2), extra - 4, 2);
    bqb_status s = write_bytes(w, head, sizeof head, err);
    if (!s) s = write_bytes(w, name, n, err);
    if (!s) s = write_bytes(w, pad, extra, err);
    if (!s) s = write_bytes(w, data, size, err);
    bool wide = offset >= UINT32_MAX;
    uint8_t entry[CENTRAL_BYTES] = {0}, far[12];
    b = put(put(entry, CENTRAL, 4), VERSION, 2);
    b = put_common(b, crc, size, n, wide ? sizeof far : 0);
    put(entry + 42, wide ? UINT32_MAX : offset, 4);
    put(put(put(far, WIDE, 2), 8, 2), offset, 8);
    if (!s) s = bqb_buf_append(&w->directory, entry, sizeof entry, err);
    if (!s) s = bqb_buf_append(&w->directory, name, n, err);
    if (!s && wide) s = bqb_buf_append(&w->directory, far, sizeof far, err);
    w->n++;
    return s;
}

bqb_status bqb_zip_writer_commit(bqb_zip_writer *w, bqb_err *err) {
    uint64_t start = w->at, size = w->directory.len, end64;
    bool wide = start >= UINT32_MAX || w->n >= UINT16_MAX;
    uint8_t record[END64_BYTES + LOCATOR64_BYTES + END_BYTES] = {0}, *b = record;
    bqb_status s = write_bytes(w, w->directory.data, size, err);
    end64 = w->at;
    if (wide) {
        b = put(put(b, END64, 4), END64_BYTES - 12, 8);
        b = put(put(b, VERSION, 2), VERSION, 2);
        b = put(b, 0, 8);
        b = put(put(b, w->n, 8), w->n, 8);
        b = put(put(b, size, 8), start, 8);
        b = put(put(b, LOCATOR64, 4), 0, 4);
        b = put(put(b, end64, 8), 1, 4);
    }
    uint64_t n = w->n < UINT16_MAX ? w->n : UINT16_MAX;
    b = put(put(b, END, 4), 0, 4);
    b = put(put(b, n, 2), n, 2);
    b = put(put(b, size, 4), wide ? UINT32_MAX : start, 4);
    b = put(b, 0, 2);
    if (!s) s = write_bytes(w, record, (uint64_t)(b - record), err);
    if (!s) s = bqb_outfile_commit(&w->out, err);
    bqb_buf_free(&w->directory);
    return s;
}

void bqb_zip_writer_abort(bqb_zip_writer *w) {
    bqb_outfile_abort(&w->out);
    bqb_buf_free(&w->directory);
}
