/*
 * config_cases.h: helpers of the configuration's tests: texts of mistakes, files that come and go.
 */
#ifndef UNIT_CONFIG_CASES_H
#define UNIT_CONFIG_CASES_H

#include "config/messages.h"

#include <check.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A text with a mistake: the line of the first error and a part of what it must say. */
struct mistake {
    const char *text;
    unsigned line;
    const char *says;
};

/* True when the message begins with "FILE:LINE: ". */
static inline bool is_at(const struct message *message, const char *file, unsigned line)
{
    char start[512];
    int length = snprintf(start, sizeof start, "%s:%u: ", file, line);
    return strncmp(message->text, start, (size_t)length) == 0;
}

/* The first error; the test fails when there is none. */
static inline const struct message *first_error(const struct config_messages *messages, const char *text)
{
    for (size_t i = 0; i < messages->count; i++)
        if (messages->list[i].severity == MESSAGE_ERROR)
            return &messages->list[i];
    ck_abort_msg("no error for: %s", text);
    return NULL;
}

static inline void assert_first_error(const struct config_messages *messages, const char *file,
                                      const struct mistake *mistake)
{
    const struct message *message = first_error(messages, mistake->text);
    ck_assert_msg(is_at(message, file, mistake->line), "line %u was expected for <%s>, got: %s", mistake->line,
                  mistake->text, message->text);
    ck_assert_msg(strstr(message->text, mistake->says) != NULL, "\"%s\" was expected for <%s>, got: %s", mistake->says,
                  mistake->text, message->text);
}

/* Is a block open at the end of the first `size` bytes? Counts braces outside strings and comments, knowing of the
 * samples' syntax no more than that. */
static inline bool is_open_at(const char *text, size_t size)
{
    int depth = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '#') {
            while (i < size && text[i] != '\n')
                i++;
        } else if (text[i] == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                ;
        } else if (text[i] == '{') {
            depth++;
        } else if (text[i] == '}') {
            depth--;
        }
    }
    return depth > 0;
}

/* A directory of the test's own, and files in it. Made and removed in unchecked fixtures: these run even when the test
 * dies in a process of its own. */
struct scratch {
    char path[64];
};

static inline struct scratch scratch_open(void)
{
    struct scratch scratch = {.path = "/tmp/tidegate-test-XXXXXX"};
    ck_assert_ptr_nonnull(mkdtemp(scratch.path));
    return scratch;
}

/* Writes the file and gives its whole path, which is good until the fourth call from here. */
static inline const char *scratch_write(const struct scratch *scratch, const char *name, const char *text, size_t size)
{
    static char paths[4][160];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch->path, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

static inline void scratch_close(const struct scratch *scratch)
{
    DIR *directory = opendir(scratch->path);
    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    ck_assert_int_eq(rmdir(scratch->path), 0);
}

/* The path of a file in the source tree; good until the next call. */
static inline const char *source_path(const char *name)
{
    static char path[1024];
    const char *root = getenv("srcdir");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : ".", name);
    return path;
}

/* The whole text of a file in the source tree. The caller frees it. */
static inline char *source_text(const char *name, size_t *size)
{
    FILE *file = fopen(source_path(name), "r");
    ck_assert_msg(file != NULL, "%s cannot be opened", source_path(name));
    char *text = calloc(1, 1 << 20);
    ck_assert_ptr_nonnull(text);
    *size = fread(text, 1, (1 << 20) - 1, file);
    ck_assert_int_eq(fclose(file), 0);
    return text;
}

/* A file that uses everything, as DESIGN.md writes it. */
static const char everything[] =
    "service_sessions = 4000   # every listener together\n"
    "listener_sessions = 900\n"
    "refuse_at = helo\n"
    "refuse_pending = 7\n"
    "disconnect_delay = 2s\n"
    "max_delay = 5s\n"
    "max_waiting = 50\n"
    "client_ipv4_prefix = 24\n"
    "client_ipv6_prefix = 56\n"
    "session_table_size = 5000\n"
    "pid_file = '/run/x/y.pid'\n"
    "log_refusals = YES\n"
    "milter { socket = \"inet:7357@127.0.0.1\" }\n"
    "limit client_sessions { max = 5 }\n"
    "listener {\n"
    "    daemon_name = \"mx\"\n"
    "    listener_sessions = 1800  service_sessions = 3000\n"
    "    refuse_pending = 9\n"
    "    peer \"10.0.0.0/8\" { listener_sessions = 1500 refuse_at = connect }\n"
    "    peer \"0.0.0.0/0\"  { listener_sessions = 600 }\n"
    "    peer \"::/0\" { disconnect_delay = 3 }\n"
    "    peer \"pool:outlook\" { listener_sessions = 70 clients = { \"192.0.2.0/24\",\n"
    "            \"2001:db8::/32\" # the other family\n"
    "        } pathway = \"quiet\" }\n"
    "    listen \":25\"      { listener_sessions = 1700\n"
    "        peer \"10.0.0.0/8\" { listener_sessions = 11 limit client_sessions { max = 3 } }\n"
    "    }\n"
    "    listen \":587\"     { pathway = \"Submission\" }\n"
    "}\n"
    "esmtp_listener { limit client_sessions { max = 4 } /* the rest */ }\n"
    "pathway_group \"clients\" {\n"
    "    listener_sessions = 400\n"
    "    pathway \"submission\" { listener_sessions = 300 disconnect_delay = 4s }\n"
    "}\n"
    "pathway quiet { refuse_at = connect }\n"
    "mode = monitor idle_time = 60s idle_action = disconnect score_refuse = 12 table_size = 1000\n"
    "limit Client_Connections { max = 10 max_good = 40 max_bad = 2 window = 90s ban = 2h mode = score points = 3\n"
    "    disconnect_delay = 3s reply = \"421 4.4.5 {client}: {count} of {max} ({limit})\"\n"
    "    except = { \"192.0.2.0/24\", example.com, \"a@b.example\", joe }\n"
    "    key \"198.51.100.0/24\" { max = 100 max_bad = 7 }\n"
    "    key \"user:j.doe\" { max = 0 }\n"
    "}\n"
    "limit session_errors { max = 20 soft = 5 error_delay = 2s max_authenticated = 50 }\n"
    "limit domain_networks { ipv4_prefix = 16 ipv6_prefix = 48 except = { } }\n"
    "limit my_messages { count = messages per = user max = 7 window = 1d mode = monitor }\n"
    "reputation { half_life = 2d }\n"
    "deny { mode = score points = 4 clients = { \"203.0.113.0/24\" } domains = { spam.example, top }\n"
    "    senders = { \"joe@example.com\" } users = { mallory } }\n"
    "exempt { clients = { \"127.0.0.0/8\" } authenticated = yes }\n"
    "backlog = 100 nodelay = no linger = 60 receive_buffer = 4096 ttl = 9\n"
    "policy { socket = \"inet:7358@127.0.0.1\" sessions = kernel connections = 500 reuse_port = yes ttl = 64\n"
    "    send_buffer = 2048 reuse_address = no linger = 0 tos = 16 nodelay = on }\n"
    "policy { socket = unix:/run/x/policy mode = 666 backlog = 7 send_buffer = 1024 sessions = NONE }\n"
    "policy { socket = \"inet6:7358@::1\" }\n"
    "http { listen = \"[::1]:7359\" ttl = 12 backlog = 3 }\n"
    "control { socket = unix:/run/x/control mode = 0640 }\n";

#endif
