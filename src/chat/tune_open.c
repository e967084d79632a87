#define _GNU_SOURCE
#include "chat/tune_run.h"

#include "base/data.h"
#include "base/thread.h"
#include "base/utf8.h"
#include "base/words.h"
#include "train/memory.h"
#include "train/out_folder.h"
#include "train/schedule.h"
#include "train/settings.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const double GIB = 1073741824.0;

/* Tokens of a lesson, and those of them with a tape, that memory is reckoned for: wordings are short, annotations at most some 60. */
enum { LESSON = 128, TAPED = 112 };

bqb_status bqb_tune_open_out(bqb_tune_run *t, bqb_err *err) {
    if (!t->o.out || !*t->o.out) return bqb_fail(err, BQB_EINVAL, "no folder for the adapter was given (--out)");
    bqb_status s = bqb_make_dirs(t->o.out, err);
    t->checkpoint_path = bqb_path_join(t->o.out, "checkpoint.safetensors");
    if (!s && !t->checkpoint_path) s = bqb_fail_nomem(err, t->o.out, strlen(t->o.out));
    if (!s) s = bqb_out_lock(&t->lock_fd, t->o.out, "run of tuning", err);
    if (s) return s;
    bool there = bqb_is_file(t->checkpoint_path);
    if (!t->o.resume && (there || bqb_is_adapter(t->o.out)))
        return bqb_fail(err, BQB_EINVAL, "%s holds %s, or choose another folder", t->o.out,
                        there ? "a run of tuning; --resume goes on with it" : "an adapter; remove it");
    if (!t->o.resume) return BQB_OK;
    if (!there) return bqb_fail(err, BQB_ENOTFOUND, "%s: no checkpoint to resume from", t->checkpoint_path);
    s = bqb_tune_peek(&t->settings, &t->step, t->checkpoint_path, err);
    t->first_step = t->saved_step = t->step;
    t->saved = !s;
    if (s || t->o.n_data) return s;
    s = bqb_settings_data(&t->data, &t->o.n_data, t->settings, t->checkpoint_path, err);
    t->o.data = t->data;
    return s;
}

/* ---- memory ---- */

static double file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) || !S_ISREG(st.st_mode) ? 0 : (double)st.st_size;
}

/* Of a GGUF file, or of a folder's weights. */
static double weight_bytes(const char *path) {
    DIR *d = opendir(path);
    if (!d) return file_bytes(path);
    double sum = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!bqb_ends_with(e->d_name, ".safetensors") && !bqb_ends_with(e->d_name, ".pt") && !bqb_ends_with(e->d_name, ".bin")) continue;
        char *file = bqb_path_join(path, e->d_name);
        sum += file ? file_bytes(file) : 0;
        free(file);
    }
    closedir(d);
    return sum;
}

/* All of it is known before anything large is opened. */
static bqb_status reckon(bqb_tune_run *t, size_t n_pictures, bqb_err *err) {
    bqb_decoder_config c;
    bqb_clip_config v;
    char *clip = bqb_path_join(t->o.model, "config.json");
    bqb_status s = clip ? bqb_decoder_config_of(&c, t->o.llm, err) : bqb_fail_nomem(err, t->o.model, strlen(t->o.model));
    if (!s) s = bqb_clip_config_read(&v, clip, err);
    free(clip);
    if (s) return s;
    size_t L = t->o.context < LESSON ? t->o.context : LESSON, taped = L < TAPED ? L : TAPED;
    double held = weight_bytes(t->o.llm) + 2 * weight_bytes(t->o.model) + bqb_tune_pictures_bytes(n_pictures, v.v_width, v.embed) +
                  16 * (double)c.width * (10 + (double)v.v_width + (double)v.embed);
    double keeping = bqb_stickerllm_grad_bytes(&c, t->o.batch, L, taped, t->n_team, false),
           again = bqb_stickerllm_grad_bytes(&c, t->o.batch, L, taped, t->n_team, true), there = bqb_memory_there();
    t->recompute = held + keeping > 0.7 * there;
    double need = held + (t->recompute ? again : keeping);
    if (need > 0.9 * there) {
        size_t fits = t->o.batch;
        while (fits > 1 && held + bqb_stickerllm_grad_bytes(&c, fits, L, taped, t->n_team, true) > 0.9 * there) fits /= 2;
        char advice[64] = "a smaller language model is needed, or one of fewer bits";
        if (fits > 1) snprintf(advice, sizeof advice, "--batch %zu would fit", fits);
        return bqb_fail(err, BQB_ELIMIT, "tuning %s with batches of %zu needs about %.1f GiB of memory (%.1f for models and pictures), there are %.1f; %s", t->o.llm,
                        t->o.batch, need / GIB, held / GIB, there / GIB, advice);
    }
    bqb_tune_say(t, "memory: about %.2f of %.1f GiB%s", need / GIB, there / GIB, t->recompute ? " (activations are computed twice)" : "");
    return BQB_OK;
}

/* ---- models ---- */

bqb_status bqb_tune_open_models(bqb_tune_run *t, bqb_err *err) {
    if (!t->o.llm) return bqb_fail(err, BQB_EINVAL, "no language model was given (--llm)");
    if (!t->o.n_data) return bqb_fail(err, BQB_EINVAL, "no stickers to learn from were given");
    t->n_team = t->o.threads ? t->o.threads : (size_t)bqb_cpu_count();
    char *chat = NULL;
    bqb_status s = bqb_data_path(&chat, "chat", err);
    if (!s) s = bqb_lessons_open(&t->lessons, chat, err);
    free(chat);
    if (!s) s = bqb_dataset_open(&t->learn.ds, t->o.data, t->o.n_data, err);
    if (!s && *bqb_dataset_notes(t->learn.ds)) bqb_tune_say(t, "stickers:\n%s", bqb_dataset_notes(t->learn.ds));
    if (!s && t->o.valid) s = bqb_dataset_open(&t->valid.ds, &t->o.valid, 1, err);
    if (!s) s = reckon(t, bqb_dataset_count(t->learn.ds) + (t->o.valid ? t->o.valid_limit : 0), err);
    /* What the model itself computes is small, and done by one thread: the same bits for any number of them. */
    if (!s) s = bqb_decoder_open(&t->llm, t->o.llm, t->precision, 1, err);
    if (!s) s = bqb_decoder_fits(t->llm, 1024, t->o.llm, err);
    if (!s) s = bqb_llm_tokenizer_of(&t->tok, t->o.llm, err);
    if (!s) s = bqb_llm_tokenizer_fits(t->tok, bqb_decoder_get_config(t->llm)->vocab, t->o.llm, err);
    if (!s && !(t->team = bqb_calloc(t->n_team, sizeof(*t->team)))) s = bqb_fail_nomem(err, "a team", t->n_team * sizeof(*t->team));
    for (size_t k = 0; k < t->n_team && !s; k++) s = bqb_decoder_share(&t->team[k], t->llm, 1, err);
    if (!s) s = bqb_clip_open(&t->clip, t->o.model, BQB_TOWER_IMAGE, t->precision, (int)t->o.threads, err);
    return s;
}

/* ---- data ---- */

static bqb_status open_set(bqb_tune_run *t, bqb_tune_set *set, const char *name, size_t limit, bqb_err *err) {
    char *cache = bqb_path_join(t->o.cache ? t->o.cache : t->o.out, name);
    if (!cache) return bqb_fail_nomem(err, name, strlen(name));
    bqb_tune_pictures_options o = {.limit = limit, .seed = t->o.seed, .threads = (int)t->o.threads, .cache = cache};
    bqb_status s = t->o.cache ? bqb_make_dirs(t->o.cache, err) : BQB_OK;
    if (!s) s = bqb_tune_pictures_open(&set->pictures, set->ds, t->clip, &o, t->o.progress, t->o.ctx, err);
    if (!s && set->pictures.n_unreadable)
        bqb_tune_say(t, "%s  %zu %s left out", set->pictures.notes.data, set->pictures.n_unreadable,
                     bqb_word(set->pictures.n_unreadable, "picture could not be read and is", "pictures could not be read and are"));
    free(cache);
    return s;
}

/* What the settings say of models and data is what is there; what they do not say yet is added. */
static bqb_status check_same(bqb_tune_run *t, const char *key, const char *what, const char *is, bqb_err *err) {
    const char *was = json_string_value(json_object_get(t->settings, key));
    if (was && strcmp(was, is)) return bqb_fail(err, BQB_EINVAL, "%s was begun with another %s (%.16s, now %.16s)", t->o.out, what, was, is);
    return json_object_set_new(t->settings, key, json_string(is)) ? bqb_fail_nomem(err, key, strlen(is)) : BQB_OK;
}

bqb_status bqb_tune_open_data(bqb_tune_run *t, bqb_err *err) {
    t->begun = t->settings; /* texts of o may be its: it stays until the end */
    t->settings = bqb_tune_settings_make(t);
    if (!t->settings) return bqb_fail_nomem(err, "settings", 4096);
    static const char *const kept[] = {"llm_id", "clip_id", "data_hash"};
    for (size_t i = 0; t->begun && i < sizeof kept / sizeof *kept; i++)
        if (json_object_get(t->begun, kept[i])) json_object_set(t->settings, kept[i], json_object_get(t->begun, kept[i]));
    char hash[32];
    snprintf(hash, sizeof hash, "%016" PRIx64, bqb_dataset_hash(t->learn.ds));
    bqb_status s = check_same(t, "llm_id", "language model", bqb_decoder_id(t->llm), err);
    if (!s) s = check_same(t, "clip_id", "StickerCLIP", bqb_clip_id(t->clip), err);
    if (!s) s = check_same(t, "data_hash", "set of stickers", hash, err);
    if (!s) s = open_set(t, &t->learn, "pictures.safetensors", 0, err);
    if (!s && t->o.valid) s = open_set(t, &t->valid, "valid.safetensors", t->o.valid_limit, err);
    if (s) return s;
    const bqb_decoder_config *c = bqb_decoder_get_config(t->llm);
    t->batch_options = (bqb_tune_batch_options){
        .lessons = t->lessons, .ds = t->learn.ds, .pictures = &t->learn.pictures, .seed = (uint64_t)t->o.seed, .batch = t->o.batch, .talk = t->o.talk, .pret = t->o.pret, .rounds = t->o.rounds,
        .most = t->o.context < c->context ? t->o.context : c->context, .threads = (int)t->n_team,
        .form = {.tok = t->tok, .format = bqb_chat_format_of(t->tok), .vocab = c->vocab, 
                 .system = *t->o.system ? t->o.system : NULL, .at_once = t->o.at_once == 1}};
    bqb_tune_say(t, "%zu stickers, %s (%s, %zu layers of %zu) and %s; %zu steps of %zu sequences", t->learn.pictures.n, bqb_decoder_name(t->llm),
                 bqb_decoder_family_name(c->family), c->layers, c->width, t->o.model, t->o.steps, t->o.batch);
    return BQB_OK;
}

/* ---- what learns ---- */

static double size_of(const float *x, size_t n) { return bqb_vector_norm(x, n) / sqrt((double)(n ? n : 1)); }

/* Mean and size of the input embeddings: the first few thousand tokens stand for all. */
static double mean_embedding(float *mean, bqb_decoder *llm) {
    enum { MOST = 4096 };
    size_t V = bqb_decoder_get_config(llm)->vocab, C = bqb_decoder_get_config(llm)->width, n = V < MOST ? V : MOST;
    float *row = bqb_calloc(C, sizeof *row);
    double sum = 0;
    for (size_t v = 0; row && v < n; v++) {
        int32_t id = (int32_t)(v * V / n);
        if (bqb_decoder_embed(llm, row, &id, 1, NULL)) continue;
        sum += size_of(row, C);
        for (size_t c = 0; c < C; c++) mean[c] += row[c] / (float)n;
    }
    free(row);
    return sum / (double)n;
}

/* What new tokens are to say at first, in words: what stands around a thing that is shown, and a wish for one. A
 * language model that lists what was asked for behind such a mark has it in mind there. */
static const char *const words_of[BQB_STICKER_TOKENS] = {[BQB_TOKEN_IMG] = "【", [BQB_TOKEN_IMG_END] = "】", [BQB_TOKEN_RET] = "【", [BQB_TOKEN_RET_END] = "】", [BQB_TOKEN_PRET] = "表情"};

/* New tokens begin as words, output rows of those that are never said as no word at all; a picture is as large as a
 * word, the map into the shared space at random. */
bqb_status bqb_tune_start(bqb_sticker_parts *p, bqb_decoder *llm, const bqb_llm_tokenizer *tok, float log_scale, double feature_size, uint64_t seed, bqb_err *err) {
    bqb_rand r = bqb_rand_seed(seed, UINT64_MAX);
    memset(p->floats, 0, p->n_floats * sizeof *p->floats);
    double size = mean_embedding(p->vis_bias, llm), weight = feature_size > 0 ? size / (feature_size * sqrt((double)p->F)) : size;
    bqb_status s = BQB_OK;
    for (int k = 0; k < BQB_STICKER_TOKENS && !s; k++) {
        bqb_ids ids = {0};
        s = bqb_chat_text(&ids, tok, words_of[k], strlen(words_of[k]), err);
        if (!s) s = bqb_stickerllm_begin(llm, p, (bqb_sticker_token)k, ids.id, ids.n, err);
        free(ids.id);
        float *embed = p->embed_new + (size_t)k * p->C, *head = p->head_new + (size_t)k * p->C;
        for (size_t c = 0; c < p->C; c++) {
            embed[c] += (float)(0.1 * size * bqb_rand_normal(&r)); /* [IMG] is not [RET] */
            if (k != BQB_TOKEN_RET) head[c] = p->vis_bias[c] + (float)(0.1 * size * bqb_rand_normal(&r));
        }
    }
    for (size_t i = 0; i < p->C * p->F; i++) p->vis_weight[i] = (float)(weight * bqb_rand_normal(&r));
    for (size_t i = 0; i < p->D * p->C; i++) p->txt_proj[i] = (float)(bqb_rand_normal(&r) / sqrt((double)p->C));
    *p->log_scale = log_scale;
    return s;
}

bqb_status bqb_tune_open_parts(bqb_tune_run *t, bqb_err *err) {
    const bqb_tune_pictures *p = &t->learn.pictures;
    size_t C = bqb_decoder_get_config(t->llm)->width;
    bqb_status s = bqb_sticker_parts_new(&t->parts, C, p->F, p->D, err);
    if (!s) s = bqb_sticker_parts_new(&t->grad, C, p->F, p->D, err);
    if (s) return s;
    t->mom = bqb_calloc(t->parts.n_floats, sizeof(float));
    t->var = bqb_calloc(t->parts.n_floats, sizeof(float));
    if (!t->mom || !t->var) return bqb_fail_nomem(err, "moments", 2 * t->parts.n_floats * sizeof(float));
    if (t->o.resume) return bqb_tune_read(t, err);
    return bqb_tune_start(&t->parts, t->llm, t->tok, *bqb_clip_logit_scale(t->clip), size_of(p->shown, p->n * p->F), (uint64_t)t->o.seed, err);
}

void bqb_tune_close(bqb_tune_run *t) {
    bqb_tune_batch_free(&t->batch);
    bqb_tune_set *sets[] = {&t->learn, &t->valid};
    for (size_t i = 0; i < 2; i++) {
        bqb_tune_pictures_close(&sets[i]->pictures);
        bqb_dataset_close(sets[i]->ds);
    }
    bqb_sticker_parts_free(&t->parts);
    bqb_sticker_parts_free(&t->grad);
    free(t->mom);
    free(t->var);
    for (size_t k = 0; t->team && k < t->n_team; k++) bqb_decoder_free(t->team[k]);
    free(t->team);
    bqb_decoder_free(t->llm);
    bqb_llm_tokenizer_close(t->tok);
    bqb_clip_free(t->clip);
    bqb_lessons_close(t->lessons);
    if (t->log) fclose(t->log);
    if (t->lock_fd >= 0) close(t->lock_fd);
    json_decref(t->settings);
    json_decref(t->begun);
    free(t->checkpoint_path);
    free(t->data);
}
