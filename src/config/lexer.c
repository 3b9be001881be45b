/*
 * lexer.c: a configuration text as tokens.
 *
 * The rules (libconfuse 3.3, lexer.l):
 *   blank, tab, carriage return, line end      between tokens
 *   # or // to the end of the line, slash-star to star-slash    comments, where a token could begin
 *   "..."      a string; \n \t ... \123 \x41 as in C, backslash and line end: nothing, backslash and any other: that
 *   '...'      a string; \' and \\, backslash and line end: nothing, any other backslash stands for itself
 *   { } = += ,
 *   word       any other run of characters without blanks and these: # " ' { } ( ) = + , *
 */
#include "config/lexer.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define REMEDY_VARIABLE "\"${\" is not replaced by the environment; write the value out"

void lexer_begin(struct lexer *lexer, const char *file, char *text, size_t size, struct arena *arena,
                 struct config_messages *messages)
{
    lexer->file = file;
    lexer->text = text;
    lexer->size = size;
    lexer->at = 0;
    lexer->line = 1;
    lexer->arena = arena;
    lexer->messages = messages;
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0) {
        messages_error(messages, file, 1, "a byte order mark; save the file without one");
        lexer->at = 3;
    }
}

static struct token token_of(enum token_kind kind, unsigned line, const char *text)
{
    return (struct token){.kind = kind, .line = line, .text = text};
}

static struct token broken(const struct lexer *lexer)
{
    return token_of(TOKEN_BROKEN, lexer->line, "");
}

/* The character at `at + ahead`; 0 at the end, as the text has a 0 after it. */
static char look(const struct lexer *lexer, size_t ahead)
{
    return lexer->at + ahead < lexer->size ? lexer->text[lexer->at + ahead] : '\0';
}

static void blank(struct lexer *lexer, size_t from)
{
    for (size_t i = from; i < lexer->at; i++)
        if (lexer->text[i] != '\n')
            lexer->text[i] = ' ';
}

/* Skips a comment that begins here. False when it is not closed. */
static bool skip_comment(struct lexer *lexer)
{
    size_t from = lexer->at;
    unsigned line = lexer->line;

    if (look(lexer, 0) == '#' || look(lexer, 1) == '/') {
        while (lexer->at < lexer->size && look(lexer, 0) != '\n')
            lexer->at++;
        blank(lexer, from);
        return true;
    }
    for (lexer->at += 2; lexer->at < lexer->size; lexer->at++) {
        if (look(lexer, 0) == '*' && look(lexer, 1) == '/') {
            lexer->at += 2;
            blank(lexer, from);
            return true;
        }
        if (look(lexer, 0) == '\n')
            lexer->line++;
    }
    messages_error(lexer->messages, lexer->file, line, "the comment that begins here is not closed; end it with */");
    return false;
}

static bool is_word(char c)
{
    return (unsigned char)c > ' ' && c != 0x7f && strchr("#\"'{}()=+,*", c) == NULL;
}

/* Skips what stands between tokens, and characters that can begin none. False when nothing sensible can follow. */
static bool skip_between(struct lexer *lexer)
{
    while (lexer->at < lexer->size && !messages_full(lexer->messages)) {
        char c = look(lexer, 0), next = look(lexer, 1);

        if (c == ' ' || c == '\t' || (c == '\r' && next == '\n')) {
            lexer->at++;
        } else if (c == '\n') {
            lexer->at++;
            lexer->line++;
        } else if (c == '#' || (c == '/' && (next == '/' || next == '*'))) {
            if (!skip_comment(lexer))
                return false;
        } else if (c == '(' || c == ')' || c == '*' || (c == '+' && next != '=')) {
            messages_error(lexer->messages, lexer->file, lexer->line,
                           "'%c' has no meaning here; remove it, or put the value in quotes", c);
            lexer->at++;
        } else if (is_word(c) || strchr("\"'{}=+,", c) != NULL) {
            return true;
        } else {
            messages_error(lexer->messages, lexer->file, lexer->line, "a control character (%u); remove it",
                           (unsigned char)c);
            lexer->at++;
        }
    }
    return !messages_full(lexer->messages);
}

static struct token word_token(struct lexer *lexer, unsigned line, const char *text, size_t length)
{
    char *copy = arena_text(lexer->arena, text, length);

    if (copy == NULL) {
        messages_error(lexer->messages, lexer->file, line, "out of memory");
        return broken(lexer);
    }
    return token_of(TOKEN_WORD, line, copy);
}

static struct token read_word(struct lexer *lexer)
{
    size_t from = lexer->at;
    unsigned line = lexer->line;

    while (lexer->at < lexer->size && is_word(look(lexer, 0))) {
        const char *end;

        lexer->at++;
        if (look(lexer, 0) != '{' || lexer->text[lexer->at - 1] != '$')
            continue;
        messages_error(lexer->messages, lexer->file, line, REMEDY_VARIABLE);
        end = strpbrk(lexer->text + lexer->at, "}\n");
        if (end != NULL && *end == '}')
            lexer->at = (size_t)(end - lexer->text) + 1; /* it belongs to the word, not to the blocks */
    }
    if (look(lexer, 0) == '*' && lexer->text[lexer->at - 1] == '/') {
        messages_error(lexer->messages, lexer->file, line,
                       "a comment cannot begin inside a word; put a blank before it, or the word in quotes");
        lexer->at--;
    }
    return word_token(lexer, line, lexer->text + from, lexer->at - from);
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c != '\0' ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return found != NULL ? (int)(found - digits) : -1;
}

/* Decodes what stands after a backslash in a string of that quote, and steps over it. Returns the character, -1 for
 * nothing (a line end), -2 when the backslash stands for itself and nothing was stepped over. */
static int read_escape(struct lexer *lexer, char quote)
{
    static const char letters[] = "nrbfaetv", meanings[] = "\n\r\b\f\a\033\t\v";
    char c = look(lexer, 0);
    const char *letter;

    if (c == '\n') {
        lexer->at++;
        lexer->line++;
        return -1;
    }
    if (quote == '\'' && c != '\'' && c != '\\')
        return -2;
    if (quote == '\'' || c == '"' || c == '\\') {
        lexer->at++;
        return (unsigned char)c;
    }
    if (c >= '0' && c <= '9') {
        unsigned value = 0;
        size_t digits = strspn(lexer->text + lexer->at, "0123456789");
        size_t octal = strspn(lexer->text + lexer->at, "01234567");

        for (size_t i = 0; i < octal && i < 3; i++)
            value = value * 8 + (unsigned)(look(lexer, i) - '0');
        if (digits > 3 || octal < digits || value > UINT8_MAX) {
            messages_error(lexer->messages, lexer->file, lexer->line,
                           "\"\\%.*s\" is no octal character; write a backslash twice to mean one",
                           (int)(digits < 20 ? digits : 20), lexer->text + lexer->at);
            value = '?';
        }
        lexer->at += digits;
        return (int)value;
    }
    if (c == 'x' && hex_digit(look(lexer, 1)) >= 0) {
        int value = hex_digit(look(lexer, 1));

        lexer->at += 2;
        if (hex_digit(look(lexer, 0)) >= 0)
            value = value * 16 + hex_digit(look(lexer, 0)), lexer->at++;
        return value;
    }
    letter = strchr(letters, c);
    lexer->at++;
    return letter != NULL ? meanings[letter - letters] : (unsigned char)c;
}

/* A string is decoded where it will be kept: it never gets longer. */
static struct token read_string(struct lexer *lexer)
{
    char quote = look(lexer, 0);
    unsigned line = lexer->line;
    const char *close;
    char *out;
    size_t length = 0, room = 0;
    bool control = false;

    lexer->at++;
    /* Find the closing quote first: it bounds the decoded text. */
    for (close = lexer->text + lexer->at; *close != quote && *close != '\0'; close++)
        if (*close == '\n' || (*close == '\\' && *++close == '\0'))
            break;
    if (*close != quote) {
        messages_error(lexer->messages, lexer->file, line,
                       "the string that begins here is not closed on its line; end it with %c", quote);
        return broken(lexer);
    }
    room = (size_t)(close - (lexer->text + lexer->at));
    out = arena_new(lexer->arena, room + 1);
    if (out == NULL) {
        messages_error(lexer->messages, lexer->file, line, "out of memory");
        return broken(lexer);
    }
    while (look(lexer, 0) != quote) {
        int c = (unsigned char)look(lexer, 0);

        lexer->at++;
        if (c == '\\') {
            c = read_escape(lexer, quote);
            if (c == -1)
                continue;
            if (c == -2)
                c = '\\';
        }
        if (c < ' ' || c == 0x7f)
            control = true;
        out[length++] = (char)(c == '\0' ? '?' : c);
    }
    lexer->at++;
    if (control)
        messages_error(lexer->messages, lexer->file, line, "a control character in a string; remove it");
    if (strstr(out, "${") != NULL)
        messages_error(lexer->messages, lexer->file, line, REMEDY_VARIABLE);
    return token_of(TOKEN_WORD, line, out);
}

struct token lexer_next(struct lexer *lexer)
{
    char c;

    if (!skip_between(lexer))
        return broken(lexer);
    c = look(lexer, 0);
    if (c == '"' || c == '\'')
        return read_string(lexer);
    if (is_word(c) && lexer->at < lexer->size)
        return read_word(lexer);
    if (lexer->at >= lexer->size)
        return token_of(TOKEN_END, lexer->line, "the end of the file");
    lexer->at++;
    switch (c) {
    case '{':
        return token_of(TOKEN_OPEN, lexer->line, "\"{\"");
    case '}':
        return token_of(TOKEN_CLOSE, lexer->line, "\"}\"");
    case '=':
        return token_of(TOKEN_EQUALS, lexer->line, "\"=\"");
    case ',':
        return token_of(TOKEN_COMMA, lexer->line, "\",\"");
    default: /* a plus with an equals sign after it: skip_between() lets no other stand */
        lexer->at++;
        return token_of(TOKEN_APPEND, lexer->line, "\"+=\"");
    }
}
