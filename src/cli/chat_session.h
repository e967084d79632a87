/* What bqb chat and bqb reply share: options, and the assistant and the library, open. */
#ifndef BQB_CLI_CHAT_SESSION_H
#define BQB_CLI_CHAT_SESSION_H

#include "chat/dialogue.h"
#include "cli/cli.h"

typedef struct {
    const char *llm, *adapter, *model, *precision;
    size_t window;
    bool anyway;            /* a sticker is sent even where none fits */
    bqb_dialogue_options d; /* seed, sampling and the like: options write into it */
} cli_chat_options;

cli_chat_options cli_chat_defaults(void);

#define CLI_CHAT_OPTIONS(o)                                                                                                     \
    {"llm", 0, CLI_STRING, &(o).llm, "LLM", "language model: a Hugging Face folder or GGUF file ($BQB_LLM; the bundled one)"},     \
    {"adapter", 0, CLI_STRING, &(o).adapter, "DIR", "what `bqb tune` taught it ($BQB_ADAPTER; the folder adapter beside it)"},    \
    {"model", 0, CLI_STRING, &(o).model, "DIR", "StickerCLIP (default: the bundled one)"},                                        \
    {"system", 0, CLI_TEXT, &(o).d.system, "TEXT", "what stands before the conversation (as in tuning)"},                         \
    {"temperature", 0, CLI_FLOAT, &(o).d.sampling.temperature, "T", "how freely words are chosen; 0: always the likeliest (0.7)"}, \
    {"top-k", 0, CLI_SIZE, &(o).d.sampling.top_k, "K", "only among the K likeliest; 0: all (20)"},                                \
    {"top-p", 0, CLI_FLOAT, &(o).d.sampling.top_p, "P", "only among the likeliest that together have chance P (0.8)"},            \
    {"repetition", 0, CLI_FLOAT, &(o).d.sampling.repetition, "R", "what was said becomes less likely; 1: not (1.05)"},            \
    {"seed", 0, CLI_U64, &(o).d.sampling.seed, "N", "the same seed gives the same answers (1)"},                                  \
    {"tokens", 0, CLI_SIZE, &(o).d.most_tokens, "N", "an answer has at most so many (a quarter of the window, 512 at most)"},     \
    {"window", 0, CLI_SIZE, &(o).window, "N", "tokens of a conversation that are kept (the model's, 4096 at most)"},              \
    {"precision", 0, CLI_STRING, &(o).precision, "P", "f32 or bf16, for reading long texts (the faster one)"},                    \
    {"beta", 0, CLI_FLOAT, &(o).d.choice.beta, "B", "how much the words of a sticker count beside its picture (0.3)"},            \
    {"emotion", 0, CLI_STRING, &(o).d.choice.emotion, "E", "only stickers with this emotion"},                                    \
    {"style", 0, CLI_STRING, &(o).d.choice.style, "S", "only stickers of this style"},                                            \
    {"animated", 0, CLI_FLAG, &(o).d.choice.animated, NULL, "only animated stickers"},                                            \
    {"no-repeat", 0, CLI_SIZE, &(o).d.choice.no_repeat, "N", "the last N stickers are not sent again (20)"},                      \
    {"vector-alone", 0, CLI_FLAG, &(o).d.choice.vector_alone, NULL, "rank by the model's vector alone, not by your words too"},        \
    {"anyway", 0, CLI_FLAG, &(o).anyway, NULL, "send the nearest sticker even where none fits"}

/* -1 to go on, else the exit status of a usage error. */
int cli_chat_check(cli_chat_options *o, const char *command);

/* Both are to be closed whatever comes out. */
bqb_status cli_chat_open(bqb_assistant **a, bqb_catalogue **c, const cli_chat_options *o, const char *library, bqb_err *err);

#endif
