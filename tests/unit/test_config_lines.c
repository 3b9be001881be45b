/*
 * test_config_lines.c: what is explained and evaluated has the line of the configuration file that says it. The file is
 * read as the daemon reads it, and its text is looked at for what the line should be. Links src/config and src/engine.
 */
#include "check_main.h"
#include "config_loading.h"

#include "engine/explain.h"

static const char text[] = "service_sessions = 50\n"
                           "listener {\n"
                           "    listen \":25\" { }\n"
                           "    listener_sessions = 20\n"
                           "    peer \"10.0.0.0/8\" {\n"
                           "        idle_time =\n"
                           "            5m\n"
                           "        listener_sessions = 15\n"
                           "        limit client_connections {\n"
                           "            ban = 1h\n"
                           "        }\n"
                           "    }\n"
                           "}\n"
                           "limit client_connections {\n"
                           "    max = 3 # at most\n"
                           "    window = 90s\n"
                           "    except = { \"127.0.0.1\",\n"
                           "               \"192.0.2.0/24\" }\n"
                           "    key \"10.1.0.0/16\" {\n"
                           "        max = 30\n"
                           "    }\n"
                           "}\n"
                           "deny {\n"
                           "    clients = { \"198.51.100.1\",\n"
                           "                \"198.51.100.2\" }\n"
                           "    domains = { \"spam.example\" }\n"
                           "    file = \"list\"\n"
                           "}\n"
                           "exempt {\n"
                           "    authenticated = yes\n"
                           "}\n";

static struct engine *engine;
static struct explanation told[20];
static struct evaluation values[100];
static size_t count;

static void set_up_engine(void)
{
    const struct engine_params params = {.session_records = 64, .table_records = 64, .seed = {5, 6}};

    scratch_write(&scratch, "list", "203.0.113.0/24\nmore.example\n", strlen("203.0.113.0/24\nmore.example\n"));
    assert_loads(text, 0);
    struct rules *rules = config_take_rules(config);
    engine = engine_new(&params, &rules);
    ck_assert_ptr_nonnull(engine);
}

static void tear_down_engine(void)
{
    engine_free(&engine);
    forget();
}

/* The line in which that part of the text stands. */
static unsigned line_of(const char *part)
{
    const char *place = strstr(text, part);
    unsigned line = 1;

    ck_assert_ptr_nonnull(place);
    for (const char *c = text; c < place; c++)
        line += *c == '\n';
    return line;
}

static struct explain_subject subject_of(const char *client)
{
    struct explain_subject subject = {.local_port = 25};
    ck_assert(!client || addr_parse(client, &subject.client));
    return subject;
}

static void explain(const struct explain_subject *subject)
{
    static struct explain_walk walk;

    memset(&walk, 0, sizeof walk);
    walk.subject = *subject;
    walk.room = 20;
    ck_assert(engine_explain(engine, &walk, 0));
    ck_assert_uint_eq(walk.left_out, 0);
    for (count = 0; count < walk.told; count++)
        told[count] = *explain_told(&walk, (uint32_t)count);
}

static void assert_line(const char *name, const char *part)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(told[i].name, name) == 0) {
            ck_assert_msg(told[i].line == line_of(part), "%s: line %u, not %u", name, told[i].line, line_of(part));
            return;
        }
    ck_abort_msg("%s is not told", name);
}

START_TEST(explanations_have_their_lines)
{
    struct explain_subject subject = subject_of("198.51.100.2");
    explain(&subject);
    assert_line("deny", "\"198.51.100.2\"");
    assert_line("client_connections", "max = 3 ");
    assert_line("listener_sessions", "listener_sessions = 20");
    assert_line("service_sessions", "service_sessions");
    subject = subject_of("203.0.113.9"); /* of a file the line that names it */
    explain(&subject);
    assert_line("deny", "file =");
    ck_assert_str_eq(told[0].key, "203.0.113.0/24");
    subject = subject_of("10.1.2.3");
    explain(&subject);
    assert_line("client_connections", "key \"10.1.0.0/16\"");
    assert_line("listener_sessions", "listener_sessions = 15");
    subject = subject_of("192.0.2.9");
    explain(&subject);
    assert_line("client_connections", "\"192.0.2.0/24\"");
    subject = subject_of(NULL);
    subject.name[PER_SENDER_DOMAIN] = "mx.spam.example";
    explain(&subject);
    assert_line("deny", "domains");
    subject.name[PER_SENDER_DOMAIN] = "more.example";
    explain(&subject);
    assert_line("deny", "file =");
    subject = subject_of(NULL);
    subject.user = subject.name[PER_USER] = "joe";
    explain(&subject);
    assert_line("exempt", "authenticated");
}
END_TEST

static const struct evaluation *term(enum limit_term which)
{
    for (size_t i = 0; i < count; i++)
        if (values[i].what == EVALUATED_TERM && values[i].term == which)
            return &values[i];
    ck_abort_msg("term %d is not told", which);
    return NULL;
}

START_TEST(values_have_their_lines)
{
    struct explain_subject subject = subject_of("10.2.0.1");
    count = engine_evaluate(engine, &subject, 1000, values, 100);
    ck_assert_uint_eq(values[0].line, line_of("listener_sessions = 15"));
    ck_assert_uint_eq(term(TERM_MAX)->line, line_of("max = 3 "));
    ck_assert_uint_eq(term(TERM_WINDOW)->line, line_of("window"));
    ck_assert_uint_eq(term(TERM_BAN)->line, line_of("ban = 1h"));
    ck_assert_str_eq(term(TERM_BAN)->scope, "listener[:25]/peer[10.0.0.0/8]");
    ck_assert_uint_eq(term(TERM_MODE)->line, 0);
    for (size_t i = 0; i < count; i++)
        if (values[i].what == EVALUATED_SETTING)
            ck_assert_uint_eq(values[i].line, values[i].setting == SETTING_IDLE_TIME ? line_of("idle_time") : 0);
    subject = subject_of("198.51.100.2");
    count = engine_evaluate(engine, &subject, 1000, values, 100);
    ck_assert_int_eq(values[0].what, EVALUATED_LIST);
    ck_assert_uint_eq(values[0].line, line_of("198.51.100.2"));
    subject = subject_of("203.0.113.7"); /* listed in a file */
    count = engine_evaluate(engine, &subject, 1000, values, 100);
    ck_assert_uint_eq(values[0].line, line_of("file ="));
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config lines");
    TCase *tests = test_case(suite, "lines");
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(tests, set_up_engine, tear_down_engine);
    tcase_add_test(tests, explanations_have_their_lines);
    tcase_add_test(tests, values_have_their_lines);
    return suite;
}
