/* The products of rows_simd.c for processors with wide vectors: many numbers are unpacked in registers and
 * multiplied there, in f32 as everywhere. x is put into the order in which they come out of the bytes, and the
 * sums that a format's minima are multiplied by are made once for all rows. Included by rows_simd.c alone. */
#ifndef BQB_MATH_ROWS_WIDE_H
#define BQB_MATH_ROWS_WIDE_H

#if defined(__AVX512F__)
#define LANES 16
#else
#define LANES 8
#endif

typedef float vfloat __attribute__((vector_size(4 * LANES)));
typedef int32_t vint __attribute__((vector_size(4 * LANES)));
typedef uint32_t vword __attribute__((vector_size(4 * LANES)));
typedef float float8 __attribute__((vector_size(32)));

/* What is loaded is used many times: without this a compiler loads it anew for every use. */
#define KEEP_IN_REGISTER(v) __asm__("" : "+v"(v))

static inline vfloat floats_at(const float *p) {
    vfloat v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float8 eight_at(const float *p) {
    float8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline vword words_at(const uint8_t *p) {
    vword v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline float sum_of(vfloat v) {
    float x[LANES], sum = 0;
    memcpy(x, &v, sizeof v);
    for (size_t i = 0; i < LANES / 2; i++) x[i] += x[i + LANES / 2];
    for (size_t i = 0; i < LANES / 2; i++) sum += x[i];
    return sum;
}

static inline float sum_of_eight(float8 v) { return v[0] + v[1] + v[2] + v[3] + v[4] + v[5] + v[6] + v[7]; }

static inline vfloat bytes_at(const uint8_t *p) {
#if LANES == 16
    return (vfloat)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
#else
    return (vfloat)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
#endif
}

/* The lowest four bits of each word. */
static inline vfloat nibbles(vword w) {
#if LANES == 16
    return (vfloat)_mm512_permutexvar_ps((__m512i)w, _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
#else
    return __builtin_convertvector((vint)(w & 15), vfloat);
#endif
}

static inline vfloat six_bits(vword w) { return __builtin_convertvector((vint)(w & 63), vfloat); }

/* x and y: the numbers that v and w have in their bytes, times p's: those of v's lowest bytes, of w's, of v's next … */
#define BY_BYTES(number)                                                                        \
    static inline void by_##number(vfloat *x, vfloat *y, vword v, vword w, const float *p) {     \
        *x = number(v) * floats_at(p);                                                          \
        *y = number(w) * floats_at(p + LANES);                                                  \
        *x += number(v >> 8) * floats_at(p + 2 * LANES);                                        \
        *y += number(w >> 8) * floats_at(p + 3 * LANES);                                        \
        *x += number(v >> 16) * floats_at(p + 4 * LANES);                                       \
        *y += number(w >> 16) * floats_at(p + 5 * LANES);                                       \
        *x += number(v >> 24) * floats_at(p + 6 * LANES);                                       \
        *y += number(w >> 24) * floats_at(p + 7 * LANES);                                       \
    }
BY_BYTES(nibbles)
BY_BYTES(six_bits)

/* ---- F32, F16, BF16, Q8_0 ---- */

static float wide_f32(const uint8_t *row, const float *p, size_t n) {
    vfloat a = {0}, b = {0};
    size_t i = 0;
    float rest = 0, w;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a += (vfloat)words_at(row + 4 * i) * floats_at(p + i);
        b += (vfloat)words_at(row + 4 * (i + LANES)) * floats_at(p + i + LANES);
    }
    for (; i < n; i++) {
        memcpy(&w, row + 4 * i, 4);
        rest += w * p[i];
    }
    return sum_of(a + b) + rest;
}

static inline vfloat halves_at(const uint8_t *p) {
#if LANES == 16
    return (vfloat)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
#else
    return (vfloat)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
#endif
}

static float wide_f16(const uint8_t *row, const float *p, size_t n) {
    vfloat a = {0}, b = {0};
    size_t i = 0;
    float rest = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        a += halves_at(row + 2 * i) * floats_at(p + i);
        b += halves_at(row + 2 * (i + LANES)) * floats_at(p + i + LANES);
    }
    for (; i < n; i++) rest += from_f16(u16_at(row + 2 * i)) * p[i];
    return sum_of(a + b) + rest;
}

/* Of each pair in a word the lower number is shifted up, the upper one cut out: even ones of x before odd ones. */
static float wide_bf16(const uint8_t *row, const float *p, size_t n) {
    vfloat a = {0}, b = {0}, c = {0}, d = {0};
    size_t i = 0;
    float rest = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        vword v = words_at(row + 2 * i), w = words_at(row + 2 * i + 4 * LANES);
        KEEP_IN_REGISTER(v);
        KEEP_IN_REGISTER(w);
        a += (vfloat)(v << 16) * floats_at(p + i);
        b += (vfloat)(v & 0xffff0000u) * floats_at(p + i + LANES);
        c += (vfloat)(w << 16) * floats_at(p + i + 2 * LANES);
        d += (vfloat)(w & 0xffff0000u) * floats_at(p + i + 3 * LANES);
    }
    for (; i < n; i++) rest += float_of((uint32_t)u16_at(row + 2 * i) << 16) * p[i];
    return sum_of((a + b) + (c + d)) + rest;
}

static float wide_q8_0(const uint8_t *row, const float *p, size_t n) {
    vfloat sum[2] = {{0}, {0}};
    for (size_t b = 0; b < n / 32; b++, row += 34, p += 32) {
        vfloat part = bytes_at(row + 2) * floats_at(p);
        for (size_t i = LANES; i < 32; i += LANES) part += bytes_at(row + 2 + i) * floats_at(p + i);
        sum[b & 1] += part * from_f16(u16_at(row));
    }
    return sum_of(sum[0] + sum[1]);
}

/* ---- Q4_K: words of eight numbers, 4·LANES bytes at a time ----
 * The lower four bits of 32 bytes belong to one factor, the upper ones to the next. */

static inline float8 factors(uint32_t first, uint32_t last) {
    __m128i both = _mm_set_epi32(0, 0, (int)last, (int)first);
    return (float8)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(both));
}

/* A block's eight factors, and those of its minima, with the scales that they are of. */
static inline void factors_of(const uint8_t *row, float8 *scale, float8 *floor) {
    uint32_t six[3];
    memcpy(six, row + 4, sizeof six);
    *scale = factors(six[0] & 0x3f3f3f3f, (six[2] & 0x0f0f0f0f) | (six[0] >> 2 & 0x30303030)) * from_f16(u16_at(row));
    *floor = factors(six[1] & 0x3f3f3f3f, (six[2] >> 4 & 0x0f0f0f0f) | (six[1] >> 2 & 0x30303030)) * from_f16(u16_at(row + 2));
}

/* Factor `i` for the numbers of the first 32 bytes, i + 2 for those of the next, if there are such. */
static inline vfloat factor_of_bytes(float8 f, int i) {
#if LANES == 16
    const __m512i at = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
    return (vfloat)_mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(i)), _mm512_castps256_ps512((__m256)f));
#else
    return (vfloat){f[i], f[i], f[i], f[i], f[i], f[i], f[i], f[i]};
#endif
}

static float wide_q4_k(const uint8_t *row, const float *p, size_t n) {
    const float *sums = p + n;
    vfloat low = {0}, high = {0}, x, y;
    float8 least = {0};
    for (size_t b = 0; b < n / 256; b++, row += 144, sums += 8) {
        float8 scale, floor;
        factors_of(row, &scale, &floor);
        least += floor * eight_at(sums);
        for (int at = 0; at < 8; at += LANES / 4, p += 8 * LANES) {
            vword w = words_at(row + 16 + 16 * at);
            KEEP_IN_REGISTER(w);
            by_nibbles(&x, &y, w, w >> 4, p);
            low += x * factor_of_bytes(scale, at);
            high += y * factor_of_bytes(scale, at + 1);
        }
    }
    return sum_of(low + high) - sum_of_eight(least);
}

/* ---- Q6_K: six bits put together in bytes, four to a word ---- */

static inline vword upper_bits(const uint8_t *p, size_t chunk) {
#if LANES == 16
    (void)chunk;
    const __m512i shift = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
    return (vword)_mm512_srlv_epi32(_mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)p)), shift);
#else
    return words_at(p) >> 2 * (uint32_t)chunk;
#endif
}

/* Factors from `i` on, each for four lanes. */
static inline vfloat factor_of_sixteen(const float f[16], int i) {
#if LANES == 16
    const __m512i at = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return (vfloat)_mm512_permutexvar_ps(_mm512_add_epi32(at, _mm512_set1_epi32(i)), _mm512_loadu_ps(f));
#else
    return (vfloat){f[i], f[i], f[i], f[i], f[i + 1], f[i + 1], f[i + 1], f[i + 1]};
#endif
}

static float wide_q6_k(const uint8_t *row, const float *p, size_t n) {
    const float *sums = p + n;
    vfloat low = {0}, high = {0}, middle = {0}, x, y;
    for (size_t b = 0; b < n / 256; b++, row += 210, sums += 16) {
        float f[16], d = from_f16(u16_at(row + 208));
        for (int i = 0; i < 16; i += LANES) {
            vfloat scale = bytes_at(row + 192 + i) * d;
            middle += scale * floats_at(sums + i);
            memcpy(f + i, &scale, sizeof scale);
        }
        for (int part = 0; part < 16 / LANES * 2; part++, p += 8 * LANES) {
            int half = part * LANES / 16, chunk = part % (16 / LANES), at = 8 * half + 2 * chunk;
            vword l = words_at(row + 64 * half + 32 * chunk), h = upper_bits(row + 128 + 32 * half, (size_t)chunk);
            vword v = (l & 0x0f0f0f0f) | (h & 0x03030303) << 4, w = (l >> 4 & 0x0f0f0f0f) | (h & 0x30303030);
            by_six_bits(&x, &y, v, w, p);
            low += x * factor_of_sixteen(f, at);
            high += y * factor_of_sixteen(f, at + 4);
        }
    }
    return sum_of(low + high) - 32 * sum_of(middle);
}

/* ---- Q4_0, Q5_0: the lower four bits of sixteen bytes are the first half, the upper ones the second ---- */

static inline vword bytes_as_words(const uint8_t *p) {
#if LANES == 16
    return (vword)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
#else
    return (vword)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
#endif
}

static float wide_q4_0(const uint8_t *row, const float *p, size_t n) {
    const float *sums = p + n;
    vfloat sum[2] = {{0}, {0}};
    float middle = 0;
    for (size_t b = 0; b < n / 32; b++, row += 18, p += 32) {
        vfloat part = {0};
        float d = from_f16(u16_at(row));
        for (size_t i = 0; i < 16; i += LANES) {
            vword w = bytes_as_words(row + 2 + i);
            part += nibbles(w) * floats_at(p + i) + __builtin_convertvector((vint)(w >> 4), vfloat) * floats_at(p + 16 + i);
        }
        sum[b & 1] += part * d;
        middle += d * sums[b];
    }
    return sum_of(sum[0] + sum[1]) - 8 * middle;
}

static float wide_q5_0(const uint8_t *row, const float *p, size_t n) {
    const float *sums = p + n;
    vfloat sum[2] = {{0}, {0}};
    float middle = 0;
#if LANES == 16
    const vword lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#else
    const vword lane = {0, 1, 2, 3, 4, 5, 6, 7};
#endif
    for (size_t b = 0; b < n / 32; b++, row += 22, p += 32) {
        vfloat part = {0};
        float d = from_f16(u16_at(row));
        uint32_t fifth = u32_at(row + 2);
        for (uint32_t i = 0; i < 16; i += LANES) {
            vword w = bytes_as_words(row + 6 + i), f = (vword){0} + fifth;
            vword low = (w & 15) | (f >> (lane + i) & 1) << 4, high = w >> 4 | (f >> (lane + i + 16) & 1) << 4;
            part += __builtin_convertvector((vint)low, vfloat) * floats_at(p + i);
            part += __builtin_convertvector((vint)high, vfloat) * floats_at(p + 16 + i);
        }
        sum[b & 1] += part * d;
        middle += d * sums[b];
    }
    return sum_of(sum[0] + sum[1]) - 16 * middle;
}

/* ---- Q5_K: as Q4_K, and as Q6_K put together in bytes ---- */

static float wide_q5_k(const uint8_t *row, const float *p, size_t n) {
    const float *sums = p + n;
    vfloat low = {0}, high = {0}, x, y;
    float8 least = {0};
    for (size_t b = 0; b < n / 256; b++, row += 176, sums += 8) {
        float8 scale, floor;
        factors_of(row, &scale, &floor);
        least += floor * eight_at(sums);
        for (int at = 0; at < 8; at += LANES / 4, p += 8 * LANES) {
            vword l = words_at(row + 48 + 16 * at), h = LANES == 16 ? upper_bits(row + 16, 0) >> at : upper_bits(row + 16, (size_t)at / 2);
            vword v = (l & 0x0f0f0f0f) | (h & 0x01010101) << 4, w = (l >> 4 & 0x0f0f0f0f) | (h & 0x02020202) << 3;
            by_six_bits(&x, &y, v, w, p);
            low += x * factor_of_bytes(scale, at);
            high += y * factor_of_bytes(scale, at + 1);
        }
    }
    return sum_of(low + high) - sum_of_eight(least);
}

/* ---- x in their order ---- */

static void prepare_f32(float *p, const float *x, size_t n) { memcpy(p, x, n * sizeof *p); }
#define prepare_f16 prepare_f32
#define prepare_q8_0 prepare_f32

static void prepare_bf16(float *p, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t half = i; half < i + 4 * LANES; half += 2 * LANES)
            for (size_t k = 0; k < LANES; k++) {
                p[half + k] = x[half + 2 * k];
                p[half + LANES + k] = x[half + 2 * k + 1];
            }
    for (; i < n; i++) p[i] = x[i];
}

/* Out of 32 numbers in a row those that byte b of eight words stand for, 2·LANES apart. */
static inline void spread(float *p, const float *x) {
    for (size_t b = 0; b < 4; b++)
        for (size_t l = 0; l < 8; l++) p[2 * LANES * b + l] = x[4 * l + b];
}

/* Where 32 bytes of a row have the numbers that they meet: words of the same load lie side by side. */
static inline float *place_of(float *p, size_t byte) { return p + byte / (4 * LANES) * (8 * LANES) + byte / 32 % (LANES / 8) * 8; }

static inline void sums_of(float *sums, const float *x, size_t n, size_t each) {
    for (size_t j = 0; j < n / each; j++, x += each) {
        float sum = 0;
        REDUCE(+ : sum) for (size_t i = 0; i < each; i++) sum += x[i];
        sums[j] = sum;
    }
}

static void prepare_q4_k(float *p, const float *x, size_t n) {
    for (size_t byte = 0; byte < n / 2; byte += 32) {
        float *to = place_of(p, byte);
        spread(to, x + 2 * byte);
        spread(to + LANES, x + 2 * byte + 32);
    }
    sums_of(p + n, x, n, 32);
}

static void prepare_q6_k(float *p, const float *x, size_t n) {
    for (size_t byte = 0; byte < n / 2; byte += 32) {
        float *to = place_of(p, byte);
        const float *from = x + byte / 64 * 128 + byte % 64;
        spread(to, from);
        spread(to + LANES, from + 64);
    }
    sums_of(p + n, x, n, 16);
}

#define prepare_q5_k prepare_q4_k

static void prepare_q4_0(float *p, const float *x, size_t n) {
    memcpy(p, x, n * sizeof *p);
    sums_of(p + n, x, n, 32);
}
#define prepare_q5_0 prepare_q4_0

#define WIDE(kind)                                                                                                     \
    static void product_##kind(float *out, const void *rows, size_t step, size_t count, const float *p, size_t n) {    \
        for (size_t r = 0; r < count; r++) out[r] = wide_##kind((const uint8_t *)rows + r * step, p, n);               \
    }
WIDE(f32)
WIDE(f16)
WIDE(bf16)
WIDE(q8_0)
WIDE(q4_k)
WIDE(q6_k)
WIDE(q4_0)
WIDE(q5_0)
WIDE(q5_k)

/* ---- sums of rows: four registers of columns at a time, over all rows ---- */

static inline vfloat wide_at_f32(const uint8_t *p) { return (vfloat)words_at(p); }
static inline vfloat wide_at_bf16(const uint8_t *p) {
#if LANES == 16
    return (vfloat)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16);
#else
    return (vfloat)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16);
#endif
}

#define MIX(kind, bytes)                                                                                               \
    static void mix_##kind(float *y, const float *a, const void *rows, size_t step, size_t count, size_t n) {          \
        size_t i = 0;                                                                                                  \
        for (; i + 4 * LANES <= n; i += 4 * LANES) {                                                                   \
            const uint8_t *row = (const uint8_t *)rows + (bytes) * i;                                                  \
            vfloat sum[4] = {{0}, {0}, {0}, {0}};                                                                      \
            for (size_t r = 0; r < count; r++, row += step)                                                            \
                for (size_t k = 0; k < 4; k++) sum[k] += a[r] * wide_at_##kind(row + (bytes) * k * LANES);             \
            memcpy(y + i, sum, sizeof sum);                                                                            \
        }                                                                                                              \
        mix_few_##kind(y + i, a, (const uint8_t *)rows + (bytes) * i, step, count, n - i);                             \
    }
MIX(f32, 4)
MIX(bf16, 2)

#endif
