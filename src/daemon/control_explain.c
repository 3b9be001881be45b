/*
 * control_explain.c: /explain and /eval.
 */
#include "daemon/control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "daemon/json_parts.h"
#include "engine/explain.h"

/* More is left out, and told to be. */
#define EVALUATIONS_MAX 1000

#define TEXT_SIZE 1000

/* ---- who is asked about ---- */

/* A subject, and what it points to. */
struct question {
    struct explain_subject subject;
    struct prefix client; /* as it was asked about: its address, or all of it */
    bool placed;          /* `listen` or `daemon_name` is given */
    char address[NAME_SIZE], domain[NAME_SIZE], registrable[NAME_SIZE], user[NAME_SIZE];
    const char *name; /* in normal form, NULL: none is asked about */
};

/* False, with the answer in *error, of an address with more to it than a client has, or a name. */
static bool is_pure(enum address_form form, const struct addr *addr, const char *what, const char *text, json_t **error,
                    int *status)
{
    char address[ADDR_TEXT_SIZE];

    if (form != ADDRESS_WITH_PORT && form != ADDRESS_WITH_ZONE)
        return true;
    *error = control_error(status, 400, "%s \"%.100s\" is an address with a %s; write the address alone, %s", what,
                           text, form == ADDRESS_WITH_PORT ? "port" : "zone", addr_format(addr, address));
    return false;
}

/* A block that is one client, as lists and logs have it; or that is one address. */
static bool read_block(const struct control *control, const char *text, struct prefix *out, json_t **error, int *status)
{
    char begin[PREFIX_TEXT_SIZE], address[ADDR_TEXT_SIZE], client_text[PREFIX_TEXT_SIZE];
    enum prefix_error result = prefix_parse(text, out);
    struct addr addr;

    snprintf(begin, sizeof begin, "%.*s", (int)strcspn(text, "/"), text);
    if (!addr_parse(begin, &addr)) {
        *error = control_error(status, 400,
                               "client \"%.100s\" is no IP address; write one, as 192.0.2.7 or 2001:db8::7", text);
        return false;
    }
    pthread_mutex_lock(control->lock);
    const struct prefix client = engine_client(control->engine, &addr);
    pthread_mutex_unlock(control->lock);
    if (result == PREFIX_OK && (out->bits == client.bits || out->bits == addr_width(&addr)))
        return true;
    addr_format(&addr, address);
    if (result == PREFIX_HOST_BITS && out->bits == client.bits)
        *error =
            control_error(status, 400, "client \"%.100s\" has host bits set; write the client, %s, or its address, %s",
                          text, prefix_format(&client, client_text), address);
    else
        *error =
            control_error(status, 400,
                          "client \"%.100s\" is not one client; a client is a /%u here (%s); ask about an address in "
                          "it, as %s",
                          text, (unsigned)client.bits,
                          addr.family == ADDR_IPV4 ? "client_ipv4_prefix" : "client_ipv6_prefix", address);
    return false;
}

/* The first address of a block stands for it. */
static bool read_client(const struct control *control, struct question *question, const char *text, json_t **error,
                        int *status)
{
    struct addr addr;

    if (!text)
        return true;
    enum address_form form = value_address(text, &addr);
    if (!is_pure(form, &addr, "client", text, error, status))
        return false;
    question->client = (struct prefix){addr, (uint8_t)addr_width(&addr)};
    if (form == ADDRESS_NONE && !read_block(control, text, &question->client, error, status))
        return false;
    question->subject.client = question->client.addr;
    return true;
}

/* Whoever it may be: a user if the name says so, as in the configuration (keys.h); a mail address; else a domain, which
 * a client may also have as its host name or say in HELO, where an address literal may stand as well. Any of them may
 * be what somebody has authenticated with: it is also counted as a user. */
static bool read_name(struct question *question, const char *text, json_t **error, int *status)
{
    struct explain_subject *subject = &question->subject;
    struct addr addr;

    if (!text)
        return true;
    const bool marked = strncmp(text, KEY_USER_MARK, strlen(KEY_USER_MARK)) == 0;
    const char *who = marked ? text + strlen(KEY_USER_MARK) : text;
    if (!marked && !is_pure(value_address(text, &addr), &addr, "name", text, error, status))
        return false;
    name_user(who, question->user);
    subject->name[PER_USER] = question->name = question->user;
    if (marked) {
        subject->user = question->user;
    } else if (strchr(text, '@')) {
        name_address(text, question->address);
        const char *at = strrchr(question->address, '@');
        snprintf(question->domain, sizeof question->domain, "%s", at ? at + 1 : "");
        subject->name[PER_SENDER] = subject->name[PER_RECIPIENT] = question->name = question->address;
    } else {
        name_domain(text, question->domain);
        name_registrable(question->domain, question->registrable);
        subject->client_domain = question->registrable;
        subject->name[PER_CLIENT_DOMAIN] = subject->name[PER_HELO] = question->name = question->domain;
    }
    if (question->domain[0])
        subject->name[PER_SENDER_DOMAIN] = subject->name[PER_RECIPIENT_DOMAIN] = question->domain;
    if (question->name[0] && who[strspn(who, " \t")])
        return true;
    *error = control_error(status, 400, "name is empty; write a domain, a mail address or a user, or leave it out");
    return false;
}

/* Where it comes in: as `initial` says when nothing is given; NULL: anywhere. */
static bool read_place(struct question *question, const char *listen, const char *daemon_name, const char *initial,
                       json_t **error, int *status)
{
    struct explain_subject *subject = &question->subject;
    char why[VALUE_WHY_SIZE];

    question->placed = listen || daemon_name;
    subject->daemon_name = daemon_name;
    subject->anywhere = !question->placed && !initial;
    if (!listen && !daemon_name)
        listen = initial;
    if (daemon_name && !value_name(daemon_name, why)) {
        *error = control_error(status, 400, "daemon_name: %s", why);
        return false;
    }
    if (listen && !value_listen(listen, &subject->local, &subject->local_port, why)) {
        *error = control_error(status, 400, "listen: %s", why);
        return false;
    }
    return true;
}

/* What is said of a place that the configuration does not know would be misleading: it may be mistyped. */
static json_t *place_error(const struct control *control, const char *listen, const char *daemon_name, int *status)
{
    return control_error(status, 400,
                         "no listener in %.200s is for listen \"%.60s\", daemon_name \"%.60s\"; write them as they "
                         "stand there, or leave them out",
                         control->config->path, listen ? listen : "", daemon_name ? daemon_name : "");
}

/* ---- texts ---- */

/* The option that sets it; NULL for a maximum of nobody's making. */
static const struct option_row *option_of(enum option_target target, int number)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].target == target && option_table[i].number == number)
            return &option_table[i];
    return NULL;
}

/* As the configuration would say it. */
static json_t *value_json(const struct option_row *option, int64_t value)
{
    char text[DURATION_TEXT_SIZE];

    switch (option->type) {
    case TYPE_DURATION:
        return json_string(duration_format(value, text));
    case TYPE_WORD:
        return json_string(option->words[value]);
    default:
        snprintf(text, sizeof text, "%" PRId64, value);
        return json_string(text);
    }
}

static json_t *line_json(unsigned line)
{
    return line > 0 ? json_integer(line) : json_null();
}

static json_t *seconds_json(int64_t ns, bool given)
{
    return given ? json_real((double)ns / 1e9) : json_null();
}

static const char *mode_name(const struct control *control)
{
    return limit_mode_name(control->config->monitor ? MODE_MONITOR : MODE_BLOCK);
}

/* ---- one explanation ---- */

static const char *state_of(const struct explanation *one)
{
    if (one->exempt)
        return "exempt";
    if (one->limit == LIMIT_DENY)
        return "denied";
    if (one->banned)
        return "banned";
    return one->next == NEXT_NOW || one->next == NEXT_SESSION ? "open" : "full";
}

static const char *next_name(enum explain_next next)
{
    static const char *const names[] = {[NEXT_NOW] = "now",
                                        [NEXT_AT] = "at",
                                        [NEXT_ON_CLOSE] = "close",
                                        [NEXT_SESSION] = "session",
                                        [NEXT_NEVER] = "never"};
    return names[next];
}

/* Whom it concerns; "" where nobody in particular. */
static const char *key_of(const struct explanation *one, char text[KEY_TEXT_SIZE])
{
    snprintf(text, KEY_TEXT_SIZE, "%s", one->key);
    if (!one->key[0] && one->client.addr.family != ADDR_NONE)
        prefix_format(&one->client, text);
    return text;
}

static json_t *count_json(const struct explanation *one)
{
    if (one->limit == LIMIT_SCORE)
        return json_string("points");
    return one->count_of < COUNT_KINDS ? json_string(limit_count_name(one->count_of)) : json_null();
}

/* "in FILE:LINE", or in the file where the value is a default. */
static void place_text(const struct control *control, unsigned line, char *out, size_t size)
{
    if (line > 0)
        snprintf(out, size, "in %.500s:%u", control->config->path, line);
    else
        snprintf(out, size, "in %.500s", control->config->path);
}

/* What lets the subject in again: a command where one does, else what to change. */
static json_t *lift_json(const struct control *control, const struct explanation *one)
{
    char text[TEXT_SIZE], place[600], key[KEY_TEXT_SIZE];

    if (one->exempt || one->next == NEXT_NOW || one->next == NEXT_SESSION)
        return json_null();
    place_text(control, one->line, place, sizeof place);
    if (one->limit == LIMIT_DENY)
        snprintf(text, sizeof text, "remove %s from deny %s, then tidegate reload",
                 one->key[0] ? one->key : "authenticated", place);
    else if (one->limit == LIMIT_SCORE)
        snprintf(text, sizeof text, "raise score_refuse %s, then tidegate reload", place);
    else if (one->limit < LIMIT_NUMBERED && one->limit != LIMIT_BAN)
        snprintf(text, sizeof text, "raise %s %s, then tidegate reload", one->name, place);
    else if (one->next == NEXT_ON_CLOSE) /* without its ban the next connection would begin one */
        snprintf(text, sizeof text, "raise %s of limit %s %s, then tidegate reload",
                 option_of(TO_TERM, (int)one->term)->name, one->name, place);
    else
        return lift_command(key_of(one, key), one->per);
    return control_text(text);
}

static json_t *explanation_json(const struct control *control, const struct explanation *one)
{
    json_t *json = json_object();
    char key[KEY_TEXT_SIZE];
    bool timed = one->next == NEXT_NOW || one->next == NEXT_AT;
    bool ok = put(json, "limit", json_string(one->name));

    ok = put(json, "scope", control_text(one->scope)) && ok;
    ok = put(json, "file", control_text(control->config->path)) && ok;
    ok = put(json, "line", line_json(one->line)) && ok;
    ok = put(json, "mode", json_string(limit_mode_name(one->mode))) && ok;
    ok = put(json, "count_of", count_json(one)) && ok;
    ok = put(json, "per", one->per < PER_KINDS ? json_string(limit_per_name(one->per)) : json_null()) && ok;
    ok = put(json, "key", control_text(key_of(one, key))) && ok;
    ok = put(json, "window", seconds_json(one->window_ns, one->window_ns > 0)) && ok;
    ok = put(json, "count", json_integer(one->count)) && ok;
    ok = put(json, "max", one->max > 0 ? json_integer(one->max) : json_null()) && ok;
    ok = put(json, "exempt", json_boolean(one->exempt)) && ok;
    ok = put(json, "banned", json_boolean(one->banned)) && ok;
    ok = put(json, "ban_left", seconds_json(one->ban_left_ns, one->banned)) && ok;
    ok = put(json, "state", json_string(state_of(one))) && ok;
    ok = put(json, "next", seconds_json(one->next_ns, timed)) && ok;
    ok = put(json, "next_when", json_string(next_name(one->next))) && ok;
    ok = put(json, "keeps_out", json_boolean(one->keeps_out)) && ok;
    ok = put(json, "lift", lift_json(control, one)) && ok;
    return whole(json, ok);
}

static bool is_later(const struct admission *a, const struct admission *b)
{
    return a->when != b->when ? a->when > b->when : a->when == NEXT_AT && a->ns > b->ns;
}

/* ---- the pages ---- */

static json_t *client_json(const struct question *question)
{
    char text[PREFIX_TEXT_SIZE];

    return question->client.addr.family != ADDR_NONE ? json_string(prefix_format(&question->client, text))
                                                     : json_null();
}

static json_t *explain_json(const struct control *control, const struct question *question, const char *listen,
                            const struct explain_walk *walk)
{
    json_t *page = json_object(), *list = json_array();
    const struct explanation *refused_by = NULL;
    struct admission admission = {NEXT_NOW, 0};
    bool ok = true;

    for (uint32_t i = 0; i < walk->told; i++) {
        const struct explanation *one = explain_told(walk, i);
        if (!refused_by && one->keeps_out)
            refused_by = one;
        if (one->keeps_out && is_later(&one->over, &admission))
            admission = one->over;
        ok = add(list, explanation_json(control, one)) && ok;
    }
    ok = put(page, "client", client_json(question)) && ok;
    ok = put(page, "name", control_text(question->name)) && ok;
    ok = put(page, "listen", control_text(listen)) && ok;
    ok = put(page, "daemon_name", control_text(question->subject.daemon_name)) && ok;
    ok = put(page, "mode", json_string(mode_name(control))) && ok;
    ok = put(page, "admitted", json_boolean(!refused_by)) && ok;
    ok = put(page, "refused_by", refused_by ? json_string(refused_by->name) : json_null()) && ok;
    ok = put(page, "next", seconds_json(admission.ns, admission.when <= NEXT_AT)) && ok;
    ok = put(page, "next_when", json_string(next_name(admission.when))) && ok;
    ok = put(page, "limits", list) && ok;
    ok = put(page, "left_out", json_integer(walk->left_out)) && ok;
    return whole(page, ok);
}

/* Asks a few places at a time. */
static void walk_places(struct control *control, struct explain_walk *walk)
{
    bool done;

    do {
        pthread_mutex_lock(control->lock);
        done = engine_explain(control->engine, walk, control->now());
        pthread_mutex_unlock(control->lock);
    } while (!done);
}

json_t *control_explain(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"client", "name", "listen", "daemon_name", NULL};
    const char *client = control_parameter(parameters, "client"), *name = control_parameter(parameters, "name");
    const char *listen = control_parameter(parameters, "listen");
    const char *daemon_name = control_parameter(parameters, "daemon_name");
    struct question question = {.placed = false};
    json_t *answer;

    if (!control_known(parameters, names, &answer, status))
        return answer;
    if (!client && !name)
        return control_error(status, 400,
                             "nobody is asked about; give client (an IP address), name (a domain, a mail "
                             "address or a user), or both");
    if (!read_client(control, &question, client, &answer, status) || !read_name(&question, name, &answer, status) ||
        !read_place(&question, listen, daemon_name, NULL, &answer, status))
        return answer;
    pthread_mutex_lock(control->lock);
    bool known = !question.placed || engine_place_known(control->engine, &question.subject);
    pthread_mutex_unlock(control->lock);
    if (!known)
        return place_error(control, listen, daemon_name, status);
    struct explain_walk *walk = calloc(1, sizeof *walk);
    if (!walk)
        return NULL;
    walk->subject = question.subject;
    walk->room = EXPLAIN_ROOM;
    walk_places(control, walk);
    *status = 200;
    answer = explain_json(control, &question, listen, walk);
    free(walk);
    return answer;
}

/* Name, value and place of a setting or a term. */
static json_t *said_json(const struct control *control, const struct evaluation *one)
{
    const struct option_row *option = one->what == EVALUATED_TERM       ? option_of(TO_TERM, (int)one->term)
                                      : one->setting == SETTING_PATHWAY ? &option_table[OPTION_PATHWAY]
                                                                        : option_of(TO_SETTING, (int)one->setting);
    bool pathway = option->id == OPTION_PATHWAY;

    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "name", option->name, "value",
                     pathway ? control_text(one->text) : value_json(option, one->value), "scope",
                     control_text(one->scope), "file", control_text(control->config->path), "line",
                     line_json(one->line));
}

static json_t *cap_json(const struct control *control, const struct evaluation *one)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o}", "limit", one->limit, "scope", control_text(one->scope), "max",
                     one->value > 0 ? json_integer(one->value) : json_null(), "file",
                     control_text(control->config->path), "line", line_json(one->line));
}

static json_t *list_json(const struct control *control, const struct evaluation *one)
{
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "limit", one->limit, "key", one->text, "mode",
                     one->mode == MODE_OFF ? json_null() : json_string(limit_mode_name(one->mode)), "points",
                     one->mode == MODE_SCORE ? json_integer(one->value) : json_null(), "file",
                     control_text(control->config->path), "line", line_json(one->line));
}

static json_t *eval_json(const struct control *control, const struct question *question, const char *listen,
                         const struct evaluation *values, size_t count)
{
    json_t *page = json_object(), *lists = json_array(), *caps = json_array(), *settings = json_array(),
           *limits = json_array();
    json_t *terms = NULL; /* of the last limit */
    size_t shown = count < EVALUATIONS_MAX ? count : EVALUATIONS_MAX;
    bool ok = true;

    for (size_t i = 0; i < shown; i++) {
        const struct evaluation *one = &values[i];
        if (one->what == EVALUATED_LIST) {
            ok = add(lists, list_json(control, one)) && ok;
        } else if (one->what == EVALUATED_CAP) {
            ok = add(caps, cap_json(control, one)) && ok;
        } else if (one->what == EVALUATED_SETTING) {
            ok = add(settings, said_json(control, one)) && ok;
        } else {
            if (i == 0 || values[i - 1].what != EVALUATED_TERM || strcmp(values[i - 1].limit, one->limit) != 0) {
                terms = json_array();
                ok = add(limits, json_pack("{s:s, s:s, s:O}", "limit", one->limit, "mode", limit_mode_name(one->mode),
                                           "terms", terms)) &&
                     ok;
                json_decref(terms); /* it is the list's */
            }
            ok = ok && add(terms, said_json(control, one));
        }
    }
    ok = put(page, "client", client_json(question)) && ok;
    ok = put(page, "listen", control_text(listen)) && ok;
    ok = put(page, "daemon_name", control_text(question->subject.daemon_name)) && ok;
    ok = put(page, "mode", json_string(mode_name(control))) && ok;
    ok = put(page, "lists", lists) && ok;
    ok = put(page, "caps", caps) && ok;
    ok = put(page, "settings", settings) && ok;
    ok = put(page, "limits", limits) && ok;
    ok = put(page, "left_out", json_integer((json_int_t)(count - shown))) && ok;
    return whole(page, ok);
}

json_t *control_eval(struct control *control, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"client", "listen", "daemon_name", NULL};
    const char *client = control_parameter(parameters, "client"), *listen = control_parameter(parameters, "listen");
    const char *daemon_name = control_parameter(parameters, "daemon_name");
    struct question question = {.placed = false};
    json_t *answer;

    if (!control_known(parameters, names, &answer, status))
        return answer;
    if (!client)
        return control_error(status, 400,
                             "nobody is asked about; give client, an IP address or a block that is one client");
    if (!read_client(control, &question, client, &answer, status) ||
        !read_place(&question, listen, daemon_name, ":25", &answer, status))
        return answer;
    struct evaluation *values = malloc(EVALUATIONS_MAX * sizeof *values);
    if (!values)
        return NULL;
    pthread_mutex_lock(control->lock);
    size_t count = engine_evaluate(control->engine, &question.subject, control->now(), values, EVALUATIONS_MAX);
    bool known = !question.placed || engine_place_known(control->engine, &question.subject);
    pthread_mutex_unlock(control->lock);
    *status = 200;
    answer = known ? eval_json(control, &question, question.placed ? listen : ":25", values, count)
                   : place_error(control, listen, daemon_name, status);
    free(values);
    return answer;
}
