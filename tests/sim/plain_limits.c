/*
 * plain_limits.c: random limits and lists.
 */
#include "plain.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

/* What keys, exceptions and lists may name: addresses, users, domains and their parents. */
static const char *const key_names[] = {
    "a@example.org", "b@example.net",     "example.org", "mail.example.org", "org", "example.net", "user1",
    "user2",         "user3@example.org", "net",         "unknown.example",
};
#define KEY_NAMES (sizeof key_names / sizeof *key_names)

const struct plain_kind *plain_kind(int kind)
{
    static struct plain_kind kinds[PLAIN_KINDS];
    static int known;

    if (known == 0) {
        for (; known < LIMITS_BUILTIN; known++) {
            const struct limit_builtin *from = &limit_builtins[known];
            kinds[known] = (struct plain_kind){.count = from->count, .per = from->per, .value = from->value};
            snprintf(kinds[known].name, sizeof kinds[known].name, "%s", from->name);
        }
        for (int pair = 0; pair < COUNT_KINDS * PER_KINDS; pair++) {
            const enum limit_count count = (enum limit_count)(pair / PER_KINDS);
            const enum limit_per per = (enum limit_per)(pair % PER_KINDS);
            if (!limit_fits(count, per))
                continue;
            struct plain_kind *to = &kinds[known++];
            *to = (struct plain_kind){.count = count, .per = per, .value = limit_custom_defaults};
            snprintf(to->name, sizeof to->name, "my_%s_%s", limit_count_name(count), limit_per_name(per));
        }
        assert(known == PLAIN_KINDS);
    }
    return &kinds[kind];
}

static const enum limit_term frame_terms[] = {TERM_WINDOW, TERM_IPV4_PREFIX, TERM_IPV6_PREFIX};

/* Whether a term has any meaning for limits of that kind. */
static bool has_term(const struct plain_kind *kind, enum limit_term term)
{
    switch (term) {
    case TERM_WINDOW:
        return limit_has_window(kind->count, kind->per);
    case TERM_BAN:
        return limit_can_ban(kind->per);
    case TERM_SOFT:
    case TERM_ERROR_DELAY:
        return kind->count == COUNT_ERRORS && kind->per == PER_SESSION;
    case TERM_IPV4_PREFIX:
    case TERM_IPV6_PREFIX:
        return kind->count == COUNT_NETWORKS;
    default:
        return true;
    }
}

/* The largest number that a cell as wide as `max` needs holds, 1 to 4 bytes. */
static int64_t cell_class(int64_t max)
{
    int64_t most = 255;
    while (max > most)
        most = most * 256 + 255;
    return most;
}

void plain_random_frames(struct prng *prng, struct plain_rules *rules)
{
    static const int64_t windows[] = {SECOND,        SECOND + 1, 10 * SECOND, 90 * SECOND,
                                      3600 * SECOND, 5 * DAY,    60 * DAY,    365 * DAY};
    static const int64_t ipv4_bits[] = {24, 32, 16, 0}, ipv6_bits[] = {64, 128, 33, 0};
    static const int64_t half_lives[] = {60 * SECOND, 3600 * SECOND, 7 * DAY, 20 * DAY};

    rules->lengthy = plain_chance(prng, 20);
    rules->half_life = plain_chance(prng, 40) ? 0 : half_lives[prng_below(prng, 2) + (rules->lengthy ? 2 : 0)];
    for (int i = 0; i < PLAIN_KINDS; i++) {
        struct plain_frame *frame = &rules->frames[i];
        const struct plain_kind *kind = plain_kind(i);
        memcpy(frame->fixed, kind->value, sizeof frame->fixed);
        if (i >= LIMITS_BUILTIN || plain_chance(prng, 80))
            frame->fixed[TERM_WINDOW] = windows[prng_below(prng, rules->lengthy ? 8 : 5)];
        if (plain_chance(prng, 50)) {
            frame->fixed[TERM_IPV4_PREFIX] = ipv4_bits[prng_below(prng, 4)];
            frame->fixed[TERM_IPV6_PREFIX] = ipv6_bits[prng_below(prng, 4)];
        }
        frame->least = plain_chance(prng, 80) ? 0 : (INT64_C(256) << 8 * prng_below(prng, 3));
        frame->anchored = plain_chance(prng, 50);
    }
}

static void put(struct plain_limit *limit, enum limit_term term, int64_t value)
{
    limit->set[term] = true;
    limit->value[term] = value;
}

static int64_t random_max(struct prng *prng)
{
    static const int64_t maxima[] = {0, 1, 1, 2, 3, 5, 9, 100};
    return maxima[prng_below(prng, 8)];
}

static void random_entry(struct prng *prng, struct plain_entry *entry)
{
    memset(entry, 0, sizeof *entry);
    if (plain_chance(prng, 50)) {
        entry->name = key_names[prng_below(prng, KEY_NAMES)];
    } else {
        entry->block.addr = plain_random_client(prng);
        unsigned width = entry->block.addr.family == 4 ? 32 : 128;
        entry->block.bits = plain_chance(prng, 40) ? width : prng_below(prng, width + 1);
        plain_cut(&entry->block.addr, entry->block.bits);
    }
    for (int i = 0; i < 4; i++) {
        entry->set[i] = plain_chance(prng, i == 0 ? 80 : 20);
        entry->max[i] = random_max(prng);
    }
}

static void random_reply(struct prng *prng, struct reply *reply)
{
    static const char *const codes[] = {"421", "450", "452", "550"};
    static const char *const texts[] = {"No.", "{client} is over {limit}: {count} of {max}.", "{max}{max} {other} {",
                                        "{limit}", ""};
    const uint32_t code = prng_below(prng, 4);

    memset(reply, 0, sizeof *reply);
    snprintf(reply->code, sizeof reply->code, "%s", codes[code]);
    snprintf(reply->enhanced, sizeof reply->enhanced, "%c.7.%u", codes[code][0], (unsigned)prng_below(prng, 200));
    snprintf(reply->text, sizeof reply->text, "%s", texts[prng_below(prng, 5)]);
}

/* What belongs to the frame: a must where the counter would have another shape without it. */
static void put_frame(struct prng *prng, const struct plain_frame *frame, struct plain_limit *limit)
{
    const struct plain_kind *kind = plain_kind(limit->kind);
    const bool free = frame->anchored && limit->scope != 0;

    for (size_t i = 0; i < sizeof frame_terms / sizeof *frame_terms; i++) {
        enum limit_term term = frame_terms[i];
        bool must = frame->fixed[term] != kind->value[term] && !free;
        if (has_term(kind, term) && (must || plain_chance(prng, 50)))
            put(limit, term, frame->fixed[term]);
    }
    bool must = !free && (frame->least > 0 || cell_class(kind->value[TERM_MAX]) != 255 || kind->value[TERM_MAX] > 5);
    if (must || plain_chance(prng, 70))
        put(limit, TERM_MAX, frame->least > 0 ? frame->least + prng_below(prng, 9) : random_max(prng));
}

static void random_limit(struct prng *prng, const struct plain_rules *rules, struct plain_limit *limit)
{
    static const int64_t bans[] = {0, 1, SECOND, 30 * SECOND, 3600 * SECOND, 365 * DAY};
    static const int64_t delays[] = {0, 1, SECOND, 3 * SECOND};
    static const enum limit_mode modes[] = {MODE_BLOCK,   MODE_BLOCK, MODE_BLOCK, MODE_MONITOR,
                                            MODE_MONITOR, MODE_SCORE, MODE_SCORE, MODE_OFF};
    const struct plain_kind *kind = plain_kind(limit->kind);

    put_frame(prng, &rules->frames[limit->kind], limit);
    for (int term = TERM_MAX_GOOD; term <= TERM_MAX_AUTHENTICATED; term++)
        if (plain_chance(prng, 25))
            put(limit, (enum limit_term)term, random_max(prng));
    if (plain_chance(prng, 60))
        put(limit, TERM_MODE, modes[prng_below(prng, 8)]);
    if (plain_chance(prng, 40))
        put(limit, TERM_POINTS, prng_below(prng, 6));
    if (has_term(kind, TERM_BAN) && plain_chance(prng, 40))
        put(limit, TERM_BAN, bans[prng_below(prng, rules->lengthy ? 6 : 5)]);
    if (has_term(kind, TERM_SOFT) && plain_chance(prng, 50))
        put(limit, TERM_SOFT, prng_below(prng, 4));
    if (has_term(kind, TERM_ERROR_DELAY) && plain_chance(prng, 50))
        put(limit, TERM_ERROR_DELAY, delays[prng_below(prng, 4)]);
    if (plain_chance(prng, 20))
        put(limit, TERM_DISCONNECT_DELAY, delays[prng_below(prng, 4)]);
    limit->has_reply = plain_chance(prng, 20);
    random_reply(prng, &limit->reply);
    limit->has_except = plain_chance(prng, 20);
    for (uint32_t left = prng_below(prng, PLAIN_ENTRIES + 1); limit->has_except && left > 0; left--)
        random_entry(prng, &limit->except[limit->except_count++]);
    for (uint32_t left = plain_chance(prng, 30) ? prng_below(prng, PLAIN_ENTRIES + 1) : 0; left > 0; left--)
        random_entry(prng, &limit->keys[limit->key_count++]);
}

static void add_limit(struct prng *prng, struct plain_rules *rules, int kind, int scope)
{
    for (int i = 0; i < rules->limit_count; i++)
        if (rules->limits[i].kind == kind && rules->limits[i].scope == scope)
            return;
    if (rules->limit_count == PLAIN_LIMITS)
        return;
    struct plain_limit *limit = &rules->limits[rules->limit_count++];
    memset(limit, 0, sizeof *limit);
    limit->kind = kind;
    limit->scope = scope;
    random_limit(prng, rules, limit);
}

static void random_list(struct prng *prng, struct plain_list *list)
{
    struct plain_entry entry;

    memset(list, 0, sizeof *list);
    for (uint32_t left = prng_below(prng, 3); left > 0; left--) {
        random_entry(prng, &entry);
        if (!entry.name)
            list->blocks[list->block_count++] = entry.block;
    }
    for (uint32_t left = prng_below(prng, 3); left > 0; left--)
        list->senders[list->sender_count++] = key_names[prng_below(prng, KEY_NAMES)];
    for (uint32_t left = prng_below(prng, 3); left > 0; left--)
        list->users[list->user_count++] = key_names[prng_below(prng, KEY_NAMES)];
    list->authenticated = plain_chance(prng, 10);
}

/* Peers of one parent whose blocks lie in one another are put together, so now and then all of them have the limit. */
static void add_to_peers(struct prng *prng, struct plain_rules *rules, int kind)
{
    for (int i = 0; i < rules->count; i++)
        if (rules->scopes[i].kind == SCOPE_PEER)
            add_limit(prng, rules, kind, i);
}

static void add_kind(struct prng *prng, struct plain_rules *rules, int kind)
{
    if (rules->frames[kind].anchored || plain_chance(prng, 60))
        add_limit(prng, rules, kind, 0);
    if (rules->limit_count == PLAIN_LIMITS)
        return; /* the anchor might be missing */
    if (plain_chance(prng, 20))
        add_to_peers(prng, rules, kind);
    for (uint32_t left = prng_below(prng, 4); left > 0; left--)
        add_limit(prng, rules, kind, (int)prng_below(prng, (uint32_t)rules->count));
}

/* So many limits for the whole service that one event is over more of them than a verdict can tell. */
static void add_many(struct prng *prng, struct plain_rules *rules)
{
    for (int kind = 0; kind < PLAIN_KINDS; kind++) {
        const bool once = plain_chance(prng, 80), scores = plain_chance(prng, 80);
        if (plain_kind(kind)->count != COUNT_RECIPIENTS && plain_kind(kind)->count != COUNT_ERRORS)
            continue;
        add_limit(prng, rules, kind, 0);
        struct plain_limit *limit = &rules->limits[rules->limit_count - 1];
        if (scores)
            put(limit, TERM_MODE, MODE_SCORE);
        if (once && rules->frames[kind].least == 0)
            put(limit, TERM_MAX, 1);
    }
}

void plain_random_limits(struct prng *prng, struct plain_rules *rules)
{
    rules->limit_count = 0;
    if (plain_chance(prng, 5))
        add_many(prng, rules);
    for (uint32_t left = 1 + prng_below(prng, 12); left > 0; left--) {
        int kind = (int)prng_below(prng, plain_chance(prng, 30) ? LIMITS_BUILTIN : PLAIN_KINDS);
        if (plain_chance(prng, 10)) /* they are few, and have much to remember */
            while (plain_kind(kind)->count != COUNT_NETWORKS)
                kind = (kind + 1) % PLAIN_KINDS;
        add_kind(prng, rules, kind);
    }
    for (int i = 0; i < RULES_LISTS; i++) {
        memset(&rules->lists[i], 0, sizeof rules->lists[i]);
        if (plain_chance(prng, 30))
            random_list(prng, &rules->lists[i]);
    }
    rules->deny_mode = plain_chance(prng, 60) ? MODE_BLOCK : (enum limit_mode)prng_below(prng, 4);
    rules->deny_points = prng_below(prng, 6);
    rules->monitor = plain_chance(prng, 10);
}

void plain_limit_clients(struct plain_rules *rules)
{
    struct plain_limit *limit = &rules->limits[rules->limit_count++];
    memset(limit, 0, sizeof *limit);
    limit->kind = LIMIT_NUMBER_CLIENT_SESSIONS;
    put(limit, TERM_MAX, 1);
}
