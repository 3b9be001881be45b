/*
 * test_control_explain.c: the pages /explain and /eval, as JSON, over a real engine.
 */
#include "check_main.h"
#include "control_case.h"

#include "daemon/report.h"
#include "engine/bans.h"

/* Nobody reads the log here. */
void report_ban(const char *target, int64_t length_ns)
{
    (void)target, (void)length_ns;
}

void report_unban(const char *target, const char *limit, int64_t since_ns, const struct unbanned *done)
{
    (void)target, (void)limit, (void)since_ns, (void)done;
}

#define FILE_NAME "/etc/tidegate/tidegate.conf"

static json_t *answer;

static void ask(const char *query)
{
    json_decref(answer);
    answer = get(control_explain, query, 200);
}

static void evaluate(const char *query)
{
    json_decref(answer);
    answer = get(control_eval, query, 200);
}

static void tear_down(void)
{
    json_decref(answer);
    answer = NULL;
    control_teardown();
}

#define assert_true(json, path) ck_assert_msg(json_is_true(value_at(json, path)), "%s", path)
#define assert_false(json, path) ck_assert_msg(json_is_false(value_at(json, path)), "%s", path)

/* A limit on connections, which bans for two hours, in line 31. */
static limit_block_id connections(int64_t max, int64_t ban)
{
    rules_at_line(builder, 31);
    limit_block_id block = limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_CONNECTIONS, max);
    rules_at_line(builder, 32);
    rules_set_term(builder, block, TERM_WINDOW, 90 * SECOND);
    rules_set_term(builder, block, TERM_BAN, ban);
    return block;
}

START_TEST(who_is_banned_and_what_lifts_it)
{
    connections(2, 2 * HOUR);
    serve();
    ask("client=192.0.2.7");
    assert_true(answer, "admitted");
    assert_null(answer, "refused_by");
    assert_text(answer, "limits.0.state", "open");
    assert_text(answer, "limits.0.next_when", "now");
    assert_real(answer, "limits.0.next", 0);
    assert_null(answer, "limits.0.lift");
    for (int i = 0; i < 3; i++)
        connect_from("192.0.2.7");
    ask("client=192.0.2.7&listen=:25");
    assert_text(answer, "client", "192.0.2.7");
    assert_null(answer, "name");
    assert_text(answer, "listen", ":25");
    assert_text(answer, "mode", "block");
    assert_false(answer, "admitted");
    assert_text(answer, "refused_by", "client_connections");
    assert_size(answer, "limits", 1);
    assert_int(answer, "left_out", 0);
    assert_text(answer, "limits.0.limit", "client_connections");
    assert_text(answer, "limits.0.scope", "service");
    assert_text(answer, "limits.0.file", FILE_NAME);
    assert_int(answer, "limits.0.line", 31);
    assert_text(answer, "limits.0.mode", "block");
    assert_text(answer, "limits.0.count_of", "connections");
    assert_text(answer, "limits.0.per", "client");
    assert_text(answer, "limits.0.key", "192.0.2.7");
    assert_real(answer, "limits.0.window", 90);
    assert_int(answer, "limits.0.count", 2);
    assert_int(answer, "limits.0.max", 2);
    assert_false(answer, "limits.0.exempt");
    assert_true(answer, "limits.0.banned");
    assert_text(answer, "limits.0.state", "banned");
    assert_text(answer, "limits.0.next_when", "at");
    ck_assert(json_number_value(value_at(answer, "limits.0.ban_left")) > 7190);
    assert_real(answer, "limits.0.next", json_number_value(value_at(answer, "limits.0.ban_left")));
    assert_text(answer, "limits.0.lift", "tidegate unban 192.0.2.7");
    /* And it does. */
    json_decref(get(control_unban, "target=192.0.2.7", 200));
    ask("client=192.0.2.7");
    assert_true(answer, "admitted");
    assert_int(answer, "limits.0.count", 0);
}
END_TEST

START_TEST(what_is_full_and_when_there_is_room)
{
    connections(1, 0);
    rules_at_line(builder, 5);
    rules_set(builder, RULES_SERVICE, SETTING_SERVICE_SESSIONS, 1);
    rules_at_line(builder, 0);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_CLIENT_SESSIONS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SESSION_ERRORS, 3);
    serve();
    connect_from("192.0.2.7");
    ask("client=192.0.2.7");
    assert_text(answer, "refused_by", "client_sessions");
    assert_text(answer, "limits.0.state", "full");
    assert_text(answer, "limits.0.next_when", "close");
    assert_null(answer, "limits.0.next");
    assert_null(answer, "limits.0.line");
    assert_null(answer, "limits.0.window");
    assert_null(answer, "limits.0.ban_left");
    assert_text(answer, "limits.0.lift", "raise max of limit client_sessions in " FILE_NAME ", then tidegate reload");
    assert_text(answer, "limits.1.state", "full");
    assert_text(answer, "limits.1.next_when", "at");
    assert_text(answer, "limits.1.lift", "tidegate unban 192.0.2.7");
    assert_text(answer, "limits.2.next_when", "session");
    assert_null(answer, "limits.2.next");
    assert_text(answer, "limits.2.state", "open");
    assert_text(answer, "limits.3.limit", "service_sessions");
    assert_null(answer, "limits.3.per");
    assert_null(answer, "limits.3.key");
    assert_text(answer, "limits.3.lift", "raise service_sessions in " FILE_NAME ":5, then tidegate reload");
}
END_TEST

START_TEST(lists_and_bans_of_administrators)
{
    struct prefix bad = prefix_of("192.0.2.0/24"), good = prefix_of("10.0.0.0/8");
    struct ban_target target = {.name = "spam.example"};
    connections(1, 0);
    rules_at_line(builder, 41);
    rules_add_list_prefix(builder, LIST_DENY, &bad);
    rules_add_list_prefix(builder, LIST_EXEMPT, &good);
    serve();
    ask("client=192.0.2.7");
    assert_text(answer, "refused_by", "deny");
    assert_text(answer, "limits.0.state", "denied");
    assert_text(answer, "limits.0.key", "192.0.2.0/24");
    assert_text(answer, "limits.0.next_when", "never");
    assert_null(answer, "limits.0.next");
    assert_null(answer, "limits.0.max");
    assert_null(answer, "limits.0.count_of");
    assert_text(answer, "limits.0.lift", "remove 192.0.2.0/24 from deny in " FILE_NAME ":41, then tidegate reload");
    ask("client=10.0.0.1");
    assert_true(answer, "admitted");
    assert_text(answer, "limits.0.limit", "exempt");
    assert_text(answer, "limits.1.state", "exempt");
    assert_null(answer, "limits.1.lift");
    engine_ban(engine, &target, HOUR, now);
    ask("name=Joe%40MX.Spam.Example");
    assert_text(answer, "name", "joe@mx.spam.example");
    assert_text(answer, "refused_by", "ban");
    assert_text(answer, "limits.0.state", "banned");
    assert_real(answer, "limits.0.next", 3600);
    assert_null(answer, "limits.0.line");
    assert_text(answer, "limits.0.lift", "tidegate unban spam.example");
    /* The list stays when the ban is over. */
    target = (struct ban_target){.clients = prefix_of("192.0.2.0/25")};
    engine_ban(engine, &target, HOUR, now);
    ask("client=192.0.2.7");
    assert_text(answer, "refused_by", "ban");
    assert_text(answer, "limits.0.limit", "ban");
    assert_real(answer, "limits.0.next", 3600);
    assert_text(answer, "limits.1.limit", "deny");
    assert_text(answer, "next_when", "never");
    assert_null(answer, "next");
    config.monitor = true;
    rules_set_monitor(builder, true);
    struct rules *rules = build_rules();
    struct tally *next = engine_reload_begin(engine, &rules);
    while (!engine_reload_step(engine, next))
        continue;
    finish_reload();
    ask("name=spam.example");
    assert_text(answer, "mode", "monitor");
    assert_text(answer, "limits.0.mode", "monitor");
    assert_true(answer, "admitted");
}
END_TEST

static void ban(const char *block, const char *name, int64_t length)
{
    struct ban_target target = {.clients = {.bits = 0}};
    if (block)
        target.clients = prefix_of(block);
    else
        strcpy(target.name, name);
    ck_assert_int_eq(engine_ban(engine, &target, length, now), BAN_BEGUN);
}

/* Does what the first of the list says. */
static void lift_first(const char *expected)
{
    char query[200];

    assert_text(answer, "refused_by", "ban");
    assert_text(answer, "limits.0.lift", expected);
    snprintf(query, sizeof query, "target=%s", expected + strlen("tidegate unban "));
    json_decref(get(control_unban, query, 200));
}

/* Each is told with what lifts it, and when all are lifted it is in. */
START_TEST(bans_within_bans)
{
    serve();
    ban("192.0.2.0/24", NULL, 2 * HOUR);
    ban("192.0.2.0/25", NULL, HOUR);
    ask("client=192.0.2.7");
    assert_size(answer, "limits", 2);
    assert_text(answer, "limits.0.key", "192.0.2.0/25");
    assert_real(answer, "limits.0.ban_left", 3600);
    assert_real(answer, "limits.0.next", 7200);
    assert_text(answer, "limits.1.lift", "tidegate unban 192.0.2.0/24");
    lift_first("tidegate unban 192.0.2.0/25");
    ask("client=192.0.2.7");
    lift_first("tidegate unban 192.0.2.0/24");
    ask("client=192.0.2.7");
    assert_true(answer, "admitted");
    ban(NULL, "spam.example", HOUR);
    ban(NULL, "mx.spam.example", 2 * HOUR);
    ask("name=joe%40mx.spam.example");
    assert_size(answer, "limits", 2);
    lift_first("tidegate unban mx.spam.example");
    ask("name=joe%40mx.spam.example");
    lift_first("tidegate unban spam.example");
    ask("name=joe%40mx.spam.example");
    assert_true(answer, "admitted");
}
END_TEST

/* More than the answer has room for, of which the last refuses. */
START_TEST(who_refuses_is_told_however_much_there_is)
{
    static const int64_t ports = 600;
    const struct addr any = {.family = ADDR_NONE};
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    for (int64_t i = 0; i < ports; i++) {
        scope_id listen = rules_add_scope(builder, SCOPE_LISTEN, listener, "some");
        rules_set_listen(builder, listen, &any, (uint16_t)(1000 + i));
        limit_in(listen, LIMIT_NUMBER_CLIENT_CONNECTIONS, 10 + i);
        if (i == ports - 1)
            rules_set(builder, listen, SETTING_LISTENER_SESSIONS, 1);
    }
    serve();
    ask("client=192.0.2.7");
    assert_true(answer, "admitted");
    assert_size(answer, "limits", 500);
    assert_int(answer, "left_out", 101);
    const struct connect_event event = {.client = prefix_of("192.0.2.7").addr, .local_port = 1000 + 599};
    session_id id;
    engine_connect(engine, &event, now, &id, &verdict);
    ask("client=192.0.2.7");
    assert_false(answer, "admitted");
    assert_text(answer, "refused_by", "listener_sessions");
    assert_text(answer, "limits.499.limit", "listener_sessions");
    assert_text(answer, "limits.499.state", "full");
    assert_int(answer, "left_out", 101);
    ask("client=192.0.2.7&listen=:1000");
    assert_true(answer, "admitted");
}
END_TEST

/* A name is looked for wherever it may be counted. */
START_TEST(names_of_all_kinds)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SENDER_RECIPIENTS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_RECIPIENT_MESSAGES, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_USER_RECIPIENTS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_DOMAIN_NETWORKS, 1);
    limit_in(RULES_SERVICE, LIMIT_NUMBER_HELO_NETWORKS, 1);
    custom_in(RULES_SERVICE, "domains", COUNT_CONNECTIONS, PER_CLIENT_DOMAIN, 1, 60 * SECOND);
    serve();
    static const struct {
        const char *query, *limits;
    } cases[] = {
        {"name=a%40b.example", "sender_recipients recipient_messages user_recipients domain_networks"},
        {"name=b.example", "user_recipients domain_networks helo_networks domains"},
        {"name=joe", "user_recipients domain_networks helo_networks"},
        {"name=user:joe.smith", "user_recipients"},
        {"client=192.0.2.7", ""},
        {"client=192.0.2.7&name=b.example", "user_recipients domain_networks helo_networks domains"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char names[400] = "";
        ask(cases[i].query);
        for (size_t j = 0; j < json_array_size(value_at(answer, "limits")); j++) {
            json_t *one = json_array_get(value_at(answer, "limits"), j);
            strcat(strcat(names, j > 0 ? " " : ""), json_string_value(value_at(one, "limit")));
        }
        ck_assert_msg(strcmp(names, cases[i].limits) == 0, "%s: %s", cases[i].query, names);
    }
}
END_TEST

/* Nobody else of his name is let in again, neither a sender's domain nor a network. */
START_TEST(what_lifts_a_user_is_his_alone)
{
    static const char *const users[] = {"joe", "10.0.0.0/8", "joe@b.example"};
    char text[100];
    limit_in(RULES_SERVICE, LIMIT_NUMBER_USER_RECIPIENTS, 1);
    serve();
    for (size_t i = 0; i < 3; i++) {
        session_id id = connect_from("192.0.2.7");
        said.user = users[i];
        mail(id, "a@b.example");
        rcpt(id, "x@y.example");
        leave(id);
        snprintf(text, sizeof text, "name=user:%s", users[i]);
        ask(text);
        assert_text(answer, "limits.0.per", "user");
        assert_text(answer, "limits.0.key", users[i]);
        snprintf(text, sizeof text, "tidegate unban user:%s", users[i]);
        assert_text(answer, "limits.0.lift", text);
    }
}
END_TEST

/* What looks like a domain may be a user, whom lists show as he is counted. */
START_TEST(a_user_with_a_dot)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_USER_RECIPIENTS, 1);
    serve();
    session_id id = connect_from("192.0.2.7");
    engine_event(engine, id, &(struct event){.kind = EVENT_MAIL, .sender = "a@b.example", .user = "joe.smith"}, now,
                 &verdict);
    engine_event(
        engine, id,
        &(struct event){.kind = EVENT_RCPT, .sender = "a@b.example", .recipient = "c@d.example", .user = "joe.smith"},
        now, &verdict);
    ask("name=joe.smith");
    assert_text(answer, "refused_by", "user_recipients");
    assert_text(answer, "limits.0.key", "joe.smith");
    engine_close(engine, id, now);
}
END_TEST

/* A limit on bounces is told, and lets other mail in. */
START_TEST(bounces_alone)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_RECIPIENT_BOUNCES, 1);
    serve();
    session_id id = connect_from("192.0.2.7");
    engine_event(engine, id, &(struct event){.kind = EVENT_MAIL, .sender = ""}, now, &verdict);
    engine_event(engine, id, &(struct event){.kind = EVENT_RCPT, .sender = "", .recipient = "r1@test.example"}, now,
                 &verdict);
    ck_assert_int_eq(verdict.kind, VERDICT_CONTINUE);
    ask("name=r1%40test.example");
    assert_text(answer, "limits.0.limit", "recipient_bounces");
    assert_text(answer, "limits.0.state", "full");
    assert_false(answer, "limits.0.keeps_out");
    assert_true(answer, "admitted");
    engine_close(engine, id, now);
}
END_TEST

/* Whatever a client says: it is JSON, and the command is one word more. */
START_TEST(hostile_names)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_SENDER_RECIPIENTS, 1);
    serve();
    session_id id = connect_from("192.0.2.7");
    mail(id, "$(reboot)'\"<b>@b.example");
    rcpt(id, "x@y.example");
    ask("name=%24(reboot)%27%22%3Cb%3E%40b.example");
    assert_text(answer, "limits.0.key", "$(reboot)'\"<b>@b.example");
    assert_text(answer, "limits.0.lift", "tidegate unban '$(reboot)'\\''\"<b>@b.example'");
    assert_text(answer, "refused_by", "sender_recipients");
    ask("name=%ff%fe%01.example%0d%0a");
    char name[2000];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    memcpy(name, "name=", 5);
    ask(name);
}
END_TEST

/* As lists, logs and mail logs write a client. */
START_TEST(a_client_in_each_of_its_forms)
{
    connections(1, 0);
    serve();
    connect_from("2001:db8:77::5");
    connect_from("192.0.2.7");
    static const struct {
        const char *query, *client, *key;
    } cases[] = {
        {"client=2001:db8:77::/64", "2001:db8:77::/64", "2001:db8:77::/64"},
        {"client=2001:db8:77::5", "2001:db8:77::5", "2001:db8:77::/64"},
        {"client=2001:db8:77::5/128", "2001:db8:77::5", "2001:db8:77::/64"},
        {"client=[2001:db8:77::5]", "2001:db8:77::5", "2001:db8:77::/64"},
        {"client=[IPv6:2001:db8:77::5]", "2001:db8:77::5", "2001:db8:77::/64"},
        {"client=[192.0.2.7]", "192.0.2.7", "192.0.2.7"},
        {"client=192.0.2.7/32", "192.0.2.7", "192.0.2.7"},
        {"client=::ffff:192.0.2.7/128", "192.0.2.7", "192.0.2.7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ask(cases[i].query);
        assert_text(answer, "client", cases[i].client);
        assert_text(answer, "refused_by", "client_connections");
        assert_text(answer, "limits.0.key", cases[i].key);
        evaluate(cases[i].query);
        assert_text(answer, "client", cases[i].client);
    }
}
END_TEST

/* And with another length, which a message names. */
START_TEST(a_client_is_as_long_as_the_configuration_says)
{
    rules_set_client_prefix(builder, 24, 128);
    connections(1, 0);
    serve();
    connect_from("192.0.2.7");
    ask("client=192.0.2.0/24");
    assert_text(answer, "client", "192.0.2.0/24");
    assert_false(answer, "admitted");
    json_t *error = get(control_explain, "client=192.0.2.128/25", 400);
    assert_text(
        error, "error",
        "client \"192.0.2.128/25\" is not one client; a client is a /24 here (client_ipv4_prefix); ask about an "
        "address in it, as 192.0.2.128");
    json_decref(error);
    error = get(control_explain, "client=192.0.2.7/24", 400);
    assert_text(error, "error",
                "client \"192.0.2.7/24\" has host bits set; write the client, 192.0.2.0/24, or its address, 192.0.2.7");
    json_decref(error);
    error = get(control_eval, "client=2001:db8::/64", 400);
    assert_text(
        error, "error",
        "client \"2001:db8::/64\" is not one client; a client is a /128 here (client_ipv6_prefix); ask about an "
        "address in it, as 2001:db8::");
    json_decref(error);
}
END_TEST

/* In brackets it is what a client may say in HELO. */
START_TEST(an_address_literal_as_a_name)
{
    limit_in(RULES_SERVICE, LIMIT_NUMBER_HELO_NETWORKS, 1);
    serve();
    ask("client=192.0.2.9&name=[192.0.2.7]");
    assert_text(answer, "name", "[192.0.2.7]");
    assert_text(answer, "limits.0.key", "[192.0.2.7]");
}
END_TEST

START_TEST(mistakes_say_what_would_be_right)
{
    const struct addr any = {.family = ADDR_NONE};
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_set_listen(builder, rules_add_scope(builder, SCOPE_LISTEN, listener, ":25"), &any, 25);
    serve();
    static const struct {
        control_page *page;
        const char *query, *says;
    } cases[] = {
        {control_explain, "", "give client"},
        {control_explain, "client=192.0.2.777", "is no IP address; write one, as 192.0.2.7 or 2001:db8::7"},
        {control_explain, "client=192.0.2.0/24",
         "a client is a /32 here (client_ipv4_prefix); ask about an address in it"},
        {control_explain, "client=2001:db8::/32", "a client is a /64 here (client_ipv6_prefix)"},
        {control_explain, "client=2001:db8::/96", "a client is a /64 here (client_ipv6_prefix)"},
        {control_explain, "client=192.0.2.7/24", "as 192.0.2.7"},
        {control_explain, "client=2001:db8::7/64", "host bits set; write the client, 2001:db8::/64, or its address, "},
        {control_explain, "client=192.0.2.0/33",
         "a client is a /32 here (client_ipv4_prefix); ask about an address in it, as 192.0.2.0"},
        {control_explain, "client=[192.0.2.0/24]", "no IP address"},
        {control_explain, "client=192.0.2.7:25", "an address with a port; write the address alone, 192.0.2.7"},
        {control_explain, "client=2001:db8::5%25eth0", "an address with a zone; write the address alone, 2001:db8::5"},
        {control_explain, "name=[2001:db8::5]:25", "name \"[2001:db8::5]:25\" is an address with a port"},
        {control_explain, "name=2001:db8::5%25eth0", "an address with a zone"},
        {control_explain, "name=%20%20%20", "name is empty"},
        {control_explain, "name=user:%20", "name is empty"},
        {control_explain, "client=", "no IP address"},
        {control_explain, "name=", "name is empty"},
        {control_explain, "name=user:", "name is empty"},
        {control_explain, "name=...", "name is empty"},
        {control_explain, "client=192.0.2.1&adress=1", "\"adress\" is unknown"},
        {control_explain, "client=192.0.2.1&listen=25x", "listen: "},
        {control_explain, "client=192.0.2.1&listen=:26", "no listener in " FILE_NAME " is for listen \":26\""},
        {control_explain, "client=192.0.2.1&daemon_name=x", "daemon_name \"x\"; write them"},
        {control_explain, "client=192.0.2.1&daemon_name=a%20b", "daemon_name: "},
        {control_eval, "", "give client, an IP address or a block that is one client"},
        {control_eval, "client=x", "no IP address"},
        {control_eval, "client=192.0.2.7:25", "an address with a port"},
        {control_eval, "client=192.0.2.0/24", "a client is a /32 here"},
        {control_eval, "client=192.0.2.1&name=x", "\"name\" is unknown"},
        {control_eval, "client=192.0.2.1&listen=:26", "write them as they stand there"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *error = get(cases[i].page, cases[i].query, 400);
        ck_assert_msg(strstr(json_string_value(value_at(error, "error")), cases[i].says), "%s: %s", cases[i].query,
                      json_string_value(value_at(error, "error")));
        json_decref(error);
    }
}
END_TEST

START_TEST(values_as_the_configuration_writes_them)
{
    scope_id way = rules_add_scope(builder, SCOPE_PATHWAY, RULES_SERVICE, "submission");
    scope_id listener = rules_add_scope(builder, SCOPE_LISTENER, RULES_SERVICE, NULL);
    rules_at_line(builder, 12);
    rules_set(builder, listener, SETTING_IDLE_TIME, 300 * SECOND);
    rules_set(builder, listener, SETTING_LISTENER_SESSIONS, 1500);
    rules_set(builder, listener, SETTING_REFUSE_AT, REFUSE_AT_CONNECT);
    rules_set(builder, listener, SETTING_PATHWAY, way);
    connections(10, 2 * HOUR);
    serve();
    evaluate("client=192.0.2.7");
    assert_text(answer, "client", "192.0.2.7");
    assert_text(answer, "listen", ":25");
    assert_null(answer, "daemon_name");
    assert_text(answer, "caps.0.limit", "listener_sessions");
    assert_text(answer, "caps.0.scope", "listener[default]");
    assert_int(answer, "caps.0.max", 1500);
    assert_int(answer, "caps.0.line", 12);
    assert_text(answer, "caps.0.file", FILE_NAME);
    assert_null(answer, "caps.2.max");
    assert_text(answer, "caps.2.limit", "service_sessions");
    static const struct {
        const char *name, *value, *scope;
        int line;
    } settings[] = {
        {"pathway", "submission", "listener[default]", 12},
        {"refuse_at", "connect", "listener[default]", 12},
        {"refuse_pending", "0", "service", 0},
        {"disconnect_delay", "0", "service", 0},
        {"idle_time", "5m", "listener[default]", 12},
        {"idle_action", "refuse", "service", 0},
        {"score_refuse", "0", "service", 0},
    };
    assert_size(answer, "settings", sizeof settings / sizeof *settings);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        json_t *one = json_array_get(value_at(answer, "settings"), i);
        assert_text(one, "name", settings[i].name);
        assert_text(one, "value", settings[i].value);
        assert_text(one, "scope", settings[i].scope);
        ck_assert_int_eq(json_integer_value(value_at(one, "line")), settings[i].line);
    }
    assert_size(answer, "limits", 1);
    assert_text(answer, "limits.0.limit", "client_connections");
    assert_text(answer, "limits.0.mode", "block");
    static const char *const terms[][2] = {{"max", "10"}, {"window", "90s"}, {"mode", "block"}, {"ban", "2h"}};
    assert_size(answer, "limits.0.terms", sizeof terms / sizeof *terms);
    for (size_t i = 0; i < sizeof terms / sizeof *terms; i++) {
        json_t *one = json_array_get(value_at(answer, "limits.0.terms"), i);
        assert_text(one, "name", terms[i][0]);
        assert_text(one, "value", terms[i][1]);
        assert_text(one, "scope", "service");
    }
    assert_int(answer, "limits.0.terms.0.line", 31);
    assert_null(answer, "limits.0.terms.2.line");
}
END_TEST

START_TEST(lists_that_decide_before_any_value)
{
    const struct prefix bad = prefix_of("192.0.2.0/24"), good = prefix_of("10.0.0.0/8");
    rules_at_line(builder, 41);
    rules_add_list_prefix(builder, LIST_DENY, &bad);
    rules_add_list_prefix(builder, LIST_EXEMPT, &good);
    rules_set_deny(builder, MODE_SCORE, 7);
    serve();
    evaluate("client=198.51.100.1");
    assert_size(answer, "lists", 0);
    evaluate("client=10.0.0.1");
    assert_size(answer, "lists", 1);
    assert_text(answer, "lists.0.limit", "exempt");
    assert_text(answer, "lists.0.key", "10.0.0.0/8");
    assert_null(answer, "lists.0.mode");
    assert_null(answer, "lists.0.points");
    assert_text(answer, "lists.0.file", FILE_NAME);
    assert_int(answer, "lists.0.line", 41);
    ban("192.0.2.7", NULL, HOUR);
    evaluate("client=192.0.2.7");
    assert_size(answer, "lists", 2);
    assert_text(answer, "lists.0.limit", "ban");
    assert_text(answer, "lists.0.key", "192.0.2.7");
    assert_text(answer, "lists.0.mode", "block");
    assert_null(answer, "lists.0.line");
    assert_text(answer, "lists.1.limit", "deny");
    assert_text(answer, "lists.1.mode", "score");
    assert_int(answer, "lists.1.points", 7);
    assert_int(answer, "lists.1.line", 41);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("control explain");
    TCase *tests = test_case(suite, "explain");
    tcase_add_checked_fixture(tests, control_setup, tear_down);
    tcase_add_test(tests, who_is_banned_and_what_lifts_it);
    tcase_add_test(tests, what_is_full_and_when_there_is_room);
    tcase_add_test(tests, lists_and_bans_of_administrators);
    tcase_add_test(tests, bans_within_bans);
    tcase_add_test(tests, who_refuses_is_told_however_much_there_is);
    tcase_add_test(tests, names_of_all_kinds);
    tcase_add_test(tests, what_lifts_a_user_is_his_alone);
    tcase_add_test(tests, a_user_with_a_dot);
    tcase_add_test(tests, bounces_alone);
    tcase_add_test(tests, hostile_names);
    tcase_add_test(tests, a_client_in_each_of_its_forms);
    tcase_add_test(tests, a_client_is_as_long_as_the_configuration_says);
    tcase_add_test(tests, an_address_literal_as_a_name);
    tcase_add_test(tests, mistakes_say_what_would_be_right);
    tcase_add_test(tests, values_as_the_configuration_writes_them);
    tcase_add_test(tests, lists_that_decide_before_any_value);
    return suite;
}
