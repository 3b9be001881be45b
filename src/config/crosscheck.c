/*
 * crosscheck.c: libconfuse parses the text that was scanned, and both must have understood the same.
 *
 * Each section is compared when libconfuse has read its closing brace, and freed at once. Left in libconfuse's own
 * tree, ten thousand titled sections would cost a hundred million comparisons: it looks for each title among all before
 * it.
 */
#include "config/crosscheck.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct crosscheck {
    const char *file;
    struct config_messages *messages;
    const struct block *expected; /* the block that must be closed next */
};

/* libconfuse gives its callbacks no pointer of the caller's, and one text is parsed at a time (config.h): so this is
 * the one under way. */
static struct crosscheck *current;

static void on_error(cfg_t *cfg, const char *format, va_list arguments)
{
    struct crosscheck *check = current;
    char text[300];

    vsnprintf(text, sizeof text, format, arguments);
    messages_error(check->messages, check->file, (unsigned)cfg->line, "libconfuse refuses this: %s", text);
}

/* False, and an error, when the option of libconfuse's section is not what the scan found in the block. */
static bool compare_option(struct crosscheck *check, cfg_opt_t *opt, const struct block *block)
{
    const struct option_row *option = option_find(opt->name, IN(block->section->id));
    const struct entry *entry = option != NULL ? block_entry(block, option->id) : NULL;
    const struct value *value = entry != NULL ? entry->values : NULL;
    unsigned line = entry != NULL ? entry->line : block->line;

    for (unsigned i = 0; i < cfg_opt_size(opt); i++) {
        const char *text = cfg_opt_getnstr(opt, i);

        if (value == NULL || text == NULL || strcmp(value->text, text) != 0) {
            messages_error(check->messages, check->file, line,
                           "%s is read as \"%.100s\" by libconfuse and as \"%.100s\" by the scan; put it in quotes",
                           opt->name, text != NULL ? text : "", value != NULL ? value->text : "");
            return false;
        }
        value = value->next;
    }
    if (value != NULL) {
        messages_error(check->messages, check->file, line,
                       "%s: libconfuse misses the value \"%.100s\"; put it in quotes", opt->name, value->text);
        return false;
    }
    return true;
}

static bool compare_section(struct crosscheck *check, const struct block *block, const cfg_t *section)
{
    if (block == NULL || (block->parent != NULL && section_find(section->name) != block->section) ||
        (block->title == NULL) != (section->title == NULL) ||
        (block->title != NULL && strcmp(block->title, section->title) != 0)) {
        messages_error(check->messages, check->file, block != NULL ? block->line : (unsigned)section->line,
                       "libconfuse reads this as section %s \"%.100s\"; put the title in quotes", section->name,
                       section->title != NULL ? section->title : "");
        return false;
    }
    for (cfg_opt_t *opt = section->opts; opt->name != NULL; opt++)
        if (opt->type == CFGT_STR && !compare_option(check, opt, block))
            return false;
    return true;
}

/* Called when a section is closed: `opt` then holds just that one. */
static int on_section(cfg_t *cfg, cfg_opt_t *opt)
{
    struct crosscheck *check = current;

    (void)cfg;

    if (!compare_section(check, check->expected, cfg_opt_getnsec(opt, 0)))
        return -1;
    check->expected = check->expected->next_closed;
    return cfg_free_value(opt);
}

static cfg_opt_t section_opt(const struct section_row *row, const char *name, cfg_opt_t *opts)
{
    cfg_opt_t opt = CFG_SEC(name, opts, CFGF_MULTI | CFGF_NOCASE | (row->title != NULL ? CFGF_TITLE : CFGF_NONE));

    opt.validcb = on_section;
    return opt;
}

static void free_opts(cfg_opt_t *opts)
{
    /* An alias shares the options of the row before it. */
    for (cfg_opt_t *opt = opts; opt != NULL && opt->name != NULL; opt++)
        if (opt->subopts != NULL && (opt == opts || opt[-1].subopts != opt->subopts))
            free_opts(opt->subopts);
    free(opts);
}

/* What may stand in `section`, as libconfuse wants to be told. NULL when memory is short. */
static cfg_opt_t *make_opts(const struct section_row *section)
{
    const cfg_opt_t end = CFG_END();
    cfg_opt_t *opts = calloc(OPTION_COUNT + 2 * SECTION_COUNT + 1, sizeof *opts);
    cfg_opt_t *next = opts;

    if (opts == NULL)
        return NULL;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *row = &option_table[i];
        const cfg_opt_t scalar = CFG_STR(row->name, NULL, CFGF_NODEFAULT | CFGF_NOCASE);
        const cfg_opt_t list = CFG_STR_LIST(row->name, NULL, CFGF_NODEFAULT | CFGF_NOCASE);

        if ((row->where & IN(section->id)) != 0)
            *next++ = option_is_list(row) ? list : scalar;
    }
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        const struct section_row *row = &section_table[i];
        cfg_opt_t *subopts;

        if ((row->where & IN(section->id)) == 0)
            continue;
        subopts = make_opts(row);
        if (subopts == NULL) {
            free_opts(opts);
            return NULL;
        }
        *next++ = section_opt(row, row->name, subopts);
        if (row->alias != NULL)
            *next++ = section_opt(row, row->alias, subopts);
    }
    *next = end;
    return opts;
}

static void parse(struct crosscheck *check, cfg_t *cfg, char *text, size_t size)
{
    size_t errors = check->messages->errors;
    FILE *stream = fmemopen(text, size, "r");
    int result;

    if (stream == NULL) {
        messages_error(check->messages, check->file, 0, "out of memory");
        return;
    }
    cfg_set_error_function(cfg, on_error);
    current = check;
    result = cfg_parse_fp(cfg, stream);
    current = NULL;
    fclose(stream);
    if (result == CFG_SUCCESS)
        compare_section(check, check->expected, cfg);
    else if (check->messages->errors == errors)
        messages_error(check->messages, check->file, (unsigned)cfg->line, "libconfuse stops here and does not say why");
}

bool crosscheck_text(const char *file, char *text, size_t size, const struct scan *scan,
                     struct config_messages *messages)
{
    struct crosscheck check = {.file = file, .messages = messages, .expected = scan->first_closed};
    size_t errors = messages->errors;
    cfg_opt_t *opts = make_opts(&section_table[SECTION_TOP]);
    cfg_t *cfg = opts != NULL ? cfg_init(opts, CFGF_NOCASE) : NULL;

    if (cfg != NULL)
        parse(&check, cfg, text, size);
    else
        messages_error(messages, file, 0, "out of memory");
    if (cfg != NULL)
        cfg_free(cfg);
    free_opts(opts);
    return messages->errors == errors;
}
