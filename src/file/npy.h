/* NumPy .npy files with a matrix of f32 or f16.
 * Format: "\x93NUMPY", version, header length, a Python dict of descr,
 * fortran_order and shape, data. Source: numpy.lib.format, versions 1 to 3. */
#ifndef BQB_FILE_NPY_H
#define BQB_FILE_NPY_H

#include "base/fs.h"
#include "file/safetensors.h"

/* Writing row by row; the number of rows need not be known before. The file
 * appears on commit (see bqb_outfile). Zero-initialise. */
typedef struct {
    bqb_outfile out;
    bqb_dtype dtype;
    size_t N, D;
} bqb_npy_writer;

/* dtype BQB_F32 or BQB_F16. */
bqb_status bqb_npy_writer_open(bqb_npy_writer *w, const char *path, bqb_dtype dtype, size_t D, bqb_err *err);
bqb_status bqb_npy_writer_add(bqb_npy_writer *w, const float *rows, size_t n, bqb_err *err); /* [n,D] */
bqb_status bqb_npy_writer_commit(bqb_npy_writer *w, bqb_err *err);
void bqb_npy_writer_abort(bqb_npy_writer *w); /* after commit, or zeroed: does nothing */

/* The steps in one: x [N,D]. */
bqb_status bqb_npy_write(const char *path, bqb_dtype dtype, const float *x, size_t N, size_t D, bqb_err *err);

/* A mapped file: a matrix in C order, little-endian f32 or f16; versions 1 to 3.
 * BQB_EFORMAT: not a .npy file, or its data is not N * D numbers. BQB_EUNSUPPORTED:
 * another type, order or number of dimensions. Close with bqb_npy_close. */
typedef struct {
    bqb_map map;
    bqb_tensor x; /* [N,D]; its data is borrowed from the map */
    size_t N, D;
} bqb_npy;

bqb_status bqb_npy_open(bqb_npy *a, const char *path, bqb_err *err);
void bqb_npy_close(bqb_npy *a); /* accepts a zeroed one */

/* Rows first … first+n-1 as f32 to out [n,D]; BQB_EINVAL when they are not there. */
bqb_status bqb_npy_rows(float *out, const bqb_npy *a, size_t first, size_t n, bqb_err *err);

#endif
