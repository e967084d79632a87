#include "image/drawing.h"

#include "base/fs.h"

#include <string.h>

enum { IHDR_END = 33 }; /* the signature, and a chunk of 13 bytes */

static const uint8_t signature[16] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
static const uint8_t mark[24] = "\0\0\0\x0ctEXtSoftware\0bqb"
                                "\xcb\x57\x62\xca";

static bool is_png(const void *bytes, size_t size) { return size > IHDR_END && !memcmp(bytes, signature, sizeof signature); }

bqb_status bqb_drawing_write(const char *path, const void *png, size_t size, bqb_err *err) {
    if (!is_png(png, size)) return bqb_fail(err, BQB_EINVAL, "%s: %zu bytes that are no PNG", path, size);
    bqb_outfile o;
    bqb_status s = bqb_outfile_open(&o, path, err);
    if (!s) s = bqb_outfile_write(&o, png, IHDR_END, err);
    if (!s) s = bqb_outfile_write(&o, mark, sizeof mark, err);
    if (!s) s = bqb_outfile_write(&o, (const char *)png + IHDR_END, size - IHDR_END, err);
    if (!s) s = bqb_outfile_commit(&o, err);
    bqb_outfile_abort(&o);
    return s;
}

bool bqb_drawing_is(const void *bytes, size_t size) {
    return is_png(bytes, size) && size >= IHDR_END + sizeof mark && !memcmp((const char *)bytes + IHDR_END, mark, sizeof mark);
}
