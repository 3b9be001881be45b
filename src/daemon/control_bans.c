/*
 * control_bans.c: /bans, /ban and /unban.
 */
#include "daemon/control.h"

#include <string.h>

#include "config/keys.h"
#include "daemon/json_parts.h"
#include "daemon/reading.h"
#include "daemon/report.h"

#define LISTED_MAX 10000
#define LISTED_DEFAULT 1000
#define LISTED_SLACK 16 /* bans that begin while they are counted */
#define SECONDS_MAX (OPERATOR_BAN_NS_MAX / NS_PER_S)
#define NS_PER_S INT64_C(1000000000)
#define BAN_SECONDS_DEFAULT 86400

/* ---- parameters ---- */

/* False, with the answer in *error, when there is no limit of that name. */
static bool limit_parameter(struct control *control, const struct evkeyvalq *parameters, const char **out,
                            json_t **error, int *status)
{
    struct limit_view limits[LIMIT_END];
    const size_t count = read_limits(control, limits);
    const char *limit = control_parameter(parameters, "limit");

    *out = limit;
    if (!limit)
        return true;
    for (size_t i = 0; i < count; i++)
        if (strcmp(limits[i].name, limit) == 0)
            return true;
    *error = control_error(status, 400,
                           "limit is \"%.60s\", which is none; give the name of a limit as the log has it, or ban for "
                           "the bans of administrators",
                           limit);
    return false;
}

/* ---- targets ---- */

/* A domain in normal form: letters, digits, hyphens and underscores between single dots, and no mistyped address. */
static bool is_domain(const char *name)
{
    const char *last = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;

    return name[0] && name[0] != '.' && !strstr(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name) &&
           strspn(last, "0123456789") < strlen(last);
}

/* A block of clients. False, with the answer in *error, when the text is one that is no good; *is_block says whether it
 * is one at all. */
static bool read_block(const char *text, struct prefix *out, bool *is_block, json_t **error, int *status)
{
    char meant[PREFIX_TEXT_SIZE];

    *is_block = false;
    switch (prefix_parse(text, out)) {
    case PREFIX_OK:
        *is_block = true;
        return true;
    case PREFIX_HOST_BITS:
        *error = control_error(status, 400, "target is \"%.60s\", with bits after the prefix; the block is %s", text,
                               prefix_format(out, meant));
        return false;
    case PREFIX_BAD_LENGTH:
        *error = control_error(
            status, 400, "target is \"%.60s\"; behind the slash give a number, to 32 for IPv4 and to 128 for IPv6",
            text);
        return false;
    default:
        *out = (struct prefix){.bits = 0};
        return true;
    }
}

/* ---- pages ---- */

json_t *control_bans(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"n", "limit", NULL};
    int64_t wanted = LISTED_DEFAULT;
    const char *limit;
    struct best best;
    json_t *error;

    if (!control_known(parameters, names, &error, status) ||
        !control_number(parameters, "n", "", LISTED_MAX, &wanted, &error, status) ||
        !limit_parameter(control, parameters, &limit, &error, status))
        return error;
    const struct engine_totals totals = read_totals(control);
    const int64_t there = (int64_t)totals.bans + totals.operator_bans + LISTED_SLACK;
    bool ok =
        best_init(&best, (size_t)(wanted < there ? wanted : there), sizeof(struct ban_view), most_time_left_first);
    if (ok) {
        read_bans(control, limit, &best);
        best_sort(&best);
    }
    json_t *page = json_object(), *list = json_array();
    for (size_t i = 0; i < best.count && ok; i++)
        ok = add(list, ban_json((const struct ban_view *)best.items + i));
    ok = put(page, "bans", list) && ok;
    ok = put(page, "left_out", json_integer((json_int_t)best.left_out)) && ok;
    best_free(&best);
    *status = 200;
    return whole(page, ok);
}

json_t *control_ban(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"target", "for", NULL};
    const char *text = control_parameter(parameters, "target");
    struct ban_target target = {.name = ""};
    char shown[NAME_SIZE];
    int64_t seconds = BAN_SECONDS_DEFAULT;
    bool is_block;
    json_t *error;

    if (!control_known(parameters, names, &error, status) ||
        !control_number(parameters, "for", " of seconds", SECONDS_MAX, &seconds, &error, status))
        return error;
    if (!text || !text[0])
        return control_error(status, 400, "target is missing; give an address, a block (192.0.2.0/24) or a domain");
    if (!read_block(text, &target.clients, &is_block, &error, status))
        return error;
    if (is_block) {
        prefix_format(&target.clients, shown);
    } else {
        name_domain(text, target.name);
        strcpy(shown, target.name);
        if (!is_domain(target.name))
            return control_error(
                status, 400, "target is \"%.60s\", neither an address nor a block (192.0.2.0/24) nor a domain", text);
    }
    const int64_t now = control->now();
    pthread_mutex_lock(control->lock);
    enum ban_result result = engine_ban(control->engine, &target, seconds * NS_PER_S, now);
    const bool monitored = engine_ban_monitored(control->engine, &target, now);
    pthread_mutex_unlock(control->lock);
    if (result == BAN_NO_ROOM)
        return control_error(status, 409,
                             "%d bans of administrators are in force, and there can be no more: lift some, or put "
                             "lasting ones on the deny list of the configuration",
                             OPERATOR_BANS_MAX);
    report_ban(shown, seconds * NS_PER_S);
    *status = 200;
    return json_pack("{s:o, s:I, s:b, s:s, s:b}", "target", control_text(shown), "for", (json_int_t)seconds, "changed",
                     result == BAN_CHANGED, "action",
                     action_name(control->config->monitor ? ACTION_MONITOR : ACTION_REFUSE), "monitored", monitored);
}

/* Lifts what fits, a stretch of the table at a time. */
static void lift(struct control *control, const struct unban *unban, struct unbanned *done)
{
    uint64_t next = 0;

    do {
        pthread_mutex_lock(control->lock);
        engine_unban(control->engine, unban, control->now(), &next, done);
        pthread_mutex_unlock(control->lock);
    } while (next != 0);
}

/* The ban, as JSON, that keeps the target out whatever else was lifted; null: there is none. */
static json_t *held_by(struct control *control, const struct ban_target *target)
{
    struct ban_view ban;

    pthread_mutex_lock(control->lock);
    const bool held = engine_held_by(control->engine, target, control->now(), &ban);
    pthread_mutex_unlock(control->lock);
    return held ? ban_json(&ban) : json_null();
}

static bool is_marked(const char *text)
{
    return strncmp(text, KEY_USER_MARK, strlen(KEY_USER_MARK)) == 0;
}

/* A user, marked as in the configuration (keys.h). */
static void lift_user(struct control *control, const char *name, struct unban *unban, struct unbanned *done)
{
    struct ban_target target = {.name = ""};

    name_user(name, target.name);
    unban->target = &target;
    unban->users = true;
    lift(control, unban, done);
}

/* A name, in each form in which a limit may count it: what a client says in HELO may look like an address or a marked
 * user, and the name of a user like anything. */
static void lift_name(struct control *control, const char *text, struct unban *unban, struct unbanned *done)
{
    static void (*const forms[])(const char *, char[NAME_SIZE]) = {name_domain, name_address, name_user};
    struct ban_target targets[3] = {{.name = ""}, {.name = ""}, {.name = ""}};

    for (size_t i = 0; i < 3; i++) {
        bool known = false;
        forms[i](text, targets[i].name);
        for (size_t j = 0; j < i && !known; j++)
            known = strcmp(targets[j].name, targets[i].name) == 0;
        unban->target = &targets[i];
        /* Only who says nothing at all means the empty name: "." is none. */
        known = known || (!targets[i].name[0] && text[0]);
        if (!known)
            lift(control, unban, done);
    }
    if (is_marked(text))
        lift_user(control, text + strlen(KEY_USER_MARK), unban, done);
}

json_t *control_unban(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"target", "limit", "since", NULL};
    const char *text = control_parameter(parameters, "target");
    struct ban_target whom = {.name = ""};
    struct unban unban = {.target = NULL};
    struct unbanned done = {0};
    int64_t since = 0;
    bool is_block = false;
    json_t *error;

    if (!control_known(parameters, names, &error, status) ||
        !control_number(parameters, "since", " of seconds", SECONDS_MAX, &since, &error, status) ||
        !limit_parameter(control, parameters, &unban.limit, &error, status))
        return error;
    if (!text && !unban.limit)
        return control_error(status, 400,
                             "nothing says what to lift; give target (an address, a block or a name), limit, or both");
    if (text && !read_block(text, &whom.clients, &is_block, &error, status))
        return error;
    unban.since_ns = since * NS_PER_S;
    if (!text || is_block) {
        unban.target = text ? &whom : NULL;
        lift(control, &unban, &done);
    }
    if (text)
        lift_name(control, text, &unban, &done);
    if (text && !is_block && !is_marked(text))
        (strchr(text, '@') ? name_address : name_domain)(text, whom.name);
    report_unban(text, unban.limit, unban.since_ns, &done);
    *status = 200;
    return json_pack("{s:I, s:I, s:o}", "lifted", (json_int_t)done.lifted, "forgotten", (json_int_t)done.forgotten,
                     "held_by", held_by(control, &whom));
}
