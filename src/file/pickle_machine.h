/* The inside of a bqb_pickle, for pickle.c, which knows the opcodes. Every
 * function does nothing once one has failed: the first failure is kept. */
#ifndef BQB_FILE_PICKLE_MACHINE_H
#define BQB_FILE_PICKLE_MACHINE_H

#include "base/mem.h"
#include "file/pickle.h"

/* A growing array of values or of marks, kept from pickle to pickle. */
typedef struct {
    bqb_pickle_value **at;
    size_t n, cap;
} bqb_pk_list;

struct bqb_pickle {
    bqb_arena *arena;
    bqb_pk_list stack, memo; /* memo: holes are NULL */
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

/* Fail with a message about the opcode that is being read. */
#define BQB_PK_FAIL(p, code, ...) \
    ((p)->status ? (void)0 : bqb_pk_fail_with(p, bqb_fail_at((p)->err, code, (int64_t)(p)->op, "pickle: " __VA_ARGS__)))
void bqb_pk_fail_with(bqb_pickle *p, bqb_status s);
void bqb_pk_refuse(bqb_pickle *p, uint8_t op); /* by the opcode's name */

/* Bytes after the opcode: n of them (NULL when there are fewer), a number of n
 * bytes, a line without its end, a line with a number. Failures give 0 or "". */
const uint8_t *bqb_pk_take(bqb_pickle *p, uint64_t n);
uint64_t bqb_pk_little(bqb_pickle *p, size_t n);
const char *bqb_pk_take_line(bqb_pickle *p, size_t *n);
void bqb_pk_take_number(bqb_pickle *p, char out[64]);

/* Memory until the next pickle, a value in it, room in a list; NULL or false on failure. */
void *bqb_pk_memory(bqb_pickle *p, size_t n, size_t size);
bqb_pickle_value *bqb_pk_make(bqb_pickle *p, bqb_pickle_kind kind);
bool bqb_pk_grow(bqb_pickle *p, bqb_pk_list *l, size_t need);

/* The stack down to the last mark. push takes NULL after a failure. */
void bqb_pk_push(bqb_pickle *p, bqb_pickle_value *v);
size_t bqb_pk_above(const bqb_pickle *p);
bool bqb_pk_need(bqb_pickle *p, size_t n);
bqb_pickle_value *bqb_pk_pop(bqb_pickle *p);
bqb_pickle_value *bqb_pk_top(bqb_pickle *p);
void bqb_pk_push_mark(bqb_pickle *p);
bqb_pickle_value **bqb_pk_pop_to_mark(bqb_pickle *p, size_t *n); /* readable until the next push */

/* Containers: v[n] into one; a new one of the n topmost values, or of those
 * above the mark; n (or those above the mark) into the one below them. */
void bqb_pk_put_into(bqb_pickle *p, bqb_pickle_value *into, bqb_pickle_value *const *v, size_t n);
void bqb_pk_collect(bqb_pickle *p, bqb_pickle_kind kind, size_t n);
void bqb_pk_collect_to_mark(bqb_pickle *p, bqb_pickle_kind kind);
void bqb_pk_extend(bqb_pickle *p, bqb_pickle_kind kind, bool marked, size_t n);

#endif
