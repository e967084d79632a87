/* What StickerLLM learns from: requests for stickers in many wordings, answers with one, and
 * ordinary conversation without, as token sequences. Wordings: data/chat/.
 * Source of the mixture: Sticker820K, arXiv:2306.06870, §4. */
#ifndef BQB_CHAT_LESSONS_H
#define BQB_CHAT_LESSONS_H

#include "base/rand.h"
#include "chat/template.h"
#include "model/stickerllm.h"
#include "text/annotation.h"

/* Asked in words, with a picture, with both; and talk, in which no sticker is wanted. */
typedef enum { BQB_TASK_TEXT, BQB_TASK_PICTURE, BQB_TASK_BOTH, BQB_TASK_TALK, BQB_TASKS } bqb_task;
const char *bqb_task_name(bqb_task t); /* "text" "picture" "both" "talk" */

typedef struct bqb_lessons bqb_lessons;

/* Read requests.tsv, answers.tsv and talk.tsv from a folder. BQB_EFORMAT names the file and line. */
bqb_status bqb_lessons_open(bqb_lessons **out, const char *dir, bqb_err *err);
void bqb_lessons_close(bqb_lessons *l);

/* Wordings of a task on one side: those to learn from, or those kept for testing. */
size_t bqb_lessons_count(const bqb_lessons *l, bqb_task t, bool test);

/* One sequence. Zero-initialise; free with bqb_lesson_free. */
typedef struct {
    bqb_ids ids, labels; /* equally long; label -100: not learnt */
    int32_t img, ret;    /* place of the picture's placeholder and of [RET]; -1: none */
    size_t answer;       /* where the answer begins */
} bqb_lesson;
void bqb_lesson_free(bqb_lesson *l);

/* How a lesson is made; vocab is V, after which the five tokens come. */
typedef struct {
    const bqb_llm_tokenizer *tok;
    bqb_chat_format format;
    size_t vocab;
    const char *system; /* what stands before every conversation; NULL: nothing */
    bool continued;     /* earlier rounds stand before it: neither beginning nor system */
    bool at_once;       /* answers begin with the sticker: no words before it */
    bool earlier;       /* it is such a round: nothing is learnt, and the caption of what was sent stands after [RET] */
} bqb_lesson_form;

/* Wording `which` (below its count) of a task on a side, about a sticker with this annotation (not read for talk),
 * with [PRET] before it or not. What is asked for is drawn by r: the whole annotation, its caption, or other fields of it.
 * prompt_only: up to where the answer begins, as when answers are tested. */
bqb_status bqb_lessons_make(bqb_lesson *out, const bqb_lessons *l, const bqb_lesson_form *form, bqb_task task, bool test, size_t which,
                            const bqb_annotation *note, bool pret, bool prompt_only, bqb_rand *r, bqb_err *err);

/* Put an earlier round (of words alone) before a lesson that continues it. */
bqb_status bqb_lesson_prepend(bqb_lesson *l, const bqb_lesson *earlier, bqb_err *err);

/* A task by the paper's mixture of requests: text 50 %, picture 25 %, both 25 %. */
bqb_task bqb_lessons_draw_task(bqb_rand *r);

#endif
