#include "base/rand.h"

#include <math.h>

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

bqb_rand bqb_rand_seed(uint64_t seed, uint64_t stream) {
    uint64_t mixed = stream;
    uint64_t x = seed ^ splitmix(&mixed);
    bqb_rand r;
    for (int i = 0; i < 4; i++) r.s[i] = splitmix(&x);
    return r;
}

uint64_t bqb_rand_u64(bqb_rand *r) {
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

size_t bqb_rand_below(bqb_rand *r, size_t n) {
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;
    do x = bqb_rand_u64(r);
    while (x >= limit);
    return (size_t)(x % n);
}

double bqb_rand_unit(bqb_rand *r) { return (double)(bqb_rand_u64(r) >> 11) * 0x1p-53; }

double bqb_rand_between(bqb_rand *r, double a, double b) { return a + (b - a) * bqb_rand_unit(r); }

double bqb_rand_normal(bqb_rand *r) {
    double u = 1.0 - bqb_rand_unit(r), v = bqb_rand_unit(r);
    return sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v);
}

void bqb_rand_shuffle(bqb_rand *r, uint32_t *v, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t j = bqb_rand_below(r, i);
        uint32_t t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}
