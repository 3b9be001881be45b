/*
 * test_config_load.c: from a file to a configuration and its rules. Links all of src/config, src/engine and src/mail,
 * libconfuse, libidn2.
 */
#include "check_main.h"
#include "config/config.h"
#include "config/crosscheck.h"
#include "config_loading.h"

#include <pwd.h>
#include <sys/stat.h>

#define SECOND INT64_C(1000000000)

/* ---- what is set arrives ---- */

/* The caps of a chain that are not 0, the narrowest first: "NAME=CAP NAME=CAP". */
static const char *caps(const struct chain *chain)
{
    static char text[1024];
    text[0] = '\0';
    for (size_t i = 0; i < chain->count; i++) {
        char name[SCOPE_NAME_SIZE];
        uint32_t cap = rules_cap(config->rules, chain->scopes[i]);
        if (cap > 0)
            sprintf(text + strlen(text), "%s%s=%u", text[0] != '\0' ? " " : "",
                    rules_scope_name(config->rules, chain->scopes[i], name), cap);
    }
    return text;
}

START_TEST(defaults_are_those_of_the_documentation)
{
    assert_loads("", 0);
    ck_assert_str_eq(config->milter.socket, "inet:7357@127.0.0.1");
    ck_assert_int_eq(config->milter.address.kind, SOCKET_INET);
    ck_assert_uint_eq(config->milter.address.port, 7357);
    ck_assert_ptr_null(config->milter.group);
    ck_assert_uint_eq(config->milter.mode, 0660);
    ck_assert_str_eq(config->pid_file, "/run/tidegate/tidegated.pid");
    ck_assert_int_eq(config->milter.options.value[SOCKET_BACKLOG], 0);
    ck_assert_uint_eq(config->policy_count, 0);
    ck_assert_uint_eq(config->session_table_size, 65536);
    ck_assert_uint_eq(config->max_waiting, 100);
    ck_assert_int_eq(config->max_delay_ns, 8 * SECOND);
    ck_assert_uint_eq(config->table_size, 262144);
    ck_assert(!config->log_refusals && !config->monitor && !config->idle_time && !config->idle_disconnect);
    for (size_t i = 0; i < GLOBAL_COUNT; i++)
        ck_assert_uint_eq(config->line[i], 0);
    struct chain chain = chain_of("192.0.2.1", "127.0.0.1", 25, NULL);
    ck_assert_int_eq(chain.refuse_at, REFUSE_AT_HELO);
    ck_assert_uint_eq(chain.refuse_pending, 20);
    ck_assert_int_eq(chain.disconnect_delay_ns, 0);
    struct terms terms;
    for (size_t i = 0; i < LIMITS_BUILTIN; i++)
        ck_assert(!terms_of(&chain, limit_builtins[i].name, &terms));
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_IDLE_TIME), 0);
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_IDLE_ACTION), IDLE_REFUSE);
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_SCORE_REFUSE), 0);
    ck_assert(!rules_monitor(config->rules) && rules_reputation_steps(config->rules) == 0);
    ck_assert_int_eq(rules_deny_mode(config->rules), MODE_BLOCK);
    struct addr addr;
    ck_assert(addr_parse("192.0.2.1", &addr));
    ck_assert_uint_eq(rules_client(config->rules, &addr).bits, 32);
    ck_assert(addr_parse("2001:db8::1", &addr));
    ck_assert_uint_eq(rules_client(config->rules, &addr).bits, 64);
}
END_TEST

/* A limit judged at connect has an address, and users, among its keys and exceptions; a policy request names no
 * daemon. */
#define EVERYTHING_WARNS 2

START_TEST(everything_that_is_set_arrives)
{
    assert_loads(everything, EVERYTHING_WARNS);
    ck_assert_str_eq(config->path, path);
    ck_assert_str_eq(config->pid_file, "/run/x/y.pid");
    ck_assert_uint_eq(config->line[GLOBAL_PID_FILE], 11);
    ck_assert_uint_eq(config->milter.lines[SOCKET_ADDRESS], 13);
    ck_assert_uint_eq(config->session_table_size, 5000);
    ck_assert_uint_eq(config->max_waiting, 50);
    ck_assert_int_eq(config->max_delay_ns, 5 * SECOND);
    ck_assert(config->log_refusals);
    struct addr addr;
    ck_assert(addr_parse("192.0.2.1", &addr));
    ck_assert_uint_eq(rules_client(config->rules, &addr).bits, 24);
    ck_assert(addr_parse("2001:db8::1", &addr));
    ck_assert_uint_eq(rules_client(config->rules, &addr).bits, 56);

    struct chain chain = chain_of("10.1.2.3", "127.0.0.1", 25, "mx");
    ck_assert_str_eq(caps(&chain), "listener[mx]/listen[:25]/peer[10.0.0.0/8]=11 listener[mx]/peer[10.0.0.0/8]=1500 "
                                   "listener[mx]/listen[:25]=1700 listener[mx]=1800 service=3000");
    ck_assert_int_eq(term_of(&chain, "client_sessions", TERM_MAX), 3);
    ck_assert_int_eq(chain.refuse_at, REFUSE_AT_CONNECT);
    ck_assert_uint_eq(chain.refuse_pending, 9);
    ck_assert_int_eq(chain.disconnect_delay_ns, 2 * SECOND);

    chain = chain_of("198.51.100.7", "127.0.0.1", 587, "mx");
    ck_assert_str_eq(caps(&chain), "listener[mx]/peer[0.0.0.0/0]=600 listener[mx]=1800 pathway[submission]=300 "
                                   "pathway_group[clients]=400 service=3000");
    ck_assert_int_eq(term_of(&chain, "client_sessions", TERM_MAX), 5);
    ck_assert_int_eq(chain.refuse_at, REFUSE_AT_HELO);
    ck_assert_int_eq(chain.disconnect_delay_ns, 4 * SECOND);

    chain = chain_of("2001:db8:1::1", "::1", 587, "mx");
    ck_assert_str_eq(caps(&chain), "listener[mx]/peer[pool:outlook]=70 listener[mx]=1800 service=3000");
    ck_assert_int_eq(chain.refuse_at, REFUSE_AT_CONNECT); /* of its pathway */
    ck_assert_int_eq(chain.disconnect_delay_ns, 3 * SECOND);

    chain = chain_of("198.51.100.7", "127.0.0.1", 2525, NULL);
    ck_assert_str_eq(caps(&chain), "listener[default]=900 service=3000");
    ck_assert_int_eq(term_of(&chain, "client_sessions", TERM_MAX), 4);
    ck_assert_uint_eq(chain.refuse_pending, 7);
}
END_TEST

START_TEST(momentums_block_means_the_same)
{
    config_load(source_path("conf/momentum.conf"), &config, &messages);
    ck_assert_ptr_nonnull(config);
    ck_assert_uint_eq(messages.warnings, 1); /* no ::/0 */
    ck_assert(config->idle_time && !config->idle_disconnect);
    struct chain chain = chain_of("10.9.9.9", "192.0.2.1", 25, "mx");
    ck_assert_str_eq(caps(&chain),
                     "listener[:25]/peer[10.0.0.0/8]=1500 listener[:25]/listen[:25]=1800 listener[:25]=1800");
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_IDLE_TIME), 300 * SECOND);
    chain = chain_of("198.51.100.7", "192.0.2.1", 25, "mx");
    ck_assert_str_eq(caps(&chain),
                     "listener[:25]/peer[0.0.0.0/0]=600 listener[:25]/listen[:25]=1800 listener[:25]=1800");
}
END_TEST

START_TEST(a_user_is_looked_up)
{
    assert_loads("", 0);
    ck_assert_ptr_null(config->user);
    config_free(&config);
    assert_loads("\nUser = nobody", 0);
    ck_assert_str_eq(config->user, "nobody");
    ck_assert_uint_eq(config->uid, getpwnam("nobody")->pw_uid);
    ck_assert_uint_eq(config->gid, getpwnam("nobody")->pw_gid);
    ck_assert_uint_eq(config->line[GLOBAL_USER], 2);
}
END_TEST

START_TEST(the_sample_loads_and_names_every_option)
{
    size_t size;
    char *text = source_text("conf/tidegate.conf", &size);
    ck_assert(config_load(source_path("conf/tidegate.conf"), &config, &messages));
    ck_assert_uint_eq(messages.warnings, 0);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];
        char set[80], initial[160];
        snprintf(set, sizeof set, " %s = ", option->name);
        bool first = false;
        snprintf(initial, sizeof initial, "\n%s = ", option->name);
        first = strstr(text, initial) != NULL;
        ck_assert_msg(first || strstr(text, set) != NULL, "%s is not in conf/tidegate.conf", option->name);
        /* A default that the file names at the top level is the one of the table. */
        snprintf(initial, sizeof initial, "\n# %s = ", option->name);
        const char *stated = (option->where & IN(SECTION_TOP)) != 0 ? strstr(text, initial) : NULL;
        if (stated == NULL)
            continue;
        ck_assert_ptr_nonnull(option->initial);
        stated += strlen(initial);
        stated += *stated == '"';
        ck_assert_msg(strncmp(stated, option->initial, strlen(option->initial)) == 0, "%s is said to be %.20s",
                      option->name, stated);
        ck_assert_ptr_nonnull(strchr("\"\n", stated[strlen(option->initial)]));
    }
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s ", section_table[i].name);
        ck_assert_msg(strstr(text, name) != NULL, "%s is not in conf/tidegate.conf", section_table[i].name);
    }
    free(text);
}
END_TEST

START_TEST(comments_may_stand_anywhere)
{
    assert_loads("max_waiting /* a */ = # b\n 7 // c\nlistener # d\n { peer /* e */ x { clients = { # f\n"
                 "\"10.0.0.0/8\", // g\n /* h */ \"192.0.2.1\" /* i */ , # j\n } } }",
                 0);
    ck_assert_uint_eq(config->max_waiting, 7);
}
END_TEST

START_TEST(a_unix_socket_takes_group_and_mode)
{
    assert_loads("milter { socket = \"unix:/run/x/y\" group = root mode = 0606 }", 0);
    ck_assert_int_eq(config->milter.address.kind, SOCKET_UNIX);
    ck_assert_str_eq(config->milter.address.path, "/run/x/y");
    ck_assert_str_eq(config->milter.group, "root");
    ck_assert_uint_eq(config->milter.gid, 0);
    ck_assert_uint_eq(config->milter.mode, 0606);
    ck_assert_uint_eq(config->milter.lines[SOCKET_GROUP], 1);
}
END_TEST

START_TEST(rules_are_handed_over_once)
{
    assert_loads(everything, EVERYTHING_WARNS);
    struct rules *rules = config_take_rules(config);
    ck_assert_ptr_nonnull(rules);
    ck_assert_ptr_null(config_take_rules(config));
    config_free(&config);
    ck_assert_ptr_null(config);
    config_free(&config);
    rules_free(&rules);
}
END_TEST

/* ---- mistakes ---- */

static const struct mistake mistakes[] = {
    {"max_waiting = 010", 1, "max_waiting: \"010\" has a leading zero, numbers are decimal; write 10"},
    {"\nservice_sessions = 0x10", 2, "service_sessions: \"0x10\" is not decimal"},
    {"service_sessions = -5", 1, "service_sessions: \"-5\" is negative"},
    {"service_sessions = \"+5\"", 1, "service_sessions: \"+5\" has a sign; write 5"},
    {"service_sessions = 1.5", 1, "no whole number"},
    {"service_sessions = \"\"", 1, "nothing is given; write a whole number from 0 to 4294967295"},
    {"listener {\nlistener_sessions = 4294967296\n}", 2, "listener_sessions: 4294967296 is too large"},
    {"listener { peer \"::/0\" {\nlistener_sessions = many } }", 2, "listener_sessions: \"many\" is no number"},
    {"listener { listen \":25\" { peer \"::/0\" {\nlistener_sessions = 5k } } }", 2, "\"5k\" is no number"},
    {"pathway_group g {\npathway x {\nlistener_sessions = -1 } }", 3, "negative"},
    {"limit client_sessions {\nmax = 5x }", 2, "max: \"5x\" is no number"},
    {"mode = score", 1, "mode: \"score\" is unknown here; write block or monitor"},
    {"table_size = 0", 1, "table_size: 0 is too small; write a whole number from 1 to 134217728"},
    {"idle_action = cut", 1, "idle_action: \"cut\" is unknown here; write refuse or disconnect"},
    {"listener {\nscore_refuse = -1 }", 2, "score_refuse: \"-1\" is negative"},
    {"max_delay = \"5 m\"", 1, "max_delay: \"5 m\" is no duration; write a whole number with s, m, h or d"},
    {"max_delay = 31s", 1, "max_delay: 31s is too long; write 0 to 29s"},
    {"disconnect_delay = 1500ms", 1, "disconnect_delay: \"1500ms\" is no duration"},
    {"disconnect_delay = 2d", 1, "disconnect_delay: 2d is too long; write 0 to 1d"},
    {"listener {\nidle_time = -1 }", 2, "idle_time: \"-1\" is negative"},
    {"max_waiting = 10001", 1, "too large; write a whole number from 0 to 10000"},
    {"session_table_size = 0", 1, "too small; write a whole number from 1 to 16777216"},
    {"session_table_size = 16777217", 1, "too large"},
    {"client_ipv4_prefix = 33", 1, "client_ipv4_prefix: 33 is too large; write a whole number from 0 to 32"},
    {"client_ipv6_prefix = 129", 1, "client_ipv6_prefix: 129 is too large; write a whole number from 0 to 128"},
    {"client_ipv4_prefix = \"/24\"", 1, "no number"},
    {"log_refusals = 1", 1, "log_refusals: \"1\" is neither yes nor no"},
    {"refuse_at = mail", 1, "refuse_at: \"mail\" is unknown here; write helo or connect"},
    {"listener { listen a { } refuse_at = 5 }", 1, "write helo or connect"},
    {"\nuser = no-such-user-here", 2, "there is no user \"no-such-user-here\"; create it"},
    {"user = \"\"", 1, "user: the name is empty"},
    {"user = root", 1, "user: user is there to give up root's rights"},
    {"listener { user = root }", 1, "user"},
    {"pid_file = tidegated.pid", 1, "pid_file: \"tidegated.pid\" is no absolute path"},
    {"pid_file = \"\"", 1, "pid_file: the path is empty"},

    {"milter { socket = \"inet:127.0.0.1:7357\" }", 1, "socket: \"inet:127.0.0.1:7357\" has the host first; write"},
    {"milter {\nsocket = unix:x }", 2, "socket: \"x\" is no absolute path"},
    {"milter {\nsocket = unix:/x\nmode = 0668 }", 3, "mode: \"0668\" is no octal mode"},
    {"milter {\nsocket = unix:/x\ngroup = no-such-group-here }", 3, "there is no group \"no-such-group-here\""},
    {"milter {\nsocket = unix:/x\ngroup = \"\" }", 3, "group: the name is empty"},
    {"milter {\nsocket = \"inet:1@127.0.0.1\"\ngroup = root }", 3, "group is for a unix socket"},
    {"milter {\nmode = 0660 }", 2, "mode is for a unix socket, and the socket is \"inet:7357@127.0.0.1\"; remove it"},

    {"listener {\npeer \"10.0.0.1/8\" { } }", 2, "title of peer: 10.0.0.1/8 has host bits set; write 10.0.0.0/8"},
    {"listener { peer \"10.0.0.0/33\" { } }", 1, "title of peer: \"10.0.0.0/33\" has no prefix length that fits"},
    {"listener { peer \"10.0.0/8\" { } }", 1, "title of peer: \"10.0.0/8\" is no address and no CIDR block"},
    {"listener { peer \"10.0.0.300\" { clients = { \"::1\" } } }", 1, "title of peer: \"10.0.0.300\" is no address"},
    {"listener { peer \"pool\" { listener_sessions = 5 } }", 1,
     "peer \"pool\" matches nobody; write an address or CIDR"},
    {"listener { peer \"pool\" { clients = { } } }", 1, "peer \"pool\" matches nobody"},
    {"listener { peer \"my pool\" { clients = { \"::1\" } } }", 1,
     "title of peer: \"my pool\" cannot be shown in a log"},
    {"listener { peer \"\" { clients = { \"::1\" } } }", 1, "title of peer: the name is empty"},
    {"listener { peer pool { clients = { \"::1\",\n\"10.0.0.1/8\" } } }", 2,
     "clients: 10.0.0.1/8 has host bits set; write"},
    {"listener { peer pool { clients = { \"mx.example.com\" } } }", 1, "clients: \"mx.example.com\" is no address"},
    {"listener { peer \"10.0.0.0/8\" {\nclients = { \"::1\" } } }", 2, "clients in a peer whose title is a CIDR block"},
    {"listener { peer \"10.0.0.0/8\" {\nfile = \"x\" } }", 2, "file in a peer whose title is a CIDR block"},
    {"listener { peer pool { file = \"\" } }", 1, "file: the path is empty"},
    {"listener {\nlisten \"25\" { } }", 2, "title of listen: \"25\" could be an address or a port; write \":25\""},
    {"listener { listen \"2001:db8::1\" { } }", 1, "title of listen: an IPv6 address stands in brackets"},
    {"listener { listen \":0\" { } }", 1, "title of listen: \"0\" is no port"},
    {"listener { daemon_name = \"a b\" }", 1, "daemon_name: \"a b\" cannot be shown in a log line"},
    {"pathway \"a b\" { }", 1, "title of pathway: \"a b\" cannot be shown in a log line"},
    {"pathway_group \"\" { }", 1, "title of pathway_group: the name is empty"},

    {"listener {\npathway = x }", 2, "pathway \"x\" is not defined; add pathway \"x\" { }"},
    {"listener { listen a { pathway = submision } }", 1, "title of listen"},
    {"listener { peer \"::/0\" { pathway = submision } }\npathway submission { }", 1,
     "pathway \"submision\" is not defined; did you mean \"submission\"?"},
    {"pathway quux { }\nlistener { pathway = submission }", 2, "add pathway \"submission\" { }, or take \"quux\""},
    {"pathway_group g { }\nlistener { pathway = g }", 2, "pathway \"g\" is not defined"},
    {"pathway a { }\npathway_group g {\npathway A { } }", 3, "pathway \"A\" is defined twice; line 1 has the first"},
    {"pathway_group g { pathway a { } }\npathway_group h {\npathway a { } }", 3, "line 1 has the first"},

    {"listener { }\nlistener { listener_sessions = 5 }", 2, "this listener and the one of line 1 have neither"},
    {"listener { daemon_name = mx }\n\nlistener {\ndaemon_name = mx }", 3, "daemon_name of the listener of line 1"},
    {"listener {\nlisten \":25\" { }\nlisten \"0.0.0.0:25\" { } }", 3,
     "listen \"0.0.0.0:25\" matches the same as listen \":25\" of line 2"},
    {"listener { listen \":25\" { } }\nlistener {\nlisten \":25\" { } }", 3, "of line 1; remove one of them"},
    {"listener {\nlisten \"[2001:db8::1]\" { }\nlisten \"[2001:DB8::0:1]\" { } }", 3, "matches the same"},
    {"listener {\nlisten \"\" { }\nlisten \"[::]\" { } }", 3, "matches the same"},
    {"listener {\npeer \"10.0.0.1\" { }\npeer \"10.0.0.1/32\" { } }", 3, "10.0.0.1 of peer \"10.0.0.1/32\" belongs to"},
    {"listener {\npeer a { clients = { \"::1\",\n\"10.0.0.0/8\" } }\npeer b { clients = {\n\"10.0.0.0/8\" } } }", 5,
     "10.0.0.0/8 of peer \"b\" belongs to peer \"a\" already;"},
    {"listener {\npeer a { clients = { \"10.0.0.0/8\", \"::1\",\n\"10.0.0.0/8\" } } }", 3,
     "10.0.0.0/8 stands twice in peer \"a\";"},
};

START_TEST(a_mistake_is_refused_with_line_and_remedy)
{
    const struct mistake *mistake = &mistakes[_i];
    ck_assert_msg(!load(mistake->text), "<%s> is taken", mistake->text);
    assert_first_error(&messages, path, mistake);
}
END_TEST

START_TEST(one_load_tells_many_mistakes)
{
    ck_assert(!load("max_waiting = x\nlistener {\npathway = y\npeer \"10.0.0.1/8\" { listener_sessions = -1 }\n"
                    "listen \"25\" { }\n}\npid_file = z\n"));
    ck_assert_uint_eq(messages.errors, 6);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_refused)
{
    static char large[1] = "#";
    char big[160];
    ck_assert(!config_load(scratch.path, &config, &messages));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "is a directory"));
    messages_clear(&messages);
    ck_assert(!config_load("/nonexistent/tidegate.conf", &config, &messages));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "/nonexistent/tidegate.conf: cannot be opened: No such file"));
    messages_clear(&messages);
    ck_assert(!config_load("/dev/null", &config, &messages));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "no regular file"));
    messages_clear(&messages);
    snprintf(big, sizeof big, "%s", scratch_write(&scratch, "big.conf", large, 1));
    ck_assert_int_eq(truncate(big, 64 * 1024 * 1024 + 1), 0);
    ck_assert(!config_load(big, &config, &messages));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "is larger than 67108864 bytes"));
    messages_clear(&messages);
    snprintf(big, sizeof big, "%s", scratch_write(&scratch, "fifo", large, 1));
    ck_assert_int_eq(unlink(big), 0);
    ck_assert_int_eq(mkfifo(big, 0600), 0); /* opening it to read would wait for a writer */
    ck_assert(!config_load(big, &config, &messages));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "no regular file"));
    messages_clear(&messages);
    ck_assert(!load_size("max_waiting = 5\nmax\0_delay = 5\n", 32));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "x.conf:2: a 0 byte"));
}
END_TEST

/* ---- warnings ---- */

START_TEST(what_has_no_effect_is_warned_about)
{
    assert_warns("max_waiting = 5\nidle_action = disconnect", 2, "idle_action has no effect without an idle_time");
    ck_assert(!config->idle_time && !config->idle_disconnect);
    assert_loads("idle_action = disconnect listener { peer \"::/0\" { idle_time = 30 } }", 0);
    ck_assert(config->idle_time && config->idle_disconnect == 1);
    assert_loads("idle_time = 60\nlistener {\nidle_action = disconnect peer \"::/0\" {\nidle_action = disconnect } }",
                 0);
    ck_assert_uint_eq(config->idle_disconnect, 3);
    assert_loads("idle_time = 60 idle_action = refuse", 0);
    ck_assert(config->idle_time && !config->idle_disconnect);
    assert_warns("max_waiting = 5\nscore_refuse = 10", 2, "score_refuse has no effect without a limit in mode score");
    assert_loads("score_refuse = 10 limit client_errors { mode = score }", 0);
    assert_loads("score_refuse = 10 deny { mode = score domains = { a.example } }", 0);
    assert_warns("listener { peer \"10.0.0.0/8\" { }\npeer \"0.0.0.0/0\" { } }", 2, "add peer \"::/0\" { } beside it");
    assert_warns("listener { listen \":25\" { peer all { clients = { \"0.0.0.0/0\" } } } peer \"::/0\" { } }", 1,
                 "::/0");
    assert_warns("max_delay = 3s\nlistener {\ndisconnect_delay = 5s }", 3, "disconnect_delay: 5s is cut to max_delay");
    assert_warns("session_table_size = 10\nlistener {\nlistener_sessions = 11 }", 3, "raise it");
    assert_warns("session_table_size = 10\nlimit client_sessions { max = 11 }", 2, "only session_table_size = 10");
    assert_loads("session_table_size = 10 service_sessions = 10", 0);
    assert_warns("\npathway \"never\" { listener_sessions = 3 }", 2, "pathway \"never\" is taken by no listener");
    assert_warns("max_waiting = 5\nmax_delay = 10s", 2, "Sendmail gives up");
    assert_loads("max_delay = 9s", 0);
    assert_warns("milter {\nsocket = \"unix:/tmp/x\" }", 2, "without group");
    assert_warns("milter {\nsocket = \"unix:/tmp/x\" mode = \"0600\" }", 2, "without group");
    assert_loads("milter { socket = \"unix:/tmp/x\" mode = \"0666\" }", 0);
    assert_loads("idle_time = 0", 0);
    assert_loads("listener { peer \"0.0.0.0/0\" { } peer \"::/0\" { } }", 0);
    assert_loads("listener { peer all { clients = { \"0.0.0.0/0\", \"::/0\" } } }", 0);
    assert_loads("disconnect_delay = 8s", 0);
}
END_TEST

/* ---- files of peers ---- */

START_TEST(a_peers_file_is_read_beside_the_configuration)
{
    static const char list[] = "# a list\n\n10.0.0.0/8\r\n  192.0.2.1\t# one\n\t2001:db8::/32 \n::ffff:198.51.100.7";
    scratch_write(&scratch, "list.cidr", list, sizeof list - 1);
    assert_loads("listener { peer pool { listener_sessions = 5 file = list.cidr clients = { \"203.0.113.0/24\" } } }",
                 0);
    static const char *const in[] = {"10.1.2.3", "192.0.2.1", "2001:db8::5", "198.51.100.7", "203.0.113.9"};
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
        struct chain chain = chain_of(in[i], "127.0.0.1", 25, NULL);
        ck_assert_str_eq(caps(&chain), "listener[default]/peer[pool]=5");
    }
    struct chain chain = chain_of("192.0.2.2", "127.0.0.1", 25, NULL);
    ck_assert_str_eq(caps(&chain), "");
}
END_TEST

static void assert_list_mistake(const char *list, const char *text, unsigned line, const char *says)
{
    char file[160];
    snprintf(file, sizeof file, "%s", scratch_write(&scratch, "list.cidr", list, strlen(list)));
    ck_assert(!load(text));
    const struct message *message = first_error(&messages, list);
    ck_assert_msg(is_at(message, file, line), "line %u was expected for <%s>: %s", line, list, message->text);
    ck_assert_msg(strstr(message->text, says) != NULL, "\"%s\" was expected: %s", says, message->text);
}

START_TEST(a_mistake_in_a_peers_file_is_told_with_its_line)
{
    static const char one[] = "listener { peer pool { file = list.cidr } }";
    assert_list_mistake("10.0.0.0/8\n10.0.0.1/8\n", one, 2, "10.0.0.1/8 has host bits set; write 10.0.0.0/8");
    assert_list_mistake("# x\n\nmx.example.com", one, 3, "is no address and no CIDR block");
    assert_list_mistake("10.0.0.0/8 192.0.2.1", one, 1, "has no prefix length that fits");
    assert_list_mistake("10.0.0.0/8\n::1\n10.0.0.0/8\n", one, 3, "10.0.0.0/8 stands twice in peer \"pool\"");
    assert_list_mistake("::1\n10.0.0.0/8\n", "listener { peer \"10.0.0.0/8\" { }\npeer pool { file = list.cidr } }", 2,
                        "belongs to peer \"10.0.0.0/8\" already");
    ck_assert(!load("listener {\npeer pool { file = none.cidr } }"));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "none.cidr: cannot be opened"));
    ck_assert(is_at(&messages.list[1], path, 2));
    ck_assert(!load("listener { peer pool { file = / } }"));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "is a directory"));
    scratch_write(&scratch, "list.cidr", "# nothing\n", 10);
    assert_warns(one, 1, "matches nobody");
}
END_TEST

START_TEST(long_lists_load)
{
    enum { LINES = 200000 };
    char *list = malloc(LINES * 20), *end = list;
    ck_assert_ptr_nonnull(list);
    for (unsigned i = 0; i < LINES; i++)
        end += sprintf(end, "%u.%u.%u.0/24\n", 11 + (i >> 16), i >> 8 & 255, i & 255);
    scratch_write(&scratch, "list.cidr", list, (size_t)(end - list));
    free(list);
    assert_loads("listener { peer pool { listener_sessions = 5 file = list.cidr } }", 0);
    struct chain chain = chain_of("11.0.255.1", "127.0.0.1", 25, NULL);
    ck_assert_str_eq(caps(&chain), "listener[default]/peer[pool]=5");
}
END_TEST

START_TEST(many_peers_load)
{
    /* libconfuse alone would compare each title with each before it; ten times as many would take it minutes. */
    enum { PEERS = 10000 };
    char *text = malloc(PEERS * 60 + 100), *end = text;
    ck_assert_ptr_nonnull(text);
    end += sprintf(end, "listener {\n");
    for (unsigned i = 0; i < PEERS; i++)
        end += sprintf(end, "peer \"10.0.%u.%u\" { listener_sessions = %u }\n", i >> 8 & 255, i & 255, i + 1);
    strcpy(end, "}\n");
    assert_loads(text, 0);
    free(text);
    struct chain chain = chain_of("10.0.39.15", "127.0.0.1", 25, NULL);
    ck_assert_str_eq(caps(&chain), "listener[default]/peer[10.0.39.15]=10000");
}
END_TEST

/* ---- a second reader ---- */

/* Both texts are good; libconfuse reads the one and is compared with the scan of the other. */
static bool agree(const char *scanned, const char *parsed)
{
    char first[512], second[512];
    struct scan scan;
    snprintf(first, sizeof first, "%s\n", scanned);
    snprintf(second, sizeof second, "%s\n", parsed);
    messages_clear(&messages);
    ck_assert(scan_text("x.conf", first, strlen(first), &scan, &messages));
    bool same = crosscheck_text("x.conf", second, strlen(second), &scan, &messages);
    scan_clear(&scan);
    ck_assert_uint_eq(same, messages.errors == 0);
    ck_assert_msg(same || strncmp(messages.list[0].text, "x.conf:", 7) == 0, "%s", messages.list[0].text);
    return same;
}

START_TEST(a_difference_from_libconfuse_is_refused)
{
    static const char *const text = "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { } }";
    static const char *const others[] = {
        "max_waiting = 6 listener { peer a { clients = { b, c } } listen d { } }",
        "max_waiting = 5 listener { peer a { clients = { b, c, d } } listen d { } }",
        "max_waiting = 5 listener { peer a { clients = { b } } listen d { } }",
        "max_waiting = 5 listener { peer a { clients = { c, b } } listen d { } }",
        "max_waiting = 5 listener { peer a { } listen d { } }",
        "max_waiting = 5 listener { peer A { clients = { b, c } } listen d { } }",
        "max_waiting = 5 listener { listen d { } peer a { clients = { b, c } } }",
        "max_waiting = 5 listener { peer a { clients = { b, c } } }",
        "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { } listen e { } }",
        "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { } } listener { }",
        "max_waiting = 5 listener { peer a { clients = { b, c } listener_sessions = 1 } listen d { } }",
        "listener { peer a { clients = { b, c } } listen d { } }",
        "max_waiting = 5 max_delay = 6 listener { peer a { clients = { b, c } } listen d { } }",
        "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { } } }",
        "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { } } quux = 5",
        "max_waiting = 5 listener { peer a { clients = { b, c } } listen d { quux = 5 } }",
        "",
    };
    ck_assert(agree(text, text));
    ck_assert(agree(text, "MAX_waiting='5' ESMTP_Listener{Peer \"a\"{clients={b,c,}} listen 'd' {}}"));
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(!agree(text, others[i]), "<%s> is taken for the same", others[i]);
    ck_assert(agree(text, text)); /* libconfuse has recovered */
}
END_TEST

static void add_fixtures(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(tests, NULL, forget);
}

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config load");
    TCase *values = test_case(suite, "values");
    add_fixtures(values);
    tcase_add_test(values, defaults_are_those_of_the_documentation);
    tcase_add_test(values, everything_that_is_set_arrives);
    tcase_add_test(values, momentums_block_means_the_same);
    tcase_add_test(values, a_user_is_looked_up);
    tcase_add_test(values, the_sample_loads_and_names_every_option);
    tcase_add_test(values, comments_may_stand_anywhere);
    tcase_add_test(values, a_unix_socket_takes_group_and_mode);
    tcase_add_test(values, rules_are_handed_over_once);
    TCase *refused = test_case(suite, "mistakes");
    add_fixtures(refused);
    tcase_add_loop_test(refused, a_mistake_is_refused_with_line_and_remedy, 0, sizeof mistakes / sizeof mistakes[0]);
    tcase_add_test(refused, one_load_tells_many_mistakes);
    tcase_add_test(refused, a_file_that_cannot_be_read_is_refused);
    tcase_add_test(refused, what_has_no_effect_is_warned_about);
    tcase_add_test(refused, a_difference_from_libconfuse_is_refused);
    TCase *lists = test_case(suite, "lists");
    add_fixtures(lists);
    tcase_add_test(lists, a_peers_file_is_read_beside_the_configuration);
    tcase_add_test(lists, a_mistake_in_a_peers_file_is_told_with_its_line);
    tcase_add_test(lists, long_lists_load);
    tcase_add_test(lists, many_peers_load);
    return suite;
}
