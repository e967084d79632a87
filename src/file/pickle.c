#include "file/pickle.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 4 << 20, MAX_MEMO = 4 << 20, MAX_LINE = 1 << 16, MAX_PROTOCOL = 5 };

/* A growing array of values or of marks, kept from pickle to pickle. */
typedef struct {
    bqb_pickle_value **at;
    size_t n, cap;
} value_list;

struct bqb_pickle {
    bqb_arena *arena;
    value_list stack, memo; /* memo: holes are NULL */
    size_t *mark;           /* heights of the stack */
    size_t n_marks, cap_marks;
    size_t n_values;
    /* the pickle that is being read */
    const uint8_t *bytes;
    size_t size, pos, op; /* op: where the opcode stands */
    const bqb_pickle_name *names;
    bqb_err *err;
    bqb_status status; /* the first failure; everything after it does nothing */
};

bqb_pickle *bqb_pickle_new(void) {
    bqb_pickle *p = bqb_calloc(1, sizeof *p);
    if (p && !(p->arena = bqb_arena_new())) {
        free(p);
        return NULL;
    }
    return p;
}

void bqb_pickle_free(bqb_pickle *p) {
    if (!p) return;
    bqb_arena_free(p->arena);
    free(p->stack.at);
    free(p->memo.at);
    free(p->mark);
    free(p);
}

const char *bqb_pickle_kind_name(bqb_pickle_kind k) {
    static const char *const name[] = {"None",  "bool", "int",  "float", "str",  "bytes",        "tuple",
                                       "list",  "set",  "dict", "name",  "call", "persistent id"};
    return (size_t)k < sizeof name / sizeof *name ? name[k] : "?";
}

/* ---- failures ---- */

#define FAIL(p, code, ...) fail_with(p, bqb_fail_at((p)->err, code, (int64_t)(p)->op, "pickle: " __VA_ARGS__))

static void fail_with(bqb_pickle *p, bqb_status s) {
    if (!p->status) p->status = s;
}

/* The opcodes that need more than values, and the values that are not kept. */
static const char *refused_name(uint8_t op) {
    switch (op) {
    case 'c': return "GLOBAL";
    case 0x93: return "STACK_GLOBAL";
    case 'R': return "REDUCE";
    case 'b': return "BUILD";
    case 'i': return "INST";
    case 'o': return "OBJ";
    case 0x81: return "NEWOBJ";
    case 0x92: return "NEWOBJ_EX";
    case 0x82: return "EXT1";
    case 0x83: return "EXT2";
    case 0x84: return "EXT4";
    default: return NULL;
    }
}

static void refuse(bqb_pickle *p, uint8_t op) {
    if (p->status) return;
    const char *name = refused_name(op);
    if (name) FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu would run code: refused", name, p->op);
    else if (op == 'P' || op == 'Q')
        FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu names something outside the pickle: refused",
             op == 'P' ? "PERSID" : "BINPERSID", p->op);
    else if (op == 0x97 || op == 0x98)
        FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu needs a buffer outside the pickle: refused",
             op == 0x97 ? "NEXT_BUFFER" : "READONLY_BUFFER", p->op);
    else FAIL(p, BQB_EFORMAT, "byte %zu is 0x%02x, which is no opcode", p->op, op);
}

/* ---- bytes ---- */

static const uint8_t *take(bqb_pickle *p, uint64_t n) {
    if (p->status) return NULL;
    if (n > p->size - p->pos) {
        FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs %" PRIu64 " bytes, %zu are left", p->op, n,
             p->size - p->pos);
        return NULL;
    }
    const uint8_t *at = p->bytes + p->pos;
    p->pos += (size_t)n;
    return at;
}

static uint64_t little(bqb_pickle *p, size_t n) {
    const uint8_t *b = take(p, n);
    uint64_t v = 0;
    for (size_t i = n; b && i-- > 0;) v = v << 8 | b[i];
    return v;
}

/* A line without its end, as the arguments of protocol 0 are written. */
static const char *take_line(bqb_pickle *p, size_t *n) {
    *n = 0;
    if (p->status) return "";
    const uint8_t *at = p->bytes + p->pos, *end = memchr(at, '\n', p->size - p->pos);
    if (!end) {
        FAIL(p, BQB_EFORMAT, "the line after the opcode at byte %zu has no end", p->op);
        return "";
    }
    *n = (size_t)(end - at);
    p->pos += *n + 1;
    if (*n && at[*n - 1] == '\r') --*n;
    return (const char *)at;
}

/* The same, short and with a NUL, for numbers. */
static void take_number(bqb_pickle *p, char out[64]) {
    size_t n;
    const char *line = take_line(p, &n);
    if (!p->status && (n == 0 || n > 63 || memchr(line, 0, n)))
        FAIL(p, BQB_EFORMAT, "the number at byte %zu is none", p->op);
    if (p->status) n = 0;
    memcpy(out, line, n);
    out[n] = 0;
}

/* ---- values ---- */

static void *memory(bqb_pickle *p, size_t n, size_t size) {
    void *at = p->status ? NULL : bqb_arena_take(p->arena, n, size);
    if (!at && !p->status) fail_with(p, bqb_fail_nomem(p->err, "pickle", n * size));
    return at;
}

static bqb_pickle_value *make(bqb_pickle *p, bqb_pickle_kind kind) {
    if (!p->status && p->n_values == MAX_VALUES) FAIL(p, BQB_ELIMIT, "more than %d values", MAX_VALUES);
    bqb_pickle_value *v = memory(p, 1, sizeof *v);
    if (!v) return NULL;
    p->n_values++;
    *v = (bqb_pickle_value){.kind = kind};
    return v;
}

static bool grow(bqb_pickle *p, value_list *l, size_t need) {
    if (need <= l->cap) return true;
    size_t cap = l->cap ? l->cap : 256;
    while (cap < need) cap *= 2;
    bqb_pickle_value **at = realloc(l->at, cap * sizeof *at);
    if (!at) {
        fail_with(p, bqb_fail_nomem(p->err, "pickle", cap * sizeof *at));
        return false;
    }
    l->at = at;
    l->cap = cap;
    return true;
}

static void push(bqb_pickle *p, bqb_pickle_value *v) {
    if (p->status) return;
    if (p->stack.n == MAX_VALUES) FAIL(p, BQB_ELIMIT, "more than %d values on the stack", MAX_VALUES);
    else if (grow(p, &p->stack, p->stack.n + 1)) p->stack.at[p->stack.n++] = v;
}

/* How many values lie above the last mark, or on the stack when there is none. */
static size_t above(const bqb_pickle *p) { return p->stack.n - (p->n_marks ? p->mark[p->n_marks - 1] : 0); }

static bool need(bqb_pickle *p, size_t n) {
    if (!p->status && above(p) < n)
        FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs %zu values, the stack has %zu", p->op, n, above(p));
    return !p->status;
}

static bqb_pickle_value *pop(bqb_pickle *p) { return need(p, 1) ? p->stack.at[--p->stack.n] : NULL; }
static bqb_pickle_value *top(bqb_pickle *p) { return need(p, 1) ? p->stack.at[p->stack.n - 1] : NULL; }

static void push_mark(bqb_pickle *p) {
    if (p->n_marks == MAX_VALUES) FAIL(p, BQB_ELIMIT, "more than %d marks", MAX_VALUES);
    else if (p->n_marks == p->cap_marks) {
        size_t cap = p->cap_marks ? 2 * p->cap_marks : 64;
        size_t *mark = realloc(p->mark, cap * sizeof *mark);
        if (!mark) fail_with(p, bqb_fail_nomem(p->err, "pickle", cap * sizeof *mark));
        else {
            p->mark = mark;
            p->cap_marks = cap;
        }
    }
    if (!p->status) p->mark[p->n_marks++] = p->stack.n;
}

/* The values above the last mark, taken off together with it; they stay readable until the next push. */
static bqb_pickle_value **pop_to_mark(bqb_pickle *p, size_t *n) {
    *n = 0;
    if (!p->status && !p->n_marks) FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs a mark, there is none", p->op);
    if (p->status) return NULL;
    *n = above(p);
    p->stack.n = p->mark[--p->n_marks];
    return p->stack.at + p->stack.n;
}

/* Put values into a container. What is inside another value does not change any
 * more: so nothing ever holds itself, and a depth once counted stays true. */
static void put_into(bqb_pickle *p, bqb_pickle_value *into, bqb_pickle_value *const *v, size_t n) {
    if (p->status || !into || !n) return;
    if (into->placed) {
        FAIL(p, BQB_EUNSUPPORTED, "the %s that the opcode at byte %zu fills is part of another value already",
             bqb_pickle_kind_name(into->kind), p->op);
        return;
    }
    if (into->n + n > into->cap) {
        size_t cap = into->n ? 2 * into->cap : n;
        while (cap < into->n + n) cap *= 2;
        bqb_pickle_value **item = memory(p, cap, sizeof(bqb_pickle_value *));
        if (!item) return;
        if (into->n) memcpy(item, into->item, into->n * sizeof *item);
        into->item = item;
        into->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i] == into) {
            FAIL(p, BQB_EUNSUPPORTED, "the opcode at byte %zu puts a %s into itself", p->op,
                 bqb_pickle_kind_name(into->kind));
            return;
        }
        if (v[i]->depth >= BQB_PICKLE_DEPTH) {
            FAIL(p, BQB_ELIMIT, "values are nested deeper than %d at byte %zu", BQB_PICKLE_DEPTH, p->op);
            return;
        }
        if (v[i]->depth >= into->depth) into->depth = (uint8_t)(v[i]->depth + 1);
        v[i]->placed = true;
        into->item[into->n++] = v[i];
    }
}

/* A container of the n topmost values. */
static void collect(bqb_pickle *p, bqb_pickle_kind kind, size_t n) {
    if (!need(p, n)) return;
    bqb_pickle_value *v = make(p, kind);
    p->stack.n -= n;
    put_into(p, v, p->stack.at + p->stack.n, n);
    push(p, v);
}

static void collect_to_mark(bqb_pickle *p, bqb_pickle_kind kind) {
    size_t n;
    bqb_pickle_value **from = pop_to_mark(p, &n), *v = make(p, kind);
    if (kind == BQB_PICKLE_DICT && n % 2 && !p->status)
        FAIL(p, BQB_EFORMAT, "the dict at byte %zu has a key without a value", p->op);
    put_into(p, v, from, n);
    push(p, v);
}

/* Put n values, or those above the mark when `marked`, into the container below them. */
static void extend(bqb_pickle *p, bqb_pickle_kind kind, bool marked, size_t n) {
    bqb_pickle_value **from = NULL;
    if (marked) from = pop_to_mark(p, &n);
    else if (need(p, n + 1)) from = p->stack.at + (p->stack.n -= n);
    bqb_pickle_value *into = top(p);
    if (!into) return;
    if (into->kind != kind) {
        FAIL(p, BQB_EFORMAT, "the opcode at byte %zu fills a %s, it found a %s", p->op, bqb_pickle_kind_name(kind),
             bqb_pickle_kind_name(into->kind));
        return;
    }
    if (kind == BQB_PICKLE_DICT && n % 2) FAIL(p, BQB_EFORMAT, "the dict at byte %zu has a key without a value", p->op);
    put_into(p, into, from, n);
}

static void push_int(bqb_pickle *p, bqb_pickle_kind kind, int64_t i) {
    bqb_pickle_value *v = make(p, kind);
    if (v) v->i = i;
    push(p, v);
}

static void push_float(bqb_pickle *p, double f) {
    bqb_pickle_value *v = make(p, BQB_PICKLE_FLOAT);
    if (v) v->f = f;
    push(p, v);
}

/* Text becomes the value's own, with a NUL after it. */
static void push_text(bqb_pickle *p, const char *text, size_t n) {
    if (p->status) return;
    size_t bad = bqb_utf8_check(text, n);
    if (bad < n) {
        FAIL(p, BQB_EFORMAT, "the text at byte %zu is not UTF-8", p->op);
        return;
    }
    bqb_pickle_value *v = make(p, BQB_PICKLE_STR);
    char *copy = memory(p, n + 1, 1);
    if (!copy) return;
    memcpy(copy, text, n);
    copy[n] = 0;
    v->text = copy;
    v->n = n;
    push(p, v);
}

static void read_text(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = take(p, n);
    if (at) push_text(p, (const char *)at, (size_t)n);
}

static void push_bytes(bqb_pickle *p, const uint8_t *at, size_t n) {
    bqb_pickle_value *v = make(p, BQB_PICKLE_BYTES);
    if (!v) return;
    v->text = (const char *)at;
    v->n = n;
    push(p, v);
}

static void read_bytes(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = take(p, n);
    if (at) push_bytes(p, at, (size_t)n);
}

/* Python 2's str: text where it is text. */
static void read_old_string(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = take(p, n);
    if (!at) return;
    if (bqb_utf8_check((const char *)at, (size_t)n) == n) push_text(p, (const char *)at, (size_t)n);
    else push_bytes(p, at, (size_t)n);
}

/* ---- numbers and text of protocol 0 ---- */

static void read_decimal(bqb_pickle *p, bool is_long) {
    char line[64], *end;
    take_number(p, line);
    if (p->status) return;
    if (!is_long && (!strcmp(line, "00") || !strcmp(line, "01"))) {
        push_int(p, BQB_PICKLE_BOOL, line[1] == '1');
        return;
    }
    errno = 0;
    long long i = strtoll(line, &end, 10);
    if (is_long && *end == 'L') end++;
    if (end == line || *end) FAIL(p, BQB_EFORMAT, "the number at byte %zu is \"%s\"", p->op, line);
    else if (errno) FAIL(p, BQB_ELIMIT, "the number at byte %zu needs more than 64 bits", p->op);
    else push_int(p, BQB_PICKLE_INT, i);
}

static void read_float_line(bqb_pickle *p) {
    char line[64], *end;
    take_number(p, line);
    if (p->status) return;
    double f = strtod(line, &end);
    if (end == line || *end) FAIL(p, BQB_EFORMAT, "the number at byte %zu is \"%s\"", p->op, line);
    else push_float(p, f);
}

static void read_binfloat(bqb_pickle *p) {
    const uint8_t *b = take(p, 8);
    if (!b) return;
    uint64_t u = 0;
    double f;
    for (int i = 0; i < 8; i++) u = u << 8 | b[i];
    memcpy(&f, &u, sizeof f);
    push_float(p, f);
}

static void read_long(bqb_pickle *p, uint64_t n) {
    const uint8_t *b = take(p, n);
    if (!b) return;
    if (n > 8) {
        FAIL(p, BQB_ELIMIT, "the integer at byte %zu has %" PRIu64 " bytes, at most 8 are taken", p->op, n);
        return;
    }
    uint64_t u = n && b[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (size_t i = (size_t)n; i-- > 0;) u = u << 8 | b[i];
    int64_t i;
    memcpy(&i, &u, sizeof i);
    push_int(p, BQB_PICKLE_INT, i);
}

static int hex_digits(uint32_t *out, const char *s, size_t n) {
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        const char *digits = "0123456789abcdef", *d = s[i] ? strchr(digits, s[i] | 0x20) : NULL;
        if (!d || (s[i] < '0')) return 0;
        *out = *out << 4 | (uint32_t)(d - digits);
    }
    return 1;
}

/* UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. STRING: quoted, with C's escapes. */
static void read_escaped(bqb_pickle *p, bool quoted) {
    size_t n, len = 0;
    const char *s = take_line(p, &n);
    if (p->status) return;
    if (quoted) {
        if (n < 2 || (s[0] != '\'' && s[0] != '"') || s[n - 1] != s[0]) {
            FAIL(p, BQB_EFORMAT, "the string at byte %zu is not in quotes", p->op);
            return;
        }
        s++;
        n -= 2;
    }
    if (n > MAX_LINE) {
        FAIL(p, BQB_ELIMIT, "the string at byte %zu has %zu characters, at most %d are taken", p->op, n, MAX_LINE);
        return;
    }
    char *out = memory(p, 4 * n + 1, 1);
    if (!out) return;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint8_t)s[i];
        if (c == '\\' && i + 1 < n) {
            char e = s[i + 1];
            size_t digits = !quoted ? (e == 'u' ? 4 : e == 'U' ? 8 : 0) : e == 'x' ? 2 : 0;
            const char *plain = "\\'\"nrt", *means = "\\'\"\n\r\t", *at = strchr(plain, e);
            if (digits && i + 2 + digits <= n && hex_digits(&c, s + i + 2, digits)) i += 1 + digits;
            else if (digits) {
                FAIL(p, BQB_EFORMAT, "the text at byte %zu has a broken escape", p->op);
                return;
            } else if (quoted && e && at) {
                c = (uint8_t)means[at - plain];
                i++;
            }
        }
        if (quoted && c >= 0x80) out[len++] = (char)c; /* bytes of UTF-8, or of none */
        else len += bqb_utf8_put(out + len, c);
    }
    if (quoted && bqb_utf8_check(out, len) < len) push_bytes(p, (const uint8_t *)out, len);
    else push_text(p, out, len);
}

/* ---- the memo ---- */

static void memo_put(bqb_pickle *p, uint64_t k) {
    bqb_pickle_value *v = top(p);
    if (!v) return;
    if (k >= MAX_MEMO) {
        FAIL(p, BQB_ELIMIT, "memo number %" PRIu64 " at byte %zu, at most %d are taken", k, p->op, MAX_MEMO);
        return;
    }
    if (!grow(p, &p->memo, (size_t)k + 1)) return;
    while (p->memo.n <= k) p->memo.at[p->memo.n++] = NULL;
    p->memo.at[k] = v;
}

static void memo_get(bqb_pickle *p, uint64_t k) {
    if (p->status) return;
    if (k >= p->memo.n || !p->memo.at[k])
        FAIL(p, BQB_EFORMAT, "memo number %" PRIu64 " at byte %zu holds nothing", k, p->op);
    else push(p, p->memo.at[k]);
}

static uint64_t memo_number(bqb_pickle *p) {
    char line[64], *end;
    take_number(p, line);
    if (p->status) return 0;
    unsigned long long k = strtoull(line, &end, 10);
    if (*end || *line < '0' || *line > '9') FAIL(p, BQB_EFORMAT, "the memo number at byte %zu is \"%s\"", p->op, line);
    return k;
}

/* ---- names, which only a table makes readable ---- */

static void push_name(bqb_pickle *p, uint8_t op, const char *module, size_t n, const char *name, size_t n_name) {
    if (p->status) return;
    if (!p->names) {
        refuse(p, op);
        return;
    }
    for (const bqb_pickle_name *k = p->names; k->name; k++) {
        if (strlen(k->name) != n + 1 + n_name || strncmp(k->name, module, n) || k->name[n] != '.' ||
            strncmp(k->name + n + 1, name, n_name))
            continue;
        bqb_pickle_value *v = make(p, BQB_PICKLE_NAME);
        if (!v) return;
        v->text = k->name;
        v->n = strlen(k->name);
        v->i = k->dict;
        push(p, v);
        return;
    }
    FAIL(p, BQB_EUNSUPPORTED, "%.*s.%.*s at byte %zu is not among the names that are read as data: refused",
         n < 100 ? (int)n : 100, module, n_name < 100 ? (int)n_name : 100, name, p->op);
}

static void read_global(bqb_pickle *p) {
    size_t n, n_name;
    const char *module = take_line(p, &n), *name = take_line(p, &n_name);
    push_name(p, 'c', module, n, name, n_name);
}

static void read_stack_global(bqb_pickle *p) {
    if (!p->names) {
        refuse(p, 0x93);
        return;
    }
    const bqb_pickle_value *name = pop(p), *module = pop(p);
    if (p->status) return;
    if (name->kind != BQB_PICKLE_STR || module->kind != BQB_PICKLE_STR)
        FAIL(p, BQB_EFORMAT, "the name at byte %zu is not text", p->op);
    else push_name(p, 0x93, module->text, module->n, name->text, name->n);
}

/* OrderedDict() and OrderedDict([(key, value), …]). */
static void make_dict(bqb_pickle *p, const bqb_pickle_value *args) {
    bqb_pickle_value *v = make(p, BQB_PICKLE_DICT);
    const bqb_pickle_value *pairs = args->n ? args->item[0] : NULL;
    bool good = args->n <= 1 && (!pairs || pairs->kind == BQB_PICKLE_LIST || pairs->kind == BQB_PICKLE_TUPLE);
    for (size_t i = 0; good && pairs && i < pairs->n && !p->status; i++) {
        const bqb_pickle_value *pair = pairs->item[i];
        good = (pair->kind == BQB_PICKLE_LIST || pair->kind == BQB_PICKLE_TUPLE) && pair->n == 2;
        if (good) put_into(p, v, pair->item, 2);
    }
    if (!good && !p->status) FAIL(p, BQB_EFORMAT, "the dict at byte %zu is not made of pairs", p->op);
    push(p, v);
}

static void read_reduce(bqb_pickle *p) {
    if (!p->names) {
        refuse(p, 'R');
        return;
    }
    if (!need(p, 2)) return;
    const bqb_pickle_value *name = p->stack.at[p->stack.n - 2], *args = p->stack.at[p->stack.n - 1];
    if (name->kind != BQB_PICKLE_NAME || args->kind != BQB_PICKLE_TUPLE) {
        refuse(p, 'R');
    } else if (name->i) {
        p->stack.n -= 2;
        make_dict(p, args);
    } else collect(p, BQB_PICKLE_CALL, 2);
}

/* Attributes of a dict (a state dict's _metadata) are no values of it. */
static void read_build(bqb_pickle *p) {
    const bqb_pickle_value *state = p->names ? pop(p) : NULL, *of = p->names ? top(p) : NULL;
    if (!p->status && !(of && state && of->kind == BQB_PICKLE_DICT && state->kind == BQB_PICKLE_DICT)) refuse(p, 'b');
}

/* ---- the opcodes ---- */

static void protocol(bqb_pickle *p) {
    uint64_t v = little(p, 1);
    if (!p->status && v > MAX_PROTOCOL)
        FAIL(p, BQB_EUNSUPPORTED, "protocol %" PRIu64 " at byte %zu, at most %d is known", v, p->op, MAX_PROTOCOL);
}

static void step(bqb_pickle *p, uint8_t op) {
    size_t n;
    switch (op) {
    case 0x80: protocol(p); break;
    case 0x95: (void)little(p, 8); break; /* FRAME: its length helps only those that read from a stream */
    case '(': push_mark(p); break;
    case '0': /* POP: a mark, too */
        if (p->n_marks && !above(p)) p->n_marks--;
        else (void)pop(p);
        break;
    case '1': (void)pop_to_mark(p, &n); break;
    case '2': push(p, top(p)); break;

    case 'N': push(p, make(p, BQB_PICKLE_NONE)); break;
    case 0x88: push_int(p, BQB_PICKLE_BOOL, 1); break;
    case 0x89: push_int(p, BQB_PICKLE_BOOL, 0); break;
    case 'I': read_decimal(p, false); break;
    case 'L': read_decimal(p, true); break;
    case 'J': push_int(p, BQB_PICKLE_INT, (int32_t)(uint32_t)little(p, 4)); break;
    case 'K': push_int(p, BQB_PICKLE_INT, (int64_t)little(p, 1)); break;
    case 'M': push_int(p, BQB_PICKLE_INT, (int64_t)little(p, 2)); break;
    case 0x8a: read_long(p, little(p, 1)); break;
    case 0x8b: read_long(p, little(p, 4)); break;
    case 'F': read_float_line(p); break;
    case 'G': read_binfloat(p); break;

    case 'S': read_escaped(p, true); break;
    case 'V': read_escaped(p, false); break;
    case 'T': read_old_string(p, little(p, 4)); break;
    case 'U': read_old_string(p, little(p, 1)); break;
    case 'X': read_text(p, little(p, 4)); break;
    case 0x8c: read_text(p, little(p, 1)); break;
    case 0x8d: read_text(p, little(p, 8)); break;
    case 'B': read_bytes(p, little(p, 4)); break;
    case 'C': read_bytes(p, little(p, 1)); break;
    case 0x8e:
    case 0x96: read_bytes(p, little(p, 8)); break;

    case ']': push(p, make(p, BQB_PICKLE_LIST)); break;
    case '}': push(p, make(p, BQB_PICKLE_DICT)); break;
    case ')': push(p, make(p, BQB_PICKLE_TUPLE)); break;
    case 0x8f: push(p, make(p, BQB_PICKLE_SET)); break;
    case 'l': collect_to_mark(p, BQB_PICKLE_LIST); break;
    case 'd': collect_to_mark(p, BQB_PICKLE_DICT); break;
    case 't': collect_to_mark(p, BQB_PICKLE_TUPLE); break;
    case 0x91: collect_to_mark(p, BQB_PICKLE_SET); break;
    case 0x85: collect(p, BQB_PICKLE_TUPLE, 1); break;
    case 0x86: collect(p, BQB_PICKLE_TUPLE, 2); break;
    case 0x87: collect(p, BQB_PICKLE_TUPLE, 3); break;
    case 'a': extend(p, BQB_PICKLE_LIST, false, 1); break;
    case 'e': extend(p, BQB_PICKLE_LIST, true, 0); break;
    case 's': extend(p, BQB_PICKLE_DICT, false, 2); break;
    case 'u': extend(p, BQB_PICKLE_DICT, true, 0); break;
    case 0x90: extend(p, BQB_PICKLE_SET, true, 0); break;

    case 'p': memo_put(p, memo_number(p)); break;
    case 'q': memo_put(p, little(p, 1)); break;
    case 'r': memo_put(p, little(p, 4)); break;
    case 0x94: memo_put(p, p->memo.n); break;
    case 'g': memo_get(p, memo_number(p)); break;
    case 'h': memo_get(p, little(p, 1)); break;
    case 'j': memo_get(p, little(p, 4)); break;

    case 'c': read_global(p); break;
    case 0x93: read_stack_global(p); break;
    case 'R': read_reduce(p); break;
    case 'b': read_build(p); break;
    case 'Q':
        if (p->names) collect(p, BQB_PICKLE_PERSISTENT, 1);
        else refuse(p, op);
        break;
    default: refuse(p, op);
    }
}

bqb_status bqb_pickle_read(bqb_pickle *p, const bqb_pickle_value **out, const void *bytes, size_t n,
                           const bqb_pickle_name *names, bqb_err *err) {
    *out = NULL;
    bqb_arena_reset(p->arena);
    p->stack.n = p->memo.n = p->n_marks = p->n_values = p->pos = p->op = 0;
    p->bytes = bytes;
    p->size = n;
    p->names = names;
    p->err = err;
    p->status = BQB_OK;
    while (!p->status) {
        p->op = p->pos;
        if (p->pos == n) {
            FAIL(p, BQB_EFORMAT, "%zu bytes end before the STOP opcode", n);
            break;
        }
        uint8_t op = p->bytes[p->pos++];
        if (op == '.') break;
        step(p, op);
    }
    if (!p->status && (p->stack.n != 1 || p->n_marks))
        FAIL(p, BQB_EFORMAT, "%zu values are left at the STOP opcode, one is needed", p->stack.n);
    if (!p->status && p->pos != n) FAIL(p, BQB_EFORMAT, "%zu bytes follow the STOP opcode", n - p->pos);
    if (!p->status) *out = p->stack.at[0];
    p->err = NULL;
    return p->status;
}

const bqb_pickle_value *bqb_pickle_get(const bqb_pickle_value *v, const char *key) {
    if (!v || v->kind != BQB_PICKLE_DICT) return NULL;
    size_t len = strlen(key);
    for (size_t i = v->n; i >= 2; i -= 2) {
        const bqb_pickle_value *k = v->item[i - 2];
        if (k->kind == BQB_PICKLE_STR && k->n == len && !memcmp(k->text, key, len)) return v->item[i - 1];
    }
    return NULL;
}
