/*
 * top.c: what goes on, live in the terminal.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tool/show_lists.h"
#include "tool/signals.h"
#include "tool/terminal.h"
#include "tool/tool.h"

#define PERIOD_MS 2000
#define PATIENCE_S 10

/* What stands on the screen below the head: the rows of each part at most, and the lines that it takes besides: its
 * heading, a blank line, what is said of it. */
enum { SCOPES, LIMITS, REFUSED, BUSIEST, PARTS };
static const size_t most_rows[PARTS] = {[SCOPES] = 6, [LIMITS] = 6, [REFUSED] = 5, [BUSIEST] = 5};
static const size_t other_lines[PARTS] = {[SCOPES] = 3, [LIMITS] = 2, [REFUSED] = 3, [BUSIEST] = 3};

struct top {
    struct tool *tool;
    struct client *client;
    struct client_watch watch;
    json_t *before, *now; /* two looks at /status.json; NULL: none yet */
    char error[CLIENT_ERROR_SIZE];
    bool ended, resized;
};

/* Gives the terminal back while we are stopped. */
static void stop(struct top *top)
{
    terminal_close();
    raise(SIGSTOP);
    top->ended = !terminal_open();
    top->resized = true;
}

/* Takes what signals and keys say. False when that is the end. */
static bool goes_on(void *context)
{
    struct top *top = context;
    int number;
    char key;

    while (!top->ended && (number = signals_take()) != 0) {
        if (number == SIGTSTP)
            stop(top);
        else if (number == SIGWINCH || number == SIGCONT)
            top->resized = true;
        else
            top->ended = true;
    }
    while (!top->ended && (key = terminal_key()) != '\0')
        top->ended = key == 'q' || key == 'Q' || key == 4;
    return !top->ended;
}

/* One look at the daemon. False when there is none to be had; top->error says why. */
static bool look(struct top *top)
{
    const struct question question = {.page = "/status.json", .patience_s = PATIENCE_S, .watch = &top->watch};
    struct answer answer;

    enum client_result result = client_ask(top->client, &question, &answer, top->error);
    if (result != CLIENT_ANSWERED)
        return false;
    json_t *status = json_loadb(answer.body, answer.size, 0, NULL);
    bool good = answer.status == 200 && field_object(status, "sessions") && field_number(status, "now") >= 0;
    free(answer.body);
    if (!good) {
        snprintf(top->error, sizeof top->error, "tidegated's answer (HTTP status %ld) means nothing to us",
                 answer.status);
        json_decref(status);
        return false;
    }
    json_decref(top->before);
    top->before = top->now;
    top->now = status;
    return true;
}

/* The numbers of the same limit in the look before; NULL: it was not there. */
static const json_t *limit_before(const struct top *top, const char *name)
{
    const json_t *limits = field_list(top->before, "limits"), *limit;
    size_t i;

    json_array_foreach(limits, i, limit)
    {
        if (strcmp(field_text(limit, "limit"), name) == 0)
            return limit;
    }
    return NULL;
}

/* How long it was between the two looks; 0 when they cannot be compared: there is one alone, or the daemon is
 * another. */
static double between(const struct top *top)
{
    if (!top->before || field_number(top->before, "started") != field_number(top->now, "started"))
        return 0;
    double seconds = field_number(top->now, "now") - field_number(top->before, "now");
    return seconds > 0 ? seconds : 0;
}

static void rate_cell(struct grid *grid, double now, double before, double seconds)
{
    double rate = seconds > 0 && now > before ? (now - before) / seconds : 0;

    if (seconds > 0 && before >= 0)
        grid_cell(grid, rate > 0 ? STYLE_BAD : STYLE_PLAIN, "%.1f", rate);
    else
        grid_cell(grid, STYLE_PLAIN, "-");
}

struct limit_rate {
    const json_t *limit, *before;
    double rate, total;
};

/* The fastest first, then those with the most. */
static int compare_rates(const void *left, const void *right)
{
    const struct limit_rate *a = left, *b = right;

    if (a->rate != b->rate)
        return a->rate < b->rate ? 1 : -1;
    return (a->total < b->total) - (a->total > b->total);
}

/* The limits that have refused anything, or would have: a new array, and how many. */
static struct limit_rate *rate_limits(const struct top *top, size_t *found)
{
    const json_t *limits = field_list(top->now, "limits"), *limit;
    struct limit_rate *rates = text_memory(NULL, json_array_size(limits) * sizeof *rates);
    size_t count = 0, i;

    json_array_foreach(limits, i, limit)
    {
        const json_t *before = limit_before(top, field_text(limit, "limit"));
        double total = field_number(limit, "refused") + field_number(limit, "monitored");
        double old = field_number(before, "refused") + field_number(before, "monitored");
        if (total > 0)
            rates[count++] = (struct limit_rate){limit, before, before ? total - old : 0, total};
    }
    if (count > 1)
        qsort(rates, count, sizeof *rates, compare_rates);
    *found = count;
    return rates;
}

static void show_rates(const struct top *top, const struct screen *screen, const struct limit_rate *rates, size_t rows)
{
    static const struct column columns[] = {
        {.heading = "LIMIT", .cut = true},       {.heading = "REFUSED/S", .right = true},
        {.heading = "REFUSED", .right = true},   {.heading = "MONITORED/S", .right = true},
        {.heading = "MONITORED", .right = true}, {.heading = "BANS BEGUN", .right = true}};
    struct grid *grid = grid_new(columns, 6);
    double seconds = between(top);

    for (size_t i = 0; i < rows; i++) {
        const json_t *limit = rates[i].limit, *before = rates[i].before;
        grid_cell(grid, STYLE_PLAIN, "%s", field_text(limit, "limit"));
        rate_cell(grid, field_number(limit, "refused"), field_number(before, "refused"), seconds);
        grid_number(grid, field_number(limit, "refused"));
        rate_cell(grid, field_number(limit, "monitored"), field_number(before, "monitored"), seconds);
        grid_number(grid, field_number(limit, "monitored"));
        grid_number(grid, field_number(limit, "bans"));
    }
    grid_put(grid, screen);
    grid_free(&grid);
}

static void show_head(const struct top *top, const struct screen *screen)
{
    const json_t *sessions = field_object(top->now, "sessions"), *bans = field_object(top->now, "bans");
    bool monitor = strcmp(field_text(top->now, "mode"), "monitor") == 0;
    char up[TEXT_DURATION_SIZE], clock[16] = "";
    time_t when = (time_t)field_number(top->now, "now");
    double seconds = between(top);
    struct tm local;

    if (localtime_r(&when, &local))
        strftime(clock, sizeof clock, "%H:%M:%S", &local);
    screen_cut(screen, "tidegated %s  %s  %s, up %s  (q ends)", field_text(top->now, "version"), clock,
               monitor ? "only monitoring" : "blocking",
               text_duration(field_number(top->now, "now") - field_number(top->now, "started"), up));

    double connects = field_number(field_object(top->now, "events"), "connect");
    double before = field_number(field_object(top->before, "events"), "connect");
    char rate[32] = "-";
    if (seconds > 0 && connects >= before)
        snprintf(rate, sizeof rate, "%.1f", (connects - before) / seconds);
    screen_say(screen, 2, "%.0f sessions open, %s connections/s, %.0f bans by limits, %.0f by an administrator",
               field_number(sessions, "open"), rate, field_number(bans, "limits"), field_number(bans, "operator"));
    if (*top->error) {
        style_begin(screen, STYLE_BAD);
        screen_say(screen, 2, "no news: %s", top->error);
        style_end(screen, STYLE_BAD);
    }
}

/* Shares out the lines of the screen: to each part that has anything to show a row in turn, as long as there are any.
 * Scopes without sessions come last of all. A part for which there is no room gets none. */
static void share_out(size_t lines, const size_t wanted[PARTS], size_t scopes, size_t rows[PARTS])
{
    size_t before = 0;

    for (size_t part = 0; part < PARTS; part++) {
        rows[part] = 0;
        if (wanted[part] > 0 && lines > other_lines[part]) {
            rows[part] = 1;
            lines -= other_lines[part] + 1;
        }
    }
    while (lines > 0 && lines != before) {
        before = lines;
        for (size_t part = 0; part < PARTS; part++)
            if (lines > 0 && rows[part] > 0 && rows[part] < wanted[part] && rows[part] < most_rows[part]) {
                rows[part]++;
                lines--;
            }
    }
    for (; lines > 0 && rows[SCOPES] > 0 && rows[SCOPES] < scopes && rows[SCOPES] < most_rows[SCOPES]; lines--)
        rows[SCOPES]++;
}

static void show_list(const char *title, const json_t *clients, const struct screen *screen, size_t rows)
{
    if (rows == 0)
        return;
    fprintf(screen->out, "\n%s, in the last hour:\n", title);
    show_clients(clients, screen, rows);
}

static void show_parts(const struct top *top, const struct screen *screen, size_t lines)
{
    const json_t *clients = field_object(top->now, "clients");
    const json_t *busiest = field_list(clients, "busiest"), *refused = field_list(clients, "refused");
    size_t limits, scopes = json_array_size(field_list(top->now, "scopes")), in_use = scopes_in_use(top->now);
    struct limit_rate *rates = rate_limits(top, &limits);
    const size_t wanted[PARTS] = {[SCOPES] = scopes > 0 && in_use == 0 ? 1 : in_use,
                                  [LIMITS] = limits > 0 ? limits : 1,
                                  [REFUSED] = json_array_size(refused),
                                  [BUSIEST] = json_array_size(busiest)};
    size_t rows[PARTS];

    share_out(lines, wanted, scopes, rows);
    if (rows[SCOPES] > 0) {
        fputc('\n', screen->out);
        show_scopes(top->now, screen, rows[SCOPES]);
    }
    if (rows[LIMITS] > 0) {
        fputc('\n', screen->out);
        if (limits > 0)
            show_rates(top, screen, rates, rows[LIMITS]);
        else
            fputs("No limit has refused anything yet.\n", screen->out);
    }
    free(rates);
    show_list("Most refused", refused, screen, rows[REFUSED]);
    show_list("Busiest", busiest, screen, rows[BUSIEST]);
}

/* Draws what is known. False when the terminal cannot be written. */
static bool draw(struct top *top)
{
    struct screen screen = top->tool->screen;
    char *text = NULL;
    size_t size = 0, rows, taken = 0;

    terminal_size(&rows, &screen.width);
    screen.out = open_memstream(&text, &size);
    if (!screen.out)
        return false;
    show_head(top, &screen);
    fflush(screen.out);
    for (size_t i = 0; i < size; i++)
        taken += text[i] == '\n';
    show_parts(top, &screen, rows > taken ? rows - taken : 0);
    bool shown = fclose(screen.out) == 0 && terminal_show(text, rows);
    free(text);
    return shown;
}

static int64_t milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the next look; draws anew when the terminal has another size. */
static void pause_until(struct top *top, int64_t next)
{
    struct pollfd fds[] = {{.fd = top->watch.fds[0], .events = POLLIN}, {.fd = top->watch.fds[1], .events = POLLIN}};
    int64_t left;

    while (!top->ended && (left = next - milliseconds()) > 0) {
        if (poll(fds, 2, (int)left) < 0 && errno != EINTR)
            return;
        goes_on(top);
        if (top->resized && !top->ended) {
            top->resized = false;
            draw(top);
        }
    }
}

/* A daemon that does not answer now may do so again. */
static int run(struct top *top)
{
    bool drawn = true;

    while (!top->ended && drawn) {
        int64_t next = milliseconds() + PERIOD_MS;
        drawn = draw(top);
        pause_until(top, next);
        if (!top->ended)
            look(top);
    }
    return drawn ? EX_OK : EX_IOERR;
}

int tool_top(struct tool *tool)
{
    struct top top = {.tool = tool, .watch = {.fds = {-1, -1}, .goes_on = goes_on, .context = &top}};

    if (tool->json)
        return tool_usage("top is for people; tidegate --json status is for programs");
    int status = tool_find_socket(tool);
    if (status != EX_OK)
        return status;
    if (!terminal_open())
        return EX_USAGE;
    top.watch.fds[0] = signals_open();
    top.watch.fds[1] = STDIN_FILENO;
    top.client = client_new(tool->socket);
    bool ready = top.client && top.watch.fds[0] >= 0;
    bool answered = ready && look(&top);
    if (answered)
        status = run(&top);
    terminal_close();
    if (!answered && !top.ended) {
        tool_complain("%s", ready ? top.error : strerror(errno));
        status = EX_UNAVAILABLE;
    }
    client_free(&top.client);
    json_decref(top.before);
    json_decref(top.now);
    return status;
}
