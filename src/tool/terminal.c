/*
 * terminal.c: the terminal while `top` has it, by the escape sequences that every terminal of today knows.
 */
#include "tool/terminal.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "tool/tool.h"

#define TAKE "\033[?1049h\033[?25l"
#define GIVE_BACK "\033[?25h\033[?1049l"

static struct termios before;
static bool taken, at_exit;

static bool put(const char *text, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, text, size);
        if (written <= 0)
            return false;
        text += written;
        size -= (size_t)written;
    }
    return true;
}

bool terminal_open(void)
{
    const char *term = getenv("TERM");
    struct termios raw;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0) {
        tool_complain("top needs a terminal; status says the same once");
        return false;
    }
    if (!term || !*term || strcmp(term, "dumb") == 0) {
        tool_complain("top needs a terminal whose cursor can be moved (TERM); status says the same once");
        return false;
    }
    raw = before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    if (!at_exit)
        at_exit = atexit(terminal_close) == 0;
    taken = tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) == 0 && put(TAKE, strlen(TAKE));
    return taken;
}

void terminal_close(void)
{
    if (!taken)
        return;
    taken = false;
    put(GIVE_BACK, strlen(GIVE_BACK));
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
}

void terminal_size(size_t *rows, size_t *columns)
{
    struct winsize size = {0};

    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *rows = size.ws_row > 0 ? size.ws_row : 24;
    *columns = size.ws_col > 0 ? size.ws_col : 80;
}

/* Each line is written over the old one and the rest of it cleared, so that nothing flickers. */
bool terminal_show(const char *text, size_t rows)
{
    char *frame = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&frame, &size);

    if (!out)
        return false;
    fputs("\033[H", out);
    for (size_t row = 0; row < rows && *text; row++) {
        size_t length = strcspn(text, "\n");
        fprintf(out, "%s%.*s\033[K", row > 0 ? "\r\n" : "", (int)length, text);
        text += length + (text[length] == '\n');
    }
    fputs("\033[J", out);
    bool shown = fclose(out) == 0 && put(frame, size);
    free(frame);
    return shown;
}

char terminal_key(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;

    if (poll(&in, 1, 0) <= 0)
        return '\0';
    return read(STDIN_FILENO, &key, 1) == 1 ? key : 4;
}
