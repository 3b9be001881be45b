/*
 * http_pages.c: the table of what is served, and the checks that are the same for all.
 */
#define _GNU_SOURCE /* struct ucred */

#include "daemon/http_pages.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/util.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "daemon/page_files.h"
#include "daemon/process.h"
#include "daemon/report.h"

enum answer { ANSWER_PAGE, ANSWER_METRICS, ANSWER_RELOAD, ANSWER_EVENTS };

struct route {
    const char *path;
    bool tcp;
    bool post; /* else GET, and HEAD unless it is a stream */
    enum answer answer;
    control_page *page; /* of ANSWER_PAGE */
    bool large;         /* may be, so there are not many at once */
};

static const struct route routes[] = {
    {.path = "/status.json", .tcp = true, .page = control_status},
    {.path = "/history.json", .tcp = true, .page = control_history},
    {.path = "/metrics", .tcp = true, .answer = ANSWER_METRICS},
    {.path = "/clients", .page = control_clients, .large = true},
    {.path = "/domains", .page = control_domains, .large = true},
    {.path = "/bans", .page = control_bans, .large = true},
    {.path = "/explain", .page = control_explain},
    {.path = "/eval", .page = control_eval},
    {.path = "/ban", .post = true, .page = control_ban},
    {.path = "/unban", .post = true, .page = control_unban},
    {.path = "/reload", .post = true, .answer = ANSWER_RELOAD},
    {.path = "/events", .answer = ANSWER_EVENTS},
};

static const struct {
    const char *name, *value;
} headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Cache-Control", "no-store"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
};

/* Bytes of answers: so many wait to be taken before no other large one is made, and one of so many is worth giving its
 * memory back. */
#define LARGE (1024 * 1024)

static const char *const no_parameters[] = {NULL};

/* ---- sending ---- */

static void set_header(struct evhttp_request *request, const char *name, const char *value)
{
    struct evkeyvalq *all = evhttp_request_get_output_headers(request);

    evhttp_remove_header(all, name);
    evhttp_add_header(all, name, value);
}

static void set_headers(struct evhttp_request *request, const char *type)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        set_header(request, headers[i].name, headers[i].value);
    set_header(request, "Content-Type", type);
}

/* Sends what is in `body`, or only how long it is to who asked for no more; evhttp would send it all. */
static void send_body(struct evhttp_request *request, int status, const char *type, struct evbuffer *body)
{
    size_t length = evbuffer_get_length(body);
    char text[24];

    set_headers(request, type);
    snprintf(text, sizeof text, "%zu", length);
    set_header(request, "Content-Length", text);
    if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD)
        evbuffer_drain(body, length);
    evhttp_send_reply(request, status, NULL, body);
}

static int add_bytes(const char *bytes, size_t size, void *body)
{
    return evbuffer_add(body, bytes, size);
}

static void send_no_memory(struct evhttp_request *request)
{
    evhttp_send_error(request, HTTP_SERVUNAVAIL, NULL);
}

/* Sends the answer, and lets go of it. NULL: memory is short. */
static void send_json(struct evhttp_request *request, int status, json_t *answer)
{
    struct evbuffer *body = answer ? evbuffer_new() : NULL;
    size_t length = 0;

    if (body && json_dump_callback(answer, add_bytes, body, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0 &&
        evbuffer_add(body, "\n", 1) == 0) {
        length = evbuffer_get_length(body);
        send_body(request, status, "application/json", body);
    } else {
        send_no_memory(request);
    }
    if (body)
        evbuffer_free(body);
    json_decref(answer);
    if (length > LARGE)
        process_release_memory();
}

static void send_mistake(struct evhttp_request *request, int code, const char *text)
{
    int status;
    json_t *error = control_error(&status, code, "%s", text);

    send_json(request, code, error);
}

static void send_wrong_method(struct evhttp_request *request, const char *allowed)
{
    char text[80];

    snprintf(text, sizeof text, "this page answers %s alone", allowed);
    set_header(request, "Allow", allowed);
    set_header(request, "Connection", "close");
    send_mistake(request, HTTP_BADMETHOD, text);
}

/* ---- who asks, and how ---- */

/* True for an IP address or localhost, with a port or without. */
static bool is_host_harmless(const char *host)
{
    char name[64], room[16];
    bool brackets = host[0] == '[';
    size_t length = strcspn(host + brackets, brackets ? "]" : ":");
    const char *rest = host + brackets + length;

    if (length >= sizeof name)
        return false;
    memcpy(name, host + brackets, length);
    name[length] = '\0';
    if (brackets && *rest++ != ']')
        return false;
    if (rest[0] && (rest[0] != ':' || rest[1 + strspn(rest + 1, "0123456789")]))
        return false;
    if (brackets)
        return evutil_inet_pton(AF_INET6, name, room) == 1;
    return strcasecmp(name, "localhost") == 0 || evutil_inet_pton(AF_INET, name, room) == 1;
}

/* A page of another site that has given its name our loopback address must read nothing here. */
static bool is_host_right(struct evhttp_request *request)
{
    const char *in_uri = evhttp_uri_get_host(evhttp_request_get_evhttp_uri(request));
    const struct evkeyval *header = evhttp_request_get_input_headers(request)->tqh_first;
    bool right = false;

    for (; header; header = header->next.tqe_next) {
        if (strcasecmp(header->key, "Host") != 0)
            continue;
        if (!is_host_harmless(header->value))
            return false;
        right = true;
    }
    if (!in_uri)
        return right;
    char bracketed[64];
    bool ipv6 = strchr(in_uri, ':') && in_uri[0] != '[';
    snprintf(bracketed, sizeof bracketed, ipv6 ? "[%s]" : "%s", in_uri);
    return right && is_host_harmless(bracketed);
}

/* Whose process connected to the unix socket (unix(7)); (uid_t)-1: unknown. */
static uid_t asker(struct evhttp_request *request)
{
    struct bufferevent *buffers = evhttp_connection_get_bufferevent(evhttp_request_get_connection(request));
    struct ucred peer;
    socklen_t size = sizeof peer;

    return getsockopt(bufferevent_getfd(buffers), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 ? peer.uid : (uid_t)-1;
}

/* Nothing reads the body of a GET, and what stands between might take it for a request of its own. */
static bool has_unread_body(struct evhttp_request *request)
{
    const struct evkeyvalq *all = evhttp_request_get_input_headers(request);
    const char *length = evhttp_find_header(all, "Content-Length");

    return evhttp_find_header(all, "Transfer-Encoding") || (length && strcmp(length, "0") != 0);
}

/* ---- parameters ---- */

/* A parameter could end early at such a byte, and seem to be another one than what is written. */
static bool has_zero(const char *text)
{
    return strstr(text, "%00") != NULL;
}

static bool parse(const char *text, struct evkeyvalq *parameters)
{
    return text[0] == '\0' || (!has_zero(text) && evhttp_parse_query_str(text, parameters) == 0);
}

static bool is_form(struct evhttp_request *request)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
    const size_t length = sizeof form - 1;

    return type && strncasecmp(type, form, length) == 0 && strchr("; \t", type[length]);
}

/* Reads what stands in the body. False, and the request is answered, when it is no good. */
static bool read_body(struct evhttp_request *request, struct evkeyvalq *parameters)
{
    struct evbuffer *body = evhttp_request_get_input_buffer(request);
    size_t length = evbuffer_get_length(body);
    char *text;
    bool good;

    if (length == 0)
        return true;
    if (!is_form(request)) {
        send_mistake(request, 415, "parameters are written as application/x-www-form-urlencoded");
        return false;
    }
    text = malloc(length + 1);
    if (!text) {
        send_no_memory(request);
        return false;
    }
    evbuffer_copyout(body, text, length);
    text[length] = '\0';
    good = strlen(text) == length && parse(text, parameters);
    if (!good)
        send_mistake(request, 400, "the body is no list of parameters; write name=value&name=value");
    free(text);
    return good;
}

/* Reads the parameters of a request. False, and it is answered, when they are no good. */
static bool read_parameters(struct evhttp_request *request, bool post, struct evkeyvalq *parameters)
{
    const char *query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));

    if (!post && query && !parse(query, parameters)) {
        send_mistake(request, 400, "the query is no list of parameters; write ?name=value&name=value");
        return false;
    }
    if (post && query) {
        send_mistake(request, 400, "parameters of POST stand in its body");
        return false;
    }
    return !post || read_body(request, parameters);
}

/* True when there are none. Else the request is answered. */
static bool takes_none(struct evhttp_request *request, const struct evkeyvalq *parameters)
{
    int status = 0;
    json_t *error = NULL;

    if (control_known(parameters, no_parameters, &error, &status))
        return true;
    send_json(request, status, error);
    return false;
}

/* ---- pages ---- */

static void send_metrics(const struct http_place *place, struct evhttp_request *request)
{
    struct evbuffer *body = evbuffer_new();

    if (body && control_metrics(place->control, body))
        send_body(request, HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", body);
    else
        send_no_memory(request);
    if (body)
        evbuffer_free(body);
}

static void send_file(struct evhttp_request *request, const struct page_file *file)
{
    struct evbuffer *body = evbuffer_new();

    if (body && evbuffer_add_reference(body, file->bytes, file->size, NULL, NULL) == 0)
        send_body(request, HTTP_OK, file->type, body);
    else
        send_no_memory(request);
    if (body)
        evbuffer_free(body);
}

static void send_reload(const struct http_place *place, struct evhttp_request *request)
{
    struct config_messages messages = {.count = 0};
    bool reloaded = place->reload(&messages);
    json_int_t left_out = (json_int_t)messages_left_out(&messages);
    char text[MESSAGE_SIZE + 16];
    json_t *list = json_array(), *answer;

    for (size_t i = 0; i < messages.count; i++) {
        snprintf(text, sizeof text, "%s%s", message_mark(&messages.list[i]), messages.list[i].text);
        json_array_append_new(list, control_text(text));
    }
    messages_clear(&messages);
    answer = reloaded ? json_pack("{s:b, s:o, s:I}", "reloaded", true, "messages", list, "left_out", left_out)
                      : json_pack("{s:s, s:o, s:I}", "error", "the rules stay as they were", "messages", list,
                                  "left_out", left_out);
    send_json(request, reloaded ? HTTP_OK : 409, answer);
}

static void send_events(const struct http_place *place, struct evhttp_request *request)
{
    set_headers(request, "application/x-ndjson");
    if (!http_events_follow(place->events, place->socket, request))
        send_mistake(request, HTTP_SERVUNAVAIL, "as many as may be follow already, or memory is short; try later");
}

static void send_page(const struct http_place *place, struct evhttp_request *request, const struct route *route,
                      const struct evkeyvalq *parameters)
{
    int status = HTTP_OK;

    switch (route->answer) {
    case ANSWER_METRICS:
        if (takes_none(request, parameters))
            send_metrics(place, request);
        break;
    case ANSWER_RELOAD:
        if (takes_none(request, parameters))
            send_reload(place, request);
        break;
    case ANSWER_EVENTS:
        if (takes_none(request, parameters))
            send_events(place, request);
        break;
    case ANSWER_PAGE:
    default: {
        if (route->large && http_socket_waiting(place->socket) > LARGE) {
            send_mistake(request, HTTP_SERVUNAVAIL, "large answers have not been taken yet; try later");
            return;
        }
        json_t *answer = route->page(place->control, parameters, &status);
        send_json(request, status, answer);
    }
    }
}

static const struct route *find_route(const char *path, bool tcp)
{
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].path, path) == 0 && (routes[i].tcp || !tcp))
            return &routes[i];
    return NULL;
}

static const struct page_file *find_file(const char *path)
{
    for (const struct page_file *file = page_files; file->path; file++)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

void http_pages_answer(void *data, struct evhttp_request *request)
{
    const struct http_place *place = data;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    const struct route *route = find_route(path ? path : "", place->tcp);
    const struct page_file *file = find_file(path ? path : "");
    enum evhttp_cmd_type method = evhttp_request_get_command(request);
    bool post = route && route->post, stream = route && route->answer == ANSWER_EVENTS;
    struct evkeyvalq parameters = {NULL, &parameters.tqh_first};

    if (place->tcp && !place->any_host && !is_host_right(request)) {
        set_header(request, "Connection", "close");
        send_mistake(request, 403, "Host must be an IP address or localhost");
    } else if (!route && !file) {
        set_header(request, "Connection", "close");
        send_mistake(request, HTTP_NOTFOUND, "there is no such page here");
    } else if (post ? method != EVHTTP_REQ_POST : method != EVHTTP_REQ_GET && (method != EVHTTP_REQ_HEAD || stream)) {
        send_wrong_method(request, post ? "POST" : stream ? "GET" : "GET, HEAD");
    } else if (!post && has_unread_body(request)) {
        set_header(request, "Connection", "close");
        send_mistake(request, 400, "GET has no body");
    } else if (read_parameters(request, post, &parameters)) {
        if (post)
            report_asked(route->path, asker(request));
        if (route)
            send_page(place, request, route, &parameters);
        else if (takes_none(request, &parameters))
            send_file(request, file);
    }
    evhttp_clear_headers(&parameters);
}
