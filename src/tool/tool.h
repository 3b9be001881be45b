/*
 * tool.h: what the commands of tidegate share: how they were called, how they ask the daemon, how they end.
 *
 * One thread.
 */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>

#include "tool/client.h"
#include "tool/grid.h"

/* What tidegate exits with, beside EX_OK, EX_USAGE, EX_UNAVAILABLE (the daemon cannot be reached), EX_SOFTWARE (an
 * answer that means nothing to us), EX_IOERR (what was to be said could not be written) and EX_TEMPFAIL (the daemon
 * could not do it). */
#define TOOL_NO 1 /* the answer is no */

/* How long an answer may take; a reload reads lists of a million lines. */
#define TOOL_PATIENCE_S 30
#define TOOL_RELOAD_PATIENCE_S 60

/* The options that commands may take, beside those that all have. */
enum tool_option {
    TOOL_SORT,
    TOOL_COUNT,
    TOOL_LIMIT,
    TOOL_SINCE,
    TOOL_LISTEN,
    TOOL_DAEMON_NAME,
    TOOL_OPTIONS,
};

struct tool {
    const char *file; /* the configuration */
    bool file_given;  /* by -c */
    char *socket;     /* the control socket; NULL until it is looked for */
    bool json;
    const char *option[TOOL_OPTIONS]; /* the values; NULL: not given */
    char **words;                     /* what follows the command, options apart */
    int word_count;
    struct screen screen;
};

typedef int tool_function(struct tool *tool);

struct command {
    const char *name;
    const char *arguments; /* "TARGET [for DURATION]"; "" */
    unsigned options;      /* the set (1 << enum tool_option) of those that it takes */
    int least, most;       /* words */
    const char *summary;   /* one line */
    const char *text;      /* what --help says besides: lines of at most 78 columns */
    tool_function *run;    /* returns what to exit with */
};

/* By name; the last has no name. */
extern const struct command commands[];

/* The command with that name, or NULL. */
const struct command *command_find(const char *name);

/* What is said of tidegate as a whole, and of one command. */
void help_all(FILE *out);
void help_command(const struct command *command, FILE *out);

/* "tidegate: TEXT" on standard error, made harmless. */
void tool_complain(const char *format, ...) TEXT_FORMAT(1, 2);

/* The same of bad usage; returns EX_USAGE. */
int tool_usage(const char *format, ...) TEXT_FORMAT(1, 2);

/* Whether whoever read our standard output has gone. */
bool tool_reader_gone(void);

/* A duration as in the configuration, in seconds: its text for the daemon in a new text, or NULL after a complaint
 * that begins with `what`. */
char *tool_seconds(const char *what, const char *duration);

/* Asks the daemon. On EX_OK *out is the answer, an object that the caller lets go of with json_decref(). Otherwise what
 * to exit with, after a complaint. With --json the daemon's answer, whichever it is, has been printed already; the
 * caller then prints nothing more. */
int tool_ask(struct tool *tool, const struct question *question, json_t **out);

/* The same of a page alone. */
int tool_get(struct tool *tool, const char *page, const struct parameter *parameters, json_t **out);
int tool_post(struct tool *tool, const char *page, const struct parameter *parameters, json_t **out);

/* Finds the socket, for those who ask in their own way. Not EX_OK after a complaint. */
int tool_find_socket(struct tool *tool);

/* Complains of each of the `messages` that a page about a configuration has. */
void tool_pass_on(const json_t *answer);

/* What comes of an answer, as tool_ask() has it. */
int tool_judge_answer(const struct tool *tool, const struct answer *answer, json_t **out);

/* What to exit with after a result that is no answer: complains. */
int tool_judge_result(enum client_result result, const char *error);

/* An answer that lacks what it must have: complains, and returns EX_SOFTWARE. */
int tool_unexpected(const char *missing);

/* Fields of an object: "" and -1 where they are missing, null or something else; an array without elements. */
const char *field_text(const json_t *object, const char *name);
double field_number(const json_t *object, const char *name);
bool field_true(const json_t *object, const char *name);
const json_t *field_list(const json_t *object, const char *name);
const json_t *field_object(const json_t *object, const char *name);

/* Where an object is said that has a file and a line: " (FILE:LINE)", "" without a line. A new text. */
char *field_place(const json_t *object);

/* The commands, each in the file that is named after what it is about. */
tool_function tool_status, tool_top, tool_clients, tool_domains, tool_bans; /* show_*.c, top.c */
tool_function tool_ban, tool_unban, tool_reload;                            /* steer.c */
tool_function tool_explain, tool_eval;                                      /* explain.c, eval.c */
tool_function tool_check, tool_events, tool_help;                           /* check.c, events.c, main.c */

/* The scopes with their caps, at most `rows`, and one line about the rest: those without sessions are left out first.
 */
void show_scopes(const json_t *status, const struct screen *screen, size_t rows);

/* How many of the scopes have sessions. */
size_t scopes_in_use(const json_t *status);

#endif
