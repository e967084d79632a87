#define _GNU_SOURCE
#include "train/copies.h"

#include "base/sha256.h"
#include "base/thread.h"
#include "image/looks.h"
#include "image/near.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BLOCK = 64, NAMED = 5, NOTES_MAX = 1 << 16 };

typedef struct {
    uint32_t first_look; /* into the scratch file */
    uint8_t n_looks;     /* 1 for a still, else 3; 0: it cannot be read */
    uint8_t n_fields;
    uint64_t n_pixels;
} picture;

typedef struct {
    bqb_copies *out;
    const bqb_dataset *ds;
    int threads, fd;
    picture *pic;         /* [n] */
    uint32_t *order;      /* [n] readable ones, no exact copies, best first */
    size_t n_order;
    const bqb_look *look; /* [n_looks] mapped */
    size_t n_looks;
    bqb_near *near;       /* owners: place in order[] * 4 + frame */
    bool *kept;           /* [n_order] no copy of an earlier one */
    bqb_progress_fn progress;
    void *ctx;
} search;

const char *bqb_copy_name(bqb_copy_kind k) {
    static const char *const names[BQB_COPY_KINDS] = {"", "exact", "near", "unreadable"};
    return (unsigned)k < BQB_COPY_KINDS ? names[k] : "";
}

/* ---- reading ---- */

typedef struct {
    search *s;
    size_t first;
    bqb_look *look; /* [BLOCK,3] */
    bqb_err err[BLOCK];
} read_job;

static bqb_status look_at(const bqb_picture *p, picture *to, bqb_copy *c, bqb_look *look, const char *name, bqb_err *err) {
    bqb_image_info info;
    bqb_looks *l = bqb_calloc(1, sizeof *l);
    if (!l) return bqb_fail_nomem(err, name, sizeof *l);
    bqb_status s = bqb_looks_read(l, &info, p->data, p->size, name, err);
    if (!s) {
        to->n_looks = (uint8_t)l->n;
        to->n_pixels = (uint64_t)info.width * info.height;
        memcpy(c->format, info.format, sizeof c->format);
        memcpy(look, l->frame, l->n * sizeof *look);
    }
    free(l);
    return s;
}

static void read_one(void *ctx, size_t k, int worker) {
    (void)worker;
    read_job *j = ctx;
    search *s = j->s;
    size_t i = j->first + k;
    const bqb_sample *x = bqb_dataset_at(s->ds, i);
    bqb_picture p;
    if (bqb_dataset_picture(s->ds, i, &p, &j->err[k])) return;
    bqb_sha256_of(s->out->item[i].sha256, p.data, p.size);
    for (size_t f = 0; f < BQB_FIELDS; f++)
        if (x->note.field[f] && *x->note.field[f]) s->pic[i].n_fields++;
    if (look_at(&p, &s->pic[i], &s->out->item[i], &j->look[3 * k], x->path, &j->err[k])) s->pic[i].n_looks = 0;
    bqb_picture_close(&p);
}

static bqb_status write_all(int fd, const void *bytes, size_t n, const char *dir, bqb_err *err) {
    for (const char *p = bytes; n;) {
        ssize_t k = write(fd, p, n);
        if (k <= 0) return bqb_fail_errno(err, "%s: scratch file", dir);
        p += k;
        n -= (size_t)k;
    }
    return BQB_OK;
}

static int open_scratch(const char *dir) {
    char *path = bqb_asprintf("%s/.looks.XXXXXX", dir);
    int fd = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd >= 0) unlink(path);
    free(path);
    return fd;
}

static bqb_status read_all(search *s, const char *dir, bqb_err *err) {
    size_t n = s->out->n;
    read_job *j = bqb_calloc(1, sizeof *j);
    if (j) j->look = bqb_calloc(3 * BLOCK, sizeof *j->look);
    bqb_status st = j && j->look ? BQB_OK : bqb_fail_nomem(err, "looks", 3 * BLOCK * sizeof(bqb_look));
    for (size_t at = 0; at < n && !st; at += BLOCK) {
        size_t here = n - at < BLOCK ? n - at : BLOCK;
        j->s = s;
        j->first = at;
        bqb_parallel_for(here, s->threads, read_one, j);
        for (size_t k = 0; k < here && !st; k++) {
            picture *p = &s->pic[at + k];
            p->first_look = (uint32_t)s->n_looks;
            s->n_looks += p->n_looks;
            if (p->n_looks) st = write_all(s->fd, &j->look[3 * k], p->n_looks * sizeof(bqb_look), dir, err);
            else if (j->err[k].code == BQB_ENOMEM) st = bqb_fail(err, BQB_ENOMEM, "%s", j->err[k].msg);
            else if (++s->out->count[BQB_COPY_UNREADABLE] <= NAMED) bqb_buf_printf(&s->out->notes, NULL, "  %s\n", j->err[k].msg);
        }
        if (!st && s->progress && s->progress(s->ctx, "looking at pictures", at + here, n))
            st = bqb_fail(err, BQB_ECANCEL, "stopped while looking at pictures");
    }
    if (j) free(j->look);
    free(j);
    return st;
}

/* ---- exact copies ---- */

static int best_first(const void *a, const void *b, void *ctx) {
    const search *s = ctx;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const picture *x = &s->pic[i], *y = &s->pic[k];
    if (x->n_fields != y->n_fields) return x->n_fields > y->n_fields ? -1 : 1;
    if (x->n_pixels != y->n_pixels) return x->n_pixels > y->n_pixels ? -1 : 1;
    return i < k ? -1 : i > k;
}

static int by_content(const void *a, const void *b, void *ctx) {
    const search *s = ctx;
    int c = memcmp(s->out->item[*(const uint32_t *)a].sha256, s->out->item[*(const uint32_t *)b].sha256, 32);
    return c ? c : best_first(a, b, ctx);
}

static void drop_exact(search *s) {
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < s->out->n; i++) {
        bqb_copy *c = &s->out->item[i];
        c->of = c->kin = (uint32_t)i;
        if (s->pic[i].n_looks) s->order[n++] = (uint32_t)i;
        else c->kind = BQB_COPY_UNREADABLE;
    }
    qsort_r(s->order, n, sizeof *s->order, by_content, s);
    for (size_t k = 0; k < n; k++) {
        uint32_t first = kept ? s->order[kept - 1] : 0;
        bqb_copy *c = &s->out->item[s->order[k]];
        if (!kept || memcmp(s->out->item[first].sha256, c->sha256, 32)) {
            s->order[kept++] = s->order[k];
            continue;
        }
        c->kind = BQB_COPY_EXACT;
        c->of = first;
        s->out->count[BQB_COPY_EXACT]++;
    }
    s->n_order = kept;
    qsort_r(s->order, kept, sizeof *s->order, best_first, s);
}

/* ---- near copies ---- */

/* What one picture is to the kept ones before it. */
typedef struct {
    uint32_t copy_of; /* UINT32_MAX: of none */
    uint32_t *kin;
    size_t n_kin, cap;
    bqb_near_hits hits[3]; /* earlier frames that are near, by frame */
    size_t done[3];        /* of the hits: those that were compared */
    bqb_status failed;
} relation;

static void add_kin(relation *r, uint32_t i) {
    if (r->n_kin && r->kin[r->n_kin - 1] == i) return;
    uint32_t *grown = bqb_grow(r->kin, r->n_kin, &r->cap, sizeof *grown, 8);
    if (!grown) {
        r->failed = BQB_ENOMEM;
        return;
    }
    r->kin = grown;
    r->kin[r->n_kin++] = i;
}

/* What is near to a frame of the picture at this place, by its whole or its inside, and stands before it. */
static void find_near(const search *s, relation *r, size_t place) {
    const picture *a = &s->pic[s->order[place]];
    for (size_t f = 0; f < a->n_looks && !r->failed; f++) {
        const bqb_look *l = &s->look[a->first_look + f];
        bqb_near_hits *h = &r->hits[f];
        if (l->flat) continue;
        r->failed = bqb_near_find(s->near, l->whole, BQB_HASH_NEAR, 0, h, NULL);
        if (!r->failed && memcmp(l->whole, l->inner, sizeof l->whole)) r->failed = bqb_near_find(s->near, l->inner, BQB_HASH_NEAR, 0, h, NULL);
        bqb_near_settle(h);
        while (h->n && h->item[h->n - 1].owner / 4 >= place) h->n--;
    }
}

/* Compare the picture at this place with the kept ones before `end`. */
static void relate(const search *s, relation *r, size_t place, size_t end) {
    const picture *a = &s->pic[s->order[place]];
    for (size_t f = 0; f < a->n_looks && r->copy_of == UINT32_MAX; f++) {
        const bqb_look *l = &s->look[a->first_look + f];
        for (; r->done[f] < r->hits[f].n && r->hits[f].item[r->done[f]].owner / 4 < end; r->done[f]++) {
            uint32_t owner = r->hits[f].item[r->done[f]].owner, k = s->order[owner / 4];
            const picture *b = &s->pic[k];
            if (!s->kept[owner / 4] || !bqb_look_same(&s->look[b->first_look + owner % 4], l)) continue;
            if (bqb_looks_same(&s->look[a->first_look], a->n_looks, &s->look[b->first_look], b->n_looks)) {
                r->copy_of = k;
                break;
            }
            if (a->n_looks == 3 || b->n_looks == 3) add_kin(r, k);
        }
    }
}

static bqb_status make_index(search *s, bqb_err *err) {
    size_t n = 0;
    bqb_near_key *key = bqb_calloc(2 * s->n_looks, sizeof *key);
    s->kept = bqb_calloc(s->n_order, sizeof *s->kept);
    bqb_status st = key && s->kept ? BQB_OK : bqb_fail_nomem(err, "hashes", 2 * s->n_looks * sizeof *key);
    for (size_t p = 0; p < s->n_order && !st; p++) {
        const picture *x = &s->pic[s->order[p]];
        for (size_t f = 0; f < x->n_looks; f++) {
            const bqb_look *l = &s->look[x->first_look + f];
            uint32_t owner = (uint32_t)(4 * p + f);
            if (l->flat) continue;
            key[n++] = (bqb_near_key){{l->whole[0], l->whole[1]}, owner};
            if (memcmp(l->whole, l->inner, sizeof l->whole)) key[n++] = (bqb_near_key){{l->inner[0], l->inner[1]}, owner};
        }
    }
    if (!st) st = bqb_near_new(&s->near, key, n, err);
    free(key);
    return st;
}

static uint32_t root_of(bqb_copies *c, uint32_t i) {
    while (c->item[i].kin != i) i = c->item[i].kin = c->item[c->item[i].kin].kin;
    return i;
}

static void unite(bqb_copies *c, uint32_t i, uint32_t k) {
    uint32_t a = root_of(c, i), b = root_of(c, k);
    if (a < b) c->item[b].kin = a;
    else c->item[a].kin = b;
}

typedef struct {
    search *s;
    size_t first;
    relation r[BLOCK];
} relate_job;

static void relate_one(void *ctx, size_t k, int worker) {
    (void)worker;
    relate_job *j = ctx;
    find_near(j->s, &j->r[k], j->first + k);
    relate(j->s, &j->r[k], j->first + k, j->first);
}

static void relation_free(relation *r) {
    for (size_t f = 0; f < 3; f++) free(r->hits[f].item);
    free(r->kin);
}

/* A block at a time: with the kept ones of earlier blocks in parallel, then within the block one by one. */
static bqb_status drop_near(search *s, bqb_err *err) {
    relate_job *j = bqb_calloc(1, sizeof *j);
    bqb_status st = j ? make_index(s, err) : bqb_fail_nomem(err, "copies", sizeof *j);
    for (size_t at = 0; at < s->n_order && !st; at += BLOCK) {
        size_t here = s->n_order - at < BLOCK ? s->n_order - at : BLOCK;
        *j = (relate_job){.s = s, .first = at};
        for (size_t k = 0; k < here; k++) j->r[k].copy_of = UINT32_MAX;
        bqb_parallel_for(here, s->threads, relate_one, j);
        for (size_t k = 0; k < here; k++) {
            uint32_t i = s->order[at + k];
            relation *r = &j->r[k];
            if (!st && !r->failed) relate(s, r, at + k, at + k);
            if (!st && r->failed) st = bqb_fail_nomem(err, "copies", sizeof *r);
            if (!st && r->copy_of != UINT32_MAX) {
                s->out->item[i].kind = BQB_COPY_NEAR;
                s->out->item[i].of = r->copy_of;
                s->out->count[BQB_COPY_NEAR]++;
            } else if (!st) {
                s->kept[at + k] = true;
                for (size_t q = 0; q < r->n_kin; q++) unite(s->out, i, r->kin[q]);
            }
            relation_free(r);
        }
        if (!st && s->progress && s->progress(s->ctx, "comparing pictures", at + here, s->n_order))
            st = bqb_fail(err, BQB_ECANCEL, "stopped while comparing pictures");
    }
    free(j);
    return st;
}

/* Exact copies of a near copy belong to what is kept for that; kin by their first member. */
static bqb_status settle(bqb_copies *c, bqb_err *err) {
    uint32_t *members = bqb_calloc(c->n, sizeof *members);
    if (!members) return bqb_fail_nomem(err, "copies", c->n * sizeof *members);
    for (uint32_t i = 0; i < c->n; i++) {
        bqb_copy *x = &c->item[i];
        if (x->kind == BQB_COPY_EXACT) x->of = c->item[x->of].of;
        if (x->kind == BQB_COPY_NOT) members[x->kin = root_of(c, i)]++;
    }
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->item[i].kind != BQB_COPY_NOT) continue;
        c->count[BQB_COPY_NOT]++;
        c->n_kin += members[c->item[i].kin] > 1;
    }
    free(members);
    return BQB_OK;
}

bqb_status bqb_copies_find(bqb_copies *c, const bqb_dataset *ds, bool near, const char *scratch, int threads,
                           bqb_progress_fn progress, void *ctx, bqb_err *err) {
    size_t n = bqb_dataset_count(ds);
    *c = (bqb_copies){.n = n, .notes = {.max = NOTES_MAX}};
    if (n > UINT32_MAX / 4) return bqb_fail(err, BQB_ELIMIT, "%zu stickers; at most %u can be split", n, UINT32_MAX / 4);
    search s = {.out = c, .ds = ds, .threads = threads ? threads : bqb_cpu_count(), .progress = progress, .ctx = ctx};
    void *map = MAP_FAILED;
    bqb_status st = bqb_image_init(err);
    if (st) return st;
    s.fd = open_scratch(scratch);
    if (s.fd < 0) return bqb_fail_errno(err, "%s: scratch file", scratch);
    c->item = bqb_calloc(n, sizeof *c->item);
    s.pic = bqb_calloc(n, sizeof *s.pic);
    s.order = bqb_calloc(n, sizeof *s.order);
    if (!c->item || !s.pic || !s.order) st = bqb_fail_nomem(err, "copies", n * (sizeof *c->item + sizeof *s.pic));
    if (!st) st = bqb_buf_puts(&c->notes, "", err);
    if (!st) st = read_all(&s, scratch, err);
    if (!st) drop_exact(&s);
    if (!st && near && s.n_looks) {
        map = mmap(NULL, s.n_looks * sizeof(bqb_look), PROT_READ, MAP_SHARED, s.fd, 0);
        s.look = map;
        if (map == MAP_FAILED) st = bqb_fail_errno(err, "%s: scratch file", scratch);
        else st = drop_near(&s, err);
    }
    if (!st) st = settle(c, err);
    if (map != MAP_FAILED) munmap(map, s.n_looks * sizeof(bqb_look));
    close(s.fd);
    free(s.pic);
    free(s.order);
    bqb_near_free(s.near);
    free(s.kept);
    return st;
}

void bqb_copies_free(bqb_copies *c) {
    free(c->item);
    bqb_buf_free(&c->notes);
    *c = (bqb_copies){0};
}
