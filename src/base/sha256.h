/* SHA-256, the identity of a file's content. Source: FIPS 180-4. */
#ifndef BQB_BASE_SHA256_H
#define BQB_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

enum { BQB_SHA256_SIZE = 32 };

typedef struct {
    uint32_t state[8];
    uint64_t n_bytes;
    uint8_t block[64]; /* the first n_bytes % 64 are waiting */
} bqb_sha256;

void bqb_sha256_init(bqb_sha256 *h);
void bqb_sha256_update(bqb_sha256 *h, const void *data, size_t n);
void bqb_sha256_final(bqb_sha256 *h, uint8_t out[BQB_SHA256_SIZE]); /* h is used up */

/* The three in one. */
void bqb_sha256_of(uint8_t out[BQB_SHA256_SIZE], const void *data, size_t n);

/* 2n lower-case hex digits of n bytes and a NUL. */
void bqb_hex(char *out, const uint8_t *bytes, size_t n);

#endif
