#include "file/pickle.h"

#include "base/fs.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fixtures in fuzz/corpus/pickle were written by Python 3.11's pickle.dumps. */
static char *fixture(const char *name, size_t *n) {
    char path[200];
    snprintf(path, sizeof path, "../fuzz/corpus/pickle/%s", name);
    bqb_err err;
    char *bytes = NULL;
    CHECK_OK(bqb_file_read(&bytes, n, test_path(path), 1 << 20, &err), err);
    return bytes;
}

static bool is_int(const bqb_pickle_value *v, int64_t i) { return v && v->kind == BQB_PICKLE_INT && v->i == i; }

static bool is_text(const bqb_pickle_value *v, const char *s) {
    return v && v->kind == BQB_PICKLE_STR && v->n == strlen(s) && !strcmp(v->text, s);
}

static void check_values(const bqb_pickle_value *v, int protocol) {
    static const int64_t ints[] = {0, 1, -2, 255, 300, 70000, -70000, (int64_t)1 << 40, -((int64_t)1 << 40)};
    CHECK(is_text(bqb_pickle_get(v, "caption"), "开心的猫"));
    const bqb_pickle_value *x = bqb_pickle_get(v, "ints");
    if (CHECK(x && x->kind == BQB_PICKLE_LIST && x->n == 9))
        for (size_t i = 0; i < 9; i++) CHECK(is_int(x->item[i], ints[i]));
    x = bqb_pickle_get(v, "tuple");
    if (CHECK(x && x->kind == BQB_PICKLE_TUPLE && x->n == 3)) {
        CHECK(x->item[0]->kind == BQB_PICKLE_BOOL && x->item[0]->i == 1);
        CHECK(x->item[1]->kind == BQB_PICKLE_BOOL && x->item[1]->i == 0);
        CHECK(x->item[2]->kind == BQB_PICKLE_NONE);
    }
    x = bqb_pickle_get(v, "float");
    if (CHECK(x && x->n == 3)) {
        CHECK(x->item[0]->kind == BQB_PICKLE_FLOAT && x->item[0]->f == 1.5);
        CHECK(x->item[1]->f == -0.1 && x->item[2]->f == 1e300);
    }
    x = bqb_pickle_get(v, "empty");
    if (CHECK(x && x->n == 4)) {
        CHECK(x->item[0]->kind == BQB_PICKLE_TUPLE && x->item[1]->kind == BQB_PICKLE_LIST);
        CHECK(x->item[2]->kind == BQB_PICKLE_DICT && !x->item[2]->n && is_text(x->item[3], ""));
    }
    x = bqb_pickle_get(v, "shared");
    if (CHECK(x && x->n == 2)) CHECK(x->item[0] == x->item[1] && is_text(x->item[0]->item[0], "x"));
    x = bqb_pickle_get(v, "four");
    if (CHECK(x && x->n == 4)) CHECK(is_int(x->item[0], 1) && is_int(x->item[3], 4));
    CHECK(is_text(bqb_pickle_get(v, "escaped"), "a\\b\n'\"é😀"));
    x = bqb_pickle_get(v, "long");
    CHECK(x && x->kind == BQB_PICKLE_STR && x->n == 300);
    x = bqb_pickle_get(v, "bytes");
    if (protocol >= 3) CHECK(x && x->kind == BQB_PICKLE_BYTES && x->n == 2 && !memcmp(x->text, "\0\xff", 2));
    x = bqb_pickle_get(v, "set");
    if (protocol >= 4) CHECK(x && x->kind == BQB_PICKLE_SET && x->n == 1 && is_int(x->item[0], 1));
    CHECK(!bqb_pickle_get(v, "none") && !bqb_pickle_get(x, "caption"));
}

TEST(pickle_reads_values_of_every_protocol) {
    bqb_pickle *p = bqb_pickle_new();
    for (int protocol = 0; protocol <= 5; protocol++) {
        char name[20];
        size_t n;
        snprintf(name, sizeof name, "values_%d", protocol);
        char *bytes = fixture(name, &n);
        bqb_err err;
        const bqb_pickle_value *v = NULL;
        if (bytes && CHECK_OK(bqb_pickle_read(p, &v, bytes, n, NULL, &err), err)) check_values(v, protocol);
        /* Cut anywhere it is refused, not half read. */
        for (size_t cut = 0; bytes && cut < n; cut++) {
            CHECK(bqb_pickle_read(p, &v, bytes, cut, NULL, &err) == BQB_EFORMAT && !v);
            CHECK(err.pos >= 0 && (size_t)err.pos <= cut);
        }
        free(bytes);
    }
    bqb_pickle_free(p);
}

TEST(pickle_reads_python_2_text) {
    size_t n;
    char *bytes = fixture("python2", &n);
    bqb_pickle *p = bqb_pickle_new();
    bqb_err err;
    const bqb_pickle_value *v;
    if (bytes && CHECK_OK(bqb_pickle_read(p, &v, bytes, n, NULL, &err), err)) {
        CHECK(is_text(bqb_pickle_get(v, "caption"), "猫"));
        CHECK(is_int(bqb_pickle_get(v, "n"), 7));
        CHECK(bqb_pickle_get(v, "yes")->kind == BQB_PICKLE_BOOL);
    }
    free(bytes);
    bqb_pickle_free(p);
}

typedef struct {
    const char *bytes;
    size_t n;
    bqb_status status;
    const char *words;
    int pos;
} bad;
#define BAD(s, ...) {s, sizeof s - 1, __VA_ARGS__}

static void check_bad(const bad *b, size_t n, const bqb_pickle_name *names) {
    bqb_pickle *p = bqb_pickle_new();
    for (size_t i = 0; i < n; i++) {
        bqb_err err = {0};
        const bqb_pickle_value *v;
        bqb_status s = bqb_pickle_read(p, &v, b[i].bytes, b[i].n, names, &err);
        CHECK_MSG(s == b[i].status && strstr(err.msg, b[i].words) && err.pos == b[i].pos,
                  "case %zu: status %d, position %d, \"%s\", expected %d, %d, \"%s\"", i, (int)s, (int)err.pos,
                  err.msg, (int)b[i].status, b[i].pos, b[i].words);
    }
    bqb_pickle_free(p);
}

TEST(pickle_refuses_whatever_would_run_code_by_its_name) {
    static const bad all[] = {
        BAD("cos\nsystem\n(S'x'\ntR.", BQB_EUNSUPPORTED, "pickle: opcode GLOBAL at byte 0 would run code: refused", 0),
        BAD("\x80\x04\x8c\x02os\x8c\x06system\x93.", BQB_EUNSUPPORTED, "opcode STACK_GLOBAL at byte 14 would run", 14),
        BAD("NN)R.", BQB_EUNSUPPORTED, "opcode REDUCE at byte 3 would run code: refused", 3),
        BAD("N}b.", BQB_EUNSUPPORTED, "opcode BUILD at byte 2", 2),
        BAD("(ios\nsystem\n.", BQB_EUNSUPPORTED, "opcode INST at byte 1", 1),
        BAD("(No.", BQB_EUNSUPPORTED, "opcode OBJ at byte 2", 2),
        BAD("N)\x81.", BQB_EUNSUPPORTED, "opcode NEWOBJ at byte 2", 2),
        BAD("N)}\x92.", BQB_EUNSUPPORTED, "opcode NEWOBJ_EX at byte 3", 3),
        BAD("\x82\x01.", BQB_EUNSUPPORTED, "opcode EXT1 at byte 0", 0),
        BAD("\x83\x01\x00.", BQB_EUNSUPPORTED, "opcode EXT2 at byte 0", 0),
        BAD("\x84\x01\x00\x00\x00.", BQB_EUNSUPPORTED, "opcode EXT4 at byte 0", 0),
        BAD("Pabc\n.", BQB_EUNSUPPORTED, "opcode PERSID at byte 0 names something outside", 0),
        BAD("NQ.", BQB_EUNSUPPORTED, "opcode BINPERSID at byte 1 names something outside", 1),
        BAD("\x97.", BQB_EUNSUPPORTED, "opcode NEXT_BUFFER at byte 0", 0),
        BAD("N\x98.", BQB_EUNSUPPORTED, "opcode READONLY_BUFFER at byte 1", 1),
    };
    check_bad(all, sizeof all / sizeof *all, NULL);
    bqb_pickle *p = bqb_pickle_new();
    static const char *const evil[] = {"evil_0", "evil_2", "evil_4"};
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        char *bytes = fixture(evil[i], &n);
        const bqb_pickle_value *v;
        bqb_err err;
        if (bytes) CHECK(bqb_pickle_read(p, &v, bytes, n, NULL, &err) == BQB_EUNSUPPORTED && !v);
        CHECK(strstr(err.msg, "GLOBAL"));
        free(bytes);
    }
    bqb_pickle_free(p);
}

TEST(pickle_refuses_what_is_none) {
    static const bad all[] = {
        BAD("", BQB_EFORMAT, "0 bytes end before the STOP", 0),
        BAD(".", BQB_EFORMAT, "0 values are left", 0),
        BAD("NN.", BQB_EFORMAT, "2 values are left", 2),
        BAD("(.", BQB_EFORMAT, "0 values are left", 1),
        BAD("N.N", BQB_EFORMAT, "1 bytes follow", 1),
        BAD("?", BQB_EFORMAT, "byte 0 is 0x3f, which is no opcode", 0),
        BAD("\x80\x06N.", BQB_EUNSUPPORTED, "protocol 6", 0),
        BAD("\x85.", BQB_EFORMAT, "needs 1 values, the stack has 0", 0),
        BAD("N(\x85.", BQB_EFORMAT, "needs 1 values, the stack has 0", 2), /* not through a mark */
        BAD("t.", BQB_EFORMAT, "needs a mark", 0),
        BAD("]NNs.", BQB_EFORMAT, "fills a dict, it found a list", 3),
        BAD("(Nd.", BQB_EFORMAT, "a key without a value", 2),
        BAD("}(Nu.", BQB_EFORMAT, "a key without a value", 3),
        BAD("h\x00.", BQB_EFORMAT, "memo number 0 at byte 0 holds nothing", 0),
        BAD("Nr\xff\xff\xff\x7f.", BQB_ELIMIT, "memo number 2147483647", 1),
        BAD("X\x05\x00\x00\x00""ab.", BQB_EFORMAT, "needs 5 bytes, 3 are left", 0),
        BAD("\x8d\xff\xff\xff\xff\xff\xff\xff\xff""ab.", BQB_EFORMAT, "needs 18446744073709551615 bytes", 0),
        BAD("X\x01\x00\x00\x00\xff.", BQB_EFORMAT, "not UTF-8", 0),
        BAD("I12x\n.", BQB_EFORMAT, "the number at byte 0 is \"12x\"", 0),
        BAD("I12", BQB_EFORMAT, "has no end", 0),
        BAD("L99999999999999999999L\n.", BQB_ELIMIT, "more than 64 bits", 0),
        BAD("\x8a\x09\x01\x01\x01\x01\x01\x01\x01\x01\x01.", BQB_ELIMIT, "9 bytes, at most 8", 0),
        BAD("S'abc\n.", BQB_EFORMAT, "not in quotes", 0),
        BAD("V\\u12\n.", BQB_EFORMAT, "broken escape", 0),
        BAD("]q\x00h\x00""a.", BQB_EUNSUPPORTED, "puts a list into itself", 5),
        BAD("]q\x00]h\x00""ah\x00""a.", BQB_EFORMAT, "", 10),
        BAD("]q\x00]q\x01h\x00""a0h\x00h\x01""a.", BQB_EUNSUPPORTED, "is part of another value already", 14),
    };
    check_bad(all, sizeof all / sizeof *all, NULL);
    /* One level deeper than is allowed. */
    char nested[BQB_PICKLE_DEPTH + 3];
    bqb_pickle *p = bqb_pickle_new();
    const bqb_pickle_value *v;
    bqb_err err;
    memset(nested, 0x85, sizeof nested);
    nested[0] = 'N';
    nested[BQB_PICKLE_DEPTH + 1] = '.';
    CHECK_OK(bqb_pickle_read(p, &v, nested, BQB_PICKLE_DEPTH + 2, NULL, &err), err);
    nested[BQB_PICKLE_DEPTH + 1] = (char)0x85;
    nested[BQB_PICKLE_DEPTH + 2] = '.';
    CHECK(bqb_pickle_read(p, &v, nested, BQB_PICKLE_DEPTH + 3, NULL, &err) == BQB_ELIMIT);
    CHECK(strstr(err.msg, "deeper than 100"));
    bqb_pickle_free(p);
}

static const bqb_pickle_name names[] = {{"collections.OrderedDict", true}, {"a.b.make", false}, {0}};

TEST(pickle_gives_named_calls_as_data) {
    static const char call[] = "\x80\x02""ca.b\nmake\nK\x07Q\x85R.";
    bqb_pickle *p = bqb_pickle_new();
    const bqb_pickle_value *v;
    bqb_err err;
    if (CHECK_OK(bqb_pickle_read(p, &v, call, sizeof call - 1, names, &err), err)) {
        CHECK(v->kind == BQB_PICKLE_CALL && v->n == 2);
        CHECK(v->item[0]->kind == BQB_PICKLE_NAME && !strcmp(v->item[0]->text, "a.b.make"));
        CHECK(v->item[1]->item[0]->kind == BQB_PICKLE_PERSISTENT && is_int(v->item[1]->item[0]->item[0], 7));
    }
    size_t n;
    char *bytes = fixture("ordered", &n);
    if (bytes && CHECK_OK(bqb_pickle_read(p, &v, bytes, n, names, &err), err)) {
        CHECK(v->kind == BQB_PICKLE_DICT && is_int(bqb_pickle_get(v, "a"), 1));
        CHECK(bqb_pickle_get(v, "b") && is_int(bqb_pickle_get(v, "b")->item[1], 3));
    }
    free(bytes);
    /* Attributes of such a dict are left aside. */
    static const char attributes[] = "ccollections\nOrderedDict\n]](K\x01K\x02""ea\x85R}(NNub.";
    if (CHECK_OK(bqb_pickle_read(p, &v, attributes, sizeof attributes - 1, names, &err), err))
        CHECK(v->kind == BQB_PICKLE_DICT && v->n == 2 && is_int(v->item[1], 2));
    bqb_pickle_free(p);
    static const bad all[] = {
        BAD("cos\nsystem\n.", BQB_EUNSUPPORTED, "os.system at byte 0 is not among the names that are read as data", 0),
        BAD("NN\x85R.", BQB_EUNSUPPORTED, "REDUCE at byte 3 would run code", 3),
        BAD("ca.b\nmake\nNR.", BQB_EUNSUPPORTED, "REDUCE", 11),
        BAD("ca.b\nmake\n)R}b.", BQB_EUNSUPPORTED, "BUILD", 13),
        BAD("ca.b\nmake\n)\x81.", BQB_EUNSUPPORTED, "NEWOBJ", 11),
        BAD("Px\n.", BQB_EUNSUPPORTED, "PERSID", 0),
        BAD("ccollections\nOrderedDict\nK\x01\x85R.", BQB_EFORMAT, "not made of pairs", 28),
    };
    check_bad(all, sizeof all / sizeof *all, names);
}
