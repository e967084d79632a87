#include "search/fusion.h"

#include <math.h>

double bqb_fusion_z(float cosine, const bqb_spread *spread) {
    double sd = spread->sd > 0.01 ? spread->sd : 0.01;
    return ((double)cosine - spread->mean) / sd;
}

double bqb_fusion_sum(double z_text, double z_picture, double lexical) {
    return z_text + z_picture + BQB_LEXICAL_WEIGHT * lexical;
}

double bqb_fusion_chance(size_t n) {
    if (n < 2) return 0;
    double t = sqrt(2 * log((double)n));
    return t - (log(log((double)n)) + log(4 * 3.14159265358979)) / (2 * t);
}

bool bqb_fusion_fits(double best_z, size_t n, double best_lexical) {
    return best_lexical >= 0.28 || best_z > bqb_fusion_chance(n);
}

double bqb_fusion_score(double sum) { return 1 / (1 + exp((4 - sum) / 1.5)); }
