/*
 * test_config_dump.c: what is asked of a loaded configuration: its dump, and whether a change of it needs a restart.
 * Links all of src/config, src/engine and src/mail, libconfuse, libidn2.
 */
#include "check_main.h"
#include "config/config.h"
#include "config_cases.h"

static struct scratch scratch;

static void set_up(void)
{
    scratch = scratch_open();
}

static void tear_down(void)
{
    scratch_close(&scratch);
}

static struct config *load(const char *name, const char *text)
{
    struct config_messages messages = {.count = 0};
    struct config *config;
    const char *path = scratch_write(&scratch, name, text, strlen(text));
    ck_assert_msg(config_load(path, &config, &messages), "<%s> is refused: %s", text, messages.list[0].text);
    messages_clear(&messages);
    return config;
}

/* The dump of a configuration, which is freed. The caller frees the text. */
static char *dump(struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(stream);
    ck_assert(config_dump(config, stream));
    ck_assert_int_eq(fclose(stream), 0);
    config_free(&config);
    return text;
}

/* A dump loads, and its dump is the same. Returns the dump; the caller frees it. */
static char *round_trip(const char *text)
{
    char *first = dump(load("x.conf", text)), *second = dump(load("y.conf", first));
    ck_assert_str_eq(first, second);
    free(second);
    return first;
}

#define DEFAULTS                                   \
    "mode = block\n"                               \
    "service_sessions = 0\n"                       \
    "listener_sessions = 0\n"                      \
    "idle_time = 0\n"                              \
    "idle_action = refuse\n"                       \
    "score_refuse = 0\n"                           \
    "refuse_at = helo\n"                           \
    "refuse_pending = 20\n"                        \
    "disconnect_delay = 0\n"                       \
    "max_delay = 8s\n"                             \
    "max_waiting = 100\n"                          \
    "client_ipv4_prefix = 32\n"                    \
    "client_ipv6_prefix = 64\n"                    \
    "session_table_size = 65536\n"                 \
    "table_size = 262144\n"                        \
    "pid_file = \"/run/tidegate/tidegated.pid\"\n" \
    "log_refusals = no\n"                          \
    "backlog = 0\n"                                \
    "nodelay = yes\n"                              \
    "send_buffer = 0\n"                            \
    "receive_buffer = 0\n"                         \
    "reuse_port = no\n"                            \
    "reuse_address = yes\n"

START_TEST(a_dump_of_nothing_shows_the_defaults)
{
    char *text = round_trip("");
    ck_assert_str_eq(text, DEFAULTS "milter {\n    socket = \"inet:7357@127.0.0.1\"\n    backlog = 0\n}\n");
    free(text);
}
END_TEST

START_TEST(inner_blocks_show_what_is_set)
{
    char *text = round_trip("esmtp_listener { Refuse_at = CONNECT Disconnect_Delay = 3\n"
                            "peer '2001:DB8::/32' { limit CLIENT_SESSIONS { MAX = 3 } }\n"
                            "peer 10.0.0.1/32 { idle_time = 3600 }\n"
                            "peer pool { clients = { 10.0.0.0/8, '::FFFF:192.0.2.1', } }\n"
                            "listen '' { pathway = Quick } }\n"
                            "pathway_group g { pathway quick { listener_sessions = 7 } }\n"
                            "milter { mode = 600 socket = '/run/a\"b\\\\c' }\n");
    const char *expected = DEFAULTS "milter {\n"
                                    "    socket = \"/run/a\\\"b\\\\c\"\n"
                                    "    mode = \"0600\"\n"
                                    "    backlog = 0\n"
                                    "}\n"
                                    "listener {\n"
                                    "    refuse_at = connect\n"
                                    "    disconnect_delay = 3s\n"
                                    "    peer \"2001:db8::/32\" {\n"
                                    "        limit client_sessions {\n"
                                    "            max = 3\n"
                                    "        }\n"
                                    "    }\n"
                                    "    peer \"10.0.0.1\" {\n"
                                    "        idle_time = 1h\n"
                                    "    }\n"
                                    "    peer \"pool\" {\n"
                                    "        clients = { \"10.0.0.0/8\", \"192.0.2.1\" }\n"
                                    "    }\n"
                                    "    listen \"\" {\n"
                                    "        pathway = \"Quick\"\n"
                                    "    }\n"
                                    "}\n"
                                    "pathway_group \"g\" {\n"
                                    "    pathway \"quick\" {\n"
                                    "        listener_sessions = 7\n"
                                    "    }\n"
                                    "}\n";
    ck_assert_str_eq(text, expected);
    free(text);
}
END_TEST

START_TEST(limits_and_lists_are_dumped)
{
    char *text = round_trip("MODE = Monitor table_size = 7\n"
                            "limit Session_Errors { Soft = 3 MODE = SCORE error_delay = 60 points = 2 }\n"
                            "limit My_Own { per = CLIENT Window = 3600 Count = Messages max = 9\n"
                            "reply = '550 No, \"{client}\".' except = { Example.COM, 10.0.0.1/32, 'joe', } }\n"
                            "limit client_errors { key 2001:DB8::/32 { MAX = 8 } key 'user:Joe.D' { max = 0 } }\n"
                            "deny { Mode = monitor users = { Mallory, '10.0.0.1/32' } clients = { 10.0.0.1/32 }\n"
                            "domains = { top } senders = { A@B.example } }\n"
                            "exempt { authenticated = ON }\n"
                            "reputation { }\n");
    const char *expected = "limit session_errors {\n"
                           "    soft = 3\n"
                           "    mode = score\n"
                           "    error_delay = 1m\n"
                           "    points = 2\n"
                           "}\n"
                           "limit my_own {\n"
                           "    per = client\n"
                           "    window = 1h\n"
                           "    count = messages\n"
                           "    max = 9\n"
                           "    reply = \"550 No, \\\"{client}\\\".\"\n"
                           "    except = { \"Example.COM\", \"10.0.0.1\", \"joe\" }\n"
                           "}\n"
                           "limit client_errors {\n"
                           "    key \"2001:db8::/32\" {\n"
                           "        max = 8\n"
                           "    }\n"
                           "    key \"user:Joe.D\" {\n"
                           "        max = 0\n"
                           "    }\n"
                           "}\n"
                           "deny {\n"
                           "    mode = monitor\n"
                           "    users = { \"Mallory\", \"10.0.0.1/32\" }\n"
                           "    clients = { \"10.0.0.1\" }\n"
                           "    domains = { \"top\" }\n"
                           "    senders = { \"A@B.example\" }\n"
                           "}\n"
                           "exempt {\n"
                           "    authenticated = yes\n"
                           "}\n"
                           "reputation {\n"
                           "}\n";
    ck_assert_ptr_eq(strstr(text, "mode = monitor\n"), text);
    ck_assert_ptr_nonnull(strstr(text, "\ntable_size = 7\n"));
    ck_assert_msg(strstr(text, expected) != NULL, "%s", text);
    free(text);
}
END_TEST

START_TEST(a_dump_loads_again_to_the_same)
{
    size_t size;
    char *sample = source_text("conf/tidegate.conf", &size), *momentum = source_text("conf/momentum.conf", &size);
    free(round_trip(sample));
    free(round_trip(momentum));
    free(round_trip(everything));
    free(sample);
    free(momentum);
}
END_TEST

START_TEST(a_peers_file_is_dumped_with_its_whole_path)
{
    char expected[200], name[80];
    scratch_write(&scratch, "list.cidr", "10.0.0.0/8\n", 11);
    char *text = round_trip("listener { peer pool { file = list.cidr } }");
    snprintf(expected, sizeof expected, "file = \"%s/list.cidr\"", scratch.path);
    ck_assert_ptr_nonnull(strstr(text, expected));
    free(text);

    /* The same when the configuration is named by a relative path. */
    char here[512];
    struct config_messages messages = {.count = 0};
    struct config *config;
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(scratch.path), 0);
    bool good = config_load("x.conf", &config, &messages);
    ck_assert(good);
    text = dump(config);
    ck_assert_int_eq(chdir(here), 0);
    snprintf(name, sizeof name, "%s/list.cidr\"", scratch.path);
    ck_assert_ptr_nonnull(strstr(text, name));
    free(text);
}
END_TEST

START_TEST(a_dump_that_cannot_be_written_says_so)
{
    FILE *full = fopen("/dev/full", "w");
    ck_assert_ptr_nonnull(full);
    setbuf(full, NULL);
    struct config *config = load("x.conf", everything);
    ck_assert(!config_dump(config, full));
    fclose(full);
    config_free(&config);
}
END_TEST

static void assert_restart(const char *running, const char *next, unsigned line, const char *says)
{
    char message[MESSAGE_SIZE], start[160];
    struct config *a = load("a.conf", running), *b = load("b.conf", next);
    bool needed = config_needs_restart(a, b, message);
    if (line > 0)
        snprintf(start, sizeof start, "%s:%u: ", b->path, line);
    else
        snprintf(start, sizeof start, "%s: ", b->path);
    ck_assert_uint_eq(needed, says != NULL);
    if (says != NULL) {
        ck_assert_msg(strncmp(message, start, strlen(start)) == 0, "\"%s\" was expected: %s", start, message);
        ck_assert_msg(strstr(message, says) != NULL, "\"%s\" was expected: %s", says, message);
        ck_assert_msg(strstr(message, "needs restart") != NULL, "%s", message);
    } else {
        ck_assert_str_eq(message, "");
    }
    config_trim(a);
    ck_assert_uint_eq(config_needs_restart(a, b, message), needed);
    config_free(&a);
    config_free(&b);
}

START_TEST(what_a_reload_cannot_change_is_named)
{
    static const char unix_socket[] = "milter { socket = unix:/run/x mode = 0600 }";
    assert_restart("", "", 0, NULL);
    assert_restart("", "milter { socket = \"inet:7357@127.0.0.1\" }\nsession_table_size = 65536", 0, NULL);
    assert_restart("", everything, 10, "session_table_size changes");
    assert_restart("", "\nmilter {\nsocket = inet:7358@127.0.0.1 }", 3,
                   "milter socket changes from \"inet:7357@127.0.0.1\" to \"inet:7358@127.0.0.1\"");
    assert_restart(unix_socket, "", 0, "milter socket changes from \"unix:/run/x\" to \"inet:7357@127.0.0.1\"");
    assert_restart(unix_socket, "milter { socket = unix:/run/x\nmode = 0660 }", 2,
                   "milter mode changes from \"0600\" to \"0660\"");
    assert_restart(unix_socket, "\nmilter { socket = unix:/run/x }", 2,
                   "milter mode changes from \"0600\" to \"0660\"");
    assert_restart(unix_socket, "milter { socket = unix:/run/x mode = 600 group = root }", 1,
                   "milter group changes from \"\" to \"root\"");
    assert_restart("", "max_waiting = 5\npid_file = /run/x", 2, "pid_file changes");
    assert_restart("pid_file = /run/x", "", 0, "pid_file changes from \"/run/x\" to \"/run/tidegate/tidegated.pid\"");
    assert_restart("", "user = nobody", 1, "user changes from \"\" to \"nobody\"");
    assert_restart("user = nobody", "", 0, "user changes from \"nobody\" to \"\"");
    assert_restart("user = nobody", "user = nobody", 0, NULL);
    assert_restart("", "session_table_size = 5", 1, "session_table_size changes from \"65536\" to \"5\"");
    assert_restart("", "mode = monitor\ntable_size = 5", 2, "table_size changes from \"262144\" to \"5\"");
    assert_restart("table_size = 9", "table_size = 9 mode = monitor", 0, NULL);
    assert_restart("",
                   "max_waiting = 5 max_delay = 2 log_refusals = yes service_sessions = 9 listener { } "
                   "client_ipv4_prefix = 24 limit client_sessions { max = 5 }",
                   0, NULL);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config dump");
    TCase *dumps = test_case(suite, "dump");
    tcase_add_unchecked_fixture(dumps, set_up, tear_down);
    tcase_add_test(dumps, a_dump_of_nothing_shows_the_defaults);
    tcase_add_test(dumps, inner_blocks_show_what_is_set);
    tcase_add_test(dumps, limits_and_lists_are_dumped);
    tcase_add_test(dumps, a_dump_loads_again_to_the_same);
    tcase_add_test(dumps, a_peers_file_is_dumped_with_its_whole_path);
    tcase_add_test(dumps, a_dump_that_cannot_be_written_says_so);
    TCase *changes = test_case(suite, "changes");
    tcase_add_unchecked_fixture(changes, set_up, tear_down);
    tcase_add_test(changes, what_a_reload_cannot_change_is_named);
    return suite;
}
