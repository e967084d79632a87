#include "file/gguf.h"
#include "base/fs.h"
#include "gguf_write.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static char path[1100];

static void write_bytes(const bqb_buf *b, size_t n) {
    snprintf(path, sizeof path, "%s/model.gguf", test_tmp_dir());
    bqb_err err = {0};
    CHECK_OK(bqb_file_write(path, b->data, n, &err), err);
}

static bqb_buf sample(void) {
    bqb_buf out = {.max = 1 << 20};
    gguf_writer w = gguf_begin();
    float four[4] = {1, 2, 3, 4};
    gguf_text(&w, "general.architecture", "llama");
    gguf_u32(&w, "llama.block_count", 7);
    gguf_f32(&w, "llama.rope.freq_base", 2.5f);
    gguf_key(&w, "small", 1);
    gguf_put(&w.keys, 0xfd, 1); /* i8 -3 */
    gguf_key(&w, "words", 9);
    gguf_put(&w.keys, 8, 4);
    gguf_put(&w.keys, 3, 8);
    gguf_put_text(&w.keys, "a");
    gguf_put_text(&w.keys, "");
    gguf_put_text(&w.keys, "你好");
    gguf_key(&w, "kinds", 9);
    gguf_put(&w.keys, 5, 4);
    gguf_put(&w.keys, 2, 8);
    gguf_put(&w.keys, 6, 4);
    gguf_put(&w.keys, (uint32_t)-1, 4);
    gguf_tensor(&w, "b.weight", 0, 2, 2, four, sizeof four);
    gguf_tensor(&w, "a.weight", 99, 0, 2, four, 8);
    gguf_end(&w, &out);
    return out;
}

typedef struct {
    size_t n;
    char text[64];
} heard;

static int hear(void *ctx, size_t i, bqb_gguf_text t) {
    heard *h = ctx;
    CHECK(i == h->n);
    h->n++;
    snprintf(h->text + strlen(h->text), sizeof h->text - strlen(h->text), "[%.*s]", (int)t.n, t.s);
    return 0;
}

static int stop(void *ctx, size_t i, bqb_gguf_text t) {
    (void)ctx, (void)i, (void)t;
    return 1;
}

TEST(gguf_reads_what_was_written) {
    bqb_buf b = sample();
    write_bytes(&b, b.len);
    bqb_err err = {0};
    bqb_gguf *g = NULL;
    CHECK(bqb_is_gguf(path) && !bqb_is_gguf(test_tmp_dir()) && !bqb_is_gguf("/dev/null"));
    if (CHECK_OK(bqb_gguf_open(&g, path, &err), err)) {
        double v;
        bqb_gguf_text t;
        size_t n;
        heard h = {0};
        CHECK(bqb_gguf_number(g, "llama.block_count", &v) && v == 7);
        CHECK(bqb_gguf_number(g, "llama.rope.freq_base", &v) && v == 2.5);
        CHECK(bqb_gguf_number(g, "small", &v) && v == -3);
        CHECK(bqb_gguf_text_of(g, "general.architecture", &t) && t.n == 5 && !memcmp(t.s, "llama", 5));
        CHECK(!bqb_gguf_number(g, "words", &v) && !bqb_gguf_number(g, "nothing", &v) && !bqb_gguf_text_of(g, "small", &t));
        CHECK(bqb_gguf_texts(g, "words", &n) && n == 3 && !bqb_gguf_numbers(g, "words", &n) && n == 0);
        CHECK_OK(bqb_gguf_each_text(g, "words", hear, &h, &err), err);
        CHECK(h.n == 3 && !strcmp(h.text, "[a][][你好]"));
        CHECK(bqb_gguf_each_text(g, "words", stop, NULL, &err) == BQB_ECANCEL && bqb_gguf_each_text(g, "kinds", stop, NULL, &err) == BQB_ENOTFOUND);
        CHECK(bqb_gguf_numbers(g, "kinds", &n) && n == 2 && bqb_gguf_number_at(g, "kinds", 1) == -1 && bqb_gguf_number_at(g, "kinds", 2) == 0);
        const bqb_gguf_tensor *x = bqb_gguf_tensor_find(g, "b.weight");
        CHECK(x && x->n_dims == 2 && x->dim[0] == 2 && x->dim[1] == 2 && x->type == 0 && !memcmp(x->data, (float[]){1, 2, 3, 4}, 16));
        CHECK(bqb_gguf_tensor_count(g) == 2 && bqb_gguf_tensor_find(g, "a.weight") == bqb_gguf_tensor_at(g, 1) && !bqb_gguf_tensor_find(g, "c"));
        CHECK(!strcmp(bqb_gguf_type_name(12), "Q4_K") && !strcmp(bqb_gguf_type_name(99), "type 99") && !strcmp(bqb_gguf_type_name(30), "BF16"));
    }
    bqb_gguf_close(g);

    /* Cut anywhere, it is refused or all of what it still claims lies inside. */
    for (size_t n = 0; n < b.len; n++) {
        write_bytes(&b, n);
        g = NULL;
        bqb_status s = bqb_gguf_open(&g, path, &err);
        if (n + 8 < b.len) CHECK_MSG(s == BQB_EFORMAT && strstr(err.msg, "model.gguf"), "cut to %zu bytes: %s", n, err.msg);
        bqb_gguf_close(g);
    }
    bqb_buf_free(&b);
}

/* Bytes [at, at+n) of the sample become v: what is said then. */
static void check_lie(size_t at, uint64_t v, size_t n, bqb_status want, const char *message) {
    bqb_buf b = sample();
    bqb_err err = {0};
    bqb_gguf *g = NULL;
    for (size_t i = 0; i < n; i++) b.data[at + i] = (char)(uint8_t)(v >> 8 * i);
    write_bytes(&b, b.len);
    bqb_status s = bqb_gguf_open(&g, path, &err);
    CHECK_MSG(s == want && strstr(err.msg, message), "byte %zu: status %d, %s", at, (int)s, err.msg);
    bqb_gguf_close(g);
    bqb_buf_free(&b);
}

TEST(gguf_refuses_lies) {
    bqb_buf b = sample();
    size_t tensors = 0, kinds = 0;
    for (size_t i = 0; i + 8 < b.len; i++) {
        if (!memcmp(b.data + i, "b.weight", 8)) tensors = i;
        if (!memcmp(b.data + i, "kinds", 5)) kinds = i;
    }
    bqb_buf_free(&b);
    check_lie(0, 'X', 1, BQB_EFORMAT, "not a GGUF file");
    check_lie(4, 1, 4, BQB_EVERSION, "version 1");
    check_lie(4, 0x03000000, 4, BQB_EUNSUPPORTED, "big-endian");
    check_lie(8, 1 << 21, 8, BQB_ELIMIT, "tensors");
    check_lie(16, 1 << 19, 8, BQB_EFORMAT, "cut short");
    check_lie(24, UINT64_MAX, 8, BQB_EFORMAT, "cut short");                   /* length of the first key */
    check_lie(kinds + 5, 77, 4, BQB_EFORMAT, "unknown type");
    check_lie(kinds + 9, 9, 4, BQB_EFORMAT, "arrays of arrays");
    check_lie(kinds + 13, UINT64_MAX / 4, 8, BQB_EFORMAT, "cut short");
    check_lie(tensors + 8, 9, 4, BQB_EFORMAT, "dimensions");
    check_lie(tensors + 12, UINT64_MAX, 8, BQB_EFORMAT, "impossible size");
    check_lie(tensors + 12, 0, 8, BQB_EFORMAT, "impossible size");
    check_lie(tensors + 32, 1 << 20, 8, BQB_EFORMAT, "lies outside");          /* its offset */
    check_lie(tensors + 32, 4, 8, BQB_EFORMAT, "lies outside");                /* not aligned */
    check_lie(tensors, 'a', 1, BQB_EFORMAT, "twice");
    check_lie(tensors + 12, 1 << 20, 8, BQB_EFORMAT, "lies outside");          /* longer than the file */
    check_lie(tensors + 28, 12, 4, BQB_EFORMAT, "no whole blocks of Q4_K");
    check_lie(tensors + 28, 77, 4, BQB_OK, "");                                /* a type that is not known may be of any size */
    check_lie(tensors + 36 + 8 + 8 + 4 + 8 + 4 + 4, 0, 8, BQB_EFORMAT, "overlap"); /* the next one begins where it does */
    check_lie(tensors + 12, 5, 8, BQB_EFORMAT, "overlap");
}

/* Strings, arrays and an alignment that no file can mean. */
TEST(gguf_refuses_lies_of_keys) {
    const struct {
        uint32_t align;
        uint64_t text, items;
        const char *message;
    } lies[] = {{32, 1, 1, NULL}, {0, 1, 1, "general.alignment is 0"}, {3 << 20, 1, 1, "general.alignment is"}, {32, UINT64_C(1) << 63, 1, "cut short"},
                {32, 1, UINT64_C(1) << 61, "cut short"}, {32, 1, UINT64_MAX, "cut short"}};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        bqb_buf out = {.max = 1 << 20};
        gguf_writer w = gguf_begin();
        float one = 1;
        gguf_u32(&w, "general.alignment", lies[i].align);
        gguf_key(&w, "text", 8);
        gguf_put(&w.keys, lies[i].text, 8);
        gguf_put(&w.keys, 'x', 1);
        gguf_key(&w, "list", 9);
        gguf_put(&w.keys, 8, 4); /* of texts */
        gguf_put(&w.keys, lies[i].items, 8);
        gguf_put_text(&w.keys, "y");
        gguf_tensor(&w, "one", 0, 0, 1, &one, 4);
        gguf_end(&w, &out);
        write_bytes(&out, out.len);
        bqb_gguf *g = NULL;
        bqb_err err = {0};
        bqb_status s = bqb_gguf_open(&g, path, &err);
        CHECK_MSG(lies[i].message ? s == BQB_EFORMAT && strstr(err.msg, lies[i].message) : !s, "lie %zu: %d, %s", i, (int)s, err.msg);
        bqb_gguf_close(g);
        bqb_buf_free(&out);
    }
}
