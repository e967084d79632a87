#include "unit/make_picture.h"

#include <stdlib.h>

void make_put(bqb_buf *b, const void *bytes, size_t n) {
    if (bqb_buf_append(b, bytes, n, NULL)) abort();
}

void make_u8(bqb_buf *b, unsigned v) { make_put(b, &(uint8_t){(uint8_t)v}, 1); }

void make_le16(bqb_buf *b, size_t v) { make_put(b, (uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2); }

void make_be32(bqb_buf *b, size_t v) {
    make_put(b, (uint8_t[]){(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v}, 4);
}

static uint32_t crc32_of(const char *p, size_t n) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint8_t)p[i];
        for (int k = 0; k < 8; k++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

void make_png_chunk(bqb_buf *b, const char *type, const void *bytes, size_t n) {
    make_be32(b, n);
    size_t at = b->len;
    make_put(b, type, 4);
    make_put(b, bytes, n);
    make_be32(b, crc32_of(b->data + at, b->len - at));
}

void make_png_head(bqb_buf *b, size_t w, size_t h, unsigned bits, unsigned colour) {
    bqb_buf head = {.max = 64};
    make_put(b, "\x89PNG\r\n\x1a\n", 8);
    make_be32(&head, w);
    make_be32(&head, h);
    make_put(&head, (uint8_t[]){(uint8_t)bits, (uint8_t)colour, 0, 0, 0}, 5);
    make_png_chunk(b, "IHDR", head.data, head.len);
    bqb_buf_free(&head);
}

void make_zlib(bqb_buf *b, const void *rows, size_t n) {
    uint32_t lo = 1, hi = 0;
    for (size_t i = 0; i < n; i++) {
        lo = (lo + ((const uint8_t *)rows)[i]) % 65521;
        hi = (hi + lo) % 65521;
    }
    make_put(b, "\x78\x01\x01", 3);
    make_le16(b, n);
    make_le16(b, ~n);
    make_put(b, rows, n);
    make_be32(b, hi << 16 | lo);
}

void make_png_data(bqb_buf *b, const void *rows, size_t n) {
    bqb_buf z = {.max = 70000};
    make_zlib(&z, rows, n);
    make_png_chunk(b, "IDAT", z.data, z.len);
    bqb_buf_free(&z);
    make_png_chunk(b, "IEND", "", 0);
}

void make_gif_head(bqb_buf *b, size_t w, size_t h) {
    make_put(b, "GIF89a", 6);
    make_le16(b, w);
    make_le16(b, h);
    make_put(b, "\x86\0\0", 3); /* 128 colours: entry i is (i, 2i, 0) */
    for (unsigned i = 0; i < 128; i++) make_put(b, (uint8_t[]){(uint8_t)i, (uint8_t)(2 * i), 0}, 3);
}

void make_gif_frame(bqb_buf *b, size_t w, size_t h, unsigned c, size_t cs) {
    make_put(b, "\x21\xf9\x04\x00", 4);
    make_le16(b, cs);
    make_put(b, "\0\0\x2c\0\0\0\0", 7);
    make_le16(b, w);
    make_le16(b, h);
    make_put(b, "\0\x07", 2);
    for (size_t left = w * h; left;) {
        size_t n = left < 100 ? left : 100;
        make_u8(b, (unsigned)n + 1);
        make_u8(b, 0x80); /* clear */
        for (size_t i = 0; i < n; i++) make_u8(b, c);
        left -= n;
    }
    make_put(b, "\x01\x81\0", 3); /* end of information, end of blocks */
}
