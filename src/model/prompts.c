#include "model/prompts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* %s is the label. The bare label comes first: so it stands in annotations. */
static const char *const of_emotions[] = {"%s", "%s的表情", "一张表达%s的表情", "表达%s的表情包", "心情：%s", NULL};
static const char *const of_styles[] = {"%s", "%s的表情", "一张%s的表情", "%s风格的表情包", NULL};
static const char *const of_others[] = {"%s", "一张%s的表情", NULL};

static const char *template_of(bqb_field f, size_t k) {
    const char *const *t = f == BQB_EMOTION || f == BQB_EMOTION_LABEL ? of_emotions : f == BQB_STYLE ? of_styles : of_others;
    for (size_t i = 0; t[i]; i++)
        if (i == k) return t[i];
    return NULL;
}

bool bqb_prompt(bqb_buf *out, bqb_field field, size_t k, const char *label) {
    const char *t = template_of(field, k);
    if (!t) return false;
    const char *at = strstr(t, "%s");
    return !bqb_buf_append(out, t, (size_t)(at - t), NULL) && !bqb_buf_puts(out, label, NULL) &&
           !bqb_buf_puts(out, at + 2, NULL);
}

bqb_status bqb_prompts_new(char ***texts, size_t *each, bqb_field field, const char *const *labels, size_t n,
                           bqb_err *err) {
    size_t T = 0;
    while (template_of(field, T)) T++;
    char **t = bqb_calloc(n * T, sizeof *t);
    bqb_status s = t ? BQB_OK : bqb_fail_nomem(err, "prompts", n * T * sizeof *t);
    for (size_t i = 0; i < n * T && !s; i++) {
        bqb_buf b = {.max = 1 << 20};
        if (!bqb_prompt(&b, field, i % T, labels[i / T])) s = bqb_fail_nomem(err, "prompt", 0);
        t[i] = b.data;
    }
    if (s) {
        bqb_prompts_free(t, n * T);
        t = NULL;
    }
    *texts = t;
    *each = T;
    return s;
}

void bqb_prompts_free(char **texts, size_t n_texts) {
    for (size_t i = 0; texts && i < n_texts; i++) free(texts[i]);
    free(texts);
}

void bqb_prompts_average(float *classes, const float *features, size_t n, size_t each, size_t D) {
    for (size_t c = 0; c < n; c++) {
        float *x = classes + c * D;
        double square = 0;
        memset(x, 0, D * sizeof *x);
        for (size_t t = 0; t < each; t++)
            for (size_t d = 0; d < D; d++) x[d] += features[(c * each + t) * D + d];
        for (size_t d = 0; d < D; d++) square += (double)x[d] * (double)x[d];
        for (size_t d = 0; d < D && square > 0; d++) x[d] = (float)(x[d] / sqrt(square));
    }
}
