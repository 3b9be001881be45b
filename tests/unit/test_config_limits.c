/*
 * test_config_limits.c: limits, deny, exempt and reputation, from the file to the rules. Links all of src/config,
 * src/engine and src/mail, libconfuse, libidn2.
 */
#include "check_main.h"
#include "config_loading.h"

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)

/* The chain of a session on a listener that nothing is said of. */
static struct chain anywhere(void)
{
    return chain_of("192.0.2.200", "127.0.0.1", 25, NULL);
}

/* How many there may be for a client, a name and a user. */
static uint32_t max_for(const char *limit, const char *client, const char *name, const char *user,
                        enum reputation reputation)
{
    struct chain chain = anywhere();
    struct terms_subject subject = {.name = name, .user = user, .reputation = reputation};
    struct terms terms;
    ck_assert(addr_parse(client, &subject.client));
    ck_assert_msg(terms_of(&chain, limit, &terms), "%s is off", limit);
    return terms_max(config->rules, &terms, &subject);
}

static enum list_answer client_listed(const char *client)
{
    struct addr addr;
    ck_assert(addr_parse(client, &addr));
    return rules_listed_client(config->rules, &addr).answer;
}

static enum list_answer names_listed(const char *sender, const char *user)
{
    return rules_listed_names(config->rules, sender, user).answer;
}

/* ---- what is set arrives ---- */

START_TEST(an_empty_block_switches_a_limit_on)
{
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        char text[100];
        snprintf(text, sizeof text, "limit %s { }", limit_builtins[i].name);
        assert_loads(text, 0);
        struct chain chain = anywhere();
        struct terms terms;
        for (size_t j = 0; j < LIMITS_BUILTIN; j++)
            ck_assert_uint_eq(terms_of(&chain, limit_builtins[j].name, &terms), i == j);
        ck_assert(terms_of(&chain, limit_builtins[i].name, &terms));
        for (size_t term = 0; term < LIMIT_TERMS; term++)
            ck_assert_int_eq(terms.value[term], limit_builtins[i].value[term]);
        ck_assert_ptr_null(terms.reply);
        ck_assert_ptr_null(terms.except);
    }
}
END_TEST

START_TEST(every_option_of_a_limit_arrives)
{
    assert_loads(
        "limit Client_Errors { max = 1 max_good = 2 max_bad = 3 max_authenticated = 4 window = 5 mode = Score\n"
        "points = 6 ban = 7m disconnect_delay = 8 reply = \"550 {client} {max}\" }\n"
        "limit session_errors { soft = 9 error_delay = 3 } limit helo_networks { ipv4_prefix = 11\n"
        "ipv6_prefix = 12 } reputation { }",
        0);
    static const int64_t expected[] = {
        [TERM_MAX] = 1,
        [TERM_MAX_GOOD] = 2,
        [TERM_MAX_BAD] = 3,
        [TERM_WINDOW] = 5 * SECOND,
        [TERM_MAX_AUTHENTICATED] = 4,
        [TERM_MODE] = MODE_SCORE,
        [TERM_POINTS] = 6,
        [TERM_BAN] = 420 * SECOND,
        [TERM_DISCONNECT_DELAY] = 8 * SECOND,
    };
    static const enum limit_term given[] = {TERM_MAX,  TERM_MAX_GOOD, TERM_MAX_BAD, TERM_MAX_AUTHENTICATED, TERM_WINDOW,
                                            TERM_MODE, TERM_POINTS,   TERM_BAN,     TERM_DISCONNECT_DELAY};
    struct chain chain = anywhere();
    struct terms terms;
    ck_assert(terms_of(&chain, "client_errors", &terms));
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++)
        ck_assert_int_eq(terms.value[given[i]], expected[given[i]]);
    ck_assert_str_eq(terms.reply->code, "550");
    ck_assert_str_eq(terms.reply->enhanced, "5.7.1");
    ck_assert_str_eq(terms.reply->text, "{client} {max}");
    ck_assert_int_eq(term_of(&chain, "session_errors", TERM_SOFT), 9);
    ck_assert_int_eq(term_of(&chain, "session_errors", TERM_ERROR_DELAY), 3 * SECOND);
    ck_assert_int_eq(term_of(&chain, "session_errors", TERM_MAX), 20);
    ck_assert_int_eq(term_of(&chain, "helo_networks", TERM_IPV4_PREFIX), 11);
    ck_assert_int_eq(term_of(&chain, "helo_networks", TERM_IPV6_PREFIX), 12);
}
END_TEST

START_TEST(words_are_the_engines)
{
    for (int i = 0; i < COUNT_KINDS; i++)
        ck_assert_str_eq(option_table[OPTION_LIMIT_COUNT].words[i], limit_count_name((enum limit_count)i));
    ck_assert_ptr_null(option_table[OPTION_LIMIT_COUNT].words[COUNT_KINDS]);
    for (int i = 0; i < PER_KINDS; i++)
        ck_assert_str_eq(option_table[OPTION_LIMIT_PER].words[i], limit_per_name((enum limit_per)i));
    ck_assert_ptr_null(option_table[OPTION_LIMIT_PER].words[PER_KINDS]);
    for (int i = MODE_OFF; i <= MODE_SCORE; i++)
        ck_assert_str_eq(option_table[OPTION_LIMIT_MODE].words[i], limit_mode_name((enum limit_mode)i));
    ck_assert_ptr_null(option_table[OPTION_LIMIT_MODE].words[MODE_SCORE + 1]);
    ck_assert_str_eq(option_table[OPTION_IDLE_ACTION].words[IDLE_DISCONNECT], "disconnect");
    ck_assert_str_eq(option_table[OPTION_REFUSE_AT].words[REFUSE_AT_CONNECT], "connect");
}
END_TEST

START_TEST(every_pair_is_taken_as_the_engine_has_it)
{
    for (int count = 0; count < COUNT_KINDS; count++) {
        for (int per = 0; per < PER_KINDS; per++) {
            bool window = limit_has_window((enum limit_count)count, (enum limit_per)per);
            char text[200];
            snprintf(text, sizeof text, "limit mine { count = %s per = %s max = 5 %s }",
                     limit_count_name((enum limit_count)count), limit_per_name((enum limit_per)per),
                     window ? "window = 9" : "");
            ck_assert_msg(load(text) == limit_fits((enum limit_count)count, (enum limit_per)per), "%s", text);
            if (config == NULL)
                continue;
            struct chain chain = anywhere();
            struct terms terms;
            ck_assert(terms_of(&chain, "mine", &terms));
            ck_assert_int_eq(terms.count, count);
            ck_assert_int_eq(terms.per, per);
        }
    }
}
END_TEST

START_TEST(blocks_fall_back_to_outer_blocks)
{
    assert_loads("listener { daemon_name = a limit client_sessions { }\n"
                 "    peer \"10.0.0.0/8\" { limit client_errors { max = 3 } } }\n"
                 "listener { pathway = p limit client_errors { window = 2h } }\n"
                 "pathway p { limit client_errors { max = 4 window = 1h mode = monitor } }\n"
                 "limit client_errors { ban = 1h mode = score points = 3 }",
                 0);
    struct terms terms;
    struct chain chain = chain_of("10.0.0.1", "127.0.0.1", 25, "a");
    ck_assert_int_eq(term_of(&chain, "client_sessions", TERM_MAX), 5);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_MAX), 3);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_BAN), HOUR);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_MODE), MODE_SCORE);
    chain = anywhere();
    ck_assert(!terms_of(&chain, "client_sessions", &terms));
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_MAX), 4);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_WINDOW), 2 * HOUR);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_BAN), HOUR);
    ck_assert_int_eq(term_of(&chain, "client_errors", TERM_MODE), MODE_MONITOR);
}
END_TEST

START_TEST(limits_of_ones_own_fall_back_too)
{
    assert_loads("limit mine { count = messages per = helo max = 7 window = 1h }\n"
                 "listener { daemon_name = a limit MINE { max = 8 count = Messages } peer \"10.0.0.0/8\" {\n"
                 "limit mine { mode = off } } peer \"::/0\" { limit mine { window = 2h per = helo } } }\n",
                 0);
    struct terms terms;
    struct chain chain = anywhere();
    ck_assert_int_eq(term_of(&chain, "mine", TERM_MAX), 7);
    chain = chain_of("192.0.2.1", "127.0.0.1", 25, "a");
    ck_assert_int_eq(term_of(&chain, "mine", TERM_MAX), 8);
    ck_assert_int_eq(term_of(&chain, "mine", TERM_WINDOW), HOUR);
    chain = chain_of("2001:db8::1", "127.0.0.1", 25, "a");
    ck_assert_int_eq(term_of(&chain, "mine", TERM_MAX), 8);
    ck_assert_int_eq(term_of(&chain, "mine", TERM_WINDOW), 2 * HOUR);
    chain = chain_of("10.0.0.1", "127.0.0.1", 25, "a");
    ck_assert(!terms_of(&chain, "mine", &terms));

    /* Without a block at the top level each says what it needs; one that is off needs nothing. */
    assert_loads("pathway p { limit mine { count = sessions per = user max = 3 } }\n"
                 "listener { pathway = p peer \"10.0.0.0/8\" { limit mine { mode = off } } }",
                 0);
    chain = anywhere();
    ck_assert_int_eq(term_of(&chain, "mine", TERM_MAX), 3);
}
END_TEST

START_TEST(keys_and_exceptions_arrive_in_normal_form)
{
    assert_loads(
        "limit sender_recipients { max = 5\n"
        "except = { \"10.0.0.0/8\", Gmail.COM., \"<Joe@Example.net>\", \"user:a.b\" }\n"
        "key \"2001:DB8::/32\" { max = 6 }  key \"192.0.2.1\" { max = 7 }\n"
        "key \"Big.Example.\" { max = 8 }  key \"B\xc3\x9c"
        "CHER.example\" { max = 9 }\n"
        "key \"Ann@Big.Example\" { max = 10 }  key Carl { max = 0 } key \"top.\" { max = 11 }\n"
        "key \"user:dora.x\" { max_authenticated = 12 }\n"
        "key \"dora.x\" { max = 13 }  key \"user:Eve@a.example\" { max = 14 }  key \"eve@a.example\" { max = 15 } }",
        0);
    static const struct {
        const char *client, *name, *user;
        uint32_t max;
    } cases[] = {
        {"192.0.2.9", "x@y.example", NULL, 5},
        {"10.1.2.3", "x@y.example", NULL, 0},
        {"192.0.2.9", "x@gmail.com", NULL, 0},
        {"192.0.2.9", "x@sub.gmail.com", NULL, 0},
        {"192.0.2.9", "joe@example.net", NULL, 0},
        {"192.0.2.9", "jim@example.net", NULL, 5},
        {"192.0.2.9", "x@y.example", "a.b", 0},
        {"2001:db8::5", "x@y.example", NULL, 6},
        {"192.0.2.1", "x@y.example", NULL, 7},
        {"192.0.2.9", "x@mx.big.example", NULL, 8},
        {"192.0.2.9", "x@xn--bcher-kva.example", NULL, 9},
        {"192.0.2.9", "ann@big.example", NULL, 10},
        {"192.0.2.9", "x@y.example", "carl", 0},
        {"192.0.2.9", "x@y.top", NULL, 11},
        {"192.0.2.9", "x@y.example", "dora.x", 12},
        {"192.0.2.9", "x@dora.x", NULL, 13},
        {"192.0.2.9", "x@y.example", "eve@a.example", 14},
        {"192.0.2.9", "eve@a.example", NULL, 15},
        {"192.0.2.9", "x@a.b", NULL, 5},
        {"192.0.2.9", "x@y.example", "gmail.com", 5},
        {"192.0.2.9", "x@y.example", "big.example", 5},
        {"192.0.2.9", "x@carl", NULL, 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(max_for("sender_recipients", cases[i].client, cases[i].name, cases[i].user, REPUTATION_NONE) ==
                          cases[i].max,
                      "%s %s %s: not %u", cases[i].client, cases[i].name, cases[i].user, cases[i].max);
    assert_loads(
        "limit client_sessions { except = { \"10.0.0.0/8\" } }\nlistener { limit client_sessions { except = { } } }",
        0);
    ck_assert_uint_eq(max_for("client_sessions", "10.0.0.1", NULL, NULL, REPUTATION_NONE), 5);
}
END_TEST

START_TEST(lists_arrive_in_normal_form)
{
    assert_loads("deny { mode = Score points = 40 clients = { \"192.0.2.0/24\" } domains = { \"Spam.EXAMPLE.\", top }\n"
                 "senders = { \"<Bad@Ok.example>\" } users = { Mallory, \"user:eve\", \"m@x.example\" } }\n"
                 "exempt { clients = { \"192.0.2.7\", \"192.0.2.7\" } domains = { good.top } users = { Root } }",
                 0);
    ck_assert_int_eq(rules_deny_mode(config->rules), MODE_SCORE);
    ck_assert_uint_eq(rules_deny_points(config->rules), 40);
    ck_assert_int_eq(client_listed("192.0.2.1"), LISTED_DENY);
    ck_assert_int_eq(client_listed("192.0.2.7"), LISTED_EXEMPT);
    ck_assert_int_eq(client_listed("192.0.3.1"), LISTED_NOWHERE);
    static const struct {
        const char *sender, *user;
        enum list_answer answer;
    } cases[] = {
        {"x@spam.example", NULL, LISTED_DENY},      {"x@a.spam.example", NULL, LISTED_DENY},
        {"x@nospam.example", NULL, LISTED_NOWHERE}, {"x@y.top", NULL, LISTED_DENY},
        {"x@good.top", NULL, LISTED_EXEMPT},        {"bad@ok.example", NULL, LISTED_DENY},
        {"good@ok.example", NULL, LISTED_NOWHERE},  {"a@b.example", "mallory", LISTED_DENY},
        {"a@b.example", "eve", LISTED_DENY},        {"a@b.example", "m@x.example", LISTED_DENY},
        {"a@b.example", "root", LISTED_EXEMPT},     {"", "joe", LISTED_NOWHERE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        ck_assert_msg(names_listed(cases[i].sender, cases[i].user) == cases[i].answer, "%s %s", cases[i].sender,
                      cases[i].user);
    assert_loads("exempt { authenticated = yes }", 0);
    ck_assert_int_eq(names_listed("a@b.example", "anybody"), LISTED_EXEMPT);
    ck_assert_int_eq(names_listed("a@b.example", NULL), LISTED_NOWHERE);
    assert_loads("exempt { authenticated = no users = { x } }", 0);
    ck_assert_int_eq(names_listed("a@b.example", "anybody"), LISTED_NOWHERE);
}
END_TEST

START_TEST(the_rest_arrives)
{
    assert_loads("mode = MONITOR score_refuse = 30 idle_time = 1m idle_action = Disconnect table_size = 99\n"
                 "limit client_errors { mode = score } reputation { }\n"
                 "listener { score_refuse = 40 idle_action = refuse }",
                 0);
    ck_assert(config->monitor && config->idle_time && config->idle_disconnect);
    ck_assert(rules_monitor(config->rules));
    ck_assert_uint_eq(config->table_size, 99);
    ck_assert_uint_eq(rules_reputation_steps(config->rules), reputation_step_ticks((uint64_t)(7 * 24 * HOUR)));
    struct chain chain = anywhere();
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_SCORE_REFUSE), 40);
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_IDLE_TIME), 60 * SECOND);
    ck_assert_int_eq(rules_setting(config->rules, chain.levels, chain.level_count, SETTING_IDLE_ACTION), IDLE_REFUSE);
    assert_loads("reputation { half_life = 1h }", 0);
    ck_assert_uint_eq(rules_reputation_steps(config->rules), reputation_step_ticks((uint64_t)HOUR));
    assert_loads("limit client_sessions { max = 6 max_good = 60 max_bad = 1 } reputation { }", 0);
    ck_assert_uint_eq(max_for("client_sessions", "192.0.2.1", NULL, NULL, REPUTATION_BAD), 1);
    ck_assert_uint_eq(max_for("client_sessions", "192.0.2.1", NULL, NULL, REPUTATION_GOOD), 60);
    ck_assert_uint_eq(max_for("client_sessions", "192.0.2.1", NULL, NULL, REPUTATION_NONE), 6);
}
END_TEST

/* "max = 10 window = 90s": the defaults as an administrator would write them. */
static void write_defaults(const struct limit_builtin *limit, char *out, size_t size)
{
    static const enum option_id ids[] = {OPTION_MAX, OPTION_WINDOW, OPTION_BAN, OPTION_SOFT, OPTION_ERROR_DELAY};
    char form[DURATION_TEXT_SIZE];
    size_t length = (size_t)snprintf(out, size, "\n# limit %s {", limit->name);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        const struct option_row *option = &option_table[ids[i]];
        int64_t value = limit->value[option->number];
        if (value == 0)
            continue;
        if (option->type == TYPE_DURATION)
            length +=
                (size_t)snprintf(out + length, size - length, " %s = %s", option->name, duration_format(value, form));
        else
            length += (size_t)snprintf(out + length, size - length, " %s = %lld", option->name, (long long)value);
    }
    snprintf(out + length, size - length, " }");
}

START_TEST(the_sample_has_every_limit_with_its_defaults)
{
    size_t size;
    char *text = source_text("conf/tidegate.conf", &size);
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        char line[200];
        write_defaults(&limit_builtins[i], line, sizeof line);
        ck_assert_msg(strstr(text, line) != NULL, "conf/tidegate.conf lacks:%s", line);
    }
    free(text);
}
END_TEST

/* What the sample shows in comments is no less right than what it says. */
START_TEST(the_samples_examples_load)
{
    size_t size;
    char *text = source_text("conf/tidegate.conf", &size), *line = strstr(text, "# ---- Limits ---");
    char *end = strstr(text, "# ---- Listeners ---"), *examples = calloc(1, size + 100), *next;
    bool inside = false;
    ck_assert(line != NULL && end != NULL && examples != NULL);
    *end = '\0';
    for (; *line != '\0'; line = next) {
        next = line + strcspn(line, "\n");
        if (*next != '\0')
            *next++ = '\0';
        /* Blocks that begin after "# " and end with "# }" or on their line. */
        bool begins = strncmp(line, "# limit ", 8) == 0 || strncmp(line, "# reputation {", 14) == 0 ||
                      strncmp(line, "# deny {", 8) == 0 || strncmp(line, "# exempt {", 10) == 0;
        if (begins || inside) {
            char block[200];
            snprintf(block, sizeof block, "%s\n", line + 2);
            if (begins && strchr(line, '}') != NULL && strncmp(line, "# limit", 7) == 0) {
                /* One limit stands there more than once: each on its own. */
                char alone[300];
                snprintf(alone, sizeof alone, "%s%s", block, "reputation { }\n");
                assert_loads(alone, 0);
                continue;
            }
            if (strstr(block, "file = ") == NULL)
                strcat(examples, block);
            inside = strcmp(line, "# }") != 0 && !(begins && strchr(line, '}') != NULL);
        }
    }
    ck_assert_ptr_nonnull(strstr(examples, "max_bad = 10"));
    ck_assert_ptr_nonnull(strstr(examples, "mallory"));
    ck_assert_ptr_nonnull(strstr(examples, "half_life"));
    assert_loads(examples, 0);
    free(examples);
    free(text);
}
END_TEST

/* ---- mistakes ---- */

#define OWN "limit mine { count = messages per = client max = 5 window = 1h "
#define ERRORS "limit session_errors { "

static const struct mistake mistakes[] = {
    /* names */
    {"\nlimit client_session { max = 5 }", 2,
     "unknown limit \"client_session\"; did you mean client_sessions? A limit"},
    {"limit quux { max = 5 }", 1,
     "unknown limit \"quux\"; the first block of a limit of your own must say count = ... "
     "and per = ... Built in are client_sessions, client_connections"},
    {"limit quux { count = messages max = 5 }", 1, "must say count = ... and per = ..."},
    {"limit quux { per = client max = 5 }", 1, "must say count"},
    {"listener {\nlimit mine { max = 3 } }\n" OWN "}", 2, "the first block of a limit of your own must say"},
    {"limit \"my-own\" { count = messages per = client }", 1,
     "\"my-own\" is no name of a limit; write letters, digits"},
    {"limit \"\" { count = messages per = client }", 1, "\"\" is no name of a limit; write 1 to 39 characters"},
    {"limit a2345678901234567890123456789012345678_0 { count = messages per = client }", 1, "write 1 to 39"},
    {"limit Deny { count = messages per = client }", 1, "the name \"Deny\" means something else in the log"},
    {"limit exempt { count = messages per = client }", 1, "means something else"},
    {"limit idle_time { count = messages per = client }", 1, "means something else"},
    {"limit score { count = messages per = client }", 1, "means something else"},
    {"limit none { count = messages per = client }", 1, "means something else"},
    {"limit service_sessions { count = messages per = client }", 1, "means something else"},
    {"limit listener_sessions { count = messages per = client }", 1, "means something else"},

    /* count and per */
    {"limit client_sessions {\ncount = sessions }", 2,
     "count: limit client_sessions is built in and counts sessions per client; remove it"},
    {"limit helo_networks { max = 5\nper = client }", 2, "per: limit helo_networks is built in and counts networks"},
    {"limit mine {\ncount = quux per = client }", 2, "count: \"quux\" is unknown here; write sessions, connections,"},
    {"limit mine { count = messages\nper = quux }", 2, "per: \"quux\" is unknown here; write session, message, client"},
    {"limit mine { count = sessions\nper = helo max = 5 }", 2,
     "sessions cannot be counted per helo; with count = sessions write per = one of client, client_domain, user"},
    {OWN "}\nlistener { limit mine {\nper = helo } }", 3, "limit mine has per = client in line 1; write the same here"},
    {OWN "}\nlistener { limit mine {\ncount = errors } }", 3, "limit mine has count = messages in line 1"},
    {OWN "}\nlistener { limit mine {\ncount = quux } }", 3, "count: \"quux\" is unknown here"},
    {"\nlimit mine { count = messages per = client window = 1h }", 2,
     "limit mine has no max; write max = ... in it, or in its block at the top level"},
    {"\nlimit mine { count = messages per = client max = 5 }", 2, "limit mine has no window; write window = ..."},
    {"pathway p { " OWN "} }\nlistener { pathway = p\nlimit mine { window = 3 } }", 3, "limit mine has no max"},

    /* what makes no sense */
    {"limit client_sessions {\nwindow = 90s }", 2,
     "window in limit client_sessions: the limit counts what is open now; remove it"},
    {ERRORS "\nwindow = 90s }", 2, "window in limit session_errors: the limit counts from the beginning"},
    {"limit client_connections {\nwindow = 0 }", 2, "window: 0 is too short; write 1s to 365d"},
    {"limit client_connections {\nwindow = 366d }", 2, "window: 366d is too long"},
    {ERRORS "\nban = 1h }", 2, "ban in limit session_errors: nobody is left to ban after the session; remove it"},
    {"limit message_recipients { ban = 0 }", 1, "nobody is left to ban"},
    {"limit client_sessions {\nmax_good = 5 }", 2,
     "max_good in limit client_sessions: no history of clients is kept; add reputation { } at the top level"},
    {"limit client_sessions {\nmax_bad = 5 }", 2, "max_bad in limit client_sessions: no history"},
    {"limit client_sessions { key joe {\nmax_bad = 5 } }", 2, "max_bad in limit client_sessions: no history"},
    {"limit client_errors {\nsoft = 5 }", 2, "soft in limit client_errors: only errors per session are slowed down"},
    {"limit session_messages {\nerror_delay = 5 }", 2, "only errors per session"},
    {"limit client_errors {\nipv4_prefix = 24 }", 2,
     "ipv4_prefix in limit client_errors: the limit counts no networks"},
    {"limit client_errors {\nipv6_prefix = 64 }", 2, "the limit counts no networks"},
    {"limit client_errors {\npoints = 3 }", 2, "points are given in mode score alone; write mode = score, or remove"},
    {"limit client_errors { mode = monitor\npoints = 3 }\nlistener { limit client_errors { mode = score } }", 2,
     "points are given in mode score"},
    {ERRORS "max = 10\nsoft = 10 }", 2, "soft = 10 is never reached: max is 10; write less"},
    {ERRORS "\nsoft = 20 }", 2, "soft = 20 is never reached: max is 20"},
    {ERRORS "max = 30 }\nlistener { limit session_errors {\nsoft = 40 } }", 3, "soft = 40 is never reached: max is 30"},

    /* values */
    {"limit client_errors {\nmax = 5x }", 2, "max: \"5x\" is no number"},
    {"limit client_errors {\nmax = 4294967296 }", 2, "max: 4294967296 is too large"},
    {"limit client_errors {\nmode = none }", 2, "mode: \"none\" is unknown here; write off, block, monitor or score"},
    {"limit client_errors { mode = score\npoints = 1000001 }", 2, "points: 1000001 is too large"},
    {"limit client_errors {\nban = 1y }", 2, "ban: \"1y\" is no duration"},
    {"limit helo_networks {\nipv4_prefix = 33 }", 2, "ipv4_prefix: 33 is too large"},
    {"limit helo_networks {\nipv6_prefix = 129 }", 2, "ipv6_prefix: 129 is too large"},
    {"limit client_errors {\nreply = \"try later\" }", 2, "reply: \"try later\" does not begin with a code"},
    {"limit client_errors {\nreply = \"421 Hello {world}\" }", 2, "reply: \"{world}\" is unknown here; {client}"},
    {"limit client_sessions {\nreply = \"450 Later\" }", 2,
     "reply: 450 refuses one command, and limit client_sessions refuses whole sessions; write 421, or 550 to 559"},
    {"limit client_errors { ban = 1h\nreply = \"450 Later\" }", 2,
     "reply: 450 refuses one command, and limit client_errors refuses whole sessions; write 421, or 550 to 559"},
    {"limit client_errors { ban = 0\nreply = \"459 Later\" }\nlistener { limit client_errors { ban = 1h } }", 2,
     "reply: 459 refuses one command, and limit client_errors refuses whole sessions"},
    {"limit mine { count = errors per = client_domain max = 5 window = 1h\nreply = \"450 Later\" ban = 1s }", 2,
     "and limit mine refuses whole sessions"},

    /* keys and exceptions */
    {"limit client_errors {\nkey \"10.0.0.1\" { } }", 2, "key \"10.0.0.1\" says nothing; write max = ... in it"},
    {"limit client_errors { key joe {\nmax = many } }", 2, "max: \"many\" is no number"},
    {"limit client_errors {\nkey \"10.0.0.1/8\" { max = 1 } }", 2, "title of key: 10.0.0.1/8 has host bits set"},
    {"limit client_errors {\nkey \"*.example.com\" { max = 1 } }", 2,
     "title of key: \"*.example.com\": a domain takes its subdomains along; write example.com"},
    {"limit client_errors {\nkey \"\" { max = 1 } }", 2, "title of key: the name is empty"},
    {"limit client_errors { key \"10.0.0.1\" { max = 1 }\nkey \"10.0.0.1/32\" { max = 2 } }", 2,
     "key \"10.0.0.1/32\" is the key \"10.0.0.1\" of line 1; put both into one"},
    {"limit client_errors { key \"a.example\" { max = 1 }\nkey \"b.example\" { max = 1 }\nkey \"A.example.\" { max = 2 "
     "} }",
     3, "is the key \"a.example\" of line 1"},
    {"limit client_errors { key joe { max = 1 }\nkey \"user:Joe\" { max = 2 } }", 2, "is the key \"joe\" of line 1"},
    {"limit client_errors { except = { joe,\n\".example.com\" } }", 2, "except: \".example.com\": a domain takes its"},
    {"limit client_errors { except = {\n\"fe80::/200\" } }", 2,
     "except: \"fe80::/200\" has no prefix length that fits"},

    /* lists */
    {"\ndeny { }", 2, "deny names nobody; give it clients, domains, senders, users or a file, or remove it"},
    {"exempt { clients = { } users = { } }", 1, "exempt names nobody"},
    {"exempt { authenticated = no }", 1, "exempt names nobody"},
    {"exempt { authenticated = maybe }", 1, "authenticated: \"maybe\" is neither yes nor no"},
    {"deny { users = { a }\nmode = refuse }", 2,
     "mode: \"refuse\" is unknown here; write off, block, monitor or score"},
    {"deny { users = { a }\npoints = 3 }", 2, "points are given in mode score alone"},
    {"deny { users = { a } mode = score\npoints = -3 }", 2, "points: \"-3\" is negative"},
    {"deny { clients = {\n\"10.0.0.1/8\" } }", 2, "clients: 10.0.0.1/8 has host bits set; write 10.0.0.0/8"},
    {"deny { clients = { \"mx.example.com\" } }", 1, "clients: \"mx.example.com\" is no address and no CIDR block"},
    {"deny { domains = { a.example,\n\"10.0.0.1\" } }", 2, "domains: \"10.0.0.1\" is an address and no domain"},
    {"deny { domains = { \"a@b.example\" } }", 1, "domains: \"a@b.example\" is no domain"},
    {"deny { senders = { a.example } }", 1, "senders: \"a.example\" is no mail address; write one, as joe@example.com"},
    {"deny { users = { \"a b\" } }", 1, "users: \"a b\" has blanks"},
    {"deny { file = \"\" }", 1, "file: the path is empty"},
    {"reputation {\nhalf_life = 59 }", 2, "half_life: 59 is too short; write 1m to 30d"},
    {"reputation {\nhalf_life = 366d }", 2, "half_life: 366d is too long"},
};

START_TEST(a_mistake_is_refused_with_line_and_remedy)
{
    const struct mistake *mistake = &mistakes[_i];
    ck_assert_msg(!load(mistake->text), "<%s> is taken", mistake->text);
    assert_first_error(&messages, path, mistake);
}
END_TEST

START_TEST(limits_of_ones_own_are_bounded)
{
    enum { OWN_MAX = LIMITS_MAX - LIMITS_BUILTIN };
    char text[LIMITS_MAX * 100], says[100], *end = text;
    for (int i = 0; i <= OWN_MAX; i++) {
        end += sprintf(end, "limit own_%d { count = messages per = client max = 5 window = 9 }\n", i);
        ck_assert_uint_eq(load(text), i < OWN_MAX);
    }
    snprintf(says, sizeof says, "limit own_%d is one too many; at most %d of your own can be counted", OWN_MAX,
             OWN_MAX);
    assert_first_error(&messages, path, &(struct mistake){"one too many", OWN_MAX + 1, says});
}
END_TEST

START_TEST(what_makes_sense_is_taken)
{
    assert_loads(ERRORS "soft = 30 max = 20 max_authenticated = 40 }", 0);
    assert_loads(ERRORS "soft = 30 max = 0 }", 0);
    assert_loads(ERRORS "soft = 0 max = 5 }", 0);
    assert_loads(ERRORS "soft = 30 key joe { max = 50 } }", 0);
    assert_loads(
        "pathway p { limit session_errors { max = 90 } } listener { pathway = p limit session_errors { soft = 50 } }",
        0);
    assert_loads("listener { limit client_errors { points = 3 } } limit client_errors { mode = score }", 0);
    assert_loads("limit client_recipients { reply = \"450 Later\" } limit client_messages { reply = \"452 Later\" }",
                 0);
    assert_loads("limit client_sessions { reply = \"554 5.7.0 No\" }", 0);
    assert_loads("limit client_errors { ban = 0 reply = \"450 Later\" }", 0);
    assert_loads("limit client_errors { ban = 1h reply = \"550 No\" }", 0);
    assert_loads("limit sender_recipients { ban = 1h reply = \"450 Later\" }", 0);
    assert_loads("limit helo_networks { reply = \"450 Later\" } limit client_errors { ban = 1h }", 0);
    assert_loads("limit client_errors { key joe.x { max = 1 } key \"user:joe.x\" { max = 2 } }", 0);
    assert_loads("limit Mine2_ { count = errors per = session max = 9 soft = 5 error_delay = 1 }", 0);
}
END_TEST

START_TEST(what_has_no_effect_is_warned_about)
{
    assert_warns("max_waiting = 5\nlimit client_errors { mode = off }", 2,
                 "limit client_errors is off everywhere, so it has no effect");
    assert_warns("limit client_errors { mode = off }\nlistener { limit client_errors { max = 3 } }", 1,
                 "off everywhere");
    assert_loads("limit client_errors { mode = off }\nlistener { limit client_errors { mode = block } }", 0);
    assert_loads("listener { limit client_errors { mode = off } }\nlimit client_errors { }", 0);
    assert_warns("limit client_connections {\nmax_authenticated = 5 }", 2, "is judged before anybody can authenticate");
    assert_warns("limit helo_networks { key \"10.0.0.0/8\" {\nmax_authenticated = 5 } }", 2, "before anybody");
    assert_loads("limit client_errors { max_authenticated = 5 }", 0);
    assert_warns("limit client_errors {\ndisconnect_delay = 9 }", 2, "disconnect_delay: 9 is cut to max_delay");
    assert_warns(ERRORS "\nerror_delay = 9 }", 2, "error_delay: 9 is cut to max_delay");
    assert_warns("session_table_size = 10\nlimit client_sessions { max = 11\n key \"10.0.0.1\" { max = 12 } }", 2,
                 "max: only session_table_size = 10 sessions can be counted");
    assert_loads("session_table_size = 10\nlimit client_errors { max = 11 }", 0);
}
END_TEST

/* A limit of that pair, with what is said of it. */
static const char *own_limit(int count, int per, const char *says)
{
    static char text[300];
    snprintf(text, sizeof text, "limit mine { count = %s per = %s max = 5 %s\n%s }",
             limit_count_name((enum limit_count)count), limit_per_name((enum limit_per)per),
             limit_has_window((enum limit_count)count, (enum limit_per)per) ? "window = 9" : "", says);
    return text;
}

START_TEST(a_session_is_never_refused_like_a_command)
{
    for (int count = 0; count < COUNT_KINDS; count++) {
        for (int per = 0; per < PER_KINDS; per++) {
            unsigned events = limit_events((enum limit_count)count, (enum limit_per)per);
            unsigned with_ban = events | limit_ban_events((enum limit_per)per);
            if (!limit_fits((enum limit_count)count, (enum limit_per)per))
                continue;
            const char *text = own_limit(count, per, "reply = \"450 Later\"");
            ck_assert_msg(load(text) == !(events >> EVENT_CONNECT & 1), "%s", text);
            text = own_limit(count, per, "reply = \"450 Later\" ban = 1h");
            if (limit_can_ban((enum limit_per)per))
                ck_assert_msg(load(text) == !(with_ban >> EVENT_CONNECT & 1), "%s", text);
        }
    }
    /* What a built-in limit does by default counts too. */
    for (size_t i = 0; i < LIMITS_BUILTIN; i++) {
        const struct limit_builtin *limit = &limit_builtins[i];
        unsigned events = limit_events(limit->count, limit->per);
        char text[100];
        if (limit->value[TERM_BAN] > 0)
            events |= limit_ban_events(limit->per);
        snprintf(text, sizeof text, "limit %s { reply = \"450 Later\" }", limit->name);
        ck_assert_msg(load(text) == !(events >> EVENT_CONNECT & 1), "%s", text);
    }
}
END_TEST

/* Which keys and exceptions can match somebody in limits per that. */
START_TEST(a_key_that_matches_nobody_is_warned_about)
{
    static const bool addresses[PER_KINDS] = {
        [PER_SENDER] = true, [PER_SENDER_DOMAIN] = true, [PER_RECIPIENT] = true, [PER_RECIPIENT_DOMAIN] = true};
    for (int count = 0; count < COUNT_KINDS; count++) {
        for (int per = 0; per < PER_KINDS; per++) {
            unsigned events = limit_events((enum limit_count)count, (enum limit_per)per);
            if (!limit_fits((enum limit_count)count, (enum limit_per)per))
                continue;
            const struct {
                const char *key;
                bool matches;
                const char *says;
            } cases[] = {
                {"192.0.2.1", true, NULL},
                {"user:a@b.example", events >> EVENT_HELO > 1, "is judged before any user is known"},
                {"a@b.example", addresses[per], "compares no addresses"},
                {"b.example", per != PER_USER, "compares no domains"},
            };
            for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char says[100];
                for (int except = 0; except <= 1; except++) {
                    snprintf(says, sizeof says, except ? "except = { \"%s\" }" : "key \"%s\" { max = 3 }",
                             cases[i].key);
                    if (cases[i].matches)
                        assert_loads(own_limit(count, per, says), 0);
                    else
                        assert_warns(own_limit(count, per, says), 2, cases[i].says);
                }
            }
        }
    }
    assert_warns("limit client_sessions {\nexcept = { \"10.0.0.0/8\",\nJoe } }", 3,
                 "except: \"Joe\" has no effect in limit client_sessions, which is judged before any user is known");
    assert_warns("limit user_recipients {\nkey \"A@b.example\" { max = 3 } }", 2,
                 "title of key: \"A@b.example\" has no effect in limit user_recipients, which counts per user and "
                 "compares no addresses");
    /* Once a block. */
    assert_warns("limit client_sessions { key x { max = 1 } key \"a@b.example\" { max = 1 }\nexcept = { joe, ann } }",
                 2, "\"joe\" has no effect");
    assert_loads("limit client_sessions { except = { joe } } limit client_connections { except = { joe } }\n"
                 "listener { limit client_sessions { except = { joe } } }",
                 3);
}
END_TEST

/* ---- lists in files ---- */

START_TEST(a_lists_file_holds_every_kind)
{
    static const char list[] = "# a list\n\n10.0.0.0/8\r\n  192.0.2.1\t# one\n2001:db8::/32\nSpam.Example\n"
                               "Bad@Ok.Example\nuser:Mallory\nUSER:e.ve\nxyz.\n10.0.0.0/8\n";
    scratch_write(&scratch, "deny.list", list, sizeof list - 1);
    assert_loads("deny { file = deny.list clients = { \"203.0.113.0/24\" } }", 0);
    static const char *const clients[] = {"10.1.2.3", "192.0.2.1", "2001:db8::5", "203.0.113.9"};
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++)
        ck_assert_int_eq(client_listed(clients[i]), LISTED_DENY);
    ck_assert_int_eq(client_listed("192.0.2.2"), LISTED_NOWHERE);
    ck_assert_int_eq(names_listed("x@a.spam.example", NULL), LISTED_DENY);
    ck_assert_int_eq(names_listed("bad@ok.example", NULL), LISTED_DENY);
    ck_assert_int_eq(names_listed("x@y.xyz", NULL), LISTED_DENY);
    ck_assert_int_eq(names_listed("x@ok.example", "e.ve"), LISTED_DENY);
    ck_assert_int_eq(names_listed("x@ok.example", "mallory"), LISTED_DENY);
    ck_assert_int_eq(names_listed("mallory", NULL), LISTED_NOWHERE);
    assert_loads("exempt { file = deny.list }", 0);
    ck_assert_int_eq(client_listed("10.1.2.3"), LISTED_EXEMPT);
}
END_TEST

static void assert_list_mistake(const char *list, unsigned line, const char *says)
{
    char file[160];
    snprintf(file, sizeof file, "%s", scratch_write(&scratch, "deny.list", list, strlen(list)));
    ck_assert(!load("max_waiting = 5\ndeny { file = deny.list }"));
    const struct message *message = first_error(&messages, list);
    ck_assert_msg(is_at(message, file, line), "line %u was expected for <%s>: %s", line, list, message->text);
    ck_assert_msg(strstr(message->text, says) != NULL, "\"%s\" was expected: %s", says, message->text);
    ck_assert(is_at(&messages.list[1], path, 2));
    ck_assert_ptr_nonnull(strstr(messages.list[1].text, "deny.list\" has mistakes (1); repair it"));
}

START_TEST(a_mistake_in_a_list_is_told_with_its_line)
{
    assert_list_mistake("10.0.0.0/8\n10.0.0.1/8\n", 2, "10.0.0.1/8 has host bits set; write 10.0.0.0/8");
    assert_list_mistake("# x\n\njoe\n", 3,
                        "\"joe\" is no address, CIDR block, domain or sender; write user:joe for a user, \"joe.\" for");
    assert_list_mistake("*.example.com", 1, "write example.com");
    assert_list_mistake("a@b.example c@d.example", 1, "is no mail address");
    assert_list_mistake("a.example b.example", 1, "is no domain");
    assert_list_mistake("user:", 1, "the name is empty");
    ck_assert(!load("\nexempt { file = none.list }"));
    ck_assert_ptr_nonnull(strstr(messages.list[0].text, "none.list: cannot be opened"));
    ck_assert(is_at(&messages.list[1], path, 2));
    scratch_write(&scratch, "deny.list", "# nothing\n", 10);
    assert_warns("\ndeny { file = deny.list }", 2, "deny names nobody: \"deny.list\" is empty");
    assert_loads("deny { file = deny.list users = { a } }", 0);
}
END_TEST

START_TEST(a_million_blocks_load)
{
    enum { LINES = 1000000 };
    char *list = malloc((size_t)LINES * 20), *end = list;
    ck_assert_ptr_nonnull(list);
    /* Every second address of 11.0.0.0/8 and what follows it. */
    for (unsigned i = 0; i < LINES; i++) {
        unsigned address = (11u << 24) + 2 * i;
        end += sprintf(end, "%u.%u.%u.%u\n", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
    }
    scratch_write(&scratch, "deny.list", list, (size_t)(end - list));
    free(list);
    assert_loads("deny { file = deny.list }", 0);
    for (unsigned i = 0; i < 2 * LINES + 4; i++) {
        struct addr addr = addr_from_ipv4((const uint8_t[4]){11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i});
        enum list_answer expected = i % 2 == 0 && i < 2 * LINES ? LISTED_DENY : LISTED_NOWHERE;
        if (rules_listed_client(config->rules, &addr).answer != expected)
            ck_abort_msg("address %u", i);
    }
}
END_TEST

static void add_fixtures(TCase *tests)
{
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_checked_fixture(tests, NULL, forget);
}

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config limits");
    TCase *values = test_case(suite, "values");
    add_fixtures(values);
    tcase_add_test(values, an_empty_block_switches_a_limit_on);
    tcase_add_test(values, every_option_of_a_limit_arrives);
    tcase_add_test(values, words_are_the_engines);
    tcase_add_test(values, every_pair_is_taken_as_the_engine_has_it);
    tcase_add_test(values, blocks_fall_back_to_outer_blocks);
    tcase_add_test(values, limits_of_ones_own_fall_back_too);
    tcase_add_test(values, keys_and_exceptions_arrive_in_normal_form);
    tcase_add_test(values, lists_arrive_in_normal_form);
    tcase_add_test(values, the_rest_arrives);
    tcase_add_test(values, the_sample_has_every_limit_with_its_defaults);
    tcase_add_test(values, the_samples_examples_load);
    TCase *refused = test_case(suite, "mistakes");
    add_fixtures(refused);
    tcase_add_loop_test(refused, a_mistake_is_refused_with_line_and_remedy, 0, sizeof mistakes / sizeof mistakes[0]);
    tcase_add_test(refused, limits_of_ones_own_are_bounded);
    tcase_add_test(refused, what_makes_sense_is_taken);
    tcase_add_test(refused, what_has_no_effect_is_warned_about);
    tcase_add_test(refused, a_session_is_never_refused_like_a_command);
    tcase_add_test(refused, a_key_that_matches_nobody_is_warned_about);
    TCase *lists = test_case(suite, "lists");
    add_fixtures(lists);
    tcase_add_test(lists, a_lists_file_holds_every_kind);
    tcase_add_test(lists, a_mistake_in_a_list_is_told_with_its_line);
    tcase_add_test(lists, a_million_blocks_load);
    return suite;
}
