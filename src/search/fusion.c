#include "search/fusion.h"

#include <math.h>

double bqb_fusion_z(float cosine, const bqb_spread *spread) {
    double sd = spread->sd > 0.01 ? spread->sd : 0.01;
    return ((double)cosine - spread->mean) / sd;
}

double bqb_fusion_sum(double z_text, double z_picture, double lexical) {
    return z_text + z_picture + BQB_LEXICAL_WEIGHT * lexical;
}

double bqb_fusion_score(double sum) { return 1 / (1 + exp((4 - sum) / 1.5)); }
