/* Zip archives: reading stored and deflated entries of hostile files, zip64 too,
 * and writing stored ones. Source: PKWARE's APPNOTE.TXT, version 6.3. */
#ifndef BQB_FILE_ZIP_H
#define BQB_FILE_ZIP_H

#include "base/fs.h"
#include "base/mem.h"

typedef struct {
    const char *name;
    uint64_t size, stored_size; /* stored_size: as it lies in the file */
    uint32_t crc32;
    uint16_t method; /* 0: stored, 8: deflated */
    uint64_t offset; /* of its local header */
    bool utf8;       /* the name is said to be UTF-8; else its encoding is anybody's guess (zip_name.h) */
    const char *unicode; /* the name again as UTF-8, from an extra field that fits it; or NULL */
} bqb_zip_entry;

typedef struct bqb_zip bqb_zip;

/* Map an archive; entries are borrowed until close. Errors: BQB_EIO; BQB_EFORMAT
 * (no archive, cut short, an entry outside the file, a name twice) and
 * BQB_ELIMIT (over 1 Mi entries) name the file and the offence. */
bqb_status bqb_zip_open(bqb_zip **out, const char *path, bqb_err *err);
void bqb_zip_close(bqb_zip *z);

/* The same for archives of any program: a name may be there twice, then the entries follow each other by offset. */
bqb_status bqb_zip_open_any(bqb_zip **out, const char *path, bqb_err *err);

size_t bqb_zip_count(const bqb_zip *z);
const bqb_zip_entry *bqb_zip_at(const bqb_zip *z, size_t i);            /* in name order */
const bqb_zip_entry *bqb_zip_find(const bqb_zip *z, const char *name);  /* or NULL */
uint64_t bqb_zip_size_bytes(const bqb_zip *z);                          /* of the whole file */

/* The e->size bytes of an entry, valid until close: the mapping itself, or
 * inflated into memory. The checksum of what is inflated is held; of what is
 * stored it is not looked at (PyTorch can be told to write none).
 * BQB_EUNSUPPORTED: another method, or encrypted. BQB_ELIMIT: all that was
 * inflated would be over 64 times the archive. */
bqb_status bqb_zip_data(bqb_zip *z, const bqb_zip_entry *e, const uint8_t **data, bqb_err *err);

/* Append an entry's bytes to out, which is as it was after an error; nothing is
 * kept. Its checksum is held. Errors as above; BQB_ELIMIT when out would pass its maximum. */
bqb_status bqb_zip_read(const bqb_zip *z, const bqb_zip_entry *e, bqb_buf *out, bqb_err *err);

/* Writing: stored entries whose data begin at multiples of 64 bytes. The file
 * appears on commit (see bqb_outfile). Zero-initialise. */
typedef struct {
    bqb_outfile out;
    uint64_t at;      /* bytes written */
    bqb_buf directory;
    uint64_t n;
} bqb_zip_writer;

bqb_status bqb_zip_writer_open(bqb_zip_writer *w, const char *path, bqb_err *err);
bqb_status bqb_zip_writer_add(bqb_zip_writer *w, const char *name, const void *data, uint64_t size, bqb_err *err);
bqb_status bqb_zip_writer_commit(bqb_zip_writer *w, bqb_err *err);
void bqb_zip_writer_abort(bqb_zip_writer *w); /* after commit, or zeroed: does nothing */

#endif
