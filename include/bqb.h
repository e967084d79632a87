/* bqb: find the right sticker. The public interface.
 *
 * Conventions that hold for every function here and inside:
 *   - What can fail returns a bqb_status (0 is success) and takes a last
 *     `bqb_err *`, which may be NULL; it is written only on failure.
 *   - Strings are UTF-8, NUL-terminated, borrowed for the call unless said otherwise.
 *   - _new/_open objects are freed by _free/_close, which accept NULL.
 *   - The library never prints, exits, or keeps global errors.
 * This header includes nothing of the project and may be included by every layer. */
#ifndef BQB_H
#define BQB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BQB_VERSION "0.1.0"

typedef enum {
    BQB_OK = 0,
    BQB_EINVAL,       /* the caller's argument is wrong */
    BQB_EIO,          /* the operating system refused: open, read, write, full disk */
    BQB_EFORMAT,      /* a file or text is not what it says it is */
    BQB_ELIMIT,       /* larger, longer or slower than a named maximum */
    BQB_ENOMEM,       /* out of memory */
    BQB_ENOTFOUND,    /* the named thing does not exist */
    BQB_EVERSION,     /* written by a newer bqb */
    BQB_EUNSUPPORTED, /* valid, but this build or model cannot do it */
    BQB_ECANCEL       /* the caller's progress function asked to stop */
} bqb_status;

typedef struct {
    bqb_status code;
    int64_t pos;   /* byte or line position in the input, -1 when there is none */
    char msg[512]; /* names the thing, what was found and what was needed */
} bqb_err;

/* Told how far long work is. Return non-zero to stop it: the call then ends
 * cleanly with BQB_ECANCEL and nothing committed is lost. `total` is 0 when
 * unknown. Called from the thread that started the work. */
typedef int (*bqb_progress_fn)(void *ctx, const char *what, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif
#endif
