/* Python pickles, protocols 0 to 5, as far as they are values. Nothing is ever
 * run, imported or looked up: opcodes that would make Python call something are
 * refused by their names. What a reader knows of its format (the tensors of a
 * PyTorch checkpoint) it names in a table, and gets those calls as data.
 * Source: the opcode table and comments of CPython's Lib/pickletools.py. */
#ifndef BQB_FILE_PICKLE_H
#define BQB_FILE_PICKLE_H

#include "base/err.h"

#include <stdbool.h>

typedef enum {
    BQB_PICKLE_NONE,
    BQB_PICKLE_BOOL,  /* i: 0 or 1 */
    BQB_PICKLE_INT,   /* i */
    BQB_PICKLE_FLOAT, /* f */
    BQB_PICKLE_STR,   /* text: UTF-8, n bytes and a NUL */
    BQB_PICKLE_BYTES, /* text: n bytes, borrowed from the pickle */
    BQB_PICKLE_TUPLE, /* item [n] */
    BQB_PICKLE_LIST,
    BQB_PICKLE_SET,
    BQB_PICKLE_DICT,  /* item [n]: key, value, key, value, …: n is even; keys may be there twice, the last counts */
    /* only with a table of names */
    BQB_PICKLE_NAME,      /* text: one of the table */
    BQB_PICKLE_CALL,      /* item [2]: its NAME, a TUPLE of arguments */
    BQB_PICKLE_PERSISTENT /* item [1]: the id */
} bqb_pickle_kind;

typedef struct bqb_pickle_value bqb_pickle_value;
struct bqb_pickle_value {
    bqb_pickle_kind kind;
    bool placed;   /* it is inside another value, so it may not change any more */
    uint8_t depth; /* of what it holds; at most BQB_PICKLE_DEPTH */
    int64_t i;
    double f;
    const char *text;
    bqb_pickle_value **item;
    size_t n, cap;
};

enum { BQB_PICKLE_DEPTH = 100 };

/* A name that may stand in the pickle: "collections.OrderedDict". dict: calling
 * it without arguments, or with a list of pairs, makes a DICT. The table ends with a NULL name. */
typedef struct {
    const char *name;
    bool dict;
} bqb_pickle_name;

/* A reader, with the memory of the values that it read last. One thread at a time. */
typedef struct bqb_pickle bqb_pickle;
bqb_pickle *bqb_pickle_new(void); /* NULL when memory is out */
void bqb_pickle_free(bqb_pickle *p);

/* The value that n bytes hold, valid until the next read, while the bytes stay.
 * A value may be part of several others, never of itself. Attributes set on a
 * DICT that a name made are dropped. names NULL: plain values alone.
 * Errors, with the byte position: BQB_EUNSUPPORTED: an opcode, a name or a
 * protocol that is refused; BQB_EFORMAT; BQB_ELIMIT: over BQB_PICKLE_DEPTH deep,
 * over 4 Mi values, an integer over 64 bits; BQB_ENOMEM. */
bqb_status bqb_pickle_read(bqb_pickle *p, const bqb_pickle_value **out, const void *bytes, size_t n,
                           const bqb_pickle_name *names, bqb_err *err);

/* The value of a DICT's text key (the last such), or NULL; NULL, too, when v is no DICT. */
const bqb_pickle_value *bqb_pickle_get(const bqb_pickle_value *v, const char *key);

/* "int", "tuple", … for messages. */
const char *bqb_pickle_kind_name(bqb_pickle_kind k);

#endif
