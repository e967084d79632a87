/* What the parts of `bqb bench` share: timing, a row of CSV, the work of a tower. */
#ifndef BQB_CLI_BENCH_H
#define BQB_CLI_BENCH_H

#include "base/clock.h"
#include "base/rand.h"
#include "model/clip.h"

/* The best of several runs: on a shared machine the others measure the neighbours. */
typedef struct {
    double best_s, spent_s;
    int runs, least; /* least: runs in any case; 0: 3 */
} bench_timing;

bool bench_more(const bench_timing *t, double seconds);
void bench_took(bench_timing *t, double s);

typedef struct {
    int threads;
    double seconds;
    double ceiling[2]; /* FLOP/s of all threads, by bqb_num */
    char machine[128];
} bench;

/* A line; flops 0: the last two columns stay empty. */
void bench_row(const bench *b, const char *what, const char *precision, double value, const char *unit, double flops,
               int num);

/* The same with a share that is known already, in percent. */
void bench_row_share(const bench *b, const char *what, const char *precision, double value, const char *unit, double percent);

/* A number of kilobytes out of /proc/self/status, "VmHWM" the most that this process held at once, in bytes; 0: not told. */
double bench_status_bytes(const char *key);

/* From here on the most held at once counts anew, where the system lets that be asked. */
void bench_forget_peak(void);

/* An empty folder below $TMPDIR; the caller removes it. */
bqb_status bench_folder(char dir[512], bqb_err *err);

/* What all threads multiply in this format at most: into b->ceiling, and a line. */
bqb_status bench_ceiling(bench *b, bqb_num num, bqb_err *err);

/* Multiplications and additions of one frame, one text of T tokens. */
double bench_image_flops(const bqb_clip_config *c);
double bench_text_flops(const bqb_clip_config *c, double T);

/* Every number random, so that nothing is computed from zeros or denormals. */
void bench_fill(bqb_rand *r, uint8_t *rgb, size_t n_rgb, int32_t *ids, size_t n_ids, size_t vocab);

/* Pairs a second in one short step of single frames. */
bqb_status bench_train(bench *b, bqb_clip *m, size_t pairs, bqb_err *err);

/* Pairs a second of the paper's step of three frames, and of its cheaper forms. */
bqb_status bench_recipe(bench *b, bqb_clip *m, size_t pairs, bqb_err *err);

/* Memory of a step with gradient caching, measured, and what it would be without, estimated. */
bqb_status bench_memory(bench *b, bqb_clip *m, size_t pairs, bqb_err *err);

/* Lessons a second of special-token tuning of a language model, with and without what its frozen first tokens save. */
bqb_status bench_tune(bench *b, const char *llm, bqb_precision precision, bqb_err *err);

/* How fast words are written and matched in a library of made-up stickers, below $TMPDIR while it lasts. */
bqb_status bench_words(bench *b, size_t stickers, bqb_err *err);

/* Language models: the one at `path`, or, NULL, some of random weights and the shapes of a config.json (NULL: Qwen2.5-0.5B). */
bqb_status bench_llm(bench *b, const char *path, const char *config, bqb_err *err);

/* What share of the words on stickers is read, a line of CSV for every way of reading, for all together, and for all their lines. path: a table
 * with columns file and ocr (or caption), the truth; at most `most` of its stickers, evenly spread, 0: all. */
bqb_status bench_ocr(const char *path, size_t most, int threads, bqb_err *err);

#endif
