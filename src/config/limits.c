/*
 * limits.c: what the blocks `limit NAME { }` mean.
 */
#include "config/limits.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/keys.h"
#include "config/suggest.h"

#define TELL(limits, line, ...) messages_error((limits)->messages, (limits)->config->path, line, __VA_ARGS__)
#define WARN(limits, line, ...) messages_warning((limits)->messages, (limits)->config->path, line, __VA_ARGS__)

static void out_of_memory(const struct limits *limits)
{
    TELL(limits, 0, "out of memory");
}

/* ---- which limits there are ---- */

static const struct limit_builtin *find_builtin(const char *name)
{
    for (size_t i = 0; i < LIMITS_BUILTIN; i++)
        if (strcasecmp(limit_builtins[i].name, name) == 0)
            return &limit_builtins[i];
    return NULL;
}

static struct known_limit *find_known(struct limits *limits, const char *name)
{
    for (size_t i = 0; i < limits->count; i++)
        if (strcasecmp(limits->known[i].name, name) == 0)
            return &limits->known[i];
    return NULL;
}

/* The name of a limit of one's own: fit for logs, metrics and replies, and none that means something else there. */
static bool check_name(const struct limits *limits, const struct block *block)
{
    size_t length = strlen(block->title);

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)block->title[i];

        if (isascii(c) && (isalnum(c) || c == '_'))
            continue;
        TELL(limits, block->line, "\"%.60s\" is no name of a limit; write letters, digits and _ alone", block->title);
        return false;
    }
    if (length == 0 || length >= LIMIT_NAME_SIZE) {
        TELL(limits, block->line, "\"%.60s\" is no name of a limit; write 1 to %d characters", block->title,
             LIMIT_NAME_SIZE - 1);
        return false;
    }
    for (int id = LIMIT_NONE; id < LIMIT_NUMBERED; id++) {
        if (strcasecmp(block->title, limit_name((enum limit_id)id)) != 0 && strcasecmp(block->title, "exempt") != 0)
            continue;
        TELL(limits, block->line, "the name \"%s\" means something else in the log; give the limit another",
             block->title);
        return false;
    }
    return true;
}

static void tell_unknown(const struct limits *limits, const struct block *block)
{
    struct suggestion suggestion;
    char names[600];
    size_t length = 0;

    suggest_begin(&suggestion, block->title);
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        suggest_consider(&suggestion, limit_builtins[i].name);
        if (length < sizeof names)
            length += (size_t)snprintf(names + length, sizeof names - length, "%s%s", i > 0 ? ", " : "",
                                       limit_builtins[i].name);
    }
    if (suggestion.best != NULL)
        TELL(limits, block->line,
             "unknown limit \"%.60s\"; did you mean %s? A limit of your own must say count = ... and per = ...",
             block->title, suggestion.best);
    else
        TELL(limits, block->line,
             "unknown limit \"%.60s\"; the first block of a limit of your own must say count = ... and per = ... "
             "Built in are %s",
             block->title, names);
}

/* The number of a word option of the block. False when the block does not say it, or has it wrong, which is told. */
static bool read_word(const struct limits *limits, const struct block *block, enum option_id id, int64_t *out)
{
    const struct entry *entry = block_entry(block, id);
    char why[VALUE_WHY_SIZE];

    if (entry == NULL)
        return false;
    if (value_number(entry->option, entry->values->text, out, why))
        return true;
    TELL(limits, entry->line, "%s: %s", entry->option->name, why);
    return false;
}

static void tell_unfit(const struct limits *limits, const struct block *block, enum limit_count count,
                       enum limit_per per)
{
    char fits[200];
    size_t length = 0;

    fits[0] = '\0';
    for (int i = 0; i < PER_KINDS; i++)
        if (limit_fits(count, (enum limit_per)i) && length < sizeof fits)
            length += (size_t)snprintf(fits + length, sizeof fits - length, "%s%s", length > 0 ? ", " : "",
                                       limit_per_name((enum limit_per)i));
    TELL(limits, block_entry(block, OPTION_LIMIT_PER)->line,
         "%s cannot be counted per %s; with count = %s write per = one of %s", limit_count_name(count),
         limit_per_name(per), limit_count_name(count), fits);
}

/* Learns a limit of the administrator's own from its first block. False after a mistake. */
static bool read_own(const struct limits *limits, const struct block *block, struct known_limit *limit)
{
    int64_t count, per;
    bool has_count, has_per;

    if (block_entry(block, OPTION_LIMIT_COUNT) == NULL || block_entry(block, OPTION_LIMIT_PER) == NULL) {
        tell_unknown(limits, block);
        return false;
    }
    has_count = read_word(limits, block, OPTION_LIMIT_COUNT, &count);
    has_per = read_word(limits, block, OPTION_LIMIT_PER, &per);
    if (!check_name(limits, block) || !has_count || !has_per)
        return false;
    limit->count = (enum limit_count)count;
    limit->per = (enum limit_per)per;
    if (!limit_fits(limit->count, limit->per)) {
        tell_unfit(limits, block, limit->count, limit->per);
        return false;
    }
    return true;
}

/* The limit of the block, which is learned when it is the first. NULL after a mistake. */
static struct known_limit *learn(struct limits *limits, const struct block *block)
{
    struct known_limit *limit = find_known(limits, block->title);
    struct known_limit new = {.builtin = find_builtin(block->title), .first = block, .highest = -1};

    if (limit != NULL)
        return limit;
    if (new.builtin != NULL) {
        new.count = new.builtin->count;
        new.per = new.builtin->per;
    } else if (!read_own(limits, block, &new)) {
        return NULL;
    }
    for (size_t i = 0; block->title[i] != '\0'; i++)
        new.name[i] = (char)tolower((unsigned char)block->title[i]);
    new.number = rules_add_limit(limits->rules, new.name, new.count, new.per);
    if (new.number == RULES_NO_LIMIT) {
        TELL(limits, block->line, "limit %s is one too many; at most %d of your own can be counted, remove some",
             new.name, LIMITS_MAX - LIMITS_BUILTIN);
        return NULL;
    }
    limits->known[limits->count] = new;
    return &limits->known[limits->count++];
}

/* Refuses a count or per in a block that is not the limit's own. */
static void check_kind(const struct limits *limits, const struct known_limit *limit, const struct block *block,
                       enum option_id id, int64_t known)
{
    const struct entry *entry = block_entry(block, id);
    int64_t said;

    if (entry == NULL)
        return;
    if (limit->builtin != NULL)
        TELL(limits, entry->line, "%s: limit %s is built in and counts %s per %s; remove it", entry->option->name,
             limit->name, limit_count_name(limit->count), limit_per_name(limit->per));
    else if (block != limit->first && read_word(limits, block, id, &said) && said != known)
        TELL(limits, entry->line, "limit %s has %s = %s in line %u; write the same here, or nothing", limit->name,
             entry->option->name, entry->option->words[known], block_entry(limit->first, id)->line);
}

static bool is_max(const struct option_row *option)
{
    return option->target == TO_TERM && option->number <= TERM_MAX_AUTHENTICATED;
}

/* The highest of the maxima that the block and its keys give, INT64_MAX when one of them is 0; -1: it gives none. */
static int64_t highest_max(const struct block *block)
{
    int64_t highest = -1, number;
    char why[VALUE_WHY_SIZE];

    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next)
        if (is_max(entry->option) && value_number(entry->option, entry->values->text, &number, why) &&
            (number == 0 || number > highest))
            highest = number == 0 ? INT64_MAX : number;
    for (const struct block *key = block->blocks; key != NULL; key = key->next) {
        number = highest_max(key);
        if (number > highest)
            highest = number;
    }
    return highest;
}

/* What the blocks of a limit say of each other. */
static void note(struct limits *limits, const struct block *block)
{
    const struct entry *entry = block_entry(block, OPTION_LIMIT_MODE);
    struct known_limit *limit = learn(limits, block);
    int64_t mode, ban, highest;
    char why[VALUE_WHY_SIZE];

    if (limit == NULL)
        return;
    if (block->parent->section->id == SECTION_TOP)
        limit->top = block;
    if (entry == NULL) {
        limit->unsaid++;
    } else if (value_number(entry->option, entry->values->text, &mode, why)) {
        limit->on += mode != MODE_OFF;
        limit->score += mode == MODE_SCORE;
    }
    entry = block_entry(block, OPTION_BAN);
    if (entry != NULL && value_number(entry->option, entry->values->text, &ban, why) && ban > 0)
        limit->bans = true;
    highest = highest_max(block);
    if (highest > limit->highest)
        limit->highest = highest;
}

/* In the order of the file. */
static void note_all(struct limits *limits, const struct block *block)
{
    for (const struct block *child = block->blocks; child != NULL; child = child->next) {
        if (child->section->id == SECTION_REPUTATION)
            limits->reputation = true;
        if (child->section->id == SECTION_LIMIT)
            note(limits, child);
        else
            note_all(limits, child);
    }
}

void limits_begin(struct limits *limits, const struct config *config, const struct scan *scan,
                  struct rules_builder *rules, struct config_messages *messages)
{
    memset(limits, 0, sizeof *limits);
    limits->config = config;
    limits->rules = rules;
    limits->messages = messages;
    note_all(limits, scan->top);
}

/* ---- what a block says ---- */

/* Why an option makes no sense in this limit, with what to do about it; NULL: it does. */
static const char *misfit(const struct limits *limits, const struct known_limit *limit, enum limit_term term)
{
    switch (term) {
    case TERM_MAX_GOOD:
    case TERM_MAX_BAD:
        return limits->reputation ? NULL : "no history of clients is kept; add reputation { } at the top level";
    case TERM_WINDOW:
        if (limit_has_window(limit->count, limit->per))
            return NULL;
        return limit->count == COUNT_SESSIONS
                   ? "the limit counts what is open now; remove it"
                   : "the limit counts from the beginning of a session or message; remove it";
    case TERM_BAN:
        return limit_can_ban(limit->per) ? NULL : "nobody is left to ban after the session; remove it";
    case TERM_SOFT:
    case TERM_ERROR_DELAY:
        return limit->count == COUNT_ERRORS && limit->per == PER_SESSION
                   ? NULL
                   : "only errors per session are slowed down; write it in limit session_errors";
    case TERM_IPV4_PREFIX:
    case TERM_IPV6_PREFIX:
        return limit->count == COUNT_NETWORKS ? NULL : "the limit counts no networks; remove it";
    default:
        return NULL;
    }
}

/* Reads a number of a limit's block or key. False after a mistake. */
static bool read_term(const struct limits *limits, const struct known_limit *limit, const struct entry *entry,
                      int64_t *out)
{
    const char *reason = misfit(limits, limit, (enum limit_term)entry->option->number);
    char why[VALUE_WHY_SIZE];

    if (!value_number(entry->option, entry->values->text, out, why)) {
        TELL(limits, entry->line, "%s: %s", entry->option->name, why);
        return false;
    }
    if (reason != NULL) {
        TELL(limits, entry->line, "%s in limit %s: %s", entry->option->name, limit->name, reason);
        return false;
    }
    return true;
}

/* Told once: there may be thousands of peers. */
static void warn_of_cap(struct limits *limits, const struct entry *entry, int64_t number)
{
    if (limits->cap_beyond_table || number <= limits->config->session_table_size)
        return;
    limits->cap_beyond_table = true;
    WARN(limits, entry->line, "%s: only session_table_size = %u sessions can be counted; raise it or write less",
         entry->option->name, (unsigned)limits->config->session_table_size);
}

static bool before_login(const struct known_limit *limit)
{
    const unsigned early = 1u << EVENT_CONNECT | 1u << EVENT_HELO;

    return (limit_events(limit->count, limit->per) & ~early) == 0;
}

static void warn_of_term(struct limits *limits, const struct known_limit *limit, const struct entry *entry,
                         int64_t number)
{
    enum limit_term term = (enum limit_term)entry->option->number;

    if (is_max(entry->option) && limit->count == COUNT_SESSIONS)
        warn_of_cap(limits, entry, number);
    if (term == TERM_MAX_AUTHENTICATED && before_login(limit))
        WARN(limits, entry->line, "%s has no effect in limit %s, which is judged before anybody can authenticate",
             entry->option->name, limit->name);
    if ((term == TERM_DISCONNECT_DELAY || term == TERM_ERROR_DELAY) && number > limits->config->max_delay_ns)
        WARN(limits, entry->line, "%s: %s is cut to max_delay", entry->option->name, entry->values->text);
}

/* The points that no mode would ever give, and the soft limit that is never reached. */
static void check_reach(const struct limits *limits, const struct known_limit *limit, const struct block *block,
                        const struct entry *entry, int64_t number)
{
    if (entry->option->id == OPTION_POINTS) {
        const struct entry *mode = block_entry(block, OPTION_LIMIT_MODE);

        if (mode != NULL ? strcasecmp(mode->values->text, limit_mode_name(MODE_SCORE)) != 0 : limit->score == 0)
            TELL(limits, entry->line, "points are given in mode score alone; write mode = score, or remove them");
    } else if (entry->option->id == OPTION_SOFT && number > 0) {
        bool own = block_entry(block, OPTION_MAX) != NULL;
        int64_t highest = own ? highest_max(block) : limit->highest;

        if (!own && limit->builtin != NULL && limit->builtin->value[TERM_MAX] > highest)
            highest = limit->builtin->value[TERM_MAX];
        if (highest > 0 && number >= highest)
            TELL(limits, entry->line, "soft = %" PRId64 " is never reached: max is %" PRId64 "; write less", number,
                 highest);
    }
}

/* Whether what the block replies may refuse a session as it begins. Blocks fall back to each other, so that a ban of
 * any of them counts. */
static bool refuses_sessions(const struct known_limit *limit, const struct block *block)
{
    unsigned events = limit_events(limit->count, limit->per);
    bool default_ban = limit->builtin != NULL && limit->builtin->value[TERM_BAN] > 0;

    if (limit->bans || (default_ban && block_entry(block, OPTION_BAN) == NULL))
        events |= limit_ban_events(limit->per);
    return (events & 1u << EVENT_CONNECT) != 0;
}

static void set_reply(const struct limits *limits, const struct known_limit *limit, limit_block_id id,
                      const struct block *block, const struct entry *entry)
{
    struct reply reply;
    char why[VALUE_WHY_SIZE];

    if (!value_reply(entry->values->text, &reply, why))
        TELL(limits, entry->line, "reply: %s", why);
    else if (strncmp(reply.code, "45", 2) == 0 && refuses_sessions(limit, block))
        TELL(limits, entry->line,
             "reply: %s refuses one command, and limit %s refuses whole sessions; write 421, or 550 to 559", reply.code,
             limit->name);
    else
        rules_set_reply(limits->rules, id, &reply);
}

/* Whether the limit compares anybody with keys of that kind. */
static bool can_match(const struct known_limit *limit, enum key_kind kind)
{
    switch (kind) {
    case KEY_USER:
        return !before_login(limit);
    case KEY_ADDRESS:
        return limit->per == PER_SENDER || limit->per == PER_SENDER_DOMAIN || limit->per == PER_RECIPIENT ||
               limit->per == PER_RECIPIENT_DOMAIN;
    case KEY_DOMAIN:
        return limit->per != PER_USER;
    default:
        return true;
    }
}

/* Told once a block: there may be thousands of keys. */
static void warn_of_key(struct limits *limits, const struct known_limit *limit, const struct key *key,
                        const char *where, const char *text, unsigned line)
{
    if (limits->key_told || can_match(limit, key->kind))
        return;
    limits->key_told = true;
    if (key->kind == KEY_USER)
        WARN(limits, line, "%s: \"%.100s\" has no effect in limit %s, which is judged before any user is known", where,
             text, limit->name);
    else
        WARN(limits, line, "%s: \"%.100s\" has no effect in limit %s, which counts per %s and compares no %s", where,
             text, limit->name, limit_per_name(limit->per), key->kind == KEY_ADDRESS ? "addresses" : "domains");
}

static void set_except(struct limits *limits, const struct known_limit *limit, limit_block_id id,
                       const struct entry *entry)
{
    char why[VALUE_WHY_SIZE];
    struct key key;

    rules_set_except(limits->rules, id);
    for (const struct value *value = entry->values; value != NULL; value = value->next) {
        if (!key_read(value->text, &key, why)) {
            TELL(limits, value->line, "except: %s", why);
            continue;
        }
        warn_of_key(limits, limit, &key, "except", value->text, value->line);
        rules_at_line(limits->rules, value->line);
        if (key.kind == KEY_PREFIX)
            rules_add_except_prefix(limits->rules, id, &key.prefix);
        else if (key.kind == KEY_USER)
            rules_add_except_user(limits->rules, id, key.name);
        else
            rules_add_except_name(limits->rules, id, key.name);
    }
}

static void set_entry(struct limits *limits, const struct known_limit *limit, limit_block_id id,
                      const struct block *block, const struct entry *entry)
{
    int64_t number;

    if (entry->option->id == OPTION_REPLY) {
        set_reply(limits, limit, id, block, entry);
    } else if (entry->option->id == OPTION_EXCEPT) {
        set_except(limits, limit, id, entry);
    } else if (entry->option->target == TO_TERM && read_term(limits, limit, entry, &number)) {
        warn_of_term(limits, limit, entry, number);
        check_reach(limits, limit, block, entry, number);
        rules_at_line(limits->rules, entry->line);
        rules_set_term(limits->rules, id, (enum limit_term)entry->option->number, number);
    }
}

/* A limit of one's own has no defaults: each of its blocks that is not off says these itself, or the one at the top
 * level does for all. */
static void check_complete(const struct limits *limits, const struct known_limit *limit, const struct block *block)
{
    static const enum option_id needed[] = {OPTION_MAX, OPTION_WINDOW};
    const struct entry *mode = block_entry(block, OPTION_LIMIT_MODE);

    if (limit->builtin != NULL || (mode != NULL && strcasecmp(mode->values->text, limit_mode_name(MODE_OFF)) == 0))
        return;
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (needed[i] == OPTION_WINDOW && !limit_has_window(limit->count, limit->per))
            continue;
        if (block_entry(block, needed[i]) == NULL && (limit->top == NULL || block_entry(limit->top, needed[i]) == NULL))
            TELL(limits, block->line, "limit %s has no %s; write %s = ... in it, or in its block at the top level",
                 limit->name, option_table[needed[i]].name, option_table[needed[i]].name);
    }
}

/* ---- keys ---- */

struct placed_key {
    struct key key;
    const struct block *block;
};

static int compare_keys(const void *left, const void *right)
{
    const struct placed_key *a = left, *b = right;

    if (a->key.kind != b->key.kind)
        return a->key.kind < b->key.kind ? -1 : 1;
    return a->key.kind == KEY_PREFIX ? prefix_compare(&a->key.prefix, &b->key.prefix)
                                     : strcmp(a->key.name, b->key.name);
}

static int compare_placed_keys(const void *left, const void *right)
{
    const struct placed_key *a = left, *b = right;
    int order = compare_keys(left, right);

    return order != 0 ? order : a->block->line < b->block->line ? -1 : a->block->line > b->block->line;
}

static void add_key(struct limits *limits, const struct known_limit *limit, limit_block_id id,
                    const struct placed_key *placed)
{
    struct limit_maxima maxima = {.set = 0};
    int64_t number;

    for (const struct entry *entry = placed->block->entries; entry != NULL; entry = entry->next) {
        if (!read_term(limits, limit, entry, &number))
            continue;
        warn_of_term(limits, limit, entry, number);
        maxima.set |= 1u << entry->option->number;
        maxima.max[entry->option->number] = (uint32_t)number;
    }
    if (placed->block->entries == NULL)
        TELL(limits, placed->block->line, "key \"%.100s\" says nothing; write max = ... in it", placed->block->title);
    warn_of_key(limits, limit, &placed->key, "title of key", placed->block->title, placed->block->line);
    rules_at_line(limits->rules, placed->block->line);
    if (placed->key.kind == KEY_PREFIX)
        rules_add_key_prefix(limits->rules, id, &placed->key.prefix, &maxima);
    else if (placed->key.kind == KEY_USER)
        rules_add_key_user(limits->rules, id, placed->key.name, &maxima);
    else
        rules_add_key_name(limits->rules, id, placed->key.name, &maxima);
}

static void add_keys(struct limits *limits, const struct known_limit *limit, limit_block_id id,
                     const struct block *block)
{
    struct placed_key *keys;
    size_t count = 0;

    if (block->block_count == 0)
        return;
    keys = calloc(block->block_count, sizeof *keys);
    if (keys == NULL) {
        out_of_memory(limits);
        return;
    }
    for (const struct block *child = block->blocks; child != NULL; child = child->next) {
        char why[VALUE_WHY_SIZE];

        keys[count].block = child;
        if (key_read(child->title, &keys[count].key, why))
            add_key(limits, limit, id, &keys[count++]);
        else
            TELL(limits, child->line, "title of key: %s", why);
    }
    qsort(keys, count, sizeof *keys, compare_placed_keys);
    for (size_t i = 1; i < count; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            TELL(limits, keys[i].block->line, "key \"%.100s\" is the key \"%.100s\" of line %u; put both into one",
                 keys[i].block->title, keys[i - 1].block->title, keys[i - 1].block->line);
    free(keys);
}

/* ---- */

void limits_add(struct limits *limits, scope_id scope, const struct block *block)
{
    const struct known_limit *limit = find_known(limits, block->title);
    limit_block_id id;

    if (limit == NULL)
        return;
    limits->key_told = false;
    id = rules_add_limit_block(limits->rules, scope, limit->number);
    check_kind(limits, limit, block, OPTION_LIMIT_COUNT, limit->count);
    check_kind(limits, limit, block, OPTION_LIMIT_PER, limit->per);
    check_complete(limits, limit, block);
    for (const struct entry *entry = block->entries; entry != NULL; entry = entry->next)
        set_entry(limits, limit, id, block, entry);
    add_keys(limits, limit, id, block);
}

bool limits_end(const struct limits *limits)
{
    bool score = false;

    for (size_t i = 0; i < limits->count; i++) {
        const struct known_limit *limit = &limits->known[i];
        const struct entry *top = limit->top != NULL ? block_entry(limit->top, OPTION_LIMIT_MODE) : NULL;
        bool top_off = top != NULL && strcasecmp(top->values->text, limit_mode_name(MODE_OFF)) == 0;

        if (limit->on == 0 && (limit->unsaid == 0 || top_off))
            WARN(limits, limit->first->line, "limit %s is off everywhere, so it has no effect", limit->name);
        score = score || limit->score > 0;
    }
    return score;
}
