#include "train/group.h"

#include <string.h>

static uint64_t mix(uint64_t h, uint64_t word) {
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

uint64_t bqb_key_of(const void *bytes, size_t n) {
    const uint8_t *p = bytes;
    uint64_t h = mix(0x243f6a8885a308d3u, n), word;
    for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
        memcpy(&word, p, sizeof word);
        h = mix(h, word);
    }
    word = 0;
    if (n) memcpy(&word, p, n);
    h = mix(mix(h, word), 0);
    return h ? h : 1;
}

/* A batch is at most some thousands, and this runs beside the arithmetic. */
void bqb_group_keys(uint32_t *group, const uint64_t *key, size_t n) {
    for (size_t i = 0; i < n; i++) {
        size_t k = 0;
        while (key[k] != key[i]) k++;
        group[i] = (uint32_t)k;
    }
}
