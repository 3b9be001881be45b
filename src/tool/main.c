/*
 * main.c: the command line of tidegate, the tool.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "build-config.h"
#include "config/config.h"
#include "config/suggest.h"
#include "tool/tool.h"

/* Narrower terminals get lines of this many columns all the same. */
#define NARROWEST 40

/* What getopt_long() returns; those of commands are OPTION_OF_COMMAND + enum tool_option. */
enum { OPTION_SOCKET_PATH = 256, OPTION_JSON, OPTION_OF_COMMAND };

#define OPTION_ROWS 10

static const struct option option_rows[OPTION_ROWS + 1] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"socket", required_argument, NULL, OPTION_SOCKET_PATH},
    {"json", no_argument, NULL, OPTION_JSON},
    {"sort", required_argument, NULL, OPTION_OF_COMMAND + TOOL_SORT},
    {"count", required_argument, NULL, OPTION_OF_COMMAND + TOOL_COUNT},
    {"limit", required_argument, NULL, OPTION_OF_COMMAND + TOOL_LIMIT},
    {"since", required_argument, NULL, OPTION_OF_COMMAND + TOOL_SINCE},
    {"listen", required_argument, NULL, OPTION_OF_COMMAND + TOOL_LISTEN},
    {"daemon-name", required_argument, NULL, OPTION_OF_COMMAND + TOOL_DAEMON_NAME},
    {NULL, 0, NULL, 0},
};

static int unknown_command(const char *name)
{
    struct suggestion suggestion;

    suggest_begin(&suggestion, name);
    for (const struct command *command = commands; command->name; command++)
        suggest_consider(&suggestion, command->name);
    if (suggestion.best)
        return tool_usage("%s: no such command; is %s meant? (tidegate help lists them)", name, suggestion.best);
    return tool_usage("%s: no such command; tidegate help lists them", name);
}

/* What is wrong with the option that getopt_long() has just refused. */
static int bad_option(int option, char **argv, int index)
{
    const char *word = argv[index > 0 ? index - 1 : 0];

    if (option == ':')
        return tool_usage("%s: a value must follow", word);
    if (optopt != 0 && optopt < 256 && word[1] != '-')
        return tool_usage("-%c: no such option; tidegate --help lists them", optopt);
    return tool_usage("%s: no such option; tidegate --help lists them", word);
}

static const char *long_name(int value)
{
    const struct option *row = option_rows;

    while (row->val != value)
        row++;
    return row->name;
}

/* An empty value is none, whichever option it is of: a variable of the caller's is not set. */
static int empty_value(int option)
{
    if (option < OPTION_SOCKET_PATH)
        return tool_usage("-%c: a value must follow", option);
    return tool_usage("--%s: a value must follow", long_name(option));
}

enum { GO_ON = -1 };

/* One option. GO_ON, or what to exit with. */
static int take_option(struct tool *tool, const struct command *command, int option, char **argv)
{
    if (optarg && !*optarg)
        return empty_value(option);
    switch (option) {
    case 'c':
        tool->file = optarg;
        tool->file_given = true;
        return GO_ON;
    case 'h':
        if (command)
            help_command(command, stdout);
        else
            help_all(stdout);
        return EX_OK;
    case 'V':
        puts("tidegate " PACKAGE_VERSION);
        return EX_OK;
    case 'n':
        option = OPTION_OF_COMMAND + TOOL_COUNT;
        break;
    case OPTION_SOCKET_PATH:
        free(tool->socket);
        tool->socket = text_copy(optarg);
        return GO_ON;
    case OPTION_JSON:
        tool->json = true;
        return GO_ON;
    case '?':
    case ':':
        return bad_option(option, argv, optind);
    default:
        break;
    }
    int number = option - OPTION_OF_COMMAND;
    if (!command)
        return tool_usage("--%s: that option stands behind a command; tidegate --help says more", long_name(option));
    if (!(command->options & 1u << number))
        return tool_usage("--%s: %s has no such option; tidegate %s --help says more", long_name(option), command->name,
                          command->name);
    tool->option[number] = optarg;
    return GO_ON;
}

/* The options up to the first word that is none (command NULL), or all of them. */
static int take_options(struct tool *tool, const struct command *command, int argc, char **argv)
{
    int option, status = GO_ON;

    while (status == GO_ON &&
           (option = getopt_long(argc, argv, command ? ":c:n:hV" : "+:c:n:hV", option_rows, NULL)) != -1)
        status = take_option(tool, command, option, argv);
    return status;
}

/* Reads the command line. GO_ON and the command, or what to exit with. */
static int take_arguments(struct tool *tool, int argc, char **argv, const struct command **command)
{
    *command = NULL;
    int status = take_options(tool, NULL, argc, argv);
    if (status != GO_ON)
        return status;
    if (optind == argc) {
        help_all(stderr);
        return EX_USAGE;
    }
    const struct command *found = command_find(argv[optind]);
    if (!found)
        return unknown_command(argv[optind]);

    argc -= optind;
    argv += optind;
    optind = 0; /* from the beginning again, in the way of the GNU and BSD libraries */
    status = take_options(tool, found, argc, argv);
    if (status != GO_ON)
        return status;
    tool->words = argv + optind;
    tool->word_count = argc - optind;
    if (tool->word_count < found->least || tool->word_count > found->most)
        return tool_usage("usage: tidegate %s%s%s; tidegate %s --help says more", found->name,
                          *found->arguments ? " " : "", found->arguments, found->name);
    *command = found;
    return GO_ON;
}

static struct screen standard_screen(void)
{
    struct screen screen = {.out = stdout};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    struct winsize size;

    if (isatty(STDOUT_FILENO)) {
        screen.width = 80;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
            screen.width = size.ws_col < NARROWEST ? NARROWEST : size.ws_col;
        screen.colours = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
    }
    return screen;
}

bool tool_reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) > 0 && (out.revents & POLLERR) != 0;
}

/* What was to be said must have been written. Of a reader that has gone nobody needs to be told. */
static int finish(int status)
{
    bool failed = fflush(stdout) != 0;
    int why = errno;

    if (!failed && !ferror(stdout))
        return status;
    if (!tool_reader_gone())
        tool_complain("standard output: %s", failed ? strerror(why) : "not all could be written");
    return EX_IOERR;
}

int tool_help(struct tool *tool)
{
    const struct command *command = tool->word_count > 0 ? command_find(tool->words[0]) : NULL;

    if (tool->word_count == 0)
        help_all(stdout);
    else if (command)
        help_command(command, stdout);
    else
        return unknown_command(tool->words[0]);
    return EX_OK;
}

/* Whatever is opened next would else be taken for a stream that is closed. What is written to these fails. */
static void keep_streams(void)
{
    int null;

    do
        null = open("/dev/null", O_RDONLY);
    while (null >= 0 && null <= STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
}

int main(int argc, char **argv)
{
    struct tool tool = {.file = CONFIG_DEFAULT_PATH};
    const struct command *command;

    keep_streams();
    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    tool.screen = standard_screen();
    int status = take_arguments(&tool, argc, argv, &command);
    if (status == GO_ON)
        status = command->run(&tool);
    free(tool.socket);
    return finish(status);
}
