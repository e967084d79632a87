#include "test.h"
#include "train_fixture.h"

#include "base/fs.h"
#include "image/decode.h"
#include "train/batch.h"
#include "train/group.h"
#include "train/preview.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { R = 32, PLANE = R * R, FRAME = 3 * PLANE };

typedef struct {
    bqb_dataset *ds;
    bqb_pixels *px;
    bqb_tokenizer *tok;
} set;

static bool open_all(set *s, const char *dir, bool cache) {
    bqb_err err = {0};
    *s = (set){0};
    bqb_pixels_options po = {.R = R, .threads = 2, .cache_path = cache ? fixture_path(dir, "p.cache") : NULL, .cache_max_bytes = 1 << 30};
    return CHECK_OK(bqb_dataset_open(&s->ds, &dir, 1, &err), err) &&
           CHECK_OK(bqb_pixels_open(&s->px, s->ds, &po, NULL, NULL, &err), err) &&
           CHECK_OK(bqb_tokenizer_open(&s->tok, test_path("golden/vocab.txt"), &err), err);
}

static void close_all(set *s) {
    bqb_tokenizer_close(s->tok);
    bqb_pixels_close(s->px);
    bqb_dataset_close(s->ds);
}

static const bqb_batch_options plain = {.seed = 3, .batch = 8, .context = 24, .n_patches = 16, .frames = 3, .augment = BQB_AUGMENT_ON};

static bqb_batcher *new_batcher(const set *s, bqb_batch_options o) {
    bqb_err err = {0};
    bqb_batcher *b = NULL;
    CHECK_OK(bqb_batcher_new(&b, s->ds, s->px, s->tok, &o, &err), err);
    return b;
}

static uint64_t hash(uint64_t h, const void *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) h = (h ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
    return h;
}

/* Everything that a batch says. */
static uint64_t hash_batch(const bqb_clip_batch *b) {
    size_t P = 0;
    uint64_t h = hash(1469598103934665603u, b->frames, b->N);
    for (size_t i = 0; i < b->N; i++) P += b->frames[i];
    h = hash(h, b->rgb, P * FRAME);
    h = hash(h, b->ids, b->N * b->L * sizeof *b->ids);
    if (b->keep) h = hash(h, b->keep, P * b->n_keep * sizeof *b->keep);
    return h;
}

static uint64_t step_hash(bqb_batcher *b, uint64_t step) {
    bqb_err err = {0};
    const bqb_clip_batch *x = NULL;
    return CHECK_OK(bqb_batcher_get(b, step, &x, &err), err) ? hash_batch(x) : 0;
}

TEST(batches_depend_on_seed_and_step_alone) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 30, 4);
    set s;
    if (open_all(&s, dir, true)) {
        bqb_batch_options o = plain, other = plain;
        o.mask_ratio = other.mask_ratio = 0.5;
        o.field_drop = other.field_drop = 0.3;
        o.short_rate = other.short_rate = 0.3;
        other.seed = 4;
        bqb_batcher *a = new_batcher(&s, o), *b = new_batcher(&s, o), *c = new_batcher(&s, other);
        if (a && b && c) {
            CHECK(bqb_batcher_steps_per_epoch(a) == 3 && bqb_batcher_size(a) == 8);
            uint64_t in_order[7];
            for (uint64_t k = 0; k < 7; k++) in_order[k] = step_hash(a, k);
            const uint64_t jumps[] = {5, 6, 0, 3, 3, 1};
            for (size_t k = 0; k < 6; k++) {
                if (k % 2) nanosleep(&(struct timespec){0, 20000000}, NULL); /* with and without the background done */
                CHECK(step_hash(b, jumps[k]) == in_order[jumps[k]]);
            }
            for (int k = 1; k < 7; k++) CHECK(in_order[k] != in_order[k - 1]);
            CHECK(step_hash(c, 0) != in_order[0]);
        }
        bqb_batcher_free(a);
        bqb_batcher_free(b);
        bqb_batcher_free(c);
    }
    close_all(&s);
}

TEST(batches_are_the_same_without_a_cache) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 20, 3);
    set s, direct;
    if (open_all(&s, dir, true) && open_all(&direct, dir, false)) {
        for (int k = BQB_AUGMENT_OFF; k <= BQB_AUGMENT_RAND; k++) {
            bqb_batch_options o = plain;
            o.augment = (bqb_batch_augment)k;
            bqb_batcher *a = new_batcher(&s, o), *b = new_batcher(&direct, o);
            for (uint64_t step = 0; a && b && step < 3; step++) CHECK(step_hash(a, step) == step_hash(b, step));
            bqb_batcher_free(a);
            bqb_batcher_free(b);
        }
        close_all(&direct);
    }
    close_all(&s);
}

TEST(epochs_use_every_sticker_once) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 26, 0);
    fixture_write(dir, "images/3.png", "no picture");
    set s;
    if (open_all(&s, dir, true)) {
        bqb_batch_options o = plain;
        o.batch = 5;
        bqb_batcher *b = new_batcher(&s, o);
        int seen[2][26] = {{0}}, same = 0;
        uint32_t first[25];
        for (uint64_t k = 0; b && k < 10; k++) {
            step_hash(b, k);
            const uint32_t *x = bqb_batcher_samples(b);
            for (int i = 0; i < 5; i++) {
                seen[k / 5][x[i]]++;
                if (k < 5) first[5 * k + (uint64_t)i] = x[i];
                else same += first[5 * (k - 5) + (uint64_t)i] == x[i];
            }
        }
        for (int i = 0; i < 26; i++) CHECK(seen[0][i] == (i != 3) && seen[1][i] == (i != 3));
        CHECK(same < 10); /* another order */
        bqb_batcher_free(b);
    }
    close_all(&s);
}

TEST(batch_masks_frames_and_texts) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 12, 2);
    set s;
    if (open_all(&s, dir, true)) {
        bqb_batch_options o = plain;
        o.batch = 12;
        o.mask_ratio = 0.6;
        bqb_batcher *b = new_batcher(&s, o);
        const bqb_clip_batch *x;
        if (b && !bqb_batcher_get(b, 0, &x, NULL)) {
            size_t P = 0;
            for (size_t i = 0; i < 12; i++) {
                CHECK(x->frames[i] == (bqb_batcher_samples(b)[i] % 2 ? 1 : 3));
                P += x->frames[i];
            }
            CHECK(P == 24 && x->n_keep == 6);
            for (size_t p = 0; p < P; p++)
                for (size_t k = 0; k < 6; k++) {
                    CHECK(x->keep[p * 6 + k] < 16);
                    CHECK(!k || x->keep[p * 6 + k] > x->keep[p * 6 + k - 1]);
                }
            int32_t pad = bqb_tokenizer_pad(s.tok), longest = 0;
            for (size_t i = 0; i < 12; i++) longest |= x->ids[i * x->L + x->L - 1] != pad;
            CHECK(longest && x->L <= 24); /* cut to the longest text */
        }
        bqb_batcher_free(b);

        o.frames = 1;
        o.mask_ratio = 0;
        b = new_batcher(&s, o);
        if (b && !bqb_batcher_get(b, 0, &x, NULL)) {
            CHECK(!x->keep);
            for (size_t i = 0; i < 12; i++) CHECK(x->frames[i] == 1);
        }
        bqb_batcher_free(b);
        o.batch = 50; /* more than there are */
        b = new_batcher(&s, o);
        if (b) CHECK(bqb_batcher_size(b) == 12);
        bqb_batcher_free(b);
    }
    close_all(&s);
}

/* With everything dropped one field is left, and a short query stands alone. */
TEST(batch_texts_follow_their_options) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 20, 0);
    set s;
    if (open_all(&s, dir, true)) {
        bqb_batch_options o = plain;
        o.batch = 20;
        int32_t pad = bqb_tokenizer_pad(s.tok);
        size_t tokens[3] = {0};
        for (int k = 0; k < 3; k++) {
            o.field_drop = k == 1;
            o.short_rate = k == 2;
            bqb_batcher *b = new_batcher(&s, o);
            const bqb_clip_batch *x;
            if (b && !bqb_batcher_get(b, 0, &x, NULL))
                for (size_t i = 0; i < x->N; i++) {
                    size_t n = 0;
                    while (n < x->L && x->ids[i * x->L + n] != pad) n++;
                    CHECK(n >= 3); /* never empty: [CLS], something, [SEP] */
                    tokens[k] += n;
                    if (k == 2) {
                        int32_t want[2][24];
                        const bqb_sample *y = bqb_dataset_at(s.ds, bqb_batcher_samples(b)[i]);
                        size_t hits = 0;
                        for (size_t q = 0; q < 2; q++) {
                            const char *text = bqb_dataset_query(s.ds, y->first_query + q);
                            size_t m = bqb_tokenizer_encode(s.tok, want[q], 24, text, strlen(text));
                            hits += m == n && !memcmp(want[q], x->ids + i * x->L, n * sizeof **want);
                        }
                        CHECK(hits == 1);
                    }
                }
            bqb_batcher_free(b);
        }
        CHECK(tokens[1] < tokens[0] / 2 && tokens[2] < tokens[0] / 2);
    }
    close_all(&s);
}

TEST(batch_options_are_checked) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 3, 0);
    set s;
    if (open_all(&s, dir, true)) {
        const struct {
            size_t batch, frames;
            double drop, brief, mask;
            const char *named;
        } bad[] = {{1, 3, 0, 0, 0, "batch"}, {2, 2, 0, 0, 0, "frames"}, {2, 3, -0.1, 0, 0, "field-drop"},
                   {2, 3, 0, 1.5, 0, "short"}, {2, 3, 0, 0, 1, "mask-ratio"}, {2, 3, NAN, 0, 0, "field-drop"}};
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            bqb_batch_options o = plain;
            o.batch = bad[k].batch;
            o.frames = bad[k].frames;
            o.field_drop = bad[k].drop;
            o.short_rate = bad[k].brief;
            o.mask_ratio = bad[k].mask;
            bqb_err err = {0};
            bqb_batcher *b;
            CHECK(bqb_batcher_new(&b, s.ds, s.px, s.tok, &o, &err) == BQB_EINVAL && !b);
            CHECK_MSG(strstr(err.msg, bad[k].named) != NULL, "%s is not named in: %s", bad[k].named, err.msg);
        }
    }
    close_all(&s);
}

TEST(batch_refuses_one_text_for_everything) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 3, 0);
    fixture_write(dir, "captions.tsv", "file\tcaption\nimages/0.png\t猫\nimages/1.png\t猫\nimages/2.png\t猫\n");
    set s;
    bqb_batch_options o = plain;
    bqb_err err = {0};
    bqb_batcher *b;
    if (!open_all(&s, dir, false)) {
        close_all(&s);
        return;
    }
    CHECK(bqb_batcher_new(&b, s.ds, s.px, s.tok, &o, &err) == BQB_EFORMAT && !b);
    CHECK_MSG(strstr(err.msg, "猫") && strstr(err.msg, "same text"), "%s", err.msg);
    o.short_rate = 0.5; /* the short queries differ */
    b = new_batcher(&s, o);
    CHECK(b != NULL);
    bqb_batcher_free(b);
    close_all(&s);
}

TEST(group_numbers_what_is_equal) {
    const uint64_t keys[7] = {5, 9, 5, 7, 9, 9, 5};
    const uint32_t want[7] = {0, 1, 0, 3, 1, 1, 0};
    uint32_t group[7];
    bqb_group_keys(group, keys, 7);
    CHECK(!memcmp(group, want, sizeof want));
    /* Every byte and the length count. */
    uint8_t bytes[40] = {0};
    uint64_t zeros = bqb_key_of(bytes, 40);
    CHECK(zeros && zeros == bqb_key_of(bytes, 40) && zeros != bqb_key_of(bytes, 39) && bqb_key_of(bytes, 0));
    for (size_t i = 0; i < 40; i++) {
        bytes[i] = 1;
        CHECK(bqb_key_of(bytes, 40) != zeros && bqb_key_of(bytes, i + 1) != bqb_key_of(bytes, i));
        bytes[i] = 0;
    }
}

/* Stickers 0 and 3 show the same, 1 and 4 say the same in other letters, 2 and 5 nothing alike. */
TEST(batch_groups_duplicates) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 6, 0);
    fixture_write(dir, "captions.tsv",
                  "file\tcaption\temotion\n"
                  "images/0.png\t猫\t开心\nimages/1.png\tOK 好\t红\nimages/2.png\t天\t\n"
                  "images/3.png\t黄\t\nimages/4.png\tok好\t红\nimages/5.png\t红\tok好\n");
    static const uint32_t alike[6] = {0, 1, 2, 0, 4, 5};
    set s;
    for (int cached = 0; cached < 2; cached++) {
        if (open_all(&s, dir, cached)) {
            bqb_batch_options o = plain;
            o.batch = 6;
            bqb_batcher *b = new_batcher(&s, o);
            const bqb_clip_batch *x;
            if (b && !bqb_batcher_get(b, 0, &x, NULL)) CHECK(!x->text_group && !x->image_group);
            bqb_batcher_free(b);
            o.alike = alike;
            b = new_batcher(&s, o);
            for (uint64_t step = 0; b && step < 4; step++) {
                if (bqb_batcher_get(b, step, &x, NULL) || !CHECK(x->text_group && x->image_group)) break;
                const uint32_t *sticker = bqb_batcher_samples(b);
                for (size_t i = 0; i < 6; i++)
                    for (size_t k = 0; k < 6; k++) {
                        uint32_t p = sticker[i], q = sticker[k];
                        CHECK((x->image_group[i] == x->image_group[k]) == (p == q || (p % 3 == 0 && q % 3 == 0)));
                        CHECK((x->text_group[i] == x->text_group[k]) == (p == q || (p % 3 == 1 && q % 3 == 1)));
                    }
            }
            bqb_batcher_free(b);
        }
        close_all(&s);
    }
}

TEST(preview_shows_the_batch) {
    const char *dir = test_tmp_dir();
    fixture_set(dir, 12, 3);
    set s;
    bqb_err err = {0};
    if (open_all(&s, dir, true)) {
        bqb_batch_options o = plain;
        o.mask_ratio = 0.5;
        bqb_batcher *b = new_batcher(&s, o);
        const bqb_clip_batch *x;
        if (b && CHECK_OK(bqb_batcher_get(b, 0, &x, &err), err) &&
            CHECK_OK(bqb_preview_write(fixture_path(dir, "sheet.png"), x, s.tok, R, 8, &err), err)) {
            bqb_image_info info;
            bqb_map m;
            if (CHECK_OK(bqb_map_open(&m, fixture_path(dir, "sheet.png"), &err), err)) {
                CHECK_OK(bqb_image_probe(&info, m.data, m.size, "sheet", NULL, &err), err);
                CHECK(info.width > 320 && info.height > 320);
                bqb_map_close(&m);
            }
            CHECK(bqb_preview_write(fixture_path(dir, "none/sheet.png"), x, s.tok, R, 8, &err) == BQB_EIO);
        }
        bqb_batcher_free(b);
    }
    close_all(&s);
}
