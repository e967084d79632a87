#include "image/apng.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 8 + 25 /* signature and IHDR */, MAX_DELAY_MS = 60000 };

static uint32_t be32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned be16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }

/* A chunk: length, type, body, checksum. */
typedef struct {
    const uint8_t *body;
    size_t n, next; /* next: where the following chunk begins */
} chunk;

static bool chunk_at(chunk *c, const bqb_apng *a, size_t at) {
    if (at > a->size || a->size - at < 12) return false;
    c->n = be32(a->file + at);
    if (c->n > a->size - at - 12) return false;
    c->body = a->file + at + 8;
    c->next = at + 12 + c->n;
    return true;
}

static bool is(const chunk *c, const char *type) { return !memcmp(c->body - 4, type, 4); }

static bool parse_control(bqb_apng_frame *f, const bqb_apng *a, const chunk *c) {
    if (c->n != 26) return false;
    const uint8_t *p = c->body;
    *f = (bqb_apng_frame){.width = be32(p + 4), .height = be32(p + 8), .x = be32(p + 12), .y = be32(p + 16)};
    unsigned num = be16(p + 20), den = be16(p + 22), ms = num * 1000 / (den ? den : 100);
    f->delay_ms = ms > MAX_DELAY_MS ? MAX_DELAY_MS : (int)ms;
    f->dispose = p[24];
    f->over = p[25] == 1;
    return f->width && f->height && f->width <= a->width && f->height <= a->height &&
           f->x <= a->width - f->width && f->y <= a->height - f->height;
}

/* One walk over the chunks. `out` NULL only counts. A frame is whole when
 * another chunk follows its data. */
static size_t walk(bqb_apng_frame *out, const bqb_apng *a, size_t max) {
    size_t n = 0;
    bqb_apng_frame f = {0};
    bool control = false;
    chunk c;
    for (size_t at = HEAD; chunk_at(&c, a, at); at = c.next) {
        bool data = is(&c, "IDAT") || is(&c, "fdAT");
        if (control && data && !f.data) f.data = at;
        if (control && f.data && !data) {
            if (out) out[n] = f;
            control = false;
            if (++n == max) break;
        }
        if (is(&c, "fcTL")) {
            if (!parse_control(&f, a, &c)) break;
            control = true;
        }
        if (is(&c, "IEND")) break;
    }
    return n;
}

bool bqb_apng_parse(bqb_apng *a, const uint8_t *data, size_t size, size_t max_frames) {
    *a = (bqb_apng){.file = data, .size = size};
    chunk c;
    if (!chunk_at(&c, a, 8) || !is(&c, "IHDR") || c.n != 13) return false;
    a->width = be32(c.body);
    a->height = be32(c.body + 4);
    a->alpha = c.body[9] >= 4;
    bool animated = false;
    for (size_t at = HEAD; chunk_at(&c, a, at) && !is(&c, "IDAT"); at = c.next) {
        animated |= is(&c, "acTL");
        a->alpha |= is(&c, "tRNS");
    }
    if (!animated) return false;
    a->n = walk(NULL, a, max_frames + 1);
    if (a->n < 2 || a->n > max_frames) return false;
    a->frame = bqb_calloc(a->n, sizeof *a->frame);
    if (a->frame) walk(a->frame, a, a->n);
    return a->frame != NULL;
}

void bqb_apng_free(bqb_apng *a) {
    free(a->frame);
    *a = (bqb_apng){0};
}

static void store_be32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24), p[1] = (uint8_t)(v >> 16), p[2] = (uint8_t)(v >> 8), p[3] = (uint8_t)v;
}

/* The checksum of PNG chunks (ISO 3309), four bits at a time. */
static uint32_t crc32_add(uint32_t crc, const uint8_t *p, size_t n) {
    static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                       0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                       0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

static bqb_status put_chunk(bqb_buf *out, const char *type, const uint8_t *body, size_t n, bqb_err *err) {
    uint8_t head[8], tail[4];
    store_be32(head, (uint32_t)n);
    memcpy(head + 4, type, 4);
    store_be32(tail, ~crc32_add(crc32_add(0xffffffff, head + 4, 4), body, n));
    bqb_status s = bqb_buf_append(out, head, sizeof head, err);
    if (!s) s = bqb_buf_append(out, body, n, err);
    return s ? s : bqb_buf_append(out, tail, sizeof tail, err);
}

bqb_status bqb_apng_extract(bqb_buf *out, const bqb_apng *a, size_t i, bqb_err *err) {
    const bqb_apng_frame *f = &a->frame[i];
    uint8_t head[13];
    chunk c;
    memcpy(head, a->file + 16, sizeof head);
    store_be32(head, f->width);
    store_be32(head + 4, f->height);
    bqb_status s = bqb_buf_append(out, a->file, 8, err);
    if (!s) s = put_chunk(out, "IHDR", head, sizeof head, err);
    for (size_t at = HEAD; !s && chunk_at(&c, a, at) && !is(&c, "IDAT"); at = c.next)
        if (is(&c, "PLTE") || is(&c, "tRNS"))
            s = put_chunk(out, is(&c, "PLTE") ? "PLTE" : "tRNS", c.body, c.n, err);
    for (size_t at = f->data; !s && chunk_at(&c, a, at); at = c.next) {
        if (is(&c, "IDAT")) s = put_chunk(out, "IDAT", c.body, c.n, err);
        else if (is(&c, "fdAT") && c.n >= 4)
            s = put_chunk(out, "IDAT", c.body + 4, c.n - 4, err); /* less its number */
        else break;
    }
    return s ? s : put_chunk(out, "IEND", (const uint8_t *)"", 0, err);
}

/* One pixel over another, neither premultiplied. */
static void blend_over(uint8_t *dst, const uint8_t *src) {
    unsigned sa = src[3], da = dst[3];
    if (sa == 255 || da == 0) memcpy(dst, src, 4);
    if (sa == 0 || sa == 255 || da == 0) return;
    unsigned top = sa * 255, below = da * (255 - sa), all = top + below;
    for (size_t c = 0; c < 3; c++) dst[c] = (uint8_t)((src[c] * top + dst[c] * below + all / 2) / all);
    dst[3] = (uint8_t)((all + 127) / 255);
}

/* Copy the frame's box from one canvas to another; from NULL clears it. */
static void copy_box(uint8_t *to, const uint8_t *from, const bqb_apng *a, const bqb_apng_frame *f) {
    for (size_t y = f->y; y < (size_t)f->y + f->height; y++) {
        size_t at = (y * a->width + f->x) * 4;
        if (from) memcpy(to + at, from + at, (size_t)f->width * 4);
        else memset(to + at, 0, (size_t)f->width * 4);
    }
}

void bqb_apng_draw(uint8_t *canvas, uint8_t *under, const bqb_apng *a, size_t i, const uint8_t *rgba) {
    const bqb_apng_frame *f = &a->frame[i];
    if (i > 0 && f[-1].dispose) copy_box(canvas, f[-1].dispose == 2 ? under : NULL, a, &f[-1]);
    if (f->dispose == 2) copy_box(under, canvas, a, f);
    for (size_t y = 0; y < f->height; y++) {
        uint8_t *row = canvas + ((f->y + y) * a->width + f->x) * 4;
        const uint8_t *src = rgba + y * f->width * 4;
        if (!f->over) memcpy(row, src, (size_t)f->width * 4);
        else
            for (size_t x = 0; x < f->width; x++) blend_over(row + 4 * x, src + 4 * x);
    }
}
