/*
 * client.c: questions to the daemon, on libcurl.
 */
#include "tool/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tool/text.h"

struct client {
    const char *path;
    CURL *easy;
    CURLM *multi;
};

/* What arrives in answer to one question. */
struct arrival {
    CURL *easy;
    char *bytes;
    size_t size, room;
    bool too_large;
    client_line *line; /* NULL: it is no stream */
    void *context;
    bool stopped;
    time_t last; /* when something came, by seconds() */
};

static time_t seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

struct client *client_new(const char *path)
{
    struct client *client = text_memory(NULL, sizeof *client);

    curl_global_init(CURL_GLOBAL_NOTHING);
    *client = (struct client){path, curl_easy_init(), curl_multi_init()};
    if (!client->easy || !client->multi)
        client_free(&client);
    return client;
}

void client_free(struct client **client)
{
    if (!*client)
        return;
    curl_easy_cleanup((*client)->easy);
    curl_multi_cleanup((*client)->multi);
    curl_global_cleanup();
    free(*client);
    *client = NULL;
}

static void keep(struct arrival *arrival, const char *bytes, size_t size)
{
    if (arrival->size + size + 1 > arrival->room) {
        arrival->room = 2 * (arrival->size + size + 1);
        arrival->bytes = text_memory(arrival->bytes, arrival->room);
    }
    memcpy(arrival->bytes + arrival->size, bytes, size);
    arrival->size += size;
    arrival->bytes[arrival->size] = '\0';
}

/* Hands over the whole lines among what is kept. */
static bool hand_over(struct arrival *arrival)
{
    char *begin = arrival->bytes, *end;
    size_t left = arrival->size;

    while (!arrival->stopped && left > 0 && (end = memchr(begin, '\n', left)) != NULL) {
        *end = '\0';
        arrival->stopped = !arrival->line(arrival->context, begin);
        left -= (size_t)(end + 1 - begin);
        begin = end + 1;
    }
    if (left > 0)
        memmove(arrival->bytes, begin, left);
    arrival->size = left;
    arrival->too_large = left > CLIENT_LINE_MAX;
    return !arrival->stopped && !arrival->too_large;
}

static size_t arrive(char *bytes, size_t one, size_t count, void *context)
{
    struct arrival *arrival = context;
    long status = 0;

    arrival->last = seconds();
    if (arrival->size + one * count > CLIENT_ANSWER_MAX) {
        arrival->too_large = true;
        return 0;
    }
    keep(arrival, bytes, one * count);
    curl_easy_getinfo(arrival->easy, CURLINFO_RESPONSE_CODE, &status);
    return !arrival->line || status != 200 || hand_over(arrival) ? one * count : 0;
}

/* The parameters as a query, or as a form's body. */
static char *encode(CURL *easy, const struct parameter *parameters)
{
    char *text = text_copy("");

    for (; parameters && parameters->name; parameters++) {
        if (!parameters->value)
            continue;
        char *value = curl_easy_escape(easy, parameters->value, (int)strlen(parameters->value));
        char *longer = text_print("%s%s%s=%s", text, *text ? "&" : "", parameters->name, value ? value : "");
        curl_free(value);
        free(text);
        text = longer;
    }
    return text;
}

/* False: the parameters are longer than they may be. */
static bool prepare(struct client *client, const struct question *question, struct arrival *arrival)
{
    char *parameters = encode(client->easy, question->parameters);

    if (strlen(parameters) > CLIENT_PARAMETERS_MAX) {
        free(parameters);
        return false;
    }
    char *url = text_print("http://localhost%s%s%s", question->page, *parameters && !question->post ? "?" : "",
                           question->post ? "" : parameters);

    curl_easy_reset(client->easy);
    curl_easy_setopt(client->easy, CURLOPT_URL, url);
    curl_easy_setopt(client->easy, CURLOPT_UNIX_SOCKET_PATH, client->path);
    curl_easy_setopt(client->easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(client->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client->easy, CURLOPT_CONNECTTIMEOUT, (long)CLIENT_CONNECT_S);
    if (!arrival->line)
        curl_easy_setopt(client->easy, CURLOPT_TIMEOUT, (long)question->patience_s);
    if (question->post)
        curl_easy_setopt(client->easy, CURLOPT_COPYPOSTFIELDS, parameters);
    curl_easy_setopt(client->easy, CURLOPT_WRITEFUNCTION, arrive);
    curl_easy_setopt(client->easy, CURLOPT_WRITEDATA, arrival);
    free(url);
    free(parameters);
    return true;
}

/* Who may connect to what stands at `path`, by its group or its owner. */
static char *who_may(const struct stat *status)
{
    const struct group *group = status->st_mode & S_IWGRP ? getgrgid(status->st_gid) : NULL;
    const struct passwd *owner = getpwuid(status->st_uid);

    if (group && status->st_gid != 0)
        return text_print("run as root or as a member of the group %s", group->gr_name);
    if (owner && status->st_uid != 0)
        return text_print("run as root or as %s", owner->pw_name);
    return text_copy("run as root");
}

/* libcurl does not always say why a connection failed: what the system says when it is tried once more, without a wait
 * for room in the backlog. False: it does not fail any more. */
static bool explain_unreachable(const char *path, char error[CLIENT_ERROR_SIZE])
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int failed = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct stat status;
    char *remedy = NULL;

    if (strlen(path) >= sizeof address.sun_path) {
        failed = ENAMETOOLONG;
    } else {
        strcpy(address.sun_path, path);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
            failed = errno;
    }
    if (fd >= 0)
        close(fd);

    if (failed == EACCES)
        remedy =
            stat(path, &status) == 0 ? who_may(&status) : text_copy("run as root or as a user who may enter there");
    else if (failed == ENOENT)
        remedy = text_copy("does tidegated run, with a control section?");
    else if (failed == ECONNREFUSED)
        remedy = text_copy("tidegated does not run any more");
    else if (failed == EAGAIN)
        remedy = text_copy("tidegated does not accept connections");
    snprintf(error, CLIENT_ERROR_SIZE, "%.300s: %s%s%s", path, strerror(failed), remedy ? "; " : "",
             remedy ? remedy : "");
    free(remedy);
    return failed != 0;
}

static enum client_result judge(const struct client *client, CURLcode code, const struct arrival *arrival,
                                char error[CLIENT_ERROR_SIZE])
{
    long status = 0;

    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &status);
    if (arrival->stopped)
        return CLIENT_STOPPED;
    if (arrival->too_large) {
        snprintf(error, CLIENT_ERROR_SIZE, "%.300s: the answer is too large", client->path);
        return CLIENT_BROKEN;
    }
    if (arrival->line && status == 200) {
        snprintf(error, CLIENT_ERROR_SIZE, "%.300s: tidegated has gone", client->path);
        return CLIENT_ENDED;
    }
    if (code == CURLE_OK)
        return CLIENT_ANSWERED;
    if (code == CURLE_OPERATION_TIMEDOUT) {
        snprintf(error, CLIENT_ERROR_SIZE, "%.300s: no answer in time", client->path);
        return CLIENT_UNREACHABLE;
    }
    if (status == 0 && explain_unreachable(client->path, error))
        return CLIENT_UNREACHABLE;
    snprintf(error, CLIENT_ERROR_SIZE, "%.300s: %s", client->path, curl_easy_strerror(code));
    return status == 0 && (code == CURLE_GOT_NOTHING || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR)
               ? CLIENT_UNREACHABLE
               : CLIENT_BROKEN;
}

/* Waits until the transfer is over, or nobody wants it any more, or the stream is silent for too long. */
static enum client_result wait_for(struct client *client, const struct question *question, struct arrival *arrival,
                                   char error[CLIENT_ERROR_SIZE])
{
    const struct client_watch *watch = question->watch;
    struct curl_waitfd fds[2];
    unsigned count = 0;
    int running = 1, left;

    for (unsigned i = 0; watch && i < 2; i++)
        if (watch->fds[i] >= 0)
            fds[count++] = (struct curl_waitfd){.fd = watch->fds[i], .events = CURL_WAIT_POLLIN};
    arrival->last = seconds();
    while (curl_multi_perform(client->multi, &running) == CURLM_OK && running > 0) {
        if (curl_multi_poll(client->multi, fds, count, 1000, NULL) != CURLM_OK)
            break;
        if (watch && !watch->goes_on(watch->context))
            return CLIENT_STOPPED;
        if (arrival->line && seconds() - arrival->last > CLIENT_SILENCE_S) {
            snprintf(error, CLIENT_ERROR_SIZE, "%.300s: nothing came for %d s", client->path, CLIENT_SILENCE_S);
            return CLIENT_UNREACHABLE;
        }
    }
    const CURLMsg *message = curl_multi_info_read(client->multi, &left);
    return judge(client, message ? message->data.result : CURLE_FAILED_INIT, arrival, error);
}

static enum client_result ask(struct client *client, const struct question *question, struct arrival *arrival,
                              struct answer *answer, char error[CLIENT_ERROR_SIZE])
{
    *answer = (struct answer){0};
    error[0] = '\0';
    arrival->easy = client->easy;
    if (!prepare(client, question, arrival)) {
        snprintf(error, CLIENT_ERROR_SIZE, "the arguments are too long");
        return CLIENT_TOO_LONG;
    }
    keep(arrival, "", 0);
    if (curl_multi_add_handle(client->multi, client->easy) != CURLM_OK) {
        free(arrival->bytes);
        snprintf(error, CLIENT_ERROR_SIZE, "libcurl does not work");
        return CLIENT_BROKEN;
    }
    enum client_result result = wait_for(client, question, arrival, error);
    curl_easy_getinfo(client->easy, CURLINFO_RESPONSE_CODE, &answer->status);
    curl_multi_remove_handle(client->multi, client->easy);
    if (result == CLIENT_ANSWERED) {
        answer->body = arrival->bytes;
        answer->size = arrival->size;
    } else {
        free(arrival->bytes);
    }
    return result;
}

enum client_result client_ask(struct client *client, const struct question *question, struct answer *answer,
                              char error[CLIENT_ERROR_SIZE])
{
    struct arrival arrival = {0};

    return ask(client, question, &arrival, answer, error);
}

enum client_result client_follow(struct client *client, const struct question *question, client_line *line,
                                 void *context, struct answer *answer, char error[CLIENT_ERROR_SIZE])
{
    struct arrival arrival = {.line = line, .context = context};

    return ask(client, question, &arrival, answer, error);
}
