/*
 * lexer.h: a configuration text as tokens, by libconfuse 3.3's lexical rules.
 *
 * What libconfuse would pass over in silence is refused: a string or comment that is not closed, an environment
 * variable
 * ${...}, stray characters. Comments are overwritten with blanks in the text, because libconfuse, which reads it next,
 * refuses them inside lists and miscounts lines after them.
 */
#ifndef CONFIG_LEXER_H
#define CONFIG_LEXER_H

#include <stddef.h>

#include "config/arena.h"
#include "config/messages.h"

enum token_kind {
    TOKEN_WORD, /* a word, or a string in quotes */
    TOKEN_OPEN,
    TOKEN_CLOSE,
    TOKEN_EQUALS,
    TOKEN_APPEND, /* += */
    TOKEN_COMMA,
    TOKEN_END,
    TOKEN_BROKEN, /* nothing after this can be understood; the error is told */
};

struct token {
    enum token_kind kind;
    unsigned line;
    const char *text; /* of a word, decoded; of the others how to name them in a message */
};

struct lexer {
    const char *file;
    char *text;
    size_t size, at;
    unsigned line;
    struct arena *arena; /* where the words' texts are kept */
    struct config_messages *messages;
};

/* Begins with the `size` bytes at `text`, which hold no 0 byte and have one after them. All pointers stay the caller's.
 */
void lexer_begin(struct lexer *lexer, const char *file, char *text, size_t size, struct arena *arena,
                 struct config_messages *messages);

/* The next token. A mistake inside a token is told and the token handed out nevertheless, unless it is TOKEN_BROKEN. */
struct token lexer_next(struct lexer *lexer);

#endif
