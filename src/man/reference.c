/*
 * reference.c: makes tidegate.conf(5), with its reference of sections, options and limits out of the tables that feed
 * the parser.
 *
 *     reference <tidegate.conf.5.in >tidegate.conf.5
 *
 * Copies the page and puts the reference in the place of the lines "@sections@", "@options GROUP@", "@limits@"
 * and "@matrix@". Runs at make, never on a user's machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "config/values.h"

/* ---- roff ---- */

/* The text, each sentence on a line of its own, as mdoc wants it, and nothing in it taken for a request. */
static void put_text(const char *text)
{
    bool begins = true;

    for (const char *c = text; *c != '\0'; c++) {
        if (begins && (*c == '.' || *c == '\''))
            fputs("\\&", stdout);
        begins = false;
        if (*c == '\\') {
            fputs("\\e", stdout);
        } else if (*c == '.' && c[1] == ' ') {
            fputs(".\n", stdout);
            begins = true;
            c++;
        } else {
            putchar(*c);
        }
    }
    putchar('\n');
}

/* The text as one argument of a macro. */
static void put_argument(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++)
        if (*text == '"')
            fputs("\\(dq", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
    putchar('"');
}

/* "a", "a and b", "a, b and c": whatever put() writes for each number that is in the set. */
static void put_set(unsigned set, unsigned end, void (*put)(unsigned number))
{
    unsigned left = 0;

    for (unsigned i = 0; i < end; i++)
        left += set >> i & 1;
    for (unsigned i = 0; i < end; i++)
        if ((set >> i & 1) != 0) {
            put(i);
            left--;
            fputs(left == 0 ? "" : left == 1 ? " and " : ", ", stdout);
        }
}

/* ---- sections ---- */

static void put_place(unsigned section)
{
    fputs(section_place(&section_table[section]), stdout);
}

static void put_sections(void)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = SECTION_TOP + 1; i < SECTION_COUNT; i++) {
        const struct section_row *section = &section_table[i];

        printf(".It Ic %s", section->name);
        if (section->title != NULL) {
            fputs(" Ar ", stdout);
            put_argument(section->title);
        }
        fputs(" No \\(lC ... \\(rC\n", stdout);
        put_text(section->text);
        fputs(".br\nStands in ", stdout);
        put_set(section->where, SECTION_COUNT, put_place);
        puts(section->many ? ", any number of times." : ", once.");
        if (section->alias != NULL)
            printf(".br\nAlso written\n.Ic %s .\n", section->alias);
    }
    puts(".El");
}

/* ---- options ---- */

/* The parts that the options are told in. Each option belongs to the first that has it. */
enum option_group { GROUP_SOCKETS, GROUP_LIMITS, GROUP_LISTS, GROUP_SERVICE, GROUP_SCOPES, GROUP_COUNT };
static const char *const group_names[GROUP_COUNT] = {
    [GROUP_SOCKETS] = "sockets", [GROUP_LIMITS] = "limits", [GROUP_LISTS] = "lists",
    [GROUP_SERVICE] = "service", [GROUP_SCOPES] = "scopes",
};

static enum option_group group_of(const struct option_row *option)
{
    if (option->target == TO_SOCKET)
        return GROUP_SOCKETS;
    if ((option->where & (IN(SECTION_LIMIT) | IN(SECTION_KEY))) != 0)
        return GROUP_LIMITS;
    if ((option->where & (IN(SECTION_DENY) | IN(SECTION_EXEMPT) | IN(SECTION_REPUTATION))) != 0)
        return GROUP_LISTS;
    return option->where == IN(SECTION_TOP) ? GROUP_SERVICE : GROUP_SCOPES;
}

static const char *type_name(enum option_type type)
{
    switch (type) {
    case TYPE_COUNT:
        return "number";
    case TYPE_BITS:
        return "bits";
    case TYPE_DURATION:
        return "duration";
    case TYPE_BOOL:
        return "yes-or-no";
    case TYPE_WORD:
        return "word";
    case TYPE_PERMISSIONS:
        return "octal";
    case TYPE_NAME:
        return "name";
    case TYPE_PATH:
    case TYPE_FILE:
    case TYPE_UNIX:
        return "path";
    case TYPE_TCP:
        return "address";
    case TYPE_SOCKET:
        return "socket";
    case TYPE_REPLY:
        return "reply";
    case TYPE_LIST:
        return "list";
    }
    abort();
}

/* "; 0 to 365d", "; helo or connect"; nothing where the type says it all. */
static void put_range(const struct option_row *option)
{
    char from[DURATION_TEXT_SIZE], to[DURATION_TEXT_SIZE];

    if (option->type == TYPE_COUNT || option->type == TYPE_BITS)
        printf("; %" PRId64 " to %" PRId64, option->min, option->max);
    else if (option->type == TYPE_DURATION)
        printf("; %s to %s", duration_format(option->min, from), duration_format(option->max, to));
    else if (option->type == TYPE_WORD)
        for (const char *const *word = option->words; *word != NULL; word++)
            printf("%s%s", word == option->words ? "; " : word[1] == NULL ? " or " : ", ", *word);
    else if (option->type == TYPE_BOOL)
        fputs("; yes or no", stdout);
}

/* A term of a limit in the words of the configuration. */
static void put_term(const struct option_row *option, int64_t value)
{
    char text[DURATION_TEXT_SIZE];

    if (option->type == TYPE_DURATION)
        fputs(duration_format(value, text), stdout);
    else if (option->type == TYPE_WORD)
        fputs(option->words[value], stdout);
    else
        printf("%" PRId64, value);
}

static void put_default(const struct option_row *option)
{
    if (option->initial != NULL) {
        printf(option->type == TYPE_PERMISSIONS ? "Default \\(dq%s\\(dq" : "Default %s", option->initial);
    } else if (option->target == TO_TERM && limit_custom_defaults[option->number] != TERM_UNSET &&
               option->number != TERM_WINDOW) {
        fputs("Default ", stdout);
        put_term(option, limit_custom_defaults[option->number]);
    } else if (option->type == TYPE_BOOL) {
        fputs("Default no", stdout);
    } else {
        fputs("No default", stdout);
    }
}

static void put_option(const struct option_row *option)
{
    printf(".It Ic %s No = Ar %s\n", option->name, type_name(option->type));
    put_text(option->text);
    fputs(".br\n", stdout);
    put_default(option);
    put_range(option);
    fputs(".\n.br\nIn ", stdout);
    put_set(option->where, SECTION_COUNT, put_place);
    puts(option->needs_restart ? "; needs a restart." : ".");
}

static void put_options(enum option_group group)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (group_of(&option_table[i]) == group)
            put_option(&option_table[i]);
    puts(".El");
}

/* ---- limits ---- */

static void put_event(unsigned event)
{
    static const char *const names[EVENT_KINDS] = {
        [EVENT_CONNECT] = "connect",
        [EVENT_HELO] = "HELO",
        [EVENT_MAIL] = "MAIL",
        [EVENT_RCPT] = "RCPT",
        [EVENT_DATA] = "DATA",
        [EVENT_UNKNOWN] = "an unknown command",
        [EVENT_MESSAGE] = "the end of a message",
        [EVENT_ABORT] = "the end of a transaction",
        [EVENT_REJECTED] = "recipients that the mail server has rejected",
    };
    fputs(names[event], stdout);
}

/* Every term of a built-in limit that is not what a limit of one's own would have. */
static void put_limit(const struct limit_builtin *limit)
{
    printf(".It Ic %s\n", limit->name);
    put_text(limit->text);
    printf(".br\ncount = %s per = %s", limit_count_name(limit->count), limit_per_name(limit->per));
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *option = &option_table[i];

        if (option->target != TO_TERM || (option->where & IN(SECTION_LIMIT)) == 0 ||
            limit->value[option->number] == limit_custom_defaults[option->number])
            continue;
        printf(" %s = ", option->name);
        put_term(option, limit->value[option->number]);
    }
    fputs("\n.br\nJudged at ", stdout);
    put_set(limit_events(limit->count, limit->per), EVENT_KINDS, put_event);
    puts(".");
}

static void put_limits(void)
{
    puts(".Bl -tag -width Ds");
    for (size_t i = 0; i < LIMITS_BUILTIN; i++)
        put_limit(&limit_builtins[i]);
    puts(".El");
}

static void put_per(unsigned per)
{
    fputs(limit_per_name((enum limit_per)per), stdout);
}

static void put_matrix(void)
{
    puts(".Bl -tag -width unknown_commands");
    for (int count = 0; count < COUNT_KINDS; count++) {
        unsigned pers = 0;

        for (int per = 0; per < PER_KINDS; per++)
            pers |= (unsigned)limit_fits((enum limit_count)count, (enum limit_per)per) << per;
        printf(".It Cm %s\n", limit_count_name((enum limit_count)count));
        put_set(pers, PER_KINDS, put_per);
        putchar('\n');
    }
    puts(".El");
}

/* ---- the page ---- */

/* Puts the part of the reference that the line names; false: it names none. */
static bool put_part(const char *line)
{
    if (strcmp(line, "@sections@\n") == 0)
        put_sections();
    else if (strcmp(line, "@limits@\n") == 0)
        put_limits();
    else if (strcmp(line, "@matrix@\n") == 0)
        put_matrix();
    else
        for (enum option_group group = 0;; group++) {
            char name[40];

            if (group == GROUP_COUNT)
                return false;
            snprintf(name, sizeof name, "@options %s@\n", group_names[group]);
            if (strcmp(line, name) == 0) {
                put_options(group);
                break;
            }
        }
    return true;
}

int main(void)
{
    char line[1000];

    while (fgets(line, sizeof line, stdin) != NULL)
        if (line[0] != '@') {
            fputs(line, stdout);
        } else if (!put_part(line)) {
            fprintf(stderr, "reference: the page has a line that is none of ours: %s", line);
            return EXIT_FAILURE;
        }
    return ferror(stdin) == 0 && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
