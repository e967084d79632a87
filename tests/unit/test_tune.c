/* Tuning: what batches hold, that a run learns, that a run which was stopped ends with the same bits, what is
 * refused; and the trial of a tuned model. */
#include "base/fs.h"
#include "base/mem.h"
#include "chat/trial.h"
#include "chat/tune.h"
#include "chat/tune_batch.h"
#include "chat/tune_pictures.h"
#include "chat/trial.h"
#include "chat/tune.h"
#include "chat/tune_batch.h"
#include "chat/tune_pictures.h"
#include "chat/tune_run.h"
#include "model_folder.h"
#include "test.h"
#include "train_fixture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char TOKENIZER[] = "tests/golden/llm/tokenizer/qwen2/tokenizer.json";
static char set_dir[512], llm_dir[512], clip_dir[512];
static const char *data[1] = {set_dir};

/* A little decoder at random with a real tokenizer, a little StickerCLIP, twenty drawn stickers. */
static bool begin(const char *dir) {
    bqb_err err = {0};
    bqb_decoder_config c = {.family = BQB_LLAMA, .vocab = 960, .width = 32, .layers = 2, .heads = 4, .kv_heads = 2, .head_dim = 8, .mlp = 64, .context = 512,
                            .eps = 1e-5f, .rope_theta = 10000, .rope_factor = 1, .tied = true, .bos = -1, .end = {958}, .n_end = 1};
    bqb_decoder *m = NULL;
    char *text = NULL;
    size_t n = 0;
    snprintf(set_dir, sizeof set_dir, "%s/set", dir);
    snprintf(llm_dir, sizeof llm_dir, "%s/llm", dir);
    snprintf(clip_dir, sizeof clip_dir, "%s/clip", dir);
    fixture_set(set_dir, 20, 5);
    bqb_make_dirs(clip_dir, &err);
    model_folder(clip_dir, 1);
    bool ok = CHECK_OK(bqb_make_dirs(llm_dir, &err), err) && CHECK_OK(bqb_decoder_new(&m, &c, 3, BQB_PREC_F32, 1, &err), err);
    for (size_t i = 0; ok && i < bqb_decoder_weight_count(m); i++) bqb_decoder_weights(m)[i] *= 4; /* so that words matter */
    ok = ok && CHECK_OK(bqb_decoder_save(m, llm_dir, false, &err), err) && CHECK_OK(bqb_file_read(&text, &n, TOKENIZER, 1 << 20, &err), err) &&
         CHECK_OK(bqb_file_write(fixture_path(llm_dir, "tokenizer.json"), text, n, &err), err);
    bqb_decoder_free(m);
    free(text);
    return ok;
}

static bqb_tune_options run_to(const char *dir, const char *out, size_t steps) {
    bqb_tune_options o;
    bqb_tune_unset(&o);
    o.llm = llm_dir;
    o.model = clip_dir;
    o.data = data;
    o.n_data = 1;
    static char folder[8][600];
    static size_t next;
    snprintf(folder[++next % 8], sizeof *folder, "%s/%s", dir, out);
    o.out = folder[next % 8];
    o.steps = steps;
    o.batch = 12;
    o.lr = 1e-2;
    o.precision = "f32";
    o.threads = 2;
    return o;
}

/* ---- batches ---- */

typedef struct {
    bqb_tune_run t;
    bqb_err err;
} opened;

static bool open_run(opened *f, const char *dir) {
    *f = (opened){.t = {.o = run_to(dir, "batches", 4), .lock_fd = -1}};
    bqb_tune_run *t = &f->t;
    return CHECK_OK(bqb_tune_open_out(t, &f->err), f->err) && CHECK_OK(bqb_tune_settings_fill(t, &f->err), f->err) &&
           CHECK_OK(bqb_tune_open_models(t, &f->err), f->err) && CHECK_OK(bqb_tune_open_data(t, &f->err), f->err) && CHECK_OK(bqb_tune_open_parts(t, &f->err), f->err);
}

static bool same_batch(const bqb_tune_batch *a, const bqb_tune_batch *b) {
    return a->view.L == b->view.L && !memcmp(a->numbers, b->numbers, a->view.B * (2 * a->view.L + 3) * sizeof *a->numbers) &&
           !memcmp(a->alike, b->alike, a->view.B * sizeof *a->alike);
}

TEST(tune_batch_is_a_function_of_seed_and_step) {
    opened f;
    bqb_tune_batch a = {0}, b = {0};
    if (begin(test_tmp_dir()) && open_run(&f, test_tmp_dir())) {
        bqb_tune_batch_options o = f.t.batch_options;
        CHECK_OK(bqb_tune_batch_make(&a, &o, 5, &f.err), f.err);
        CHECK_OK(bqb_tune_batch_make(&b, &o, 2, &f.err), f.err);
        CHECK(!same_batch(&a, &b));
        o.threads = 1;
        CHECK_OK(bqb_tune_batch_make(&b, &o, 5, &f.err), f.err);
        CHECK(same_batch(&a, &b));
        o.seed++;
        CHECK_OK(bqb_tune_batch_make(&b, &o, 5, &f.err), f.err);
        CHECK(!same_batch(&a, &b));
        /* Behind earlier rounds a lesson is the same but for its places; where they would not fit there are none. */
        o.rounds = 1;
        CHECK_OK(bqb_tune_batch_make(&a, &o, 5, &f.err), f.err);
        o.rounds = 0;
        CHECK_OK(bqb_tune_batch_make(&b, &o, 5, &f.err), f.err);
        CHECK_MSG(a.n_tokens > b.n_tokens * 5 / 4, "%zu tokens behind earlier rounds, %zu without", a.n_tokens, b.n_tokens);
        o.most = 24;
        CHECK(bqb_tune_batch_make(&b, &o, 5, &f.err) == BQB_ELIMIT && strstr(f.err.msg, "24 tokens"));
    }
    bqb_tune_batch_free(&a);
    bqb_tune_batch_free(&b);
    bqb_tune_close(&f.t);
}

/* The paper's mixture, [PRET] half of the time, the share of talk; and every sticker once an epoch. */
TEST(tune_batches_hold_the_mixture) {
    enum { STEPS = 60, B = 20, V = 960 };
    opened f;
    bqb_tune_batch b = {0};
    size_t talk = 0, picture = 0, pret = 0, requests = 0, twice = 0;
    if (begin(test_tmp_dir()) && open_run(&f, test_tmp_dir())) {
        bqb_tune_batch_options o = f.t.batch_options;
        o.batch = B;
        for (uint64_t step = 0; step < STEPS && CHECK_OK(bqb_tune_batch_make(&b, &o, step, &f.err), f.err); step++) {
            uint32_t seen = 0;
            for (size_t k = 0; k < B; k++) {
                const int32_t *ids = b.view.ids + k * b.view.L;
                bool begins = false;
                for (int32_t t = 0; t < b.view.length[k]; t++) begins |= ids[t] == V + BQB_TOKEN_PRET;
                CHECK((b.view.ret[k] >= 0) == (b.lesson[k].ret >= 0) && (b.view.ret[k] >= 0 || (!begins && b.view.img[k] < 0)));
                talk += b.view.ret[k] < 0;
                requests += b.view.ret[k] >= 0;
                picture += b.view.img[k] >= 0;
                pret += begins;
                uint32_t item = 0; /* by its target */
                while (item < f.t.learn.pictures.n && memcmp(b.view.target + k * f.t.parts.D, f.t.learn.pictures.target + item * f.t.parts.D, f.t.parts.D * sizeof(float))) item++;
                twice += seen >> item & 1;
                seen |= 1u << item;
            }
        }
        double share = (double)talk / (STEPS * B);
        CHECK_MSG(f.t.learn.pictures.n == 20 && !twice, "%zu stickers came twice in an epoch", twice);
        CHECK_MSG(fabs(share - 0.2) < 0.04, "talk %.2f", share);
        CHECK_MSG(fabs((double)picture / (double)requests - 0.5) < 0.06, "pictures %.2f", (double)picture / (double)requests);
        CHECK_MSG(fabs((double)pret / (double)requests - 0.5) < 0.06, "[PRET] %.2f", (double)pret / (double)requests);
    }
    bqb_tune_batch_free(&b);
    bqb_tune_close(&f.t);
}

TEST(tune_recall_within_a_batch) {
    enum { N = 4, D = 2 };
    const int32_t ret[N] = {3, 3, -1, 3};
    uint32_t alike[N] = {0, 1, 2, 0};
    const float target[N * D] = {1, 0, 0, 1, 1, 0, 0.8f, 0.6f}, query[N * D] = {0.8f, 0.6f, 0, 1, 0, 0, 0.8f, 0.6f};
    bqb_tune_batch b = {.view = {.B = N, .ret = ret, .target = target}, .alike = alike};
    CHECK(bqb_tune_batch_recall(&b, query, D) == 1.0); /* the first finds one that is alike */
    alike[0] = 9;
    CHECK(fabs(bqb_tune_batch_recall(&b, query, D) - 2.0 / 3) < 1e-9);
    b.view.ret = (const int32_t[N]){-1, -1, -1, -1};
    CHECK(bqb_tune_batch_recall(&b, query, D) == -1);
}

/* ---- runs ---- */

TEST(tune_learns) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    bqb_tune_result first = {0}, last = {0};
    if (!begin(dir)) return;
    bqb_tune_options o = run_to(dir, "short", 1), l = run_to(dir, "long", 60);
    l.valid = set_dir;
    o.rounds = l.rounds = 0; /* short lessons are soon learnt */
    if (!CHECK_OK(bqb_tune(&o, &first, &err), err) || !CHECK_OK(bqb_tune(&l, &last, &err), err)) return;
    CHECK_MSG(last.words < first.words - 0.05f && last.stickers < first.stickers - 0.5f, "words %g to %g, stickers %g to %g", (double)first.words, (double)last.words,
              (double)first.stickers, (double)last.stickers);
    CHECK_MSG(last.steps == 60 && last.mr >= 0 && last.triggered >= 50, "MR %g, answered %g", last.mr, last.triggered);
    CHECK(bqb_is_adapter(l.out) && bqb_is_file(fixture_path(l.out, "checkpoint.safetensors")) && bqb_is_file(fixture_path(l.out, "pictures.safetensors")));
}

typedef struct {
    int left;
} patience;

static int give_up(void *ctx, const char *what, uint64_t done, uint64_t total) {
    patience *p = ctx;
    (void)done;
    (void)total;
    return !strncmp(what, "step", 4) && p->left-- == 0;
}

TEST(tune_goes_on_to_the_same_bits) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    bqb_tune_result r;
    patience p = {.left = 4};
    if (!begin(dir)) return;
    bqb_tune_options straight = run_to(dir, "straight", 9), stopped = run_to(dir, "stopped", 9);
    straight.threads = 3; /* nor do these matter */
    stopped.progress = give_up;
    stopped.ctx = &p;
    CHECK_OK(bqb_tune(&straight, &r, &err), err);
    CHECK(bqb_tune(&stopped, &r, &err) == BQB_ECANCEL && strstr(err.msg, "stopped after step 4 of 9; --resume"));
    CHECK(bqb_is_adapter(stopped.out));
    CHECK(!fixture_same_file(straight.out, stopped.out, "adapter.safetensors"));
    bqb_tune_options on;
    bqb_tune_unset(&on);
    on.out = stopped.out;
    on.resume = true;
    CHECK_OK(bqb_tune(&on, &r, &err), err);
    CHECK(r.steps == 9 && fixture_same_file(straight.out, stopped.out, "adapter.safetensors"));
    char *log = NULL;
    size_t lines = 0;
    if (CHECK_OK(bqb_file_read(&log, NULL, fixture_path(stopped.out, "log.jsonl"), 1 << 20, &err), err))
        for (const char *c = log; *c; c++) lines += *c == '\n';
    CHECK_MSG(lines == 9, "%zu lines", lines);
    free(log);
}

static void refused(const bqb_tune_options *o, bqb_status code, const char *says) {
    bqb_err err = {0};
    bqb_tune_result r;
    bqb_status s = bqb_tune(o, &r, &err);
    CHECK_MSG(s == code && strstr(err.msg, says), "%d \"%s\", expected %d \"%s\"", s, err.msg, code, says);
}

TEST(tune_refuses) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    bqb_tune_result r;
    if (!begin(dir)) return;
    bqb_tune_options o = run_to(dir, "run", 2);
    CHECK_OK(bqb_tune(&o, &r, &err), err);
    refused(&o, BQB_EINVAL, "--resume goes on");
    bqb_tune_options on = o;
    on.resume = true;
    CHECK_OK(bqb_tune(&on, &r, &err), err); /* nothing to do */
    on.lr = 2e-2;
    refused(&on, BQB_EINVAL, "lr 0.01");
    on.lr = o.lr;
    on.system = "别的";
    refused(&on, BQB_EINVAL, "system");
    on.system = NULL;
    char place[600], clip2[600];
    snprintf(place, sizeof place, "%s/other", dir);
    snprintf(clip2, sizeof clip2, "%s/clip2", dir);
    fixture_set(place, 12, 0);
    const char *other[1] = {place};
    on.data = other;
    refused(&on, BQB_EINVAL, "another set of stickers");
    on.data = data;
    model_folder(clip2, 2);
    on.model = clip2;
    refused(&on, BQB_EINVAL, "another StickerCLIP");
    bqb_tune_options odd = run_to(dir, "odd", 2);
    odd.batch = 1;
    refused(&odd, BQB_EINVAL, "batch 1 is not within 2");
    odd.batch = 12;
    odd.resume = true;
    refused(&odd, BQB_ENOTFOUND, "no checkpoint");
    /* A model that nobody's memory holds is refused before it is opened: there are no weights. */
    bqb_make_dirs(fixture_path(dir, "huge"), &err);
    fixture_write(fixture_path(dir, "huge"), "config.json", "{\"model_type\":\"llama\",\"vocab_size\":128000,\"hidden_size\":16384,\"intermediate_size\":53248,"
                  "\"num_hidden_layers\":126,\"num_attention_heads\":128,\"num_key_value_heads\":8}");
    bqb_tune_options huge = run_to(dir, "huge-out", 2);
    huge.llm = fixture_path(dir, "huge");
    huge.batch = 4096;
    refused(&huge, BQB_ELIMIT, "GiB of memory");
}

/* A checkpoint that was damaged is refused, not believed. */
TEST(tune_checkpoint_is_not_believed) {
    const char *dir = test_tmp_dir();
    bqb_err err = {0};
    bqb_tune_result r;
    char *bytes = NULL;
    size_t n = 0;
    if (!begin(dir)) return;
    bqb_tune_options o = run_to(dir, "run", 2);
    CHECK_OK(bqb_tune(&o, &r, &err), err);
    char path[1100];
    snprintf(path, sizeof path, "%s/checkpoint.safetensors", o.out);
    o.resume = true;
    if (CHECK_OK(bqb_file_read(&bytes, &n, path, 1 << 26, &err), err))
        for (size_t cut = 0; cut < n; cut += n / 5 + 1) {
            CHECK_OK(bqb_file_write(path, bytes, cut, &err), err);
            refused(&o, BQB_EFORMAT, "checkpoint.safetensors");
        }
    char *step = bytes ? strstr(bytes + 8, "\"step\":\"2\"") : NULL;
    if (CHECK(step != NULL)) {
        memcpy(step + 8, "x", 1);
        CHECK_OK(bqb_file_write(path, bytes, n, &err), err);
        refused(&o, BQB_EFORMAT, "step or settings");
    }
    free(bytes);
}

/* ---- the trial ---- */

TEST(trial_counts_and_ranks) {
    opened f;
    if (begin(test_tmp_dir()) && open_run(&f, test_tmp_dir())) {
        bqb_trial t = {.m = f.t.llm, .team = f.t.team, .n_team = f.t.n_team, .parts = &f.t.parts, .lessons = f.t.lessons, .form = f.t.batch_options.form, .ds = f.t.learn.ds,
                       .pictures = &f.t.learn.pictures, .seed = 1};
        bqb_question q = {.task = BQB_TASK_BOTH, .want = BQB_WANT_CAPTION, .n = 20}, talk = {.task = BQB_TASK_TALK, .test = true, .n = 33};
        bqb_answers a, b, c;
        CHECK_OK(bqb_trial_ask(&a, &t, &q, NULL, NULL, &f.err), f.err);
        t.n_team = 0;
        CHECK_OK(bqb_trial_ask(&b, &t, &q, NULL, NULL, &f.err), f.err);
        CHECK(a.n == 20 && a.answered == b.answered && !memcmp(a.query, b.query, 20 * f.t.parts.D * sizeof(float)) && a.item[7] == 7);
        for (size_t i = 0; i < 20; i++) {
            double sum = 0;
            for (size_t d = 0; d < f.t.parts.D; d++) sum += (double)a.query[i * f.t.parts.D + d] * (double)a.query[i * f.t.parts.D + d];
            CHECK(fabs(sum - 1) < 1e-4);
        }
        CHECK_OK(bqb_trial_ask(&c, &t, &talk, NULL, NULL, &f.err), f.err);
        CHECK(c.n == 33 && c.answered <= 33);
        bqb_unchanged u;
        CHECK_OK(bqb_trial_unchanged(&u, &t, TOKENIZER, &f.err), f.err);
        CHECK(u.n_tokens > 100 && !u.n_changed && u.before == u.after && u.open > u.before && u.n_texts > 10);
        bqb_answers_free(&a);
        bqb_answers_free(&b);
        bqb_answers_free(&c);
    }
    bqb_tune_close(&f.t);
}

/* The features of pictures are kept, and made again where the file is of another kind. */
TEST(tune_pictures_are_kept) {
    opened f;
    if (begin(test_tmp_dir()) && open_run(&f, test_tmp_dir())) {
        bqb_tune_pictures *p = &f.t.learn.pictures, again;
        char *cache = bqb_asprintf("%s/pictures.safetensors", f.t.o.out);
        bqb_tune_pictures_options o = {.seed = (uint64_t)f.t.o.seed, .threads = 2, .cache = cache};
        CHECK(p->n == 20 && bqb_is_file(cache));
        for (int damage = 0; damage < 3; damage++) {
            if (damage == 1) CHECK_OK(bqb_file_write(cache, "nothing", 7, &f.err), f.err);
            if (damage == 2) o.seed++;
            CHECK_OK(bqb_tune_pictures_open(&again, f.t.learn.ds, f.t.clip, &o, NULL, NULL, &f.err), f.err);
            CHECK(again.n == 20 && !memcmp(again.target, p->target, 20 * p->D * sizeof(float)) && !memcmp(again.shown, p->shown, 20 * p->F * sizeof(float)));
            CHECK((memcmp(again.altered, p->altered, 20 * p->F * sizeof(float)) != 0) == (damage == 2));
            CHECK(!memcmp(again.alike, p->alike, 20 * sizeof *p->alike));
            bqb_tune_pictures_close(&again);
        }
        free(cache);
    }
    bqb_tune_close(&f.t);
}
