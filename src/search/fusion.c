#include "search/fusion.h"

#include <math.h>

const char *bqb_part_name(bqb_part p) {
    static const char *const names[BQB_PARTS] = {"picture", "text", "words", "like", "unlike"};
    return p < BQB_PARTS ? names[p] : "";
}

double bqb_fusion_z(double cosine, const bqb_spread *spread) {
    double sd = spread->sd > 0.01 ? spread->sd : 0.01;
    return (cosine - spread->mean) / sd;
}

double bqb_fusion_weight(bqb_part p) {
    static const double weights[BQB_PARTS] = {
        [BQB_PART_PICTURE] = 1, [BQB_PART_TEXT] = 0.1, [BQB_PART_WORDS] = 7, [BQB_PART_LIKE] = 1, [BQB_PART_UNLIKE] = -1,
    };
    return p < BQB_PARTS ? weights[p] : 0;
}

bqb_reason bqb_fusion_reason(bqb_part p, double raw, const bqb_spread *spread, double trust) {
    bqb_reason r = {.asked = true, .known = true, .raw = raw, .weight = trust * bqb_fusion_weight(p)};
    r.z = p == BQB_PART_WORDS ? raw : bqb_fusion_z(raw, spread);
    r.gain = r.weight * (p == BQB_PART_UNLIKE && r.z < 0 ? 0 : r.z);
    return r;
}

double bqb_fusion_chance(size_t n) {
    if (n < 2) return 0;
    double t = sqrt(2 * log((double)n));
    return t - (log(log((double)n)) + log(4 * 3.14159265358979)) / (2 * t);
}

bool bqb_fusion_fits(double best_z, size_t n, double best_lexical, double trust) {
    return best_lexical >= 0.28 || (trust >= 0.5 && best_z > bqb_fusion_chance(n));
}

double bqb_fusion_score(double sum) { return 1 / (1 + exp((4 - sum) / 1.5)); }
