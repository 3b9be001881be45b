/*
 * lists.c: what the sections deny and exempt mean.
 */
#include "config/lists.h"

#include <string.h>
#include <strings.h>

#include "config/keys.h"
#include "config/list_file.h"

struct lists {
    const struct config *config;
    struct rules_builder *rules;
    struct config_messages *messages;
    enum rules_list list; /* the one that is read */
};

#define TELL(lists, line, ...) messages_error((lists)->messages, (lists)->config->path, line, __VA_ARGS__)

static void add(const struct lists *lists, const struct key *key)
{
    switch (key->kind) {
    case KEY_PREFIX:
        rules_add_list_prefix(lists->rules, lists->list, &key->prefix);
        break;
    case KEY_USER:
        rules_add_list_user(lists->rules, lists->list, key->name);
        break;
    default:
        rules_add_list_sender(lists->rules, lists->list, key->name);
    }
}

/* Adds what a list option holds; returns how many entries that is. */
static size_t add_values(const struct lists *lists, const struct entry *entry, enum key_kind kind)
{
    char why[VALUE_WHY_SIZE];
    struct key key;
    size_t count = 0;

    for (const struct value *value = entry->values; value != NULL; value = value->next) {
        count++;
        rules_at_line(lists->rules, value->line);
        if (key_read_as(kind, value->text, &key, why))
            add(lists, &key);
        else
            TELL(lists, value->line, "%s: %s", entry->option->name, why);
    }
    return count;
}

static bool add_line(void *context, const char *text, const char *file, unsigned line, char why[VALUE_WHY_SIZE])
{
    struct key key;

    (void)file, (void)line;
    if (!key_read(text, &key, why))
        return false;
    if (key.kind == KEY_USER && strncasecmp(text, KEY_USER_MARK, strlen(KEY_USER_MARK)) != 0)
        return value_refuse(why,
                            "\"%.100s\" is no address, CIDR block, domain or sender; write " KEY_USER_MARK
                            "%.100s for a user, \"%.100s.\" for a domain",
                            text, text, text);
    add(context, &key);
    return true;
}

static void add_authenticated(const struct lists *lists, const struct entry *entry, size_t *count)
{
    char why[VALUE_WHY_SIZE];
    bool yes;

    if (!value_bool(entry->values->text, &yes, why)) {
        TELL(lists, entry->line, "%s: %s", entry->option->name, why);
        ++*count; /* something was meant */
    } else if (yes) {
        rules_at_line(lists->rules, entry->line);
        rules_add_list_authenticated(lists->rules, lists->list);
        ++*count;
    }
}

static void read_section(struct lists *lists, const struct block *block)
{
    const struct entry *file = block_entry(block, OPTION_FILE);
    size_t count = 0, in_file;

    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next) {
        switch (entry->option->id) {
        case OPTION_CLIENTS:
            count += add_values(lists, entry, KEY_PREFIX);
            break;
        case OPTION_DOMAINS:
            count += add_values(lists, entry, KEY_DOMAIN);
            break;
        case OPTION_SENDERS:
            count += add_values(lists, entry, KEY_ADDRESS);
            break;
        case OPTION_USERS:
            count += add_values(lists, entry, KEY_USER);
            break;
        case OPTION_AUTHENTICATED:
            add_authenticated(lists, entry, &count);
            break;
        default:
            break;
        }
    }
    if (file == NULL && count == 0)
        TELL(lists, block->line, "%s names nobody; give it clients, domains, senders, users or a file, or remove it",
             block->section->name);
    if (file != NULL) /* of what a file lists, the line that names the file */
        rules_at_line(lists->rules, file->line);
    if (file != NULL && list_file_read(lists->config->path, file, add_line, lists, &in_file, lists->messages) &&
        count + in_file == 0)
        messages_warning(lists->messages, lists->config->path, file->line, "%s names nobody: \"%.200s\" is empty",
                         block->section->name, file->values->text);
}

/* What happens to those who are denied. True when they get points. */
static bool set_deny(const struct lists *lists, const struct block *block)
{
    const struct entry *mode_entry = block_entry(block, OPTION_LIMIT_MODE);
    const struct entry *points_entry = block_entry(block, OPTION_POINTS);
    int64_t mode = MODE_BLOCK, points = limit_custom_defaults[TERM_POINTS];
    char why[VALUE_WHY_SIZE];

    if (mode_entry != NULL && !value_number(mode_entry->option, mode_entry->values->text, &mode, why))
        TELL(lists, mode_entry->line, "mode: %s", why);
    else if (points_entry != NULL && mode != MODE_SCORE)
        TELL(lists, points_entry->line, "points are given in mode score alone; write mode = score, or remove them");
    if (points_entry != NULL && !value_number(points_entry->option, points_entry->values->text, &points, why))
        TELL(lists, points_entry->line, "points: %s", why);
    rules_set_deny(lists->rules, (enum limit_mode)mode, (uint32_t)points);
    return mode == MODE_SCORE;
}

void lists_set(const struct config *config, const struct scan *scan, struct rules_builder *rules, bool *score,
               struct config_messages *messages)
{
    struct lists lists = {.config = config, .rules = rules, .messages = messages};

    *score = false;
    for (const struct block *block = scan->top->blocks; block != NULL; block = block->next) {
        if (block->section->id != SECTION_DENY && block->section->id != SECTION_EXEMPT)
            continue;
        lists.list = block->section->id == SECTION_DENY ? LIST_DENY : LIST_EXEMPT;
        if (lists.list == LIST_DENY)
            *score = set_deny(&lists, block);
        read_section(&lists, block);
    }
}
