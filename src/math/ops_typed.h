/* The kernels of ops_simd.c that read or write activations; included once per
 * format with T the element type, LOAD(p,i) -> float, STORE(p,i,x), and F(name)
 * the name with the format's suffix. No include guard, on purpose. */

static void F(layernorm_fwd)(void *yv, float *mean, float *rstd, const float *x, const float *gamma,
                             const float *beta, float eps, size_t N, size_t C) {
    T *y = yv;
    for (size_t n = 0; n < N; n++, x += C, y += C) {
        float sum = 0, var = 0;
        REDUCE(+ : sum) for (size_t c = 0; c < C; c++) sum += x[c];
        float m = sum / (float)C;
        REDUCE(+ : var) for (size_t c = 0; c < C; c++) var += (x[c] - m) * (x[c] - m);
        float r = 1.0f / sqrtf(var / (float)C + eps);
        SIMD for (size_t c = 0; c < C; c++) STORE(y, c, (x[c] - m) * r * gamma[c] + beta[c]);
        mean[n] = m;
        rstd[n] = r;
    }
}

static void F(softmax_fwd)(void *pv, const float *s, float scale, size_t N, size_t K) {
    T *p = pv;
    for (size_t n = 0; n < N; n++, s += K, p += K) {
        float top = largest(s, K), sum = 0;
        REDUCE(+ : sum) for (size_t k = 0; k < K; k++) sum += exp_approx((s[k] - top) * scale);
        float inverse = 1.0f / sum;
        SIMD for (size_t k = 0; k < K; k++) STORE(p, k, exp_approx((s[k] - top) * scale) * inverse);
    }
}

static void F(softmax_bwd)(void *dsv, const float *dp, const void *pv, float scale, size_t N, size_t K) {
    T *ds = dsv;
    const T *p = pv;
    for (size_t n = 0; n < N; n++, ds += K, dp += K, p += K) {
        float dot = 0;
        REDUCE(+ : dot) for (size_t k = 0; k < K; k++) dot += LOAD(p, k) * dp[k];
        SIMD for (size_t k = 0; k < K; k++) STORE(ds, k, scale * LOAD(p, k) * (dp[k] - dot));
    }
}

static void F(gelu_fwd)(void *yv, const void *xv, size_t n) {
    T *y = yv;
    const T *x = xv;
    SIMD for (size_t i = 0; i < n; i++) {
        float v = LOAD(x, i);
        STORE(y, i, 0.5f * v * (1.0f + erf_approx(v * 0.70710678f)));
    }
}

static void F(gelu_bwd)(void *dxv, const void *dyv, const void *xv, size_t n) {
    T *dx = dxv;
    const T *dy = dyv, *x = xv;
    SIMD for (size_t i = 0; i < n; i++) {
        float v = LOAD(x, i);
        float cdf = 0.5f * (1.0f + erf_approx(v * 0.70710678f));
        float pdf = 0.39894228f * exp_approx(-0.5f * v * v);
        STORE(dx, i, LOAD(dy, i) * (cdf + v * pdf));
    }
}

static void F(quick_gelu_fwd)(void *yv, const void *xv, size_t n) {
    T *y = yv;
    const T *x = xv;
    SIMD for (size_t i = 0; i < n; i++) {
        float v = LOAD(x, i);
        STORE(y, i, v / (1.0f + exp_approx(-1.702f * v)));
    }
}

static void F(quick_gelu_bwd)(void *dxv, const void *dyv, const void *xv, size_t n) {
    T *dx = dxv;
    const T *dy = dyv, *x = xv;
    SIMD for (size_t i = 0; i < n; i++) {
        float v = LOAD(x, i);
        float s = 1.0f / (1.0f + exp_approx(-1.702f * v));
        STORE(dx, i, LOAD(dy, i) * s * (1.0f + 1.702f * v * (1.0f - s)));
    }
}

static void F(bias_bwd)(float *db, const void *dyv, size_t N, size_t C) {
    const T *dy = dyv;
    for (size_t n = 0; n < N; n++, dy += C) {
        SIMD for (size_t c = 0; c < C; c++) db[c] += LOAD(dy, c);
    }
}
