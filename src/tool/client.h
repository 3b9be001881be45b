/*
 * client.h: questions to the daemon, over its control socket.
 *
 * One thread. SIGPIPE should be ignored.
 */
#ifndef TOOL_CLIENT_H
#define TOOL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

/* No answer is read beyond this many bytes, no line of a stream beyond that. */
#define CLIENT_ANSWER_MAX (64u << 20)
#define CLIENT_LINE_MAX (64u << 10)

/* The parameters of a question, encoded. The daemon takes 8 KiB of headers, a query among them, and 16 KiB of body
 * (src/daemon/API.md). */
#define CLIENT_PARAMETERS_MAX (7u << 10)

#define CLIENT_CONNECT_S 5
/* A stream says something four times in that time. */
#define CLIENT_SILENCE_S 60

#define CLIENT_ERROR_SIZE 600

struct client;

/* A client of the socket at `path`, which is kept by pointer. */
struct client *client_new(const char *path);

/* Frees the client and sets the caller's pointer to NULL. */
void client_free(struct client **client);

struct parameter {
    const char *name, *value; /* value NULL: it is not sent */
};

/* Who wants to do something else while an answer is awaited. */
struct client_watch {
    int fds[2];                     /* descriptors that may become readable; -1: none */
    bool (*goes_on)(void *context); /* called then, and about once a second; false: the wait shall end */
    void *context;
};

struct question {
    const char *page;                   /* "/bans" */
    bool post;                          /* parameters are the body, not the query */
    const struct parameter *parameters; /* a name NULL ends them; NULL: none */
    int patience_s;                     /* for the whole answer; a stream goes on for as long as it says something */
    const struct client_watch *watch;   /* NULL: nobody */
};

enum client_result {
    CLIENT_ANSWERED,
    CLIENT_TOO_LONG,    /* the parameters are; nobody was asked */
    CLIENT_UNREACHABLE, /* nobody took the question, or nobody answered in time */
    CLIENT_ENDED,       /* the stream is over */
    CLIENT_BROKEN,      /* what came was no answer: cut short, too large, not HTTP */
    CLIENT_STOPPED,     /* the watch, or the reader of the stream, wants no more */
};

struct answer {
    long status; /* of HTTP */
    char *body;  /* ends with NUL; free() */
    size_t size;
};

/* Asks and waits for the whole answer. On CLIENT_ANSWERED the answer is the caller's; otherwise it is empty, and
 * `error` says what went wrong. */
enum client_result client_ask(struct client *client, const struct question *question, struct answer *answer,
                              char error[CLIENT_ERROR_SIZE]);

/* One line of a stream, without its end, ended by NUL. False: no more. */
typedef bool client_line(void *context, const char *line);

/* Asks, and hands over line by line what comes for as long as it comes. An answer that is no
 * stream (a status other than 200) is in *answer, and CLIENT_ANSWERED is returned; a stream that ends is CLIENT_ENDED,
 * or CLIENT_UNREACHABLE when nothing came at all. */
enum client_result client_follow(struct client *client, const struct question *question, client_line *line,
                                 void *context, struct answer *answer, char error[CLIENT_ERROR_SIZE]);

#endif
