/* How byte-level language models cut a text before its pieces become tokens. Each
 * rule is a regular expression, tried from the left; what matches is a piece:
 *   GPT2    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
 *   LLAMA3  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
 *   QWEN2   the same with \p{N}
 * Source: the tokenizer.json files of these models. */
#ifndef BQB_TEXT_PIECES_H
#define BQB_TEXT_PIECES_H

#include <stddef.h>

typedef enum { BQB_PIECES_GPT2, BQB_PIECES_LLAMA3, BQB_PIECES_QWEN2, BQB_PIECES_RULES } bqb_pieces_rule;

/* The expression of a rule as tokenizer.json has it (GPT2's is built in there). */
const char *bqb_pieces_expression(bqb_pieces_rule r);

/* Bytes of the first piece of s, at least 1 and at most n; 0 for n = 0. s is valid UTF-8. Pure. */
size_t bqb_piece(bqb_pieces_rule r, const char *s, size_t n);

#endif
