/*
 * events.c: what limits find, line by line.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tool/signals.h"
#include "tool/tool.h"

struct follower {
    struct tool *tool;
    bool ended;  /* by a signal */
    bool failed; /* nobody reads */
};

/* A line is told at once, or nobody knows what is new. */
static bool told(struct follower *follower)
{
    FILE *out = follower->tool->screen.out;

    follower->failed = fflush(out) != 0 || ferror(out);
    return !follower->failed;
}

static void put_event(const struct screen *screen, const json_t *event)
{
    const char *client = field_text(event, "client"), *key = field_text(event, "key");
    char clock[16] = "--:--:--", ban[TEXT_DURATION_SIZE], banned[TEXT_DURATION_SIZE + 16] = "";
    time_t when = (time_t)field_number(event, "time");
    double left = field_number(event, "ban_left");
    struct tm local;

    if (localtime_r(&when, &local))
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    if (left >= 0)
        snprintf(banned, sizeof banned, ", %s %s",
                 field_true(event, "ban_began") ? "banned for" : "ban left:", text_duration(left, ban));
    screen_say(screen, 2, "%s %-9s %s %.0f of %.0f: %s%s%s (%s)%s", clock, field_text(event, "action"),
               field_text(event, "limit"), field_number(event, "count"), field_number(event, "max"), client,
               *client && *key ? " " : "", key, field_text(event, "scope"), banned);
}

static bool take_line(struct follower *follower, const char *line)
{
    const struct screen *screen = &follower->tool->screen;

    if (follower->tool->json) {
        fprintf(screen->out, "%s\n", line);
        return told(follower);
    }
    json_t *event = json_loads(line, 0, NULL);
    double lost = field_number(event, "lost");
    if (lost >= 0)
        screen_cut(screen, "... %.0f events were left out, as they came too fast", lost);
    else if (json_is_object(event))
        put_event(screen, event);
    else
        screen_cut(screen, "? %s", line);
    json_decref(event);
    return told(follower);
}

static bool follow(void *context, const char *line)
{
    return *line == '\0' || take_line(context, line);
}

static bool goes_on(void *context)
{
    struct follower *follower = context;
    int number;

    while ((number = signals_take()) != 0) {
        if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT)
            follower->ended = true;
        if (number == SIGTSTP)
            raise(SIGSTOP);
    }
    /* Without news we would never write, and never know. */
    follower->failed = tool_reader_gone();
    return !follower->ended && !follower->failed;
}

int tool_events(struct tool *tool)
{
    struct follower follower = {.tool = tool};
    char error[CLIENT_ERROR_SIZE];
    struct answer answer;
    json_t *refusal;

    int status = tool_find_socket(tool);
    if (status != EX_OK)
        return status;
    const struct client_watch watch = {{signals_open(), -1}, goes_on, &follower};
    const struct question question = {.page = "/events", .watch = &watch};
    struct client *client = client_new(tool->socket);
    if (!client || watch.fds[0] < 0) {
        client_free(&client);
        tool_complain("events: %s", strerror(errno));
        return EX_SOFTWARE;
    }
    enum client_result result = client_follow(client, &question, follow, &follower, &answer, error);
    client_free(&client);
    if (follower.ended)
        return EX_OK;
    if (follower.failed)
        return EX_IOERR;
    if (result == CLIENT_ANSWERED) {
        status = tool_judge_answer(tool, &answer, &refusal);
        json_decref(refusal);
        free(answer.body);
        return status;
    }
    return tool_judge_result(result, error);
}
