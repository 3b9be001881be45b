/*
 * test_http_service.c: what the HTTP service serves and to whom, over real sockets of both kinds. Includes
 * http_service.c to learn which port it was given; links http_*.c, control.c, listening.c, process.c, libconfig.a,
 * libevent and jansson. The pages are the test's own. Meant to be run under -fsanitize=thread as well.
 */
#include "daemon/http_service.c"
#include "daemon/page_files.h"
#include "daemon/report.h"

#include "http_case.h"

#include <event2/buffer.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* ---- pages ---- */

static struct control control;
static unsigned calls; /* of pages */
static char seen[400]; /* their parameters, as "name=value;" */
static unsigned reloads;
static int reload_warnings = 1;
static bool reload_goes_well, memory_is_short;
static size_t bans_size; /* bytes that /bans is long; 0: as the others */

static char asked[16]; /* what the log is told of that is to be changed; "": nothing */

void report_asked(const char *path, uid_t uid)
{
    ck_assert_uint_eq(uid, getuid());
    snprintf(asked, sizeof asked, "%s", path);
}

static json_t *page(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    ck_assert_ptr_eq(given, &control);
    ck_assert_int_eq(*status, 200);
    calls++;
    seen[0] = '\0';
    for (const struct evkeyval *one = parameters->tqh_first; one; one = one->next.tqe_next)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s=%s;", one->key, one->value);
    return memory_is_short ? NULL : json_pack("{s:o, s:f}", "seen", control_text(seen), "real", 1795286000.123);
}

json_t *control_status(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

json_t *control_history(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

json_t *control_clients(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    static const char *const names[] = {"sort", "n", NULL};
    json_t *error;
    return control_known(parameters, names, &error, status) ? page(given, parameters, status) : error;
}

json_t *control_domains(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

json_t *control_bans(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    if (bans_size > 0)
        return json_pack("{s:o}", "bans", json_sprintf("%0*d", (int)bans_size, 0));
    return page(given, parameters, status);
}

json_t *control_ban(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

json_t *control_unban(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    (void)given, (void)parameters;
    return control_error(status, 409, "nothing like %s", "\xff\"that\"");
}

json_t *control_explain(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

json_t *control_eval(struct control *given, const struct evkeyvalq *parameters, int *status)
{
    return page(given, parameters, status);
}

bool control_metrics(struct control *given, struct evbuffer *out)
{
    ck_assert_ptr_eq(given, &control);
    calls++;
    return !memory_is_short && evbuffer_add_printf(out, "tidegate_up 1\n") > 0;
}

static const unsigned char html[] = "<!DOCTYPE html>", script[] = "'use strict';";
const struct page_file page_files[] = {
    {"/", "text/html; charset=utf-8", html, sizeof html - 1},
    {"/status.js", "text/javascript; charset=utf-8", script, sizeof script - 1},
    {NULL, NULL, NULL, 0},
};

static bool reload(struct config_messages *messages)
{
    reloads++;
    messages_warning(messages, "x.conf", 3, "hardly meant");
    for (int i = 1; i < reload_warnings; i++)
        messages_warning(messages, "x.conf", 4, "nor that");
    if (!reload_goes_well)
        messages_error(messages, "x.conf", 7, "no \"good\" \xff");
    return reload_goes_well;
}

static double wall(void)
{
    return 1795286000.125;
}

/* ---- the service ---- */

static struct config config;
static struct http_service *service;
static struct http_service *closed[64]; /* what a closed service leaves */
static char directory[] = "/tmp/tidegate-http-XXXXXX";
static struct sockaddr_in tcp;
static struct sockaddr_un local = {.sun_family = AF_UNIX};

static void make_directory(void)
{
    char path[80];
    ck_assert_ptr_nonnull(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/run", directory);
    ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void remove_directory(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/run/control", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/run", directory);
    rmdir(path);
    ck_assert_int_eq(rmdir(directory), 0);
}

static struct event_config *set_up_loop; /* NULL: any */

static void set_up(void)
{
    char error[PROCESS_ERROR_SIZE];
    socklen_t length = sizeof tcp;

    signal(SIGPIPE, SIG_IGN); /* as the daemon does */
    control.wall = wall;
    calls = reloads = 0;
    reload_goes_well = true;
    memory_is_short = false;
    bans_size = 0;
    base = set_up_loop ? event_base_new_with_config(set_up_loop) : event_base_new();
    for (int i = 0; i < SOCKET_OPTION_COUNT; i++)
        config.http.options.value[i] = config.control.options.value[i] = SOCKET_UNSET;
    config.http.socket = (char[]){"127.0.0.1:0"};
    config.http.address = (struct socket_name){.kind = SOCKET_INET, .host = "127.0.0.1", .port = 0};
    config.control.socket = (char[]){"control"};
    config.control.address.kind = SOCKET_UNIX;
    config.control.mode = 0600;
    snprintf(config.control.address.path, sizeof config.control.address.path, "%s/run/control", directory);
    strcpy(local.sun_path, config.control.address.path);
    ck_assert_msg(http_service_open(&config, &control, reload, &service, error), "%s", error);
    ck_assert_int_eq(getsockname(service->listening[TCP].descriptor, (struct sockaddr *)&tcp, &length), 0);
    ck_assert(http_service_start(service, base));
}

static void tear_down(void)
{
    static size_t number;
    http_service_close(service);
    ck_assert_int_lt(access(local.sun_path, F_OK), 0);
    closed[number++] = service;
    service = NULL;
    event_base_free(base);
}

static int enter(bool over_tcp)
{
    return over_tcp ? connect_to((struct sockaddr *)&tcp, sizeof tcp)
                    : connect_to((struct sockaddr *)&local, sizeof local);
}

/* What is answered to the text, which asks for a head alone or not, on a connection of its own. */
static struct answer ask_raw(bool over_tcp, const char *text)
{
    int fd = enter(over_tcp);
    say(fd, text);
    struct answer answer = take(reading(fd), strncmp(text, "HEAD ", 5) == 0);
    close(fd);
    return answer;
}

static struct answer ask(bool over_tcp, const char *method, const char *target)
{
    char text[600];
    snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n", method, target);
    return ask_raw(over_tcp, text);
}

static struct answer post(const char *target, const char *type, const char *body)
{
    char text[900];
    snprintf(text, sizeof text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s%s%s\r\n%s", target,
             strlen(body), type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", body);
    return ask_raw(false, text);
}

#define FORM "application/x-www-form-urlencoded"

#define POLICY                                                                                                   \
    "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " \
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"

/* Every answer has these, and never says what serves it. */
static void assert_headers(const struct answer *answer)
{
    static const char *const wanted[] = {"\r\nX-Content-Type-Options: nosniff\r\n", "\r\nCache-Control: no-store\r\n",
                                         "\r\nReferrer-Policy: no-referrer\r\n",
                                         "\r\nCross-Origin-Resource-Policy: same-origin\r\n", POLICY};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        ck_assert_msg(strstr(answer->head, wanted[i]) != NULL, "%s lacks %s", answer->head, wanted[i]);
    ck_assert_ptr_null(strstr(answer->head, "\r\nServer:"));
}

static void assert_error(const struct answer *answer, int status, const char *says)
{
    json_t *json = json_loads(answer->body, 0, NULL);
    ck_assert_msg(answer->status == status, "%d: %s", answer->status, answer->body);
    ck_assert_msg(json != NULL, "no JSON: %s", answer->body);
    const char *text = json_string_value(json_object_get(json, "error"));
    ck_assert_msg(text && strstr(text, says), "\"%s\" was expected: %s", says, answer->body);
    ck_assert_ptr_nonnull(strstr(answer->head, "\r\nContent-Type: application/json\r\n"));
    assert_headers(answer);
    json_decref(json);
}

/* ---- what is served where ---- */

static const struct {
    const char *path;
    bool over_tcp, post;
    const char *type;
} pages[] = {
    {"/", true, false, "text/html; charset=utf-8"},
    {"/status.js", true, false, "text/javascript; charset=utf-8"},
    {"/metrics", true, false, "text/plain; version=0.0.4; charset=utf-8"},
    {"/status.json", true, false, "application/json"},
    {"/history.json", true, false, "application/json"},
    {"/clients", false, false, "application/json"},
    {"/domains", false, false, "application/json"},
    {"/bans", false, false, "application/json"},
    {"/explain", false, false, "application/json"},
    {"/eval", false, false, "application/json"},
    {"/ban", false, true, "application/json"},
    {"/unban", false, true, "application/json"},
    {"/reload", false, true, "application/json"},
    {"/events", false, false, "application/x-ndjson"},
};

static const char *const methods[] = {"GET",   "HEAD",  "POST",    "PUT",      "DELETE",   "OPTIONS",
                                      "TRACE", "PATCH", "CONNECT", "PROPFIND", "NONSENSE", "get"};

/* Every page with every method on both sockets. */
START_TEST(a_page_has_its_place_and_its_methods)
{
    const char *method = methods[_i];
    for (int over_tcp = 0; over_tcp < 2; over_tcp++)
        for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
            bool stream = strcmp(pages[i].path, "/events") == 0, head = strcmp(method, "HEAD") == 0;
            bool right = pages[i].post ? strcmp(method, "POST") == 0 : strcmp(method, "GET") == 0 || (head && !stream);
            char allow[40], type[80];
            calls = reloads = 0;
            asked[0] = '\0';
            if (right && stream && !over_tcp)
                continue; /* has tests of its own */
            struct answer answer = ask(over_tcp, method, pages[i].path);
            if (strcmp(method, "CONNECT") == 0) { /* names no page, but a host */
                ck_assert_msg(answer.status >= 400, "%s", answer.head);
                continue;
            }
            assert_headers(&answer);
            ck_assert_ptr_nonnull(strstr(answer.head, "\r\nContent-Length: "));
            if (over_tcp && !pages[i].over_tcp) {
                ck_assert_int_eq(answer.status, 404);
            } else if (!right) {
                snprintf(allow, sizeof allow, "\r\nAllow: %s\r\n",
                         pages[i].post ? "POST"
                         : stream      ? "GET"
                                       : "GET, HEAD");
                ck_assert_msg(answer.status == 405, "%s %s: %d", method, pages[i].path, answer.status);
                ck_assert_msg(strstr(answer.head, allow) != NULL, "%s %s: %s", method, pages[i].path, answer.head);
            } else {
                ck_assert_int_eq(answer.status, strcmp(pages[i].path, "/unban") == 0 ? 409 : 200);
                snprintf(type, sizeof type, "\r\nContent-Type: %s\r\n", pages[i].type);
                ck_assert_msg(strstr(answer.head, type) != NULL, "%s", answer.head);
                ck_assert_uint_gt(answer.length, 0);
            }
            ck_assert_msg((calls + reloads == 0) ==
                              (answer.status != 200 || pages[i].type[5] == 'h' || pages[i].type[5] == 'j'),
                          "%s %s: %u calls", method, pages[i].path, calls + reloads);
            ck_assert_str_eq(asked, right && pages[i].post && !over_tcp ? pages[i].path : "");
        }
}
END_TEST

START_TEST(nothing_else_is_there)
{
    static const char *const paths[] = {
        "/status",      "/status.json/",  "//",          "/./", "/../etc/passwd",  "/%2e%2e/etc/passwd",
        "/STATUS.JSON", "/status%2ejson", "/index.html", "*",   "/status.json%00", "/ban/",
        "/;",           "/status.js.map"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct answer answer = ask(_i, "GET", paths[i]);
        ck_assert_msg(answer.status == 404 || answer.status == 403 || answer.status == 400, "%s: %d", paths[i],
                      answer.status);
    }
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(an_answer_is_whole_and_one_to_head_has_no_body)
{
    int fd = enter(_i);
    struct reader *reader = reading(fd);
    say(fd, "HEAD / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nHEAD /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    struct answer answer = take(reader, true);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.length, sizeof html - 1);
    answer = take(reader, true);
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(answer.length, 14);
    say(fd, "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
            "GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    answer = take(reader, false);
    ck_assert_str_eq(answer.body, (const char *)html);
    answer = take(reader, false);
    ck_assert_str_eq(answer.body, "tidegate_up 1\n");
    answer = take(reader, false);
    ck_assert_str_eq(answer.body, "{\"seen\":null,\"real\":1795286000.123}\n");
    close(fd);
}
END_TEST

static const struct {
    const char *lines;
    bool right;
} hosts[] = {
    {"Host: localhost", true},
    {"Host: LocalHost:7359", true},
    {"Host: 127.0.0.1", true},
    {"Host: 192.0.2.1:80", true},
    {"Host: [::1]", true},
    {"Host: [2001:db8::1]:7359", true},
    {"Host: localhost:", true},
    {"X: y", false},
    {"Host:", false},
    {"Host: evil.example", false},
    {"Host: evil.example:7359", false},
    {"Host: localhost.evil.example", false},
    {"Host: 127.0.0.1.evil.example", false},
    {"Host: 127.0.0.1:80.evil.example", false},
    {"Host: 127.0.0.1@evil.example", false},
    {"Host: 127.1", false},
    {"Host: 2130706433", false},
    {"Host: ::1", false},
    {"Host: [::1", false},
    {"Host: [::1]evil", false},
    {"Host: [evil.example]", false},
    {"Host: localhost\r\nHost: evil.example", false},
    {"Host: evil.example\r\nHost: localhost", false},
    {"Host: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

START_TEST(over_tcp_the_host_is_an_address_or_localhost)
{
    char text[400];
    for (int over_tcp = 0; over_tcp < 2; over_tcp++) {
        snprintf(text, sizeof text, "GET /status.json HTTP/1.1\r\n%s\r\n\r\n", hosts[_i].lines);
        struct answer answer = ask_raw(over_tcp, text);
        if (hosts[_i].right || !over_tcp)
            ck_assert_msg(answer.status == 200, "%s: %d", hosts[_i].lines, answer.status);
        else
            assert_error(&answer, 403, "Host must be an IP address or localhost");
    }
}
END_TEST

/* Who serves a network of his own choice may be known there by any name. */
START_TEST(on_an_address_for_others_the_host_is_any)
{
    service->places[TCP].any_host = true;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        char text[400];
        snprintf(text, sizeof text, "GET /status.json HTTP/1.1\r\n%s\r\n\r\n", hosts[i].lines);
        ck_assert_int_eq(ask_raw(true, text).status, 200);
    }
}
END_TEST

START_TEST(which_address_is_for_others)
{
    static const struct {
        const char *host;
        bool for_others;
    } cases[] = {{"127.0.0.1", false}, {"127.7.7.7", false}, {"::1", false},       {"0.0.0.0", true},
                 {"192.0.2.1", true},  {"::", true},         {"2001:db8::1", true}};
    ck_assert(!service->places[TCP].any_host);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config other = config;
        strcpy(other.http.address.host, cases[i].host);
        ck_assert_msg(is_for_others(&other) == cases[i].for_others, "%s", cases[i].host);
    }
}
END_TEST

START_TEST(a_host_in_the_target_counts_too)
{
    static const char *const targets[] = {"http://evil.example/status.json", "//evil.example/status.json"};
    for (size_t i = 0; i < 2; i++) {
        struct answer answer = ask(true, "GET", targets[i]);
        assert_error(&answer, 403, "Host must be");
    }
    ck_assert_int_eq(ask(true, "GET", "http://127.0.0.1:1/status.json").status, 200);
    ck_assert_int_eq(ask(true, "GET", "http://[::1]:1/status.json").status, 200);
}
END_TEST

/* ---- parameters ---- */

START_TEST(parameters_are_decoded)
{
    ask(false, "GET", "/explain?client=192.0.2.1&name=a%40b%2e+c%FF&x=");
    ck_assert_str_eq(seen, "client=192.0.2.1;name=a@b. c\xff;x=;");
    ask(false, "GET", "/explain?");
    ck_assert_str_eq(seen, "");
    struct answer answer = post("/ban", FORM, "target=2001%3Adb8%3A%3A%2F32&for=60");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(seen, "target=2001:db8::/32;for=60;");
    post("/ban", FORM "; charset=UTF-8", "a=b");
    ck_assert_str_eq(seen, "a=b;");
    post("/ban", NULL, "");
    ck_assert_str_eq(seen, "");
    ck_assert_uint_eq(calls, 5);
}
END_TEST

START_TEST(parameters_that_are_none_are_refused)
{
    static const char *const queries[] = {"?a", "?=b", "?&", "?a=%00", "?a=x%00y", "?a&b=c"};
    static const char *const bodies[] = {"a", "=b", "&", "a=%00", "{\"a\": 1}"};
    char target[60];
    struct answer answer;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        snprintf(target, sizeof target, "/explain%s", queries[i]);
        answer = ask(false, "GET", target);
        assert_error(&answer, 400, "the query is no list of parameters");
    }
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        answer = post("/ban", FORM, bodies[i]);
        assert_error(&answer, 400, "the body is no list of parameters");
    }
    answer = post("/ban", NULL, "a=b");
    assert_error(&answer, 415, FORM);
    answer = post("/ban", "application/json", "a=b");
    assert_error(&answer, 415, FORM);
    answer = post("/ban", FORM "x", "a=b");
    assert_error(&answer, 415, FORM);
    answer = post("/ban?a=b", FORM, "a=b");
    assert_error(&answer, 400, "parameters of POST stand in its body");
    int fd = enter(false);
    static const char with_zero[] = "POST /ban HTTP/1.1\r\nContent-Type: " FORM "\r\nContent-Length: 4\r\n\r\na=\0b";
    say_bytes(fd, with_zero, sizeof with_zero - 1);
    answer = take(reading(fd), false);
    assert_error(&answer, 400, "the body is no list");
    close(fd);
    ck_assert_uint_eq(calls, 0);
}
END_TEST

START_TEST(parameters_that_a_page_does_not_know_are_refused)
{
    struct answer answer = ask(false, "GET", "/clients?sort=refused&m=1");
    assert_error(&answer, 400, "parameter \"m\" is unknown here; there are: sort, n");
    answer = ask(false, "GET", "/clients?n=1&sort=refused&N=2");
    assert_error(&answer, 400, "parameter \"n\" is given twice");
    answer = ask(false, "GET", "/clients?N=1");
    ck_assert_int_eq(answer.status, 200);
    static const char *const without[] = {"/?a=b", "/status.js?a=b", "/metrics?a=b"};
    for (size_t i = 0; i < 3; i++) {
        answer = ask(true, "GET", without[i]);
        assert_error(&answer, 400, "parameter \"a\" is unknown here; this page takes none");
    }
    answer = ask(false, "GET", "/events?a=b");
    assert_error(&answer, 400, "this page takes none");
    answer = post("/reload", FORM, "a=b");
    assert_error(&answer, 400, "this page takes none");
    ck_assert_uint_eq(reloads, 0);
    char target[300];
    snprintf(target, sizeof target, "/clients?%0200d\xc3\xa9=1", 0);
    answer = ask(false, "GET", target);
    ck_assert_int_eq(answer.status, 400);
}
END_TEST

START_TEST(a_get_with_a_body_is_refused_and_the_body_is_no_request)
{
    struct answer answer =
        ask_raw(false, "GET /clients HTTP/1.1\r\nContent-Length: 25\r\n\r\nPOST /reload HTTP/1.1\r\n\r\n");
    assert_error(&answer, 400, "GET has no body");
    answer = ask_raw(false, "GET /clients HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert_error(&answer, 400, "GET has no body");
    answer = ask_raw(false, "GET /clients HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_uint_eq(reloads, 0);
}
END_TEST

START_TEST(requests_that_are_too_big_are_refused)
{
    static char text[40000];
    for (int over_tcp = 0; over_tcp < 2; over_tcp++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %09000d\r\n\r\n", 0);
        ck_assert_int_eq(ask_raw(over_tcp, text).status, 400);
        snprintf(text, sizeof text, "GET /%09000d HTTP/1.1\r\nHost: localhost\r\n\r\n", 0);
        ck_assert_int_eq(ask_raw(over_tcp, text).status, 400);
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: localhost\r\nX: %07000d\r\n\r\n", 0);
        ck_assert_int_eq(ask_raw(over_tcp, text).status, 200);
        ck_assert_int_eq(
            ask_raw(over_tcp, "POST /ban HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16385\r\n\r\n").status, 413);
    }
    snprintf(text, sizeof text,
             "POST /ban HTTP/1.1\r\nHost: x\r\nContent-Type: " FORM "\r\nContent-Length: 16384\r\n\r\na=%016382d", 0);
    ck_assert_int_eq(ask_raw(false, text).status, 200);
    ck_assert_uint_eq(calls, 1);
}
END_TEST

START_TEST(a_mistake_of_a_page_arrives_as_it_is)
{
    struct answer answer = post("/unban", FORM, "target=192.0.2.1");
    assert_error(&answer, 409, "nothing like ?\"that\"");
    memory_is_short = true;
    ck_assert_int_eq(ask(true, "GET", "/status.json").status, 503);
    ck_assert_int_eq(ask(true, "GET", "/metrics").status, 503);
}
END_TEST

START_TEST(large_answers_wait_for_each_other)
{
    bans_size = 3 << 20;
    int fd = enter(false);
    say(fd, "GET /bans HTTP/1.1\r\nHost: x\r\n\r\n");
    await(http_socket_waiting(service->places[CONTROL].socket) > (1 << 20));
    struct answer answer = ask(false, "GET", "/bans");
    assert_error(&answer, 503, "have not been taken yet");
    answer = ask(false, "GET", "/clients");
    assert_error(&answer, 503, "have not been taken yet");
    ck_assert_int_eq(ask(false, "GET", "/status.json").status, 200);
    close(fd);
    await(ask(false, "GET", "/clients").status == 200);
}
END_TEST

START_TEST(reload_says_what_there_was_to_say)
{
    struct answer answer = post("/reload", NULL, "");
    ck_assert_int_eq(answer.status, 200);
    ck_assert_str_eq(answer.body,
                     "{\"reloaded\":true,\"messages\":[\"warning: x.conf:3: hardly meant\"],\"left_out\":0}\n");
    reload_goes_well = false;
    answer = post("/reload", NULL, "");
    assert_error(&answer, 409, "the rules stay as they were");
    ck_assert_ptr_nonnull(
        strstr(answer.body, "\"messages\":[\"warning: x.conf:3: hardly meant\",\"x.conf:7: no \\\"good\\\""));
    ck_assert_uint_eq(reloads, 2);
    reload_goes_well = true;
    reload_warnings = MESSAGES_MAX + 7;
    answer = post("/reload", NULL, "");
    ck_assert_ptr_nonnull(strstr(answer.body, ",\"left_out\":7}\n"));
    ck_assert_ptr_null(strstr(answer.body, "more"));
}
END_TEST

/* ---- events ---- */

static int follow(void)
{
    int fd = enter(false);
    say(fd, "GET /events HTTP/1.0\r\n\r\n"); /* lines as they are, without chunks */
    struct reader *reader = reading(fd);
    await(has_text(reader, "\r\n\r\n"));
    struct answer answer = {.status = 200};
    snprintf(answer.head, sizeof answer.head, "%s", reader->text);
    ck_assert_msg(strncmp(answer.head, "HTTP/1.0 200 ", 13) == 0, "%s", answer.head);
    ck_assert_ptr_nonnull(strstr(answer.head, "\r\nContent-Type: application/x-ndjson\r\n"));
    assert_headers(&answer);
    return fd;
}

static void tell_one(const char *key, uint32_t count)
{
    struct addr client;
    struct verdict verdict = {.finding_count = 1};
    struct finding *finding = &verdict.findings[0];

    addr_parse("192.0.2.7", &client);
    finding->limit = LIMIT_NUMBERED;
    finding->action = ACTION_REFUSE;
    finding->count = count;
    finding->max = 5;
    snprintf(finding->name, sizeof finding->name, "client_sessions");
    snprintf(finding->scope, sizeof finding->scope, "service");
    snprintf(finding->key, sizeof finding->key, "%s", key);
    http_service_tell(service, &verdict, &client);
}

START_TEST(events_are_told_from_the_moment_of_asking)
{
    struct addr client;
    struct verdict verdict = {.finding_count = 2};

    tell_one("before", 1);
    int fd = follow();
    struct reader *reader = reading(fd);
    tell_one("", 5);
    await(has_text(reader, "\n"));
    ck_assert_str_eq(
        reader->text,
        "{\"time\":1795286000.125,\"action\":\"refuse\",\"limit\":\"client_sessions\",\"scope\":\"service\","
        "\"client\":\"192.0.2.7\",\"key\":null,\"count\":5,\"max\":5,\"points\":0,\"ban_left\":null,"
        "\"ban_began\":false}\n");
    reader = reading(fd);
    addr_parse("2001:db8::1", &client);
    for (int i = 0; i < 2; i++) {
        strcpy(verdict.findings[i].name, "sender_recipients");
        strcpy(verdict.findings[i].scope, "listener[:25]/peer[pool:x]");
        snprintf(verdict.findings[i].key, sizeof verdict.findings[i].key, "a\"\\\x01\n\xff\xc3\xa9</script>@b");
        verdict.findings[i].action = i ? ACTION_MONITOR : ACTION_SCORE;
        verdict.findings[i].points = 7;
        verdict.findings[i].count = UINT32_MAX;
        verdict.findings[i].banned = verdict.findings[i].ban_began = true;
        verdict.findings[i].ban_left_ns = 7200500000000;
    }
    http_service_tell(service, &verdict, &client);
    await(has_text(reader, "monitor") && reader->text[reader->length - 1] == '\n');
    char *end = strchr(reader->text, '\n');
    *end = '\0';
    for (const char *byte = reader->text; *byte; byte++)
        ck_assert_msg(*byte >= ' ' && *byte <= '~', "%s", reader->text);
    json_t *line = json_loads(reader->text, 0, NULL);
    ck_assert_ptr_nonnull(line);
    ck_assert_str_eq(json_string_value(json_object_get(line, "action")), "score");
    ck_assert_str_eq(json_string_value(json_object_get(line, "client")), "2001:db8::1");
    ck_assert_str_eq(json_string_value(json_object_get(line, "key")), "a\"\\\x01\n?\xc3\xa9</script>@b");
    ck_assert_int_eq(json_integer_value(json_object_get(line, "count")), UINT32_MAX);
    ck_assert_double_eq(json_real_value(json_object_get(line, "ban_left")), 7200.5);
    ck_assert(json_is_true(json_object_get(line, "ban_began")));
    json_decref(line);
    close(fd);
}
END_TEST

START_TEST(so_many_may_follow_and_no_more)
{
    int fds[EVENTS_FOLLOWERS];
    for (int i = 0; i < EVENTS_FOLLOWERS; i++)
        fds[i] = follow();
    struct answer answer = ask(false, "GET", "/events");
    assert_error(&answer, 503, "as many as may be follow already");
    ck_assert_int_eq(ask(false, "GET", "/status.json").status, 200);
    tell_one("all", 1);
    for (int i = 0; i < EVENTS_FOLLOWERS; i++) {
        struct reader *reader = reading(fds[i]);
        await(has_text(reader, "\"key\":\"all\""));
    }
    close(fds[3]); /* nothing is told meanwhile */
    await(http_socket_connections(service->places[CONTROL].socket) == EVENTS_FOLLOWERS - 1);
    fds[3] = follow();
    for (int i = 0; i < EVENTS_FOLLOWERS; i++)
        close(fds[i]);
    await(http_socket_connections(service->places[CONTROL].socket) == 0);
}
END_TEST

/* The counts of the lines, and the sum of those that are missing. */
static uint64_t count_lines(struct reader *reader, uint64_t *lost)
{
    uint64_t lines = 0;
    char *line = reader->text, *end;

    for (; (end = strchr(line, '\n')); line = end + 1) {
        unsigned long long more;
        if (sscanf(line, "{\"lost\":%llu}\n", &more) == 1)
            *lost += more;
        else
            lines += end > line;
    }
    reader->length -= (size_t)(line - reader->text);
    memmove(reader->text, line, reader->length + 1);
    return lines;
}

START_TEST(who_reads_slowly_is_told_how_much_is_missing)
{
    uint64_t lost = 0, got = 0, told = 0;
    int slow = follow();
    for (; told < 20000; told++) { /* a few megabytes */
        tell_one("slow", (uint32_t)told);
        if (told % 500 == 499)
            turn();
    }
    ck_assert_int_eq(ask(false, "GET", "/status.json").status, 200);
    struct reader *reader = reading(slow);
    while (got + lost < told) {
        tell_one("more", 1);
        told++;
        turn();
        look(reader);
        got += count_lines(reader, &lost);
        ck_assert_uint_lt(told, 40000);
    }
    ck_assert_uint_eq(got + lost, told);
    ck_assert_uint_gt(lost, 0);
    ck_assert_uint_gt(got, 500);
    close(slow);
}
END_TEST

START_TEST(what_finds_no_room_in_the_queue_is_told_as_lost)
{
    uint64_t lost = 0, got = 0;
    int fd = follow();
    for (int i = 0; i < EVENTS_QUEUE + 100; i++) /* the loop does not turn */
        tell_one("", (uint32_t)i);
    struct reader *reader = reading(fd);
    for (int i = 0; i < 100 && got < EVENTS_QUEUE; i++) {
        turn();
        look(reader);
        got += count_lines(reader, &lost);
    }
    ck_assert_uint_eq(got, EVENTS_QUEUE);
    tell_one("next", 1);
    await(has_text(reader, "next"));
    got += count_lines(reader, &lost);
    ck_assert_uint_eq(got, EVENTS_QUEUE + 1);
    ck_assert_uint_eq(lost, 100);
    close(fd);
}
END_TEST

START_TEST(who_comes_later_is_not_told_of_what_was_lost_before)
{
    uint64_t lost = 0;
    int first = follow();
    struct reader *reader = reading(first);
    for (int i = 0; i < EVENTS_QUEUE + 100; i++)
        tell_one("old", (uint32_t)i);
    for (size_t got = 0; got < EVENTS_QUEUE; got += count_lines(reader, &lost)) {
        turn();
        look(reader);
    }
    int second = follow();
    reader = reading(second);
    tell_one("next", 1);
    await(has_text(reader, "next"));
    ck_assert_uint_eq(count_lines(reader, &lost), 1);
    ck_assert_uint_eq(lost, 0);
    close(first);
    close(second);
}
END_TEST

#define TELLERS 4
#define TOLD 3000

static atomic_int tellers_done;

static void *tell_many(void *data)
{
    (void)data;
    for (int i = 0; i < TOLD; i++)
        tell_one("thread", (uint32_t)i);
    atomic_fetch_add(&tellers_done, 1);
    return NULL;
}

START_TEST(many_threads_tell)
{
    pthread_t threads[TELLERS];
    uint64_t lost = 0, got = 0;
    int fd = follow();
    for (int i = 0; i < TELLERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, tell_many, NULL), 0);
    struct reader *reader = reading(fd);
    uint64_t told = TELLERS * TOLD;
    for (int64_t until = now_ms() + PATIENCE_MS; got + lost < told && now_ms() < until; turn()) {
        uint64_t before = got + lost;
        look(reader);
        got += count_lines(reader, &lost);
        if (got + lost == before && atomic_load(&tellers_done) == TELLERS) {
            tell_one("main", 1); /* what is missing at the end is told with what comes next */
            told++;
        }
    }
    for (int i = 0; i < TELLERS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(got + lost, told);
    close(fd);
    await(http_socket_connections(service->places[CONTROL].socket) == 0);
}
END_TEST

START_TEST(closing_ends_those_who_follow_and_telling_goes_on_without_effect)
{
    pthread_t threads[TELLERS];
    int fd = follow(), other = enter(true);
    for (int i = 0; i < TELLERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, tell_many, NULL), 0);
    turn();
    http_service_close(service);
    struct reader *reader = reading(fd);
    await(is_closed(reader));
    for (int i = 0; i < TELLERS; i++)
        pthread_join(threads[i], NULL);
    tell_one("after", 1);
    close(fd);
    close(other);
}
END_TEST

/* As on a system that cannot tell that the other side has closed. */
static void restart_without_early_close(void)
{
    struct event_config *simple = event_config_new();
    tear_down();
    set_up_loop = simple;
    event_config_avoid_method(simple, "epoll");
    event_config_avoid_method(simple, "poll");
    set_up();
    event_config_free(simple);
    set_up_loop = NULL;
    ck_assert(!(event_base_get_features(base) & EV_FEATURE_EARLY_CLOSE));
}

START_TEST(an_empty_line_shows_that_the_daemon_lives)
{
    const struct timeval often = {.tv_usec = 20000};
    if (_i == 1)
        restart_without_early_close();
    struct http_events *events = http_events_new(wall);
    ck_assert(http_events_start(events, base, &often));
    service->places[CONTROL].events = events;
    int fd = follow();
    struct reader *reader = reading(fd);
    await(has_text(reader, "\n\n\n"));
    close(fd);
    await(http_socket_connections(service->places[CONTROL].socket) == 0);
    http_events_free(&events);
    ck_assert_ptr_null(events);
}
END_TEST

/* ---- opening ---- */

START_TEST(the_control_socket_has_its_mode_and_a_stale_one_is_replaced)
{
    struct http_service *second;
    struct stat status;
    char error[PROCESS_ERROR_SIZE];

    ck_assert_int_eq(stat(local.sun_path, &status), 0);
    ck_assert_int_eq(status.st_mode & 07777, 0600);
    config.http.socket = NULL;
    ck_assert(!http_service_open(&config, &control, reload, &second, error)); /* somebody listens there */
    ck_assert_ptr_nonnull(strstr(error, local.sun_path));
    ck_assert_ptr_null(second);
    ck_assert_int_eq(ask(false, "GET", "/status.json").status, 200);
    /* As after a kill: the path is there and nobody listens. */
    http_socket_free(&service->places[CONTROL].socket);
    service->listening[CONTROL].inode = 0;
    http_service_close(service);
    ck_assert_int_eq(access(local.sun_path, F_OK), 0);
    ck_assert_msg(http_service_open(&config, &control, reload, &second, error), "%s", error);
    closed[sizeof closed / sizeof *closed - 1] = service;
    service = second;
    ck_assert(http_service_start(service, base));
    ck_assert_int_eq(ask(false, "GET", "/status.json").status, 200);
}
END_TEST

START_TEST(neither_section_neither_service)
{
    const struct config nothing_named = {.path = NULL};
    struct http_service *none = service;
    char error[PROCESS_ERROR_SIZE];
    const struct verdict verdict = {.finding_count = 1};
    const struct addr client = {.family = ADDR_NONE};

    ck_assert(http_service_open(&nothing_named, &control, reload, &none, error));
    ck_assert_ptr_null(none);
    ck_assert(http_service_start(none, base));
    http_service_tell(none, &verdict, &client);
    http_service_close(none);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("http service");
    TCase *served = test_case(suite, "pages");
    tcase_add_unchecked_fixture(served, make_directory, remove_directory);
    tcase_add_checked_fixture(served, set_up, tear_down);
    tcase_add_loop_test(served, a_page_has_its_place_and_its_methods, 0, sizeof methods / sizeof *methods);
    tcase_add_loop_test(served, nothing_else_is_there, 0, 2);
    tcase_add_loop_test(served, an_answer_is_whole_and_one_to_head_has_no_body, 0, 2);
    tcase_add_loop_test(served, over_tcp_the_host_is_an_address_or_localhost, 0, sizeof hosts / sizeof *hosts);
    tcase_add_test(served, on_an_address_for_others_the_host_is_any);
    tcase_add_test(served, which_address_is_for_others);
    tcase_add_test(served, a_host_in_the_target_counts_too);
    tcase_add_test(served, parameters_are_decoded);
    tcase_add_test(served, parameters_that_are_none_are_refused);
    tcase_add_test(served, parameters_that_a_page_does_not_know_are_refused);
    tcase_add_test(served, a_get_with_a_body_is_refused_and_the_body_is_no_request);
    tcase_add_test(served, requests_that_are_too_big_are_refused);
    tcase_add_test(served, a_mistake_of_a_page_arrives_as_it_is);
    tcase_add_test(served, large_answers_wait_for_each_other);
    tcase_add_test(served, reload_says_what_there_was_to_say);
    tcase_add_test(served, events_are_told_from_the_moment_of_asking);
    tcase_add_test(served, so_many_may_follow_and_no_more);
    tcase_add_test(served, who_reads_slowly_is_told_how_much_is_missing);
    tcase_add_test(served, what_finds_no_room_in_the_queue_is_told_as_lost);
    tcase_add_test(served, who_comes_later_is_not_told_of_what_was_lost_before);
    tcase_add_test(served, many_threads_tell);
    tcase_add_test(served, closing_ends_those_who_follow_and_telling_goes_on_without_effect);
    tcase_add_loop_test(served, an_empty_line_shows_that_the_daemon_lives, 0, 2);
    tcase_add_test(served, the_control_socket_has_its_mode_and_a_stale_one_is_replaced);
    tcase_add_test(served, neither_section_neither_service);
    return suite;
}
