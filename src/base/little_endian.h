/* Whole numbers as files hold them, the lowest byte first, at any address. */
#ifndef BQB_BASE_LITTLE_ENDIAN_H
#define BQB_BASE_LITTLE_ENDIAN_H

#include <stddef.h>
#include <stdint.h>

/* Of n bytes, at most 8. */
static inline uint64_t bqb_le(const uint8_t *b, size_t n) {
    uint64_t v = 0;
    for (size_t i = n; i-- > 0;) v = v << 8 | b[i];
    return v;
}

static inline uint16_t bqb_le16(const uint8_t *b) { return (uint16_t)bqb_le(b, 2); }
static inline uint32_t bqb_le32(const uint8_t *b) { return (uint32_t)bqb_le(b, 4); }

/* And back: v as n bytes, at most 8. */
static inline void bqb_put_le(uint8_t *b, uint64_t v, size_t n) {
    for (size_t i = 0; i < n; i++) b[i] = (uint8_t)(v >> 8 * i);
}

#endif
