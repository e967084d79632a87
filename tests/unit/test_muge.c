/* muge, and what it stands on: lines, jsonl, base64. */
#include "file/muge.h"

#include "file/base64.h"
#include "file/json.h"
#include "file/jsonl.h"
#include "file/lines.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *write_tmp(const char *bytes, size_t n) {
    static char path[512];
    snprintf(path, sizeof path, "%s/f", test_tmp_dir());
    CHECK(bqb_file_write(path, bytes, n, NULL) == BQB_OK);
    return path;
}

#define write_literal(text) write_tmp(text, sizeof(text) - 1)

static const char *write_text(const char *text) { return write_tmp(text, strlen(text)); }

TEST(lines_ends_and_limits) {
    bqb_err err = {0};
    bqb_lines *l;
    const char *s;
    size_t n;
    if (!CHECK_OK(bqb_lines_open(&l,
                                 write_literal("\xef\xbb\xbf"
                                               "12345\r\n\n123456\n1234567\n\0x\r\r\nend"),
                                 6, &err),
                  err))
        return;
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && n == 5 && !strcmp(s, "12345"));
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && n == 0 && s && !*s);
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && n == 6 && bqb_lines_number(l) == 3);
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_ELIMIT && !s && err.pos == 4 && strstr(err.msg, "line 4"));
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && n == 3 && !memcmp(s, "\0x\r", 4));
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && n == 3 && !strcmp(s, "end"));
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && !s);
    CHECK(bqb_lines_next(l, &s, &n, &err) == BQB_OK && !s);
    bqb_lines_close(l);
    CHECK(bqb_lines_open(&l, "/nonexistent", 6, &err) == BQB_EIO && !l);
    CHECK(bqb_lines_open(&l, test_tmp_dir(), 6, &err) == BQB_EFORMAT && !l);
    bqb_lines_close(NULL);
}

/* Lines about as long as the read buffer, where an end may fall between two reads. */
TEST(lines_across_reads) {
    static char text[70000];
    for (size_t len = 65530; len < 65542; len++) {
        memset(text, 'a', len);
        memcpy(text + len, "\r\nb\n", 4);
        bqb_lines *l;
        const char *s;
        size_t n;
        if (!CHECK(bqb_lines_open(&l, write_tmp(text, len + 4), 1 << 17, NULL) == BQB_OK)) return;
        CHECK_MSG(bqb_lines_next(l, &s, &n, NULL) == BQB_OK && n == len, "%zu of %zu", n, len);
        CHECK(bqb_lines_next(l, &s, &n, NULL) == BQB_OK && n == 1 && *s == 'b');
        CHECK(bqb_lines_next(l, &s, &n, NULL) == BQB_OK && !s);
        bqb_lines_close(l);
    }
}

TEST(jsonl_goes_on_after_errors) {
    bqb_err err = {0};
    bqb_jsonl *j;
    const json_t *v;
    if (!CHECK_OK(
            bqb_jsonl_open(
                &j,
                write_text("{\"a\":1}\n \t\n[1]\n{\"a\":\n{\"a\":2,\"a\":3}\n{\"a\":\"\xff\"}\n{\"a\":4}"),
                &err),
            err))
        return;
    CHECK(bqb_jsonl_next(j, &v, &err) == BQB_OK && json_integer_value(json_object_get(v, "a")) == 1);
    for (int64_t line = 3; line <= 6; line++) {
        char want[20];
        snprintf(want, sizeof want, "line %d", (int)line);
        CHECK(bqb_jsonl_next(j, &v, &err) == BQB_EFORMAT && v == NULL && err.pos == line);
        CHECK_MSG(strstr(err.msg, want) != NULL, "%s", err.msg);
    }
    CHECK(bqb_jsonl_next(j, &v, &err) == BQB_OK && json_integer_value(json_object_get(v, "a")) == 4);
    CHECK(bqb_jsonl_line(j) == 7);
    CHECK(bqb_jsonl_next(j, &v, &err) == BQB_OK && v == NULL);
    bqb_jsonl_close(j);
}

TEST(json_limits) {
    bqb_err err = {0};
    json_t *v;
    CHECK(bqb_json_parse(&v, "{\"a\":[[\"]\"]]}", 13, 3, 100, &err) == BQB_OK);
    json_decref(v);
    CHECK(bqb_json_parse(&v, "{\"a\":[[[1]]]}", 13, 3, 100, &err) == BQB_ELIMIT && err.pos == 7 && v == NULL);
    CHECK(bqb_json_parse(&v, "{\"[{\\\"[{\":1}", 12, 1, 100, &err) ==
          BQB_OK); /* brackets in strings do not count */
    json_decref(v);
    CHECK(bqb_json_parse(&v, "{\"a\":[1,2,3]}", 13, 3, 4, &err) == BQB_ELIMIT && strstr(err.msg, "items"));
    CHECK(bqb_json_parse(&v, "7", 1, 3, 4, &err) == BQB_EFORMAT &&
          bqb_json_parse(&v, "", 0, 3, 4, &err) == BQB_EFORMAT);
    CHECK(bqb_json_parse(&v, "[]", 2, 3, 4, &err) == BQB_EFORMAT && strstr(err.msg, "array"));
    CHECK(bqb_json_read(&v, write_text("{\"a\":1}"), 7, 3, 4, &err) == BQB_OK);
    json_decref(v);
    CHECK(bqb_json_read(&v, write_text("{\"a\":1} "), 7, 3, 4, &err) == BQB_ELIMIT);
    CHECK(bqb_json_read(&v, write_text("{\"a\":}"), 7, 3, 4, &err) == BQB_EFORMAT && strstr(err.msg, "/f: "));
}

TEST(base64_examples) {
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"},
                                           {"\xfb\xef\xff", "++//"}};
    bqb_buf b = {.max = 100};
    bqb_err err = {0};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        b.len = 0;
        CHECK_OK(bqb_base64_encode(&b, pairs[i][0], strlen(pairs[i][0]), &err), err);
        CHECK_STR(b.data, pairs[i][1]);
        b.len = 0;
        CHECK_OK(bqb_base64_decode(&b, pairs[i][1], strlen(pairs[i][1]), &err), err);
        CHECK_STR(b.data, pairs[i][0]);
        b.len = 0; /* without padding */
        CHECK_OK(bqb_base64_decode(&b, pairs[i][1], strcspn(pairs[i][1], "="), &err), err);
        CHECK_STR(b.data, pairs[i][0]);
    }
    b.len = 0;
    CHECK_OK(bqb_base64_decode(&b, "-_-_", 4, &err), err);
    CHECK(b.len == 3 && !memcmp(b.data, "\xfb\xff\xbf", 3));
    static const char *const bad[] = {"Z",    "Zm9vY",    "Zg=",  "Zm9v=", "Zm9v====", "=",
                                      "====", "Zg==Zg==", "Z g=", "Zm9\n", "Zm9\xff",  "Z\0g="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        size_t n = i == 11 ? 4 : strlen(bad[i]);
        bqb_status s = bqb_base64_decode(&b, bad[i], n, &err);
        CHECK_MSG(s == BQB_EFORMAT && b.len == 3, "%s gave %zu bytes", bad[i], b.len);
    }
    CHECK(bqb_base64_decode(&b, "Zm9vYm!y", 8, &err) == BQB_EFORMAT && err.pos == 6);
    b.max = 5;
    CHECK(bqb_base64_decode(&b, "Zm9v", 4, &err) == BQB_ELIMIT && b.len == 3);
    bqb_buf_free(&b);
}

TEST(base64_every_length) {
    uint8_t bytes[5000];
    bqb_buf text = {.max = 10000}, back = {.max = 10000};
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 151 + i / 256);
    for (size_t n = 0; n < sizeof bytes; n += n < 20 || (n > 3060 && n < 3090) ? 1 : 7) {
        text.len = back.len = 0;
        CHECK(bqb_base64_encode(&text, bytes, n, NULL) == BQB_OK && text.len == (n + 2) / 3 * 4);
        CHECK(bqb_base64_decode(&back, text.data, text.len, NULL) == BQB_OK && back.len == n);
        CHECK_MSG(!n || !memcmp(back.data, bytes, n), "%zu bytes", n);
    }
    bqb_buf_free(&text);
    bqb_buf_free(&back);
}

TEST(muge_images) {
    bqb_err err = {0};
    bqb_muge_images *m;
    bqb_muge_image im;
    const char *path =
        write_literal("12\tZm9v\r\n\ncat.gif\tYmFy\nno tab\n\tZm9v\n3\tZ!==\n\xff\tZm9v\n4\t\n5\tZm8");
    if (!CHECK_OK(bqb_muge_images_open(&m, path, &err), err)) return;
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_OK && !strcmp(im.id, "12") && im.size == 3 &&
          !memcmp(im.bytes, "foo", 3));
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_OK && !strcmp(im.id, "cat.gif") && im.line == 3 &&
          !memcmp(im.bytes, "bar", 3));
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_EFORMAT && err.pos == 4 && strstr(err.msg, "tab") &&
          !im.id);
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_EFORMAT && err.pos == 5 && strstr(err.msg, "empty"));
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_EFORMAT && err.pos == 6 &&
          strstr(err.msg, "byte 1 is not base64"));
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_EFORMAT && err.pos == 7 && strstr(err.msg, "line 7"));
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_OK && !strcmp(im.id, "4") && im.size == 0);
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_OK && !strcmp(im.id, "5") && im.size == 2);
    CHECK(bqb_muge_images_next(m, &im, &err) == BQB_OK && im.id == NULL);
    bqb_muge_images_close(m);
    CHECK(bqb_muge_images_open(&m, "/nonexistent", &err) == BQB_EIO && !m);
}

TEST(muge_texts) {
    static const char *const lines[] = {
        "{\"text_id\": 8242, \"text\": \"狗\", \"image_ids\": [1, 1006938, \"a.gif\"]}",
        "{\"text_id\": \"q7\", \"text\": \"\"}",
        "{\"text_id\": 1.5, \"text\": \"x\", \"image_ids\": []}",
        "{\"text\": \"x\", \"image_ids\": []}",
        "{\"text_id\": \"\", \"text\": \"x\"}",
        "{\"text_id\": 1, \"image_ids\": []}",
        "{\"text_id\": 1, \"text\": \"x\", \"image_ids\": 3}",
        "{\"text_id\": 1, \"text\": \"x\", \"image_ids\": [1, null]}",
        "{\"text_id\": -5, \"text\": \"x\", \"image_ids\": []}",
    };
    bqb_buf b = {.max = 10000};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) bqb_buf_printf(&b, NULL, "%s\n", lines[i]);
    bqb_err err = {0};
    bqb_muge_texts *m;
    bqb_muge_text t;
    if (CHECK_OK(bqb_muge_texts_open(&m, write_text(b.data), &err), err)) {
        CHECK(bqb_muge_texts_next(m, &t, &err) == BQB_OK && !strcmp(t.id, "8242") && !strcmp(t.text, "狗") &&
              t.n_image_ids == 3);
        CHECK(!strcmp(t.image_ids[0], "1") && !strcmp(t.image_ids[1], "1006938") &&
              !strcmp(t.image_ids[2], "a.gif"));
        CHECK(bqb_muge_texts_next(m, &t, &err) == BQB_OK && !strcmp(t.id, "q7") && t.n_image_ids == 0 &&
              t.line == 2);
        for (int64_t line = 3; line <= 8; line++)
            CHECK_MSG(bqb_muge_texts_next(m, &t, &err) == BQB_EFORMAT && err.pos == line && !t.id,
                      "line %d: %s", (int)line, err.msg);
        CHECK(bqb_muge_texts_next(m, &t, &err) == BQB_OK && !strcmp(t.id, "-5"));
        CHECK(bqb_muge_texts_next(m, &t, &err) == BQB_OK && t.id == NULL);
        bqb_muge_texts_close(m);
    }
    bqb_buf_free(&b);
}

TEST(muge_writes) {
    bqb_err err = {0};
    bqb_outfile o;
    char *text = NULL;
    static const char *const ids[] = {"1", "007", "-3", "a.gif", "99999999999999999999"};
    const float feature[3] = {0.1f, -1, 0x1.fffffep-1f};
    const char *path = write_text("old");
    if (!CHECK_OK(bqb_outfile_open(&o, path, &err), err)) return;
    CHECK_OK(bqb_muge_write_prediction(&o, "8242", ids, 5, &err), err);
    CHECK_OK(bqb_muge_write_prediction(&o, "q", NULL, 0, &err), err);
    CHECK_OK(bqb_muge_write_feature(&o, "image_id", "12", feature, 3, &err), err);
    const float bad[2] = {0, NAN};
    CHECK(bqb_muge_write_feature(&o, "image_id", "12", bad, 2, &err) == BQB_EINVAL &&
          strstr(err.msg, "number 1"));
    CHECK(bqb_muge_write_feature(&o, "image_id", "\xff", feature, 3, &err) == BQB_EINVAL);
    CHECK(bqb_muge_write_prediction(&o, "\xff", ids, 1, &err) == BQB_EINVAL);
    CHECK_OK(bqb_outfile_commit(&o, &err), err);
    if (!CHECK_OK(bqb_file_read(&text, NULL, path, 10000, &err), err)) return;
    static const char want[] =
        "{\"text_id\":8242,\"image_ids\":[1,\"007\",-3,\"a.gif\",\"99999999999999999999\"]}\n"
        "{\"text_id\":\"q\",\"image_ids\":[]}\n{\"image_id\":12,\"feature\":[";
    CHECK_MSG(!strncmp(text, want, sizeof want - 1), "%s", text);
    json_t *v = json_loads(strstr(text, "{\"image_id\""), 0, NULL);
    const json_t *f = json_object_get(v, "feature");
    for (size_t d = 0; d < 3; d++) CHECK((float)json_real_value(json_array_get(f, d)) == feature[d]);
    json_decref(v);
    free(text);
}

TEST(muge_score_shape) {
    bqb_buf b = {.max = 1000};
    bqb_err err = {0};
    CHECK_OK(bqb_muge_score(&b, 50, 75, 85, &err), err);
    json_t *v = json_loads(b.data ? b.data : "", 0, NULL);
    const json_t *inner = json_object_get(v, "scoreJson");
    CHECK(json_is_true(json_object_get(v, "success")) && json_object_size(v) == 3 &&
          json_object_size(inner) == 5);
    CHECK(json_real_value(json_object_get(v, "score")) == 70 &&
          json_real_value(json_object_get(inner, "score")) == 70);
    CHECK(json_real_value(json_object_get(inner, "mean_recall")) == 70 &&
          json_real_value(json_object_get(inner, "r1")) == 50);
    CHECK(json_real_value(json_object_get(inner, "r5")) == 75 &&
          json_real_value(json_object_get(inner, "r10")) == 85);
    json_decref(v);
    CHECK(bqb_muge_score(&b, NAN, 0, 0, &err) == BQB_EINVAL);
    bqb_buf_free(&b);
}
