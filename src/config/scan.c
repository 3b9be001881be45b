/*
 * scan.c: a configuration text as a tree of blocks.
 *
 * A parser with one token of look-ahead. It goes on after a mistake where it can tell how, so that one run names as
 * many as possible; the contents of a block that is unknown or in the wrong place are skipped.
 */
#include "config/scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/lexer.h"
#include "config/suggest.h"

struct scanner {
    struct lexer lexer;
    struct token token; /* the one to look at */
    struct scan *scan;
    struct block *block; /* the one that is open */
    struct block **last_closed;
    unsigned value_line;      /* of the value that ended just now, else 0: what follows on its line may belong to it */
    const char *value_option; /* the option it was given to */
};

static void advance(struct scanner *scanner)
{
    if (scanner->token.kind != TOKEN_END && scanner->token.kind != TOKEN_BROKEN)
        scanner->token = lexer_next(&scanner->lexer);
}

#define TELL(scanner, line, ...) messages_error((scanner)->lexer.messages, (scanner)->lexer.file, line, __VA_ARGS__)

static void out_of_memory(struct scanner *scanner)
{
    TELL(scanner, scanner->token.line, "out of memory");
    scanner->token.kind = TOKEN_BROKEN;
}

static void *new_or_stop(struct scanner *scanner, size_t size)
{
    void *memory = arena_new(&scanner->scan->arena, size);

    if (memory == NULL)
        out_of_memory(scanner);
    return memory;
}

/* What may be written for a section: 'listener { }', 'peer "10.0.0.0/8" { }'. */
static const char *section_form(const struct section_row *section, char out[80])
{
    if (section->title != NULL)
        snprintf(out, 80, "%s %s { }", section->name, section->title);
    else
        snprintf(out, 80, "%s { }", section->name);
    return out;
}

/* What may be written for an option: 'max = ...'. */
static const char *option_form(const struct option_row *option, char out[80])
{
    snprintf(out, 80, option_is_list(option) ? "%s = { \"...\", \"...\" }" : "%s = ...", option->name);
    return out;
}

/* "listener, listen or peer": the sections of the set. */
static const char *places(unsigned where, char out[160])
{
    size_t length = 0;

    out[0] = '\0';
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        unsigned rest = where & ~((IN(i) << 1) - 1);

        if ((where & IN(i)) == 0 || length >= 160)
            continue;
        length += (size_t)snprintf(out + length, 160 - length, "%s%s", section_place(&section_table[i]),
                                   rest == 0                  ? ""
                                   : (rest & (rest - 1)) == 0 ? " or "
                                                              : ", ");
    }
    return out;
}

/* A name that is neither option nor section. */
static void tell_unknown(struct scanner *scanner, const char *name, unsigned line)
{
    unsigned here = IN(scanner->block->section->id);
    const char *place = section_place(scanner->block->section);
    struct suggestion suggestion;
    char known[600];
    size_t length = 0;

    if (scanner->value_line == line) {
        TELL(scanner, line,
             "\"%.60s\" after the value of %s; a value is one word, put it in quotes if blanks belong to it", name,
             scanner->value_option);
        return;
    }
    suggest_begin(&suggestion, name);
    for (int everywhere = 0; everywhere < 2 && suggestion.best == NULL; everywhere++) {
        for (size_t i = 0; i < OPTION_COUNT; i++)
            if (everywhere || (option_table[i].where & here) != 0)
                suggest_consider(&suggestion, option_table[i].name);
        for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
            if (!everywhere && (section_table[i].where & here) == 0)
                continue;
            suggest_consider(&suggestion, section_table[i].name);
            if (section_table[i].alias != NULL)
                suggest_consider(&suggestion, section_table[i].alias);
        }
    }
    if (suggestion.best != NULL) {
        TELL(scanner, line, "unknown name \"%.60s\"; did you mean \"%s\"?", name, suggestion.best);
        return;
    }
    known[0] = '\0';
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].where & here) != 0 && length < sizeof known)
            length += (size_t)snprintf(known + length, sizeof known - length, ", %s", option_table[i].name);
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++)
        if ((section_table[i].where & here) != 0 && length < sizeof known)
            length += (size_t)snprintf(known + length, sizeof known - length, ", %s", section_table[i].name);
    TELL(scanner, line, "unknown name \"%.60s\"; at %s may stand: %s", name, place, length > 2 ? known + 2 : "nothing");
}

/* A name that is known, but not here or not in this form. */
static void tell_misplaced(struct scanner *scanner, const char *name, unsigned line, bool as_section)
{
    unsigned here = IN(scanner->block->section->id);
    const char *place = section_place(scanner->block->section);
    const struct option_row *option = option_find(name, here);
    const struct section_row *section = section_find(name);
    char form[80], where[160];

    if (as_section && option != NULL) {
        TELL(scanner, line, "\"%s\" is an option of %s; write %s", option->name, place, option_form(option, form));
    } else if (!as_section && section != NULL && (section->where & here) != 0) {
        TELL(scanner, line, "\"%s\" is a section of %s; write %s", section->name, place, section_form(section, form));
    } else if (section != NULL && (as_section || option_places(name) == 0)) {
        TELL(scanner, line, "section \"%s\" cannot stand in %s; it may stand in %s", section->name, place,
             places(section->where, where));
    } else {
        TELL(scanner, line, "option \"%.60s\" cannot stand in %s; it may stand in %s", name, place,
             places(option_places(name), where));
    }
}

static void tell_name(struct scanner *scanner, const char *name, unsigned line, bool as_section)
{
    if (option_places(name) == 0 && section_find(name) == NULL)
        tell_unknown(scanner, name, line);
    else
        tell_misplaced(scanner, name, line, as_section);
}

/* Skips a list or a block with all that it holds; the token is its opening brace. */
static void skip_braces(struct scanner *scanner)
{
    size_t depth = 0;
    unsigned line = scanner->token.line;

    do {
        if (scanner->token.kind == TOKEN_OPEN)
            depth++;
        else if (scanner->token.kind == TOKEN_CLOSE)
            depth--;
        else if (scanner->token.kind == TOKEN_END)
            TELL(scanner, line, "what is opened here is never closed; add \"}\"");
        if (scanner->token.kind == TOKEN_END || scanner->token.kind == TOKEN_BROKEN)
            return;
        advance(scanner);
    } while (depth > 0);
}

/* Skips whatever stands where a value was expected and is part of no other sentence. */
static void skip_value(struct scanner *scanner)
{
    if (scanner->token.kind == TOKEN_OPEN)
        skip_braces(scanner);
    else if (scanner->token.kind == TOKEN_WORD)
        advance(scanner);
}

/* Adds the word that is looked at to the entry, after *last. */
static struct value **add_value(struct scanner *scanner, struct value **last)
{
    struct value *value = new_or_stop(scanner, sizeof *value);

    if (value == NULL)
        return last;
    value->text = scanner->token.text;
    value->line = scanner->token.line;
    *last = value;
    advance(scanner);
    return &value->next;
}

/* Reads a list; the token is its opening brace. */
static void scan_list(struct scanner *scanner, struct entry *entry)
{
    const char *name = entry->option->name;
    unsigned line = scanner->token.line;
    struct value **last = &entry->values;

    for (advance(scanner); scanner->token.kind != TOKEN_CLOSE;) {
        switch (scanner->token.kind) {
        case TOKEN_WORD:
            last = add_value(scanner, last);
            break;
        case TOKEN_BROKEN:
            return;
        case TOKEN_END:
            TELL(scanner, line, "the list of %s that is opened here is never closed; add \"}\"", name);
            return;
        case TOKEN_COMMA:
            TELL(scanner, scanner->token.line, "a comma without a value before it in the list of %s; remove it", name);
            advance(scanner);
            continue;
        default: /* most likely the brace is missing: what follows are no values any more */
            TELL(scanner, scanner->token.line, "%s in the list of %s; close the list of line %u with \"}\" first",
                 scanner->token.text, name, line);
            scanner->token.kind = TOKEN_BROKEN;
            return;
        }
        if (scanner->token.kind == TOKEN_COMMA)
            advance(scanner);
        else if (scanner->token.kind == TOKEN_WORD)
            TELL(scanner, scanner->token.line, "no comma before \"%.60s\" in the list of %s; add one",
                 scanner->token.text, name);
    }
    advance(scanner);
}

/* Reads the value of `option`; the token is what stands after the equals sign. */
static void scan_value(struct scanner *scanner, const struct option_row *option, unsigned line)
{
    const struct entry *first = block_entry(scanner->block, option->id);
    struct entry *entry;
    char form[80];

    if (first != NULL) {
        TELL(scanner, line, "%s is set twice here; line %u has the first, remove one of them", option->name,
             first->line);
        skip_value(scanner);
        return;
    }
    if (scanner->token.kind == TOKEN_OPEN && !option_is_list(option)) {
        TELL(scanner, line, "%s takes one value, no list; write %s", option->name, option_form(option, form));
        skip_braces(scanner);
        return;
    }
    if (scanner->token.kind == TOKEN_WORD && option_is_list(option)) {
        TELL(scanner, line, "%s takes a list; write %s = { \"%.60s\" }", option->name, option->name,
             scanner->token.text);
        advance(scanner);
        return;
    }
    if (scanner->token.kind != TOKEN_WORD && scanner->token.kind != TOKEN_OPEN) {
        if (scanner->token.kind != TOKEN_BROKEN)
            TELL(scanner, line, "%s has no value; write %s", option->name, option_form(option, form));
        return;
    }
    entry = new_or_stop(scanner, sizeof *entry);
    if (entry == NULL)
        return;
    entry->option = option;
    entry->line = line;
    scanner->value_option = option->name;
    if (scanner->token.kind == TOKEN_OPEN) {
        scan_list(scanner, entry);
    } else {
        scanner->value_line = scanner->token.line;
        add_value(scanner, &entry->values);
    }
    if (scanner->block->last_entry != NULL)
        scanner->block->last_entry->next = entry;
    else
        scanner->block->entries = entry;
    scanner->block->last_entry = entry;
}

/* Reads an option; the token is the equals sign. */
static void scan_option(struct scanner *scanner, const char *name, unsigned line)
{
    const struct option_row *option = option_find(name, IN(scanner->block->section->id));

    if (scanner->token.kind == TOKEN_APPEND)
        TELL(scanner, line, "\"+=\" is not offered; write all values of %s in one list", name);
    advance(scanner);
    if (option == NULL) {
        tell_name(scanner, name, line, false);
        skip_value(scanner);
        return;
    }
    scan_value(scanner, option, line);
}

static struct block *new_block(struct scanner *scanner, const struct section_row *section, const char *title,
                               unsigned line)
{
    struct block *block = new_or_stop(scanner, sizeof *block);

    if (block != NULL) {
        block->section = section;
        block->title = title;
        block->line = line;
        block->parent = scanner->block;
    }
    return block;
}

/* Opens a section; the token is its opening brace. */
static void open_block(struct scanner *scanner, const char *name, const char *title, unsigned line)
{
    const struct section_row *section = section_find(name);
    struct block *parent = scanner->block, *block;
    char form[80];

    if (section == NULL || (section->where & IN(parent->section->id)) == 0) {
        tell_name(scanner, name, line, true);
        skip_braces(scanner);
        return;
    }
    if (section->title != NULL && title == NULL)
        TELL(scanner, line, "%s needs a title; write %s", section->name, section_form(section, form));
    if (section->title == NULL && title != NULL)
        TELL(scanner, line, "%s takes no title; write %s%s", section->name, section_form(section, form),
             section->id == SECTION_LISTENER ? ", and daemon_name = ... in it for a name" : "");
    block = new_block(scanner, section, section->title == NULL ? NULL : title == NULL ? "" : title, line);
    if (block == NULL)
        return;
    if (parent->last_block != NULL)
        parent->last_block->next = block;
    else
        parent->blocks = block;
    parent->last_block = block;
    parent->block_count++;
    scanner->block = block;
    scanner->value_line = 0;
    advance(scanner);
}

/* Orders blocks by what may not be repeated, then by line. */
static int compare_blocks(const void *left, const void *right)
{
    const struct block *a = *(const struct block *const *)left, *b = *(const struct block *const *)right;

    if (a->section != b->section)
        return a->section < b->section ? -1 : 1;
    if (a->title != NULL && b->title != NULL) {
        int order = strcasecmp(a->title, b->title);

        if (order != 0)
            return order;
    }
    return a->line < b->line ? -1 : a->line > b->line;
}

/* Tells of sections that may stand once and stand twice. */
static void check_repeated(struct scanner *scanner, const struct block *parent)
{
    const struct block **sorted;
    size_t count = 0, first = 0;

    if (parent->block_count < 2)
        return;
    sorted = malloc(parent->block_count * sizeof *sorted);
    if (sorted == NULL) {
        out_of_memory(scanner);
        return;
    }
    for (const struct block *block = parent->blocks; block != NULL; block = block->next)
        sorted[count++] = block;
    qsort(sorted, count, sizeof *sorted, compare_blocks);
    for (size_t i = 1; i < count; i++) {
        const struct block *block = sorted[i];

        if (block->section != sorted[first]->section ||
            (block->title != NULL && strcasecmp(block->title, sorted[first]->title) != 0))
            first = i;
        else if (block->title != NULL)
            TELL(scanner, block->line, "%s \"%.100s\" stands twice here; line %u has the first, put all into one",
                 block->section->name, block->title, sorted[first]->line);
        else if (!block->section->many)
            TELL(scanner, block->line, "%s stands twice here; line %u has the first, put all into one",
                 block->section->name, sorted[first]->line);
    }
    free(sorted);
}

static void close_block(struct scanner *scanner)
{
    struct block *block = scanner->block;

    check_repeated(scanner, block);
    *scanner->last_closed = block;
    scanner->last_closed = &block->next_closed;
    scanner->block = block->parent;
}

/* A name that nothing sensible follows. */
static void tell_incomplete(struct scanner *scanner, const char *name, unsigned line)
{
    const struct section_row *section = section_find(name);
    const struct option_row *option = option_find(name, IN(scanner->block->section->id));
    char form[80];

    if (option == NULL && section == NULL)
        option = option_find(name, ANYWHERE);
    if (option != NULL)
        TELL(scanner, line, "%s has no value; write %s", option->name, option_form(option, form));
    else if (section != NULL)
        TELL(scanner, line, "no \"{\" after %s; write %s", name, section_form(section, form));
    else
        tell_unknown(scanner, name, line);
}

/* Reads what begins with a name; the token is what stands after it. */
static void scan_sentence(struct scanner *scanner, const char *name, unsigned line)
{
    const struct option_row *option = option_find(name, IN(scanner->block->section->id));
    struct token title = scanner->token;

    if (title.kind == TOKEN_WORD) {
        if (option_places(name) == 0 && section_find(name) == NULL && scanner->value_line == line) {
            tell_unknown(scanner, name, line); /* the word after it begins a sentence of its own */
            return;
        }
        advance(scanner);
    }
    switch (scanner->token.kind) {
    case TOKEN_BROKEN:
        return;
    case TOKEN_OPEN:
        open_block(scanner, name, title.kind == TOKEN_WORD ? title.text : NULL, line);
        return;
    case TOKEN_EQUALS:
    case TOKEN_APPEND:
        if (title.kind == TOKEN_WORD) {
            tell_incomplete(scanner, name, line);
            name = title.text;
            line = title.line;
        }
        scan_option(scanner, name, line);
        return;
    default:
        if (title.kind == TOKEN_WORD && option != NULL)
            TELL(scanner, line, "no \"=\" after %s; write %s = %.60s", name, name, title.text);
        else
            tell_incomplete(scanner, name, line);
    }
}

static void tell_unclosed(struct scanner *scanner)
{
    for (const struct block *block = scanner->block; block->parent != NULL; block = block->parent) {
        if (block->title != NULL)
            TELL(scanner, block->line, "%s \"%.100s\", opened here, is never closed; add \"}\"", block->section->name,
                 block->title);
        else
            TELL(scanner, block->line, "%s, opened here, is never closed; add \"}\"", block->section->name);
    }
}

static void scan_all(struct scanner *scanner)
{
    for (;;) {
        struct token token = scanner->token;

        if (messages_full(scanner->lexer.messages))
            return;
        switch (token.kind) {
        case TOKEN_WORD:
            if (scanner->value_line != token.line)
                scanner->value_line = 0;
            advance(scanner);
            scan_sentence(scanner, token.text, token.line);
            break;
        case TOKEN_CLOSE:
            scanner->value_line = 0;
            if (scanner->block->parent != NULL)
                close_block(scanner);
            else
                TELL(scanner, token.line, "\"}\" closes nothing; remove it, or look for a brace too many above");
            advance(scanner);
            break;
        case TOKEN_END:
            tell_unclosed(scanner);
            if (scanner->block->parent == NULL)
                close_block(scanner);
            return;
        case TOKEN_BROKEN:
            return;
        case TOKEN_OPEN:
            TELL(scanner, token.line, "%s where a name is expected; write the section's name before it", token.text);
            skip_braces(scanner);
            break;
        default:
            TELL(scanner, token.line, "%s where a name is expected; remove it", token.text);
            advance(scanner);
        }
    }
}

bool scan_text(const char *file, char *text, size_t size, struct scan *scan, struct config_messages *messages)
{
    struct scanner scanner = {.scan = scan, .last_closed = &scan->first_closed};
    size_t errors = messages->errors;

    memset(scan, 0, sizeof *scan);
    lexer_begin(&scanner.lexer, file, text, size, &scan->arena, messages);
    scan->top = scanner.block = new_block(&scanner, &section_table[SECTION_TOP], NULL, 1);
    if (scan->top != NULL) {
        scanner.token = lexer_next(&scanner.lexer);
        scan_all(&scanner);
    }
    return messages->errors == errors;
}

void scan_clear(struct scan *scan)
{
    arena_clear(&scan->arena);
    scan->top = scan->first_closed = NULL;
}

const struct entry *block_entry(const struct block *block, enum option_id option)
{
    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next)
        if (entry->option->id == option)
            return entry;
    return NULL;
}

const struct entry *block_inherited(const struct block *block, enum option_id option)
{
    const struct entry *entry = NULL;

    for (; block != NULL && entry == NULL; block = block->parent)
        entry = block_entry(block, option);
    return entry;
}
