/*
 * text.c: texts for a terminal.
 */
#include "tool/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <wchar.h>
#include <wctype.h>

static void out_of_memory(void)
{
    fputs("tidegate: out of memory\n", stderr);
    exit(EX_SOFTWARE);
}

void *text_memory(void *old, size_t size)
{
    void *memory = realloc(old, size > 0 ? size : 1);

    if (!memory)
        out_of_memory();
    return memory;
}

char *text_copy(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(text_memory(NULL, size), text, size);
}

char *text_print_list(const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        out_of_memory();

    char *text = text_memory(NULL, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, arguments);
    return text;
}

char *text_print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = text_print_list(format, arguments);
    va_end(arguments);
    return text;
}

/* The character at `text`: how many bytes it has (at least 1; 0 at the end) and how many columns it takes, 0 when it
 * must not be shown as it is. */
static size_t character(const char *text, size_t *columns)
{
    mbstate_t state = {0};
    wchar_t wide;
    size_t length = mbrtowc(&wide, text, strlen(text) + 1, &state);

    *columns = 0;
    if (length == 0)
        return 0;
    if (length == (size_t)-1 || length == (size_t)-2)
        return 1;
    int width = iswprint((wint_t)wide) ? wcwidth(wide) : 0;
    if (width > 0)
        *columns = (size_t)width;
    return length;
}

char *text_clean(const char *text)
{
    char *clean = text_memory(NULL, 4 * strlen(text) + 1), *to = clean;
    size_t columns, length;

    for (; (length = character(text, &columns)) > 0; text += length) {
        if (columns > 0) {
            memcpy(to, text, length);
            to += length;
            continue;
        }
        for (size_t i = 0; i < length; i++)
            to += sprintf(to, "\\x%02x", (unsigned char)text[i]);
    }
    *to = '\0';
    return clean;
}

/* How many bytes of the harmless text fit into `width` columns, and how many columns they take. */
static size_t fitting(const char *clean, size_t width, size_t *taken)
{
    size_t bytes = 0, columns, length;

    *taken = 0;
    while ((length = character(clean + bytes, &columns)) > 0 && *taken + columns <= width) {
        bytes += length;
        *taken += columns;
    }
    return bytes;
}

size_t text_width(const char *clean)
{
    size_t taken;

    fitting(clean, SIZE_MAX / 2, &taken);
    return taken;
}

size_t text_put_cut(const char *clean, size_t width, FILE *out)
{
    size_t taken, bytes = fitting(clean, width, &taken);
    size_t dots = width < 3 ? width : 3;

    if (clean[bytes] == '\0') {
        fputs(clean, out);
        return taken;
    }
    bytes = fitting(clean, width - dots, &taken);
    fprintf(out, "%.*s%.*s", (int)bytes, clean, (int)dots, "...");
    return taken + dots;
}

size_t text_put_tail(const char *clean, size_t width, FILE *out)
{
    size_t left = text_width(clean), dots = width < 3 ? width : 3, columns;

    if (left <= width)
        return text_put_cut(clean, width, out);
    while (left > width - dots) {
        clean += character(clean, &columns);
        left -= columns;
    }
    fprintf(out, "%.*s%s", (int)dots, "...", clean);
    return left + dots;
}

/* One line's worth of the harmless text: how many bytes, up to a blank where there is one. */
static size_t line_of(const char *clean, size_t width)
{
    size_t taken, bytes = fitting(clean, width, &taken), broken = bytes;
    size_t columns;

    if (clean[bytes] == '\0' || clean[bytes] == ' ')
        return bytes;
    while (broken > 0 && clean[broken - 1] != ' ')
        broken--;
    while (broken > 0 && clean[broken - 1] == ' ')
        broken--;
    if (broken > 0)
        return broken;
    return bytes > 0 ? bytes : character(clean, &columns);
}

void text_put_wrapped(const char *text, size_t width, size_t indent, FILE *out)
{
    char *clean = text_clean(text);
    const char *rest = clean;
    size_t room = width;

    while (width > 0 && *rest) {
        size_t bytes = line_of(rest, room);
        fprintf(out, "%.*s", (int)bytes, rest);
        rest += bytes;
        rest += strspn(rest, " ");
        if (*rest)
            fprintf(out, "\n%*s", (int)indent, "");
        room = width > indent ? width - indent : 1;
    }
    fprintf(out, "%s\n", rest);
    free(clean);
}

const char *text_duration(double seconds, char out[TEXT_DURATION_SIZE])
{
    if (!(seconds >= 0 && seconds < 1e15)) {
        snprintf(out, TEXT_DURATION_SIZE, "-");
        return out;
    }
    int64_t whole = (int64_t)seconds;
    int64_t days = whole / 86400, hours = whole / 3600 % 24, minutes = whole / 60 % 60, rest = whole % 60;
    if (days > 0)
        snprintf(out, TEXT_DURATION_SIZE, "%" PRId64 "d %" PRId64 "h", days, hours);
    else if (hours > 0)
        snprintf(out, TEXT_DURATION_SIZE, "%" PRId64 "h %" PRId64 "m", hours, minutes);
    else if (minutes > 0)
        snprintf(out, TEXT_DURATION_SIZE, "%" PRId64 "m %" PRId64 "s", minutes, rest);
    else
        snprintf(out, TEXT_DURATION_SIZE, whole == 0 && seconds > 0 ? "<1s" : "%" PRId64 "s", rest);
    /* "2h", not "2h 0m". */
    char *second = strchr(out, ' ');
    if (second && second[1] == '0')
        *second = '\0';
    return out;
}

const char *text_bar(double part, double whole, size_t width, char out[TEXT_BAR_MAX + 3])
{
    if (width > TEXT_BAR_MAX)
        width = TEXT_BAR_MAX;
    double share = whole > 0 && part > 0 ? part / whole : 0;
    size_t filled = share >= 1 ? width : (size_t)(share * (double)width);
    if (filled == 0 && share > 0 && width > 1)
        filled = 1;

    out[0] = '[';
    memset(out + 1, '#', filled);
    memset(out + 1 + filled, '.', width - filled);
    strcpy(out + 1 + width, "]");
    return out;
}
