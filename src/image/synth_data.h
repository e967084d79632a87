/* What synthetic stickers are made of, read once from text: subjects (Unicode's
 * own names for emoji), everyday names, emotions, styles, phrases. Read-only
 * after loading; any thread. */
#ifndef BQB_IMAGE_SYNTH_DATA_H
#define BQB_IMAGE_SYNTH_DATA_H

#include "base/err.h"
#include "base/mem.h"
#include "image/synth_draw.h"

/* A list written a|b|c. */
typedef struct {
    char **item;
    size_t n;
} word_list;

typedef enum {
    GROUP_FACE, GROUP_PEOPLE, GROUP_ANIMAL, GROUP_FOOD, GROUP_HEART,
    GROUP_NATURE, GROUP_OBJECT, GROUP_ACTIVITY, GROUP_TRAVEL, GROUPS
} subject_group;

typedef struct {
    char *text;       /* the emoji, with U+FE0F where a single code point needs it */
    char *key;        /* "1f600", "1f43b-200d-2744": lower-case hex, no U+FE0F */
    const char *name; /* Chinese, from CLDR */
    const char *name_en;
    word_list keywords;   /* from CLDR, without the name */
    word_list aliases;    /* from aliases.tsv */
    subject_group group;
    uint32_t emotions; /* bit e set: the picture itself shows emotion e; 0 = none */
} synth_subject;

typedef struct {
    const char *name; /* 开心 */
    word_list labels;     /* finer words: 乐开花, 美滋滋 */
    word_list asks;       /* what a person types */
    word_list acts;       /* what a caption says the subject does: 笑得合不拢嘴 */
    word_list cues;       /* CUE@PLACE, docs/synth.md */
    colour tint;
    word_list faces;      /* emoji that show it by themselves */
    uint32_t *phrase; /* indices of its phrases */
    size_t n_phrases;
} synth_emotion;

typedef struct {
    const char *id;   /* flat, sketch …: what the code switches on */
    const char *name; /* 卡通扁平 */
    word_list asks;
    double weight;
} synth_style;

typedef struct {
    const char *text;
    size_t emotion;
    word_list asks;
} synth_phrase;

typedef struct {
    synth_subject *subject;
    synth_emotion *emotion;
    synth_style *style;
    synth_phrase *phrase;
    size_t n_subjects, n_emotions, n_styles, n_phrases;
    uint32_t *in_group[GROUPS]; /* subject indices */
    size_t n_in_group[GROUPS];
    size_t neutral;             /* the emotion that means none */
    bqb_arena *arena;           /* everything above */
    char *file[8];              /* texts that strings above point into */
    size_t n_files;
} synth_data;

enum { MAX_EMOTIONS = 32 };

/* data_dir holds emotions.tsv, styles.tsv, phrases.tsv, aliases.tsv; cldr_dir holds
 * annotations/zh.xml and annotations/en.xml. On failure the message names file and line, or the
 * Debian package that is missing. synth_data_free accepts half-loaded data. */
bqb_status synth_data_load(synth_data *d, const char *data_dir, const char *cldr_dir, bqb_err *err);
void synth_data_free(synth_data *d);

/* What a synth.h object draws from; borrowed. */
struct bqb_synth;
const synth_data *synth_data_of(const struct bqb_synth *s);

/* SIZE_MAX when there is none. key as in subject.key. */
size_t synth_data_find(const synth_data *d, const char *key);

/* key of an emoji text: "1f600", at most 95 characters; "" when text is not UTF-8 or too long. */
void synth_key(char key[96], const char *text);

#endif
