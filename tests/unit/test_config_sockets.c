/*
 * test_config_sockets.c: the sockets that a configuration names, and their options. Links all of src/config, src/engine
 * and src/mail, libconfuse, libidn2.
 */
#include "check_main.h"
#include "config/config.h"
#include "config_loading.h"

#define SECOND INT64_C(1000000000)

#define TCP "socket = \"inet:7358@127.0.0.1\" "
#define UNIX "socket = \"unix:/run/x/policy\" mode = 0666 "

static int option_of(size_t policy, enum socket_field field)
{
    ck_assert_uint_lt(policy, config->policy_count);
    return config->policies[policy].options.value[field];
}

/* ---- what is set arrives ---- */

START_TEST(without_a_section_there_is_no_policy_socket)
{
    assert_loads("", 0);
    ck_assert_ptr_null(config->policies);
    ck_assert_uint_eq(config->policy_count, 0);
}
END_TEST

START_TEST(a_policy_section_has_its_defaults)
{
    assert_loads("\npolicy {\n" TCP "}", 0);
    ck_assert_uint_eq(config->policy_count, 1);
    const struct socket_config *policy = &config->policies[0];
    ck_assert_str_eq(policy->socket, "inet:7358@127.0.0.1");
    ck_assert_int_eq(policy->address.kind, SOCKET_INET);
    ck_assert_str_eq(policy->address.host, "127.0.0.1");
    ck_assert_uint_eq(policy->address.port, 7358);
    ck_assert_ptr_null(policy->group);
    ck_assert_int_eq(policy->sessions, HOLD_RESERVE);
    ck_assert_uint_eq(policy->connections, 10000);
    ck_assert_uint_eq(policy->line, 2);
    ck_assert_uint_eq(policy->lines[SOCKET_ADDRESS], 3);
    static const int defaults[SOCKET_OPTION_COUNT] = {[SOCKET_NODELAY] = 1,
                                                      [SOCKET_REUSE_ADDRESS] = 1,
                                                      [SOCKET_LINGER] = SOCKET_UNSET,
                                                      [SOCKET_TTL] = SOCKET_UNSET,
                                                      [SOCKET_TOS] = SOCKET_UNSET};
    for (int i = 0; i < SOCKET_OPTION_COUNT; i++) {
        ck_assert_msg(option_of(0, (enum socket_field)i) == defaults[i], "option %d is %d", i,
                      option_of(0, (enum socket_field)i));
        ck_assert_uint_eq(policy->lines[i], 0);
    }
}
END_TEST

START_TEST(every_option_arrives)
{
    assert_loads("policy { " TCP "sessions = Kernel connections = 1000000 backlog = 65535 nodelay = no\n"
                 "send_buffer = 1073741824 receive_buffer = 1024 reuse_port = yes reuse_address = no\n"
                 "linger = 65535 ttl = 255 tos = 255 }",
                 0);
    static const int expected[SOCKET_OPTION_COUNT] = {
        [SOCKET_BACKLOG] = 65535,       [SOCKET_NODELAY] = 0,    [SOCKET_SEND_BUFFER] = 1 << 30,
        [SOCKET_RECEIVE_BUFFER] = 1024, [SOCKET_REUSE_PORT] = 1, [SOCKET_REUSE_ADDRESS] = 0,
        [SOCKET_LINGER] = 65535,        [SOCKET_TTL] = 255,      [SOCKET_TOS] = 255};
    for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
        ck_assert_int_eq(option_of(0, (enum socket_field)i), expected[i]);
    ck_assert_int_eq(config->policies[0].sessions, HOLD_WATCH);
    ck_assert_uint_eq(config->policies[0].connections, 1000000);
    assert_loads("policy { " TCP "sessions = none linger = 0 tos = 0 ttl = 1 connections = 1 }", 0);
    ck_assert_int_eq(config->policies[0].sessions, HOLD_NOTHING);
    ck_assert_int_eq(option_of(0, SOCKET_LINGER), 0);
    ck_assert_int_eq(option_of(0, SOCKET_TOS), 0);
    assert_loads("policy { socket = '/run/x' group = root mode = 0640 }", 0);
    ck_assert_int_eq(config->policies[0].address.kind, SOCKET_UNIX);
    ck_assert_str_eq(config->policies[0].address.path, "/run/x");
    ck_assert_str_eq(config->policies[0].group, "root");
    ck_assert_uint_eq(config->policies[0].gid, 0);
    ck_assert_uint_eq(config->policies[0].mode, 0640);
}
END_TEST

/* Every socket option, twice: a value of the top level and one of a section, neither of them the default. */
static const struct {
    const char *name;
    enum socket_field field;
    const char *outer;
    int outer_value;
    const char *inner;
    int inner_value;
    bool unix_too;
} options[] = {
    {"backlog", SOCKET_BACKLOG, "5", 5, "6", 6, true},
    {"nodelay", SOCKET_NODELAY, "no", 0, "yes", 1, false},
    {"send_buffer", SOCKET_SEND_BUFFER, "1024", 1024, "2048", 2048, true},
    {"receive_buffer", SOCKET_RECEIVE_BUFFER, "1024", 1024, "2048", 2048, false},
    {"reuse_port", SOCKET_REUSE_PORT, "yes", 1, "no", 0, false},
    {"reuse_address", SOCKET_REUSE_ADDRESS, "no", 0, "yes", 1, false},
    {"linger", SOCKET_LINGER, "1m", 60, "2h", 7200, false},
    {"ttl", SOCKET_TTL, "7", 7, "64", 64, false},
    {"tos", SOCKET_TOS, "8", 8, "16", 16, false},
};

START_TEST(what_a_section_does_not_say_the_top_level_says)
{
    char text[400];
    ck_assert_uint_eq(sizeof options / sizeof *options, SOCKET_OPTION_COUNT);
    snprintf(text, sizeof text,
             "policy { " TCP "%s = %s }\n%s = %s\npolicy { socket = 'inet6:7358@::1' }\npolicy { " UNIX "}",
             options[_i].name, options[_i].inner, options[_i].name, options[_i].outer);
    assert_loads(text, 0);
    ck_assert_uint_eq(config->policy_count, 3); /* in the order of unix, inet, inet6 */
    ck_assert_int_eq(option_of(1, options[_i].field), options[_i].inner_value);
    ck_assert_uint_eq(config->policies[1].lines[options[_i].field], 1);
    ck_assert_int_eq(option_of(2, options[_i].field), options[_i].outer_value);
    ck_assert_uint_eq(config->policies[2].lines[options[_i].field], 2);
    ck_assert_int_eq(option_of(0, options[_i].field), options[_i].unix_too ? options[_i].outer_value : SOCKET_UNSET);
}
END_TEST

START_TEST(of_an_option_for_tcp_a_unix_socket_is_told_in_its_section)
{
    char text[300], says[200];
    struct mistake mistake = {.text = text, .line = 2, .says = says};
    snprintf(text, sizeof text, "policy { " UNIX "\n%s = %s }", options[_i].name, options[_i].outer);
    snprintf(says, sizeof says,
             "%s is for a TCP socket, and the socket is \"unix:/run/x/policy\"; remove it, or write socket = "
             "\"inet:7358@127.0.0.1\"",
             options[_i].name);
    if (options[_i].unix_too) {
        assert_loads(text, 0);
        return;
    }
    ck_assert_msg(!load(text), "<%s> is taken", text);
    assert_first_error(&messages, path, &mistake);
}
END_TEST

START_TEST(an_option_that_no_socket_can_have_is_warned_about)
{
    char text[200], says[200];
    bool milter = options[_i].field == SOCKET_BACKLOG; /* the milter's socket has one */
    snprintf(text, sizeof text, "\n%s = %s", options[_i].name, options[_i].outer);
    snprintf(says, sizeof says, "%s has no effect: no socket can have it; add a policy section with a",
             options[_i].name);
    if (milter)
        assert_loads(text, 0);
    else
        assert_warns(text, 2, says);
    snprintf(text, sizeof text, "\n%s = %s policy { " UNIX "}", options[_i].name, options[_i].outer);
    if (options[_i].unix_too)
        assert_loads(text, 0);
    else
        assert_warns(text, 2, says);
    assert_loads("nodelay = yes reuse_port = no reuse_address = on send_buffer = 0 receive_buffer = 0", 0);
}
END_TEST

START_TEST(the_milter_has_a_backlog_and_no_other_option)
{
    assert_loads("backlog = 5", 0);
    ck_assert_int_eq(config->milter.options.value[SOCKET_BACKLOG], 5);
    assert_loads("backlog = 5 milter { backlog = 6 }", 0);
    ck_assert_int_eq(config->milter.options.value[SOCKET_BACKLOG], 6);
    assert_loads("nodelay = no ttl = 5 policy { " TCP "}", 0);
    for (int i = SOCKET_BACKLOG + 1; i < SOCKET_OPTION_COUNT; i++)
        ck_assert_int_eq(config->milter.options.value[i], SOCKET_UNSET);
}
END_TEST

START_TEST(http_and_control_are_there_when_their_section_is)
{
    assert_loads("", 0);
    ck_assert_ptr_null(config->http.socket);
    ck_assert_ptr_null(config->control.socket);
    assert_loads("\nhttp {\n}\ncontrol { }", 0);
    ck_assert_str_eq(config->http.socket, "127.0.0.1:7359");
    ck_assert_int_eq(config->http.address.kind, SOCKET_INET);
    ck_assert_str_eq(config->http.address.host, "127.0.0.1");
    ck_assert_uint_eq(config->http.address.port, 7359);
    ck_assert_uint_eq(config->http.line, 2);
    ck_assert_str_eq(config->control.socket, "/run/tidegate/control.sock");
    ck_assert_int_eq(config->control.address.kind, SOCKET_UNIX);
    ck_assert_str_eq(config->control.address.path, "/run/tidegate/control.sock");
    ck_assert_uint_eq(config->control.mode, 0600);
    ck_assert_ptr_null(config->control.group);
    assert_loads("ttl = 9 backlog = 7 http { listen = \"[0:0::1]:1\" nodelay = no tos = 8 }\n"
                 "control { socket = unix:/run/x mode = 0660 group = root backlog = 8 }",
                 0);
    ck_assert_int_eq(config->http.address.kind, SOCKET_INET6);
    ck_assert_str_eq(config->http.address.host, "::1");
    ck_assert_uint_eq(config->http.address.port, 1);
    ck_assert_int_eq(config->http.options.value[SOCKET_TTL], 9);
    ck_assert_int_eq(config->http.options.value[SOCKET_BACKLOG], 7);
    ck_assert_int_eq(config->http.options.value[SOCKET_NODELAY], 0);
    ck_assert_int_eq(config->http.options.value[SOCKET_TOS], 8);
    ck_assert_int_eq(config->control.options.value[SOCKET_BACKLOG], 8);
    ck_assert_int_eq(config->control.options.value[SOCKET_TTL], SOCKET_UNSET);
    ck_assert_uint_eq(config->control.mode, 0660);
    ck_assert_str_eq(config->control.group, "root");
}
END_TEST

/* ---- mistakes ---- */

static const struct mistake mistakes[] = {
    {"\npolicy { }", 2, "policy has no socket; write socket = \"inet:7358@127.0.0.1\" in it"},
    {"policy { " TCP "}\npolicy { sessions = none }", 2, "policy has no socket"},
    {"policy \"x\" { " TCP "}", 1, "policy takes no title"},
    {"policy {\nsocket = 7358 }", 2, "socket: \"7358\" is no socket; write \"inet:PORT@HOST\""},
    {"policy {\nsocket = \"inet:127.0.0.1:7358\" }", 2, "has the host first; write \"inet:7358@127.0.0.1\""},
    {"listener { policy { " TCP "} }", 1, "section \"policy\" cannot stand in listener; it may stand in the top level"},
    {"policy { " TCP "\nsessions = all }", 2, "sessions: \"all\" is unknown here; write none, milter or kernel"},
    {"policy { " TCP "\nconnections = 0 }", 2, "connections: 0 is too small; write a whole number from 1 to 1000000"},
    {"policy { " TCP "\nconnections = 1000001 }", 2, "connections: 1000001 is too large"},
    {"milter {\nsessions = none }", 2, "option \"sessions\" cannot stand in milter; it may stand in policy"},
    {"milter {\nnodelay = no }", 2,
     "option \"nodelay\" cannot stand in milter; it may stand in the top level, policy or http"},
    {"listener {\nbacklog = 5 }", 2,
     "cannot stand in listener; it may stand in the top level, milter, policy, http or control"},
    {"policy { " TCP "\ngroup = root }", 2,
     "group is for a unix socket, and the socket is \"inet:7358@127.0.0.1\"; remove it, or write socket = "
     "\"unix:/run/tidegate/policy.sock\""},
    {"policy { " TCP "\nmode = 0660 }", 2, "mode is for a unix socket"},
    {"policy { socket = unix:/run/x\nmode = 8 }", 2, "mode: \"8\" is no octal mode"},
    {"policy { socket = unix:/run/x\ngroup = no-such-group-here }", 2, "there is no group \"no-such-group-here\""},

    {"policy { " TCP "\nbacklog = 65536 }", 2, "backlog: 65536 is too large; write a whole number from 0 to 65535"},
    {"policy { " TCP "\nnodelay = 2 }", 2, "nodelay: \"2\" is neither yes nor no"},
    {"policy { " TCP "\nsend_buffer = 1023 }", 2, "send_buffer: 1023 is too small; write 0 or at least 1024"},
    {"policy { " TCP "\nsend_buffer = 1073741825 }", 2, "send_buffer: 1073741825 is too large"},
    {"policy { " TCP "\nreceive_buffer = 1 }", 2, "receive_buffer: 1 is too small; write 0 or at least 1024"},
    {"policy { " TCP "\nreuse_port = maybe }", 2, "reuse_port: \"maybe\" is neither yes nor no"},
    {"policy { " TCP "\nlinger = 65536 }", 2, "linger: 65536 is too long"},
    {"policy { " TCP "\nlinger = -1 }", 2, "linger: \"-1\" is negative"},
    {"policy { " TCP "\nttl = 0 }", 2, "ttl: 0 is too small; write a whole number from 1 to 255"},
    {"policy { " TCP "\nttl = 256 }", 2, "ttl: 256 is too large"},
    {"policy { " TCP "\ntos = 256 }", 2, "tos: 256 is too large"},
    {"policy { " TCP "\ntos = 0x10 }", 2, "tos: \"0x10\" is not decimal"},
    {"\nbacklog = x", 2, "backlog: \"x\" is no number"},
    {"milter {\nbacklog = x }", 2, "backlog: \"x\" is no number"},
    {"\nttl = 256", 2, "ttl: 256 is too large"},
    {"policy { " TCP "}\nlinger = yes", 2, "linger: \"yes\" is no number"},

    {"policy { " TCP "}\npolicy {\n" TCP "}", 3,
     "socket: the policy section of line 1 has \"inet:7358@127.0.0.1\" already; choose another port, remove one of "
     "them, or write reuse_port = yes in both"},
    {"policy { " TCP "reuse_port = yes }\npolicy { " TCP "}", 2, "line 1 has"},
    {"policy { " TCP "}\npolicy { " TCP "reuse_port = yes }", 2, "line 1 has"},
    {"reuse_port = yes policy { " UNIX "}\npolicy { socket = local:/run/x/policy }", 2,
     "socket: the policy section of line 1 has \"unix:/run/x/policy\" already; choose another path, or remove"},
    {"policy { socket = \"inet6:1@::1\" }\npolicy { socket = \"inet6:1@[0:0::1]\" }", 2, "line 1 has \"inet6:1@::1\""},
    {"policy { socket = inet:1@localhost }\npolicy { socket = inet:1@LOCALHOST }", 2, "line 1 has"},
    {"policy {\nsocket = \"inet:7357@127.0.0.1\" reuse_port = yes }", 2,
     "socket: \"inet:7357@127.0.0.1\" is the milter's; choose another port"},
    {"milter { socket = unix:/run/x }\npolicy { socket = /run/x }", 2, "is the milter's; choose another path"},

    {"http {\nlisten = 7359 }", 2,
     "listen: \"7359\" is no address and port; write \"127.0.0.1:7359\" or \"[::1]:7359\""},
    {"http {\nlisten = \":7359\" }", 2, "listen: \":7359\" is no address and port"},
    {"http {\nlisten = \"localhost:7359\" }", 2, "is no address and port (host names are not looked up)"},
    {"http {\nlisten = \"::1:7359\" }", 2, "is no address and port"},
    {"http {\nlisten = \"[127.0.0.1]:7359\" }", 2, "is no address and port"},
    {"http {\nlisten = \"[::1]\" }", 2, "is no address and port"},
    {"http {\nlisten = \"[:7359\" }", 2, "is no address and port"},
    {"http {\nlisten = \"127.0.0.1:0\" }", 2, "\"0\" is no port"},
    {"http {\nlisten = \"127.0.0.1:65536\" }", 2, "\"65536\" is no port"},
    {"http {\nlisten = \"127.0.0.1:\" }", 2, "\"\" is no port"},
    {"http {\nsocket = \"/run/x\" }", 2,
     "option \"socket\" cannot stand in http; it may stand in milter, policy or control"},
    {"http { }\nhttp { }", 2, "http stands twice here"},
    {"http \"x\" { }", 1, "http takes no title"},
    {"http {\nmode = 0600 }", 2, "option \"mode\" cannot stand in http"},
    {"http {\nttl = 0 }", 2, "ttl: 0 is too small"},
    {"control {\nsocket = \"run/x\" }", 2, "socket: "},
    {"control {\nsocket = \"inet:7359@127.0.0.1\" }", 2, "socket: "},
    {"control {\nsocket = \"unix:x\" }", 2, "socket: "},
    {"control {\nlisten = \"127.0.0.1:7359\" }", 2, "option \"listen\" cannot stand in control; it may stand in http"},
    {"control {\nnodelay = no }", 2, "option \"nodelay\" cannot stand in control"},
    {"control {\nmode = 8 }", 2, "mode: \"8\" is no octal mode"},
    {"control {\ngroup = no-such-group-here }", 2, "there is no group \"no-such-group-here\""},
    {"control { }\ncontrol { }", 2, "control stands twice here"},
    {"listener { control { } }", 1, "section \"control\" cannot stand in listener; it may stand in the top level"},
    {"milter { socket = \"inet:7359@127.0.0.1\" }\nhttp { }", 2,
     "listen: \"127.0.0.1:7359\" is the milter's; choose another port"},
    {"http {\nlisten = \"127.0.0.1:7357\" }", 2, "listen: \"127.0.0.1:7357\" is the milter's; choose another port"},
    {"policy { socket = \"inet:7359@127.0.0.1\" }\nhttp {\nlisten = \"127.0.0.1:7359\" }", 3,
     "listen: the policy section of line 1 has \"inet:7359@127.0.0.1\" already; choose another port"},
    {"milter { socket = unix:/run/x group = root }\ncontrol {\nsocket = /run/x }", 3,
     "socket: \"/run/x\" is the milter's; choose another path"},
    {"policy { " UNIX "}\ncontrol {\nsocket = \"unix:/run/x/policy\" }", 3,
     "socket: the policy section of line 1 has \"unix:/run/x/policy\" already; choose another path"},
};

START_TEST(a_mistake_is_refused_with_line_and_remedy)
{
    const struct mistake *mistake = &mistakes[_i];
    ck_assert_msg(!load(mistake->text), "<%s> is taken", mistake->text);
    assert_first_error(&messages, path, mistake);
    ck_assert_msg(messages.errors == 1, "<%s>: also: %s", mistake->text,
                  messages.count > 1 ? messages.list[1].text : "");
}
END_TEST

START_TEST(many_mistakes_are_told_at_once)
{
    ck_assert(!load("ttl = 0 policy { } policy { socket = x backlog = -1 } policy { " TCP "sessions = x } policy { " TCP
                    "connections = x } milter { socket = y }"));
    ck_assert_uint_eq(messages.errors, 8);
}
END_TEST

START_TEST(sockets_that_differ_may_stand_together)
{
    assert_loads("policy { " TCP
                 "} policy { socket = \"inet:7358@127.0.0.2\" } policy { socket = \"inet6:7358@::1\" }\n"
                 "policy { socket = \"inet:7359@127.0.0.1\" } policy { " UNIX "}",
                 0);
    ck_assert_uint_eq(config->policy_count, 5);
    assert_loads("policy { " TCP "reuse_port = yes connections = 1 }\npolicy { " TCP "reuse_port = yes }", 0);
    ck_assert_uint_eq(config->policy_count, 2);
    assert_loads("reuse_port = yes policy { " TCP "} policy { " TCP "} policy { " TCP "}", 0);
}
END_TEST

/* ---- warnings ---- */

START_TEST(what_has_no_effect_or_too_little_is_warned_about)
{
    static const char says[] = "daemon_name: a policy request names no daemon; give check_policy_service a "
                               "policy_context with the daemon_name";
    assert_warns("listener {\ndaemon_name = mx }\nlistener { daemon_name = my }\npolicy { " TCP "} policy { " UNIX "}",
                 2, says);
    assert_loads("listener { daemon_name = mx }", 0);
    assert_loads("listener { } policy { " TCP "}", 0);
    assert_warns("policy {\nsocket = unix:/run/x }", 2, "without group");
    assert_warns("policy {\nsocket = unix:/run/x mode = 0660 }", 2, "without group");
    assert_warns("http {\nlisten = \"0.0.0.0:7359\" }", 2, "whoever reaches \"0.0.0.0:7359\" can read");
    assert_warns("http {\nlisten = \"[::]:7359\" }", 2, "whoever reaches");
    assert_warns("http {\nlisten = \"192.0.2.127:7359\" }", 2, "whoever reaches");
    assert_loads("http { listen = \"127.1.2.3:7359\" }", 0);
    assert_warns("control {\nmode = 0660 }", 1, "without group");
    assert_warns("control {\ngroup = root }", 2, "group has no effect with mode = \"0600\"; write mode = \"0660\"");
    assert_warns("control {\nmode = 0666 }", 2, "with \"0666\" every user of this host can ban, lift bans and reload");
    assert_warns("control {\ngroup = root\nmode = 0662 }", 3, "with \"0662\" every user");
    assert_loads("control { group = root mode = 0664 }", 0); /* to connect takes the right to write */
    assert_loads("policy { socket = unix:/run/x group = root }", 0);
    assert_loads("policy { socket = unix:/run/x mode = 0666 }", 0);
}
END_TEST

/* ---- dumps and reloads ---- */

START_TEST(a_dump_has_what_holds_and_loads_again)
{
    static const char expected[] = "milter {\n"
                                   "    socket = \"inet:7357@127.0.0.1\"\n"
                                   "    backlog = 9\n"
                                   "}\n"
                                   "policy {\n"
                                   "    socket = \"inet:7358@127.0.0.1\"\n"
                                   "    sessions = kernel\n"
                                   "    connections = 10000\n"
                                   "    backlog = 9\n"
                                   "    nodelay = no\n"
                                   "    send_buffer = 2048\n"
                                   "    receive_buffer = 0\n"
                                   "    reuse_port = no\n"
                                   "    reuse_address = yes\n"
                                   "    linger = 1m\n"
                                   "    ttl = 64\n"
                                   "}\n"
                                   "listener {\n"
                                   "}\n"
                                   "policy {\n"
                                   "    socket = \"unix:/run/x/policy\"\n"
                                   "    mode = \"0666\"\n"
                                   "    sessions = milter\n"
                                   "    connections = 7\n"
                                   "    backlog = 3\n"
                                   "    send_buffer = 0\n"
                                   "}\n";
    assert_loads("Policy { " TCP
                 "Sessions = KERNEL send_buffer = 2048 ttl = 64 } backlog = 9 nodelay = OFF linger = 60\n"
                 "listener { } POLICY { " UNIX "connections = 7 backlog = 3 }",
                 0);
    static const char service[] = "http {\n"
                                  "    listen = \"[::1]:7359\"\n"
                                  "    backlog = 0\n"
                                  "    nodelay = yes\n"
                                  "    send_buffer = 0\n"
                                  "    receive_buffer = 0\n"
                                  "    reuse_port = no\n"
                                  "    reuse_address = yes\n"
                                  "    ttl = 5\n"
                                  "}\n"
                                  "control {\n"
                                  "    socket = \"/run/tidegate/control.sock\"\n"
                                  "    group = \"root\"\n"
                                  "    mode = \"0660\"\n"
                                  "    backlog = 0\n"
                                  "}\n";
    char *first = dump_text();
    ck_assert_msg(strstr(first, expected) != NULL, "%s", first);
    assert_loads(first, 0);
    char *second = dump_text();
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
    assert_loads("Http { Listen = \"[::1]:7359\" ttl = 5 }\nCONTROL { group = root mode = 660 }", 0);
    first = dump_text();
    ck_assert_msg(strstr(first, service) != NULL, "%s", first);
    assert_loads(first, 0);
    second = dump_text();
    ck_assert_str_eq(first, second);
    free(first);
    free(second);
    assert_loads("", 0);
    first = dump_text();
    assert_loads(first, 0); /* and what it says of sockets warns of nothing */
    free(first);
}
END_TEST

/* What a change of the configuration says; NULL: nothing, it needs no restart. */
static void assert_restart(const char *running, const char *next, unsigned line, const char *says)
{
    char message[MESSAGE_SIZE], start[200];
    assert_loads(running, 0);
    struct config *old = config;
    config = NULL;
    assert_loads(next, 0);
    bool needed = config_needs_restart(old, config, message);
    ck_assert_msg(needed == (says != NULL), "<%s>, then <%s>: %s", running, next, message);
    snprintf(start, sizeof start, line > 0 ? "%s:%u: " : "%s: ", path, line);
    ck_assert_msg(!needed || strncmp(message, start, strlen(start)) == 0, "\"%s\" was expected: %s", start, message);
    ck_assert_msg(!needed || strstr(message, says) != NULL, "\"%s\" was expected: %s", says, message);
    ck_assert(!needed || strstr(message, ": needs restart") != NULL);
    config_free(&old);
}

START_TEST(a_socket_that_comes_goes_or_changes_needs_a_restart)
{
    assert_restart("", "\npolicy {\n" TCP "}", 3, "policy socket \"inet:7358@127.0.0.1\" is new");
    assert_restart("policy { " TCP "}", "", 0, "policy socket \"inet:7358@127.0.0.1\" goes");
    assert_restart("policy { " TCP "}", "policy { " TCP "}\npolicy { " UNIX "}", 2,
                   "policy socket \"unix:/run/x/policy\" is new");
    assert_restart("policy { " TCP "} policy { " UNIX "}", "policy { " UNIX "}", 0,
                   "policy socket \"inet:7358@127.0.0.1\" goes");
    assert_restart("policy { socket = unix:/a mode = 0666 }", "policy { socket = local:/a mode = 0666 }", 1,
                   "\"local:/a\" is new");
    assert_restart("policy { " TCP "}", "policy { " TCP "\nconnections = 5 }", 2,
                   "policy inet:7358@127.0.0.1 connections changes from \"10000\" to \"5\"");
    assert_restart("policy { " TCP "connections = 5 }", "\n\npolicy { " TCP "}", 3,
                   "connections changes from \"5\" to \"10000\"");
    assert_restart("policy { " UNIX "}", "policy { socket = \"unix:/run/x/policy\"\nmode = 0606 }", 2,
                   "policy unix:/run/x/policy mode changes from \"0666\" to \"0606\"");
    assert_restart("policy { " UNIX "}", "policy { " UNIX "\n\ngroup = root }", 3,
                   "group changes from \"\" to \"root\"");
    assert_restart("", "\nhttp { }", 2, "http socket \"127.0.0.1:7359\" is new");
    assert_restart("http { }", "", 0, "http socket \"127.0.0.1:7359\" goes");
    assert_restart("http { }", "http {\nlisten = \"127.0.0.1:1\" }", 2,
                   "http listen changes from \"127.0.0.1:7359\" to \"127.0.0.1:1\"");
    assert_restart("http { }", "http {\nttl = 5 }", 2, "http ttl changes from \"\" to \"5\"");
    assert_restart("http { }", "http { listen = \"127.0.0.1:7359\" ttl = 5 }\nttl = 5", 1, "http ttl changes");
    assert_restart("http { }", "http { listen = \"127.0.0.1:7359\" }", 0, NULL);
    assert_restart("", "\ncontrol { }", 2, "control socket \"/run/tidegate/control.sock\" is new");
    assert_restart("control { }", "", 0, "control socket \"/run/tidegate/control.sock\" goes");
    assert_restart("control { mode = 0640 }", "control {\nmode = 0604 }", 2,
                   "control mode changes from \"0640\" to \"0604\"");
    assert_restart("control { }", "control { socket = \"unix:/run/x\" }", 1, "control socket changes from");
    assert_restart("", "\nmilter { backlog = 5 }", 2, "milter backlog changes from \"0\" to \"5\"");
    assert_restart("", "\nbacklog = 5", 2, "milter backlog changes from \"0\" to \"5\"");
}
END_TEST

START_TEST(a_socket_option_that_changes_needs_a_restart)
{
    char running[300], next[300], says[100];
    snprintf(running, sizeof running, "policy { " TCP "%s = %s }", options[_i].name, options[_i].outer);
    snprintf(next, sizeof next, "policy { " TCP "\n%s = %s }", options[_i].name, options[_i].inner);
    snprintf(says, sizeof says, "policy inet:7358@127.0.0.1 %s changes from \"%s\" to \"%s\"", options[_i].name,
             options[_i].outer, options[_i].inner);
    assert_restart(running, next, 2, says);
    assert_restart(running, running, 0, NULL);
    if (options[_i].field == SOCKET_BACKLOG)
        return; /* the milter's, too */
    snprintf(next, sizeof next, "policy { " TCP "}\n%s = %s", options[_i].name, options[_i].inner);
    snprintf(running, sizeof running, "policy { " TCP "}\n%s = %s", options[_i].name, options[_i].outer);
    assert_restart(running, next, 2, says);
    snprintf(next, sizeof next, "policy { " TCP "%s = %s }", options[_i].name, options[_i].outer);
    assert_restart(running, next, 0, NULL); /* it holds, wherever it is said */
}
END_TEST

START_TEST(what_is_no_change_needs_no_restart)
{
    assert_restart("policy { " TCP "}", "policy { " TCP "sessions = kernel }", 0, NULL);
    ck_assert_int_eq(config->policies[0].sessions, HOLD_WATCH);
    assert_restart("policy { " TCP "} policy { " UNIX "}",
                   "listener { } policy { " UNIX "sessions = none } policy { " TCP "nodelay = ON linger = 60 }", 1,
                   "linger changes from \"\" to \"1m\"");
    assert_restart("policy { " TCP "linger = 60 } policy { " UNIX "}",
                   "listener { } policy { " UNIX "sessions = none } policy { " TCP "nodelay = ON linger = 1m }", 0,
                   NULL);
    ck_assert_int_eq(config->policies[0].sessions, HOLD_NOTHING); /* in the same order as before */
    ck_assert_str_eq(config->policies[1].socket, "inet:7358@127.0.0.1");
    assert_restart("policy { " UNIX "} policy { " TCP "ttl = 5 }", "ttl = 5 policy { " UNIX "} policy { " TCP "}", 0,
                   NULL);
}
END_TEST

static void add_fixtures(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(tests, NULL, forget);
}

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config sockets");
    TCase *values = test_case(suite, "values");
    add_fixtures(values);
    tcase_add_test(values, without_a_section_there_is_no_policy_socket);
    tcase_add_test(values, a_policy_section_has_its_defaults);
    tcase_add_test(values, every_option_arrives);
    tcase_add_test(values, http_and_control_are_there_when_their_section_is);
    tcase_add_loop_test(values, what_a_section_does_not_say_the_top_level_says, 0, SOCKET_OPTION_COUNT);
    tcase_add_test(values, the_milter_has_a_backlog_and_no_other_option);
    TCase *refused = test_case(suite, "mistakes");
    add_fixtures(refused);
    tcase_add_loop_test(refused, a_mistake_is_refused_with_line_and_remedy, 0, sizeof mistakes / sizeof *mistakes);
    tcase_add_test(refused, many_mistakes_are_told_at_once);
    tcase_add_loop_test(refused, of_an_option_for_tcp_a_unix_socket_is_told_in_its_section, 0, SOCKET_OPTION_COUNT);
    tcase_add_test(refused, sockets_that_differ_may_stand_together);
    tcase_add_test(refused, what_has_no_effect_or_too_little_is_warned_about);
    tcase_add_loop_test(refused, an_option_that_no_socket_can_have_is_warned_about, 0, SOCKET_OPTION_COUNT);
    TCase *changes = test_case(suite, "changes");
    add_fixtures(changes);
    tcase_add_test(changes, a_dump_has_what_holds_and_loads_again);
    tcase_add_test(changes, a_socket_that_comes_goes_or_changes_needs_a_restart);
    tcase_add_loop_test(changes, a_socket_option_that_changes_needs_a_restart, 0, SOCKET_OPTION_COUNT);
    tcase_add_test(changes, what_is_no_change_needs_no_restart);
    return suite;
}
