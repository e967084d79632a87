/* The opcodes of pickles. What they work on: pickle_machine.c. */
#include "file/pickle_machine.h"

#include "base/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MEMO = 4 << 20, MAX_LINE = 1 << 16, MAX_PROTOCOL = 5 };

static void push_int(bqb_pickle *p, bqb_pickle_kind kind, int64_t i) {
    bqb_pickle_value *v = bqb_pk_make(p, kind);
    if (v) v->i = i;
    bqb_pk_push(p, v);
}

static void push_float(bqb_pickle *p, double f) {
    bqb_pickle_value *v = bqb_pk_make(p, BQB_PICKLE_FLOAT);
    if (v) v->f = f;
    bqb_pk_push(p, v);
}

/* Text becomes the value's own, with a NUL after it. */
static void push_text(bqb_pickle *p, const char *text, size_t n) {
    if (p->status) return;
    size_t bad = bqb_utf8_check(text, n);
    if (bad < n) {
        BQB_PK_FAIL(p, BQB_EFORMAT, "the text at byte %zu is not UTF-8", p->op);
        return;
    }
    bqb_pickle_value *v = bqb_pk_make(p, BQB_PICKLE_STR);
    char *copy = bqb_pk_memory(p, n + 1, 1);
    if (!copy) return;
    memcpy(copy, text, n);
    copy[n] = 0;
    v->text = copy;
    v->n = n;
    bqb_pk_push(p, v);
}

static void read_text(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = bqb_pk_take(p, n);
    if (at) push_text(p, (const char *)at, (size_t)n);
}

static void push_bytes(bqb_pickle *p, const uint8_t *at, size_t n) {
    bqb_pickle_value *v = bqb_pk_make(p, BQB_PICKLE_BYTES);
    if (!v) return;
    v->text = (const char *)at;
    v->n = n;
    bqb_pk_push(p, v);
}

static void read_bytes(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = bqb_pk_take(p, n);
    if (at) push_bytes(p, at, (size_t)n);
}

/* Python 2's str: text where it is text. */
static void read_old_string(bqb_pickle *p, uint64_t n) {
    const uint8_t *at = bqb_pk_take(p, n);
    if (!at) return;
    if (bqb_utf8_check((const char *)at, (size_t)n) == n) push_text(p, (const char *)at, (size_t)n);
    else push_bytes(p, at, (size_t)n);
}

/* ---- numbers and text of protocol 0 ---- */

static void read_decimal(bqb_pickle *p, bool is_long) {
    char line[64], *end;
    bqb_pk_take_number(p, line);
    if (p->status) return;
    if (!is_long && (!strcmp(line, "00") || !strcmp(line, "01"))) {
        push_int(p, BQB_PICKLE_BOOL, line[1] == '1');
        return;
    }
    errno = 0;
    long long i = strtoll(line, &end, 10);
    if (is_long && *end == 'L') end++;
    if (end == line || *end) BQB_PK_FAIL(p, BQB_EFORMAT, "the number at byte %zu is \"%s\"", p->op, line);
    else if (errno) BQB_PK_FAIL(p, BQB_ELIMIT, "the number at byte %zu needs more than 64 bits", p->op);
    else push_int(p, BQB_PICKLE_INT, i);
}

static void read_float_line(bqb_pickle *p) {
    char line[64], *end;
    bqb_pk_take_number(p, line);
    if (p->status) return;
    double f = strtod(line, &end);
    if (end == line || *end) BQB_PK_FAIL(p, BQB_EFORMAT, "the number at byte %zu is \"%s\"", p->op, line);
    else push_float(p, f);
}

static void read_binfloat(bqb_pickle *p) {
    const uint8_t *b = bqb_pk_take(p, 8);
    if (!b) return;
    uint64_t u = 0;
    double f;
    for (int i = 0; i < 8; i++) u = u << 8 | b[i];
    memcpy(&f, &u, sizeof f);
    push_float(p, f);
}

static void read_long(bqb_pickle *p, uint64_t n) {
    const uint8_t *b = bqb_pk_take(p, n);
    if (!b) return;
    if (n > 8) {
        BQB_PK_FAIL(p, BQB_ELIMIT, "the integer at byte %zu has %" PRIu64 " bytes, at most 8 are taken", p->op, n);
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
    const char *s = bqb_pk_take_line(p, &n);
    if (p->status) return;
    if (quoted) {
        if (n < 2 || (s[0] != '\'' && s[0] != '"') || s[n - 1] != s[0]) {
            BQB_PK_FAIL(p, BQB_EFORMAT, "the string at byte %zu is not in quotes", p->op);
            return;
        }
        s++;
        n -= 2;
    }
    if (n > MAX_LINE) {
        BQB_PK_FAIL(p, BQB_ELIMIT, "the string at byte %zu has %zu characters, at most %d are taken", p->op, n, MAX_LINE);
        return;
    }
    char *out = bqb_pk_memory(p, 4 * n + 1, 1);
    if (!out) return;
    for (size_t i = 0; i < n; i++) {
        uint32_t c = (uint8_t)s[i];
        if (c == '\\' && i + 1 < n) {
            char e = s[i + 1];
            size_t digits = !quoted ? (e == 'u' ? 4 : e == 'U' ? 8 : 0) : e == 'x' ? 2 : 0;
            const char *plain = "\\'\"nrt", *means = "\\'\"\n\r\t", *at = strchr(plain, e);
            if (digits && i + 2 + digits <= n && hex_digits(&c, s + i + 2, digits)) i += 1 + digits;
            else if (digits) {
                BQB_PK_FAIL(p, BQB_EFORMAT, "the text at byte %zu has a broken escape", p->op);
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
    bqb_pickle_value *v = bqb_pk_top(p);
    if (!v) return;
    if (k >= MAX_MEMO) {
        BQB_PK_FAIL(p, BQB_ELIMIT, "memo number %" PRIu64 " at byte %zu, at most %d are taken", k, p->op, MAX_MEMO);
        return;
    }
    if (!bqb_pk_grow(p, &p->memo, (size_t)k + 1)) return;
    while (p->memo.n <= k) p->memo.at[p->memo.n++] = NULL;
    p->memo.at[k] = v;
}

static void memo_get(bqb_pickle *p, uint64_t k) {
    if (p->status) return;
    if (k >= p->memo.n || !p->memo.at[k])
        BQB_PK_FAIL(p, BQB_EFORMAT, "memo number %" PRIu64 " at byte %zu holds nothing", k, p->op);
    else bqb_pk_push(p, p->memo.at[k]);
}

static uint64_t memo_number(bqb_pickle *p) {
    char line[64], *end;
    bqb_pk_take_number(p, line);
    if (p->status) return 0;
    unsigned long long k = strtoull(line, &end, 10);
    if (*end || *line < '0' || *line > '9')
        BQB_PK_FAIL(p, BQB_EFORMAT, "the memo number at byte %zu is \"%s\"", p->op, line);
    return k;
}

/* ---- names, which only a table makes readable ---- */

static void push_name(bqb_pickle *p, uint8_t op, const char *module, size_t n, const char *name, size_t n_name) {
    if (p->status) return;
    if (!p->names) {
        bqb_pk_refuse(p, op);
        return;
    }
    for (const bqb_pickle_name *k = p->names; k->name; k++) {
        if (strlen(k->name) != n + 1 + n_name || strncmp(k->name, module, n) || k->name[n] != '.' ||
            strncmp(k->name + n + 1, name, n_name))
            continue;
        bqb_pickle_value *v = bqb_pk_make(p, BQB_PICKLE_NAME);
        if (!v) return;
        v->text = k->name;
        v->n = strlen(k->name);
        v->i = k->dict;
        bqb_pk_push(p, v);
        return;
    }
    BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "%.*s.%.*s at byte %zu is not among the names that are read as data: refused",
                n < 100 ? (int)n : 100, module, n_name < 100 ? (int)n_name : 100, name, p->op);
}

static void read_global(bqb_pickle *p) {
    size_t n, n_name;
    const char *module = bqb_pk_take_line(p, &n), *name = bqb_pk_take_line(p, &n_name);
    push_name(p, 'c', module, n, name, n_name);
}

static void read_stack_global(bqb_pickle *p) {
    if (!p->names) {
        bqb_pk_refuse(p, 0x93);
        return;
    }
    const bqb_pickle_value *name = bqb_pk_pop(p), *module = bqb_pk_pop(p);
    if (p->status) return;
    if (name->kind != BQB_PICKLE_STR || module->kind != BQB_PICKLE_STR)
        BQB_PK_FAIL(p, BQB_EFORMAT, "the name at byte %zu is not text", p->op);
    else push_name(p, 0x93, module->text, module->n, name->text, name->n);
}

/* OrderedDict() and OrderedDict([(key, value), …]). */
static void make_dict(bqb_pickle *p, const bqb_pickle_value *args) {
    bqb_pickle_value *v = bqb_pk_make(p, BQB_PICKLE_DICT);
    const bqb_pickle_value *pairs = args->n ? args->item[0] : NULL;
    bool good = args->n <= 1 && (!pairs || pairs->kind == BQB_PICKLE_LIST || pairs->kind == BQB_PICKLE_TUPLE);
    for (size_t i = 0; good && pairs && i < pairs->n && !p->status; i++) {
        const bqb_pickle_value *pair = pairs->item[i];
        good = (pair->kind == BQB_PICKLE_LIST || pair->kind == BQB_PICKLE_TUPLE) && pair->n == 2;
        if (good) bqb_pk_put_into(p, v, pair->item, 2);
    }
    if (!good && !p->status) BQB_PK_FAIL(p, BQB_EFORMAT, "the dict at byte %zu is not made of pairs", p->op);
    bqb_pk_push(p, v);
}

static void read_reduce(bqb_pickle *p) {
    if (!p->names) {
        bqb_pk_refuse(p, 'R');
        return;
    }
    if (!bqb_pk_need(p, 2)) return;
    const bqb_pickle_value *name = p->stack.at[p->stack.n - 2], *args = p->stack.at[p->stack.n - 1];
    if (name->kind != BQB_PICKLE_NAME || args->kind != BQB_PICKLE_TUPLE) {
        bqb_pk_refuse(p, 'R');
    } else if (name->i) {
        p->stack.n -= 2;
        make_dict(p, args);
    } else bqb_pk_collect(p, BQB_PICKLE_CALL, 2);
}

/* Attributes of a dict (a state dict's _metadata) are no values of it. */
static void read_build(bqb_pickle *p) {
    const bqb_pickle_value *state = p->names ? bqb_pk_pop(p) : NULL, *of = p->names ? bqb_pk_top(p) : NULL;
    if (!p->status && !(of && state && of->kind == BQB_PICKLE_DICT && state->kind == BQB_PICKLE_DICT)) bqb_pk_refuse(p, 'b');
}

/* ---- the opcodes ---- */

static void protocol(bqb_pickle *p) {
    uint64_t v = bqb_pk_little(p, 1);
    if (!p->status && v > MAX_PROTOCOL)
        BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "protocol %" PRIu64 " at byte %zu, at most %d is known", v, p->op, MAX_PROTOCOL);
}

static void step(bqb_pickle *p, uint8_t op) {
    size_t n;
    switch (op) {
    case 0x80: protocol(p); break;
    case 0x95: (void)bqb_pk_little(p, 8); break; /* FRAME: its length helps only those that read from a stream */
    case '(': bqb_pk_push_mark(p); break;
    case '0': /* POP: a mark, too */
        if (p->n_marks && !bqb_pk_above(p)) p->n_marks--;
        else (void)bqb_pk_pop(p);
        break;
    case '1': (void)bqb_pk_pop_to_mark(p, &n); break;
    case '2': bqb_pk_push(p, bqb_pk_top(p)); break;

    case 'N': bqb_pk_push(p, bqb_pk_make(p, BQB_PICKLE_NONE)); break;
    case 0x88: push_int(p, BQB_PICKLE_BOOL, 1); break;
    case 0x89: push_int(p, BQB_PICKLE_BOOL, 0); break;
    case 'I': read_decimal(p, false); break;
    case 'L': read_decimal(p, true); break;
    case 'J': push_int(p, BQB_PICKLE_INT, (int32_t)(uint32_t)bqb_pk_little(p, 4)); break;
    case 'K': push_int(p, BQB_PICKLE_INT, (int64_t)bqb_pk_little(p, 1)); break;
    case 'M': push_int(p, BQB_PICKLE_INT, (int64_t)bqb_pk_little(p, 2)); break;
    case 0x8a: read_long(p, bqb_pk_little(p, 1)); break;
    case 0x8b: read_long(p, bqb_pk_little(p, 4)); break;
    case 'F': read_float_line(p); break;
    case 'G': read_binfloat(p); break;

    case 'S': read_escaped(p, true); break;
    case 'V': read_escaped(p, false); break;
    case 'T': read_old_string(p, bqb_pk_little(p, 4)); break;
    case 'U': read_old_string(p, bqb_pk_little(p, 1)); break;
    case 'X': read_text(p, bqb_pk_little(p, 4)); break;
    case 0x8c: read_text(p, bqb_pk_little(p, 1)); break;
    case 0x8d: read_text(p, bqb_pk_little(p, 8)); break;
    case 'B': read_bytes(p, bqb_pk_little(p, 4)); break;
    case 'C': read_bytes(p, bqb_pk_little(p, 1)); break;
    case 0x8e:
    case 0x96: read_bytes(p, bqb_pk_little(p, 8)); break;

    case ']': bqb_pk_push(p, bqb_pk_make(p, BQB_PICKLE_LIST)); break;
    case '}': bqb_pk_push(p, bqb_pk_make(p, BQB_PICKLE_DICT)); break;
    case ')': bqb_pk_push(p, bqb_pk_make(p, BQB_PICKLE_TUPLE)); break;
    case 0x8f: bqb_pk_push(p, bqb_pk_make(p, BQB_PICKLE_SET)); break;
    case 'l': bqb_pk_collect_to_mark(p, BQB_PICKLE_LIST); break;
    case 'd': bqb_pk_collect_to_mark(p, BQB_PICKLE_DICT); break;
    case 't': bqb_pk_collect_to_mark(p, BQB_PICKLE_TUPLE); break;
    case 0x91: bqb_pk_collect_to_mark(p, BQB_PICKLE_SET); break;
    case 0x85: bqb_pk_collect(p, BQB_PICKLE_TUPLE, 1); break;
    case 0x86: bqb_pk_collect(p, BQB_PICKLE_TUPLE, 2); break;
    case 0x87: bqb_pk_collect(p, BQB_PICKLE_TUPLE, 3); break;
    case 'a': bqb_pk_extend(p, BQB_PICKLE_LIST, false, 1); break;
    case 'e': bqb_pk_extend(p, BQB_PICKLE_LIST, true, 0); break;
    case 's': bqb_pk_extend(p, BQB_PICKLE_DICT, false, 2); break;
    case 'u': bqb_pk_extend(p, BQB_PICKLE_DICT, true, 0); break;
    case 0x90: bqb_pk_extend(p, BQB_PICKLE_SET, true, 0); break;

    case 'p': memo_put(p, memo_number(p)); break;
    case 'q': memo_put(p, bqb_pk_little(p, 1)); break;
    case 'r': memo_put(p, bqb_pk_little(p, 4)); break;
    case 0x94: memo_put(p, p->memo.n); break;
    case 'g': memo_get(p, memo_number(p)); break;
    case 'h': memo_get(p, bqb_pk_little(p, 1)); break;
    case 'j': memo_get(p, bqb_pk_little(p, 4)); break;

    case 'c': read_global(p); break;
    case 0x93: read_stack_global(p); break;
    case 'R': read_reduce(p); break;
    case 'b': read_build(p); break;
    case 'Q':
        if (p->names) bqb_pk_collect(p, BQB_PICKLE_PERSISTENT, 1);
        else bqb_pk_refuse(p, op);
        break;
    default: bqb_pk_refuse(p, op);
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
            BQB_PK_FAIL(p, BQB_EFORMAT, "%zu bytes end before the STOP opcode", n);
            break;
        }
        uint8_t op = p->bytes[p->pos++];
        if (op == '.') break;
        step(p, op);
    }
    if (!p->status && (p->stack.n != 1 || p->n_marks))
        BQB_PK_FAIL(p, BQB_EFORMAT, "%zu values are left at the STOP opcode, one is needed", p->stack.n);
    if (!p->status && p->pos != n) BQB_PK_FAIL(p, BQB_EFORMAT, "%zu bytes follow the STOP opcode", n - p->pos);
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
