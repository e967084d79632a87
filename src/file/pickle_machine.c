/* The stack on which a pickle is built: bytes in, values out, everything bounded. */
#include "file/pickle_machine.h"

#include "base/little_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 4 << 20 };

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
    static const char *const name[] = {"None", "bool", "int",  "float", "str",  "bytes",        "tuple",
                                       "list", "set",  "dict", "name",  "call", "persistent id"};
    return (size_t)k < sizeof name / sizeof *name ? name[k] : "?";
}

/* ---- failures ---- */

void bqb_pk_fail_with(bqb_pickle *p, bqb_status s) {
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

void bqb_pk_refuse(bqb_pickle *p, uint8_t op) {
    if (p->status) return;
    const char *name = refused_name(op);
    if (name) BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu would run code: refused", name, p->op);
    else if (op == 'P' || op == 'Q')
        BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu names something outside the pickle: refused",
                    op == 'P' ? "PERSID" : "BINPERSID", p->op);
    else if (op == 0x97 || op == 0x98)
        BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "opcode %s at byte %zu needs a buffer outside the pickle: refused",
                    op == 0x97 ? "NEXT_BUFFER" : "READONLY_BUFFER", p->op);
    else BQB_PK_FAIL(p, BQB_EFORMAT, "byte %zu is 0x%02x, which is no opcode", p->op, op);
}

/* ---- bytes ---- */

const uint8_t *bqb_pk_take(bqb_pickle *p, uint64_t n) {
    if (p->status) return NULL;
    if (n > p->size - p->pos) {
        BQB_PK_FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs %" PRIu64 " bytes, %zu are left", p->op, n,
                    p->size - p->pos);
        return NULL;
    }
    const uint8_t *at = p->bytes + p->pos;
    p->pos += (size_t)n;
    return at;
}

uint64_t bqb_pk_little(bqb_pickle *p, size_t n) {
    const uint8_t *b = bqb_pk_take(p, n);
    return b ? bqb_le(b, n) : 0;
}

/* A line without its end, as the arguments of protocol 0 are written. */
const char *bqb_pk_take_line(bqb_pickle *p, size_t *n) {
    *n = 0;
    if (p->status) return "";
    const uint8_t *at = p->bytes + p->pos, *end = memchr(at, '\n', p->size - p->pos);
    if (!end) {
        BQB_PK_FAIL(p, BQB_EFORMAT, "the line after the opcode at byte %zu has no end", p->op);
        return "";
    }
    *n = (size_t)(end - at);
    p->pos += *n + 1;
    if (*n && at[*n - 1] == '\r') --*n;
    return (const char *)at;
}

/* The same, short and with a NUL, for numbers. */
void bqb_pk_take_number(bqb_pickle *p, char out[64]) {
    size_t n;
    const char *line = bqb_pk_take_line(p, &n);
    if (!p->status && (n == 0 || n > 63 || memchr(line, 0, n)))
        BQB_PK_FAIL(p, BQB_EFORMAT, "the number at byte %zu is none", p->op);
    if (p->status) n = 0;
    memcpy(out, line, n);
    out[n] = 0;
}

/* ---- values ---- */

void *bqb_pk_memory(bqb_pickle *p, size_t n, size_t size) {
    void *at = p->status ? NULL : bqb_arena_take(p->arena, n, size);
    if (!at && !p->status) bqb_pk_fail_with(p, bqb_fail_nomem(p->err, "pickle", n * size));
    return at;
}

bqb_pickle_value *bqb_pk_make(bqb_pickle *p, bqb_pickle_kind kind) {
    if (!p->status && p->n_values == MAX_VALUES) BQB_PK_FAIL(p, BQB_ELIMIT, "more than %d values", MAX_VALUES);
    bqb_pickle_value *v = bqb_pk_memory(p, 1, sizeof *v);
    if (!v) return NULL;
    p->n_values++;
    *v = (bqb_pickle_value){.kind = kind};
    return v;
}

bool bqb_pk_grow(bqb_pickle *p, bqb_pk_list *l, size_t need) {
    if (need <= l->cap) return true;
    size_t cap = l->cap ? l->cap : 256;
    while (cap < need) cap *= 2;
    bqb_pickle_value **at = realloc(l->at, cap * sizeof *at);
    if (!at) {
        bqb_pk_fail_with(p, bqb_fail_nomem(p->err, "pickle", cap * sizeof *at));
        return false;
    }
    l->at = at;
    l->cap = cap;
    return true;
}

void bqb_pk_push(bqb_pickle *p, bqb_pickle_value *v) {
    if (p->status) return;
    if (p->stack.n == MAX_VALUES) BQB_PK_FAIL(p, BQB_ELIMIT, "more than %d values on the stack", MAX_VALUES);
    else if (bqb_pk_grow(p, &p->stack, p->stack.n + 1)) p->stack.at[p->stack.n++] = v;
}

/* How many values lie above the last mark, or on the stack when there is none. */
size_t bqb_pk_above(const bqb_pickle *p) { return p->stack.n - (p->n_marks ? p->mark[p->n_marks - 1] : 0); }

bool bqb_pk_need(bqb_pickle *p, size_t n) {
    if (!p->status && bqb_pk_above(p) < n)
        BQB_PK_FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs %zu values, the stack has %zu", p->op, n, bqb_pk_above(p));
    return !p->status;
}

bqb_pickle_value *bqb_pk_pop(bqb_pickle *p) { return bqb_pk_need(p, 1) ? p->stack.at[--p->stack.n] : NULL; }
bqb_pickle_value *bqb_pk_top(bqb_pickle *p) { return bqb_pk_need(p, 1) ? p->stack.at[p->stack.n - 1] : NULL; }

void bqb_pk_push_mark(bqb_pickle *p) {
    if (p->n_marks == MAX_VALUES) BQB_PK_FAIL(p, BQB_ELIMIT, "more than %d marks", MAX_VALUES);
    else {
        size_t *mark = bqb_grow(p->mark, p->n_marks, &p->cap_marks, sizeof *mark, 64);
        if (!mark) bqb_pk_fail_with(p, bqb_fail_nomem(p->err, "pickle", (p->n_marks + 1) * sizeof *mark));
        else p->mark = mark;
    }
    if (!p->status) p->mark[p->n_marks++] = p->stack.n;
}

/* The values above the last mark, taken off together with it; they stay readable until the next push. */
bqb_pickle_value **bqb_pk_pop_to_mark(bqb_pickle *p, size_t *n) {
    *n = 0;
    if (!p->status && !p->n_marks) BQB_PK_FAIL(p, BQB_EFORMAT, "the opcode at byte %zu needs a mark, there is none", p->op);
    if (p->status) return NULL;
    *n = bqb_pk_above(p);
    p->stack.n = p->mark[--p->n_marks];
    return p->stack.at + p->stack.n;
}

/* Put values into a container. What is inside another value does not change any
 * more: so nothing ever holds itself, and a depth once counted stays true. */
void bqb_pk_put_into(bqb_pickle *p, bqb_pickle_value *into, bqb_pickle_value *const *v, size_t n) {
    if (p->status || !into || !n) return;
    if (into->placed) {
        BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "the %s that the opcode at byte %zu fills is part of another value already",
                    bqb_pickle_kind_name(into->kind), p->op);
        return;
    }
    if (into->n + n > into->cap) {
        size_t cap = into->n ? 2 * into->cap : n;
        while (cap < into->n + n) cap *= 2;
        bqb_pickle_value **item = bqb_pk_memory(p, cap, sizeof(bqb_pickle_value *));
        if (!item) return;
        if (into->n) memcpy(item, into->item, into->n * sizeof *item);
        into->item = item;
        into->cap = cap;
    }
    for (size_t i = 0; i < n; i++) {
        if (v[i] == into) {
            BQB_PK_FAIL(p, BQB_EUNSUPPORTED, "the opcode at byte %zu puts a %s into itself", p->op,
                        bqb_pickle_kind_name(into->kind));
            return;
        }
        if (v[i]->depth >= BQB_PICKLE_DEPTH) {
            BQB_PK_FAIL(p, BQB_ELIMIT, "values are nested deeper than %d at byte %zu", BQB_PICKLE_DEPTH, p->op);
            return;
        }
        if (v[i]->depth >= into->depth) into->depth = (uint8_t)(v[i]->depth + 1);
        v[i]->placed = true;
        into->item[into->n++] = v[i];
    }
}

/* A container of the n topmost values. */
void bqb_pk_collect(bqb_pickle *p, bqb_pickle_kind kind, size_t n) {
    if (!bqb_pk_need(p, n)) return;
    bqb_pickle_value *v = bqb_pk_make(p, kind);
    p->stack.n -= n;
    bqb_pk_put_into(p, v, p->stack.at + p->stack.n, n);
    bqb_pk_push(p, v);
}

void bqb_pk_collect_to_mark(bqb_pickle *p, bqb_pickle_kind kind) {
    size_t n;
    bqb_pickle_value **from = bqb_pk_pop_to_mark(p, &n), *v = bqb_pk_make(p, kind);
    if (kind == BQB_PICKLE_DICT && n % 2 && !p->status)
        BQB_PK_FAIL(p, BQB_EFORMAT, "the dict at byte %zu has a key without a value", p->op);
    bqb_pk_put_into(p, v, from, n);
    bqb_pk_push(p, v);
}

/* Put n values, or those above the mark when `marked`, into the container below them. */
void bqb_pk_extend(bqb_pickle *p, bqb_pickle_kind kind, bool marked, size_t n) {
    bqb_pickle_value **from = NULL;
    if (marked) from = bqb_pk_pop_to_mark(p, &n);
    else if (bqb_pk_need(p, n + 1)) from = p->stack.at + (p->stack.n -= n);
    bqb_pickle_value *into = bqb_pk_top(p);
    if (!into) return;
    if (into->kind != kind) {
        BQB_PK_FAIL(p, BQB_EFORMAT, "the opcode at byte %zu fills a %s, it found a %s", p->op, bqb_pickle_kind_name(kind),
                    bqb_pickle_kind_name(into->kind));
        return;
    }
    if (kind == BQB_PICKLE_DICT && n % 2)
        BQB_PK_FAIL(p, BQB_EFORMAT, "the dict at byte %zu has a key without a value", p->op);
    bqb_pk_put_into(p, into, from, n);
}
