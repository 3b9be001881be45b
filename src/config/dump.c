/*
 * dump.c: the effective configuration as a file.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "config/list_file.h"
#include "config/scan.h"

struct dump {
    const struct config *config;
    FILE *out;
};

static void indent(const struct dump *dump, int depth)
{
    fprintf(dump->out, "%*s", depth * 4, "");
}

static void write_quoted(const struct dump *dump, const char *text)
{
    putc('"', dump->out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', dump->out);
        putc(*text, dump->out);
    }
    putc('"', dump->out);
}

/* A CIDR block in its usual form, names as they were given. */
static void write_prefix(const struct dump *dump, const char *text)
{
    char form[PREFIX_TEXT_SIZE], why[VALUE_WHY_SIZE];
    struct prefix prefix;

    write_quoted(dump, value_prefix(text, &prefix, why) ? prefix_format(&prefix, form) : text);
}

/* The path of a list's file, absolute, so that the dump may lie anywhere. */
static void write_file(const struct dump *dump, const char *text)
{
    char *path = list_file_path(dump->config->path, text);
    char directory[4096];

    if (path != NULL && path[0] != '/' && getcwd(directory, sizeof directory) != NULL) {
        char *whole = malloc(strlen(directory) + 1 + strlen(path) + 1);

        if (whole != NULL) {
            strcat(strcat(strcpy(whole, directory), "/"), path);
            free(path);
            path = whole;
        }
    }
    write_quoted(dump, path != NULL ? path : text);
    free(path);
}

static void write_list(const struct dump *dump, const struct entry *entry)
{
    bool prefixes = entry->option->id == OPTION_CLIENTS || entry->option->id == OPTION_EXCEPT;

    fputs("{ ", dump->out);
    for (const struct value *value = entry->values; value != NULL; value = value->next) {
        (prefixes ? write_prefix : write_quoted)(dump, value->text);
        fputs(value->next != NULL ? ", " : " ", dump->out);
    }
    putc('}', dump->out);
}

/* Writes a value that has been read without a mistake, in its normal form. */
static void write_value(const struct dump *dump, const struct option_row *option, const char *text)
{
    char why[VALUE_WHY_SIZE], form[DURATION_TEXT_SIZE];
    int64_t number = 0;
    unsigned mode = 0;
    bool yes = false;

    switch (option->type) {
    case TYPE_DURATION:
        value_duration(text, option->min, option->max, &number, why);
        fputs(duration_format(number, form), dump->out);
        break;
    case TYPE_BOOL:
        value_bool(text, &yes, why);
        fputs(yes ? "yes" : "no", dump->out);
        break;
    case TYPE_WORD:
        value_word(text, option->words, &number, why);
        fputs(option->words[number], dump->out);
        break;
    case TYPE_PERMISSIONS:
        value_permissions(text, &mode, why);
        fprintf(dump->out, "\"%04o\"", mode);
        break;
    case TYPE_FILE:
        write_file(dump, text);
        break;
    case TYPE_COUNT:
    case TYPE_BITS:
        fputs(text, dump->out); /* just one text is right for each number */
        break;
    case TYPE_NAME:
    case TYPE_PATH:
    case TYPE_SOCKET:
    case TYPE_TCP:
    case TYPE_UNIX:
    case TYPE_REPLY:
    case TYPE_LIST:
    default:
        write_quoted(dump, text);
    }
}

static void write_option(const struct dump *dump, const struct option_row *option, const struct entry *entry, int depth)
{
    if (entry == NULL && option->initial == NULL)
        return;
    indent(dump, depth);
    fprintf(dump->out, "%s = ", option->name);
    if (option_is_list(option))
        write_list(dump, entry);
    else
        write_value(dump, option, entry != NULL ? entry->values->text : option->initial);
    putc('\n', dump->out);
}

/* Every option of the top level, defaults filled in. */
static void write_top(const struct dump *dump, const struct block *top)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if ((option_table[i].where & IN(SECTION_TOP)) != 0)
            write_option(dump, &option_table[i], block_entry(top, option_table[i].id), 0);
}

/* Every option of the section of a socket, but for those that may not be written there, with what it takes from the top
 * level and defaults filled in. The block is the top where there is no such section. */
static void write_socket(const struct dump *dump, const struct block *block, enum section_id section)
{
    const struct option_row *address = socket_address_option(section);
    const struct entry *entry = block_inherited(block, address->id);
    struct socket_name name;
    char why[VALUE_WHY_SIZE];

    value_socket_of(address, entry != NULL ? entry->values->text : address->initial, &name, why);
    fprintf(dump->out, "%s {\n", section_table[section].name);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];

        if ((option->where & IN(section)) != 0 && option_fits(option, name.kind))
            write_option(dump, option, block_inherited(block, option->id), 1);
    }
    fputs("}\n", dump->out);
}

static void write_block(const struct dump *dump, const struct block *block, int depth)
{
    indent(dump, depth);
    fputs(block->section->name, dump->out);
    if (block->section->id == SECTION_LIMIT) {
        putc(' ', dump->out);
        for (const char *c = block->title; *c != '\0'; c++)
            putc(tolower((unsigned char)*c), dump->out);
    } else if (block->title != NULL) {
        putc(' ', dump->out);
        if (block->section->id == SECTION_PEER || block->section->id == SECTION_KEY)
            write_prefix(dump, block->title);
        else
            write_quoted(dump, block->title);
    }
    fputs(" {\n", dump->out);
    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next)
        write_option(dump, entry->option, entry, depth + 1);
    for (const struct block *child = block->blocks; child != NULL; child = child->next)
        write_block(dump, child, depth + 1);
    indent(dump, depth);
    fputs("}\n", dump->out);
}

bool config_dump(const struct config *config, FILE *out)
{
    struct dump dump = {.config = config, .out = out};
    const struct block *top = config->scan->top, *milter = top;

    for (const struct block *block = top->blocks; block != NULL; block = block->next)
        if (block->section->id == SECTION_MILTER)
            milter = block;
    write_top(&dump, top);
    write_socket(&dump, milter, SECTION_MILTER);
    for (const struct block *block = top->blocks; block != NULL; block = block->next)
        if (block->section->id == SECTION_POLICY || block->section->id == SECTION_HTTP ||
            block->section->id == SECTION_CONTROL)
            write_socket(&dump, block, block->section->id);
        else if (block->section->id != SECTION_MILTER)
            write_block(&dump, block, 0);
    return ferror(out) == 0;
}
