/*
 * test_metrics.c: /metrics over a real engine, read back by the rules of the text format. Links the pages and all of
 * src/engine.
 */
#include "check_main.h"
#include "control_case.h"

#include <stdio.h>

/* ---- a reader of the format ---- */

#define SAMPLES 8000
static struct sample {
    char name[64];
    char labels[900]; /* as they stand between the braces */
    double value;
} samples[SAMPLES];
static size_t sample_count;

static struct family {
    char name[64], type[16];
} families[100];
static size_t family_count;

/* The labels behind the brace; returns what follows the closing one. Each value ends where its quote does. */
static const char *read_labels(const char *text, char out[900])
{
    const char *c = text;

    for (;;) {
        c += strspn(c, "abcdefghijklmnopqrstuvwxyz_");
        ck_assert_msg(c[0] == '=' && c[1] == '"', "no label at \"%.30s\"", c);
        for (c += 2; *c != '"'; c++) {
            ck_assert_msg(*c != '\n' && *c != '\0', "a label without an end");
            if (*c == '\\')
                ck_assert_ptr_nonnull(strchr("\\\"n", *++c));
        }
        if (*++c != ',')
            break;
        c++;
    }
    ck_assert_int_eq(*c, '}');
    ck_assert_int_lt(c - text, 900);
    memcpy(out, text, (size_t)(c - text));
    out[c - text] = '\0';
    return c + 1;
}

static bool is_of_family(const char *name, const struct family *family)
{
    size_t length = strlen(family->name);
    bool histogram = strcmp(family->type, "histogram") == 0;

    if (strncmp(name, family->name, length) != 0)
        return false;
    return name[length] == '\0' ||
           (histogram && (strcmp(name + length, "_bucket") == 0 || strcmp(name + length, "_sum") == 0 ||
                          strcmp(name + length, "_count") == 0));
}

static void read_help(const char *line)
{
    struct family *family = &families[family_count++];

    ck_assert_uint_lt(family_count, sizeof families / sizeof *families);
    ck_assert_int_eq(sscanf(line, "# HELP %63s ", family->name), 1);
    line = strchr(line, '\n') + 1;
    char name[64];
    ck_assert_int_eq(sscanf(line, "# TYPE %63s %15s", name, family->type), 2);
    ck_assert_str_eq(name, family->name);
    for (size_t i = 0; i + 1 < family_count; i++)
        ck_assert_str_ne(families[i].name, family->name); /* not in two pieces */
    size_t length = strlen(name);
    ck_assert_int_eq(strcmp(family->type, "counter") == 0, length > 6 && strcmp(name + length - 6, "_total") == 0);
}

static void scrape(void)
{
    struct evbuffer *out = evbuffer_new();
    ck_assert(control_metrics(&control, out));
    evbuffer_add(out, "", 1);
    const char *line = (const char *)evbuffer_pullup(out, -1);

    sample_count = family_count = 0;
    ck_assert_int_eq(line[strlen(line) - 1], '\n');
    for (; *line; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "# HELP ", 7) == 0) {
            read_help(line);
            line = strchr(line, '\n') + 1;
            continue;
        }
        ck_assert_uint_lt(sample_count, SAMPLES);
        struct sample *sample = &samples[sample_count++];
        size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        ck_assert_uint_lt(length, sizeof sample->name);
        memcpy(sample->name, line, length);
        sample->name[length] = '\0';
        ck_assert_msg(is_of_family(sample->name, &families[family_count - 1]), "%s does not stand in its family",
                      sample->name);
        line += length;
        sample->labels[0] = '\0';
        if (*line == '{')
            line = read_labels(line + 1, sample->labels);
        ck_assert_int_eq(*line, ' ');
        char *end;
        sample->value = strtod(line + 1, &end);
        ck_assert_int_eq(*end, '\n');
        for (size_t i = 0; i + 1 < sample_count; i++)
            ck_assert(strcmp(samples[i].labels, sample->labels) != 0 || strcmp(samples[i].name, sample->name) != 0);
    }
    evbuffer_free(out);
}

static const struct sample *find(const char *name, const char *labels)
{
    for (size_t i = 0; i < sample_count; i++)
        if (strcmp(samples[i].name, name) == 0 && strcmp(samples[i].labels, labels) == 0)
            return &samples[i];
    return NULL;
}

static double value_of(const char *name, const char *labels)
{
    const struct sample *sample = find(name, labels);
    ck_assert_msg(sample, "no %s{%s}", name, labels);
    return sample->value;
}

static size_t count_of(const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < sample_count; i++)
        count += strcmp(samples[i].name, name) == 0;
    return count;
}

#define assert_value(name, labels, expected) ck_assert_double_eq(value_of(name, labels), expected)

/* ---- tests ---- */

START_TEST(what_has_happened)
{
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 2);
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_MESSAGES, 1);
    rules_set_term(builder, block, TERM_MODE, MODE_MONITOR);
    block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_RECIPIENTS, 1);
    rules_set_term(builder, block, TERM_BAN, HOUR);
    serve();
    session_id id = connect_from("192.0.2.1");
    connect_from("192.0.2.2");
    connect_from("192.0.2.3");
    deliver(id, "a@sender.example");
    deliver(id, "a@sender.example");
    const struct ban_target target = {.name = "spam.example"};
    engine_ban(engine, &target, HOUR, now);
    turned_away = 3;
    waiting_enter(control.waiting, SECOND);
    scrape();
    assert_value("tidegate_start_time_seconds", "", 1795280000);
    assert_value("tidegate_reload_time_seconds", "", 1795281000.25);
    assert_value("tidegate_monitor_mode", "", 0);
    assert_value("tidegate_scope_sessions", "scope=\"service\"", 2);
    assert_value("tidegate_scope_sessions_max", "scope=\"service\"", 2);
    assert_value("tidegate_sessions", "", 3);
    assert_value("tidegate_sessions_pending", "", 1);
    assert_value("tidegate_sessions_room", "", 64);
    assert_value("tidegate_events_total", "event=\"connect\"", 3);
    assert_value("tidegate_events_total", "event=\"mail\"", 2);
    assert_value("tidegate_events_total", "event=\"rejected\"", 0);
    assert_value("tidegate_verdicts_total", "limit=\"service_sessions\",action=\"refuse\"", 1);
    assert_value("tidegate_verdicts_total", "limit=\"session_messages\",action=\"monitor\"", 1);
    assert_value("tidegate_verdicts_total", "limit=\"session_messages\",action=\"refuse\"", 0);
    assert_value("tidegate_verdicts_total", "limit=\"client_recipients\",action=\"refuse\"", 1);
    assert_value("tidegate_bans", "by=\"limit\"", 1);
    assert_value("tidegate_bans", "by=\"operator\"", 1);
    assert_value("tidegate_bans_monitored", "by=\"limit\"", 0);
    assert_value("tidegate_bans_monitored", "by=\"operator\"", 0);
    assert_value("tidegate_bans_begun_total", "limit=\"client_recipients\"", 1);
    assert_value("tidegate_table_room", "", 256);
    assert_value("tidegate_activity_evicted_total", "of=\"clients\"", 0);
    assert_value("tidegate_activity_untracked_total", "of=\"domains\"", 0);
    assert_value("tidegate_waiting", "", 1);
    assert_value("tidegate_waiting_max", "", 100);
    assert_value("tidegate_turned_away_total", "", 3);
    waiting_leave(control.waiting);
    rules_set_monitor(builder, true);
    reload();
    config.monitor = true;
    scrape();
    assert_value("tidegate_monitor_mode", "", 1);
    assert_value("tidegate_bans", "by=\"limit\"", 0);
    assert_value("tidegate_bans_monitored", "by=\"limit\"", 1);
    assert_value("tidegate_bans_monitored", "by=\"operator\"", 1);
}
END_TEST

/* The table of API.md, which others go by: of each family the name and the type. */
START_TEST(every_family_that_is_promised)
{
    char path[300], line[2000];
    size_t promised = 0;

    snprintf(path, sizeof path, "%s/src/daemon/API.md", getenv("srcdir") ? getenv("srcdir") : ".");
    FILE *file = fopen(path, "r");
    ck_assert_msg(file, "%s", path);
    serve();
    scrape();
    while (fgets(line, sizeof line, file)) {
        char *end, *cell = strncmp(line, "| `tidegate_", 12) == 0 ? line : NULL;
        const char *type = cell ? strstr(line, "` | ") + 4 : NULL;
        for (; cell && cell < type - 4 && (cell = strchr(cell, '`')) != NULL && cell < type - 4; cell = end + 1) {
            end = strchr(++cell, '`');
            *end = '\0';
            promised++;
            const struct family *family = NULL;
            for (size_t i = 0; i < family_count; i++)
                if (strcmp(families[i].name, cell) == 0)
                    family = &families[i];
            ck_assert_msg(family, "%s", cell);
            ck_assert_msg(strncmp(type, family->type, strlen(family->type)) == 0, "%s", cell);
        }
    }
    fclose(file);
    ck_assert_uint_eq(promised, family_count);
}
END_TEST

START_TEST(the_histogram_adds_up)
{
    serve();
    latency_note(&latency, 500);
    latency_note(&latency, 1000);
    latency_note(&latency, 1500);
    latency_note(&latency, 30000000);
    latency_note(&latency, 3000000000);
    scrape();
    double before = 0;
    size_t buckets = 0;
    for (size_t i = 0; i < sample_count; i++) {
        if (strcmp(samples[i].name, "tidegate_event_seconds_bucket") != 0)
            continue;
        ck_assert_double_ge(samples[i].value, before);
        before = samples[i].value;
        buckets++;
    }
    ck_assert_uint_eq(buckets, LATENCY_BOUNDS + 1);
    assert_value("tidegate_event_seconds_bucket", "le=\"1e-06\"", 2);
    assert_value("tidegate_event_seconds_bucket", "le=\"2e-06\"", 3);
    assert_value("tidegate_event_seconds_bucket", "le=\"0.02\"", 3);
    assert_value("tidegate_event_seconds_bucket", "le=\"0.1\"", 4);
    assert_value("tidegate_event_seconds_bucket", "le=\"+Inf\"", 5);
    assert_value("tidegate_event_seconds_count", "", 5);
    ck_assert_double_eq_tol(value_of("tidegate_event_seconds_sum", ""), 3.030003, 1e-9);
}
END_TEST

static void add_peers(unsigned count, const char *title, uint32_t cap)
{
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    for (unsigned i = 0; i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "10.0.%u.%u", i >> 8, i & 255);
        scope_id peer = rules_add_scope(builder, SCOPE_PEER, listener, title ? title : text);
        const struct prefix block = prefix_of(text);
        rules_add_prefix(builder, peer, &block);
        rules_set(builder, peer, SETTING_LISTENER_SESSIONS, i >= count / 2 ? cap : 0);
    }
}

START_TEST(names_of_scopes)
{
    char title[SCOPE_NAME_SIZE + 100];

    add_peers(2, "a\"b\\c\nd\xff{}\xc3\xa9", 5);
    serve();
    scrape(); /* two of one name, too */
    assert_value("tidegate_scope_sessions", "scope=\"listener[default]/peer[a\\\"b\\\\c\\nd?{}\xc3\xa9]\"", 0);
    assert_value("tidegate_scope_sessions_max", "scope=\"listener[default]/peer[a\\\"b\\\\c\\nd?{}\xc3\xa9]#2\"", 5);

    memset(title, '"', sizeof title - 1); /* each becomes two */
    title[sizeof title - 1] = '\0';
    add_peers(4, title, 5);
    serve();
    scrape();
    ck_assert_uint_eq(count_of("tidegate_scope_sessions"), 6);
}
END_TEST

START_TEST(no_more_scopes_than_a_thousand)
{
    add_peers(1500, NULL, 5);
    serve();
    scrape();
    ck_assert_uint_eq(count_of("tidegate_scope_sessions"), 1000);
    ck_assert_uint_eq(count_of("tidegate_scope_pending"), 1000);
    ck_assert_uint_eq(count_of("tidegate_scope_sessions_max"), 750); /* none with a cap is left out */
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("metrics");
    TCase *tests = test_case(suite, "metrics");
    tcase_add_checked_fixture(tests, control_setup, control_teardown);
    tcase_add_test(tests, what_has_happened);
    tcase_add_test(tests, every_family_that_is_promised);
    tcase_add_test(tests, the_histogram_adds_up);
    tcase_add_test(tests, names_of_scopes);
    tcase_add_test(tests, no_more_scopes_than_a_thousand);
    return suite;
}
