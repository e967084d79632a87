/* Holding f32 and bf16 gradients against central differences of a loss that is
 * computed in double (see plain.h), so that the check is as sharp as the
 * kernel's own rounding. Signed, per element, relative to the largest entry. */
#ifndef BQB_GRADCHECK_H
#define BQB_GRADCHECK_H

#include "base/rand.h"
#include "model/tower.h"

/* d loss / d *x by central differences in double; *x is put back. The step of
 * 1e-5 leaves an error of about 1e-10 of the loss's size. */
typedef double (*grad_loss)(void *ctx);
double grad_numeric(double *x, grad_loss loss, void *ctx);

/* Largest |got - want| over the largest |want|, or over `least` where all of
 * want is smaller than that (a gradient that is nothing but rounding).
 * Infinity when anything is not finite. */
double grad_distance(const float *got, const double *want, size_t n, double least);

/* Checks that the distance is within the tolerance, and that the comparison is
 * awake: got with its sign flipped, with one element off by a twentieth of the
 * largest, scaled by 1.05, and moved on by one element must each exceed it. */
bool grad_close(const char *what, const float *got, const double *want, size_t n, double tolerance,
                double least);

/* n normal numbers times `size`, rounded to the format that the kernels will
 * read, as floats and (unless NULL) as the same numbers in double. */
void grad_fill(bqb_rand *r, float *x, double *wide, size_t n, double size, bqb_num num);

/* x in the format; and back. Kernels' `void *` arguments in tests. */
void grad_pack(void *to, const float *x, size_t n, bqb_num num);
void grad_unpack(float *x, const void *from, size_t n, bqb_num num);

/* malloc that ends the program when it fails: a test has nothing to do then. */
void *grad_take(size_t n, size_t size);
#define GRAD_FLOATS(n) ((float *)grad_take((n), sizeof(float)))
#define GRAD_DOUBLES(n) ((double *)grad_take((n), sizeof(double)))

/* A pass of one thread with its own products and arena; weights and grad are NULL. */
bool grad_pass_open(bqb_pass *p, bqb_num num);
/* Whether every product of the pass was computed; then frees its tools. */
void grad_pass_close(bqb_pass *p);

/* Formats whose products this processor can do: f32, and bf16 where it has it. */
size_t grad_formats(void);

#endif
