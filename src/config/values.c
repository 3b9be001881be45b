/*
 * values.c: the texts of values, read and written.
 */
#include "config/values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SECOND INT64_C(1000000000)

#define DIGITS "0123456789"

bool value_refuse(char why[VALUE_WHY_SIZE], const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, VALUE_WHY_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* Reads the decimal digits that `text` begins with. Returns how many there are; *out saturates. */
static size_t read_digits(const char *text, int64_t *out)
{
    size_t length = strspn(text, DIGITS);
    int64_t value = 0;

    for (size_t i = 0; i < length; i++) {
        int digit = text[i] - '0';

        value = value > (INT64_MAX - digit) / 10 ? INT64_MAX : value * 10 + digit;
    }
    *out = value;
    return length;
}

/* The mistakes that numbers and durations have in common; `form` says what would be right. */
static bool refuse_number(const char *text, const char *form, char why[VALUE_WHY_SIZE])
{
    const char *after_sign = text + 1;
    size_t digits = strspn(text, DIGITS);

    if (text[0] == '\0')
        return value_refuse(why, "nothing is given; write %s", form);
    if (text[0] == '-' && strspn(after_sign, DIGITS) > 0)
        return value_refuse(why, "\"%.40s\" is negative; write %s", text, form);
    if (text[0] == '+' && strspn(after_sign, DIGITS) > 0)
        return value_refuse(why, "\"%.40s\" has a sign; write %.40s", text, after_sign);
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
        return value_refuse(why, "\"%.40s\" is not decimal; write %s", text, form);
    if (text[0] == '0' && digits > 1) {
        size_t zeros = strspn(text, "0");

        if (text[zeros] < '0' || text[zeros] > '9')
            zeros--;
        return value_refuse(why, "\"%.40s\" has a leading zero, numbers are decimal; write %.40s", text, text + zeros);
    }
    if (digits > 0 && (text[digits] == '.' || text[digits] == ','))
        return value_refuse(why, "\"%.40s\" is no whole number; write %s", text, form);
    return value_refuse(why, "\"%.40s\" is no number; write %s", text, form);
}

static bool is_plain_number(const char *text, size_t digits)
{
    return digits > 0 && (text[0] != '0' || digits == 1);
}

bool value_count(const char *text, int64_t min, int64_t max, int64_t *out, char why[VALUE_WHY_SIZE])
{
    char form[80];
    int64_t value;
    size_t digits = read_digits(text, &value);

    snprintf(form, sizeof form, "a whole number from %" PRId64 " to %" PRId64, min, max);
    if (!is_plain_number(text, digits) || text[digits] != '\0')
        return refuse_number(text, form, why);
    if (value < min)
        return value_refuse(why, "%.40s is too small; write %s", text, form);
    if (value > max)
        return value_refuse(why, "%.40s is too large; write %s", text, form);
    *out = value;
    return true;
}

static int64_t unit_seconds(char unit)
{
    switch (unit) {
    case 's':
        return 1;
    case 'm':
        return 60;
    case 'h':
        return 3600;
    case 'd':
        return 86400;
    default:
        return 0;
    }
}

bool value_duration(const char *text, int64_t min, int64_t max, int64_t *out, char why[VALUE_WHY_SIZE])
{
    static const char form[] = "a whole number with s, m, h or d, as 90s or 5m; a bare number is seconds";
    char low[DURATION_TEXT_SIZE], high[DURATION_TEXT_SIZE];
    int64_t value, unit;
    size_t digits = read_digits(text, &value);

    if (!is_plain_number(text, digits))
        return refuse_number(text, form, why);
    unit = text[digits] == '\0' ? 1 : unit_seconds(text[digits]);
    if (unit == 0 || (text[digits] != '\0' && text[digits + 1] != '\0'))
        return strchr(".,xX", text[digits]) != NULL
                   ? refuse_number(text, form, why)
                   : value_refuse(why, "\"%.40s\" is no duration; write %s", text, form);
    if (value > max / SECOND / unit)
        return value_refuse(why, "%.40s is too long; write %s to %s", text, duration_format(min, low),
                            duration_format(max, high));
    value *= unit * SECOND;
    if (value < min)
        return value_refuse(why, "%.40s is too short; write %s to %s", text, duration_format(min, low),
                            duration_format(max, high));
    *out = value;
    return true;
}

bool value_bool(const char *text, bool *out, char why[VALUE_WHY_SIZE])
{
    if (strcasecmp(text, "yes") == 0 || strcasecmp(text, "true") == 0 || strcasecmp(text, "on") == 0)
        *out = true;
    else if (strcasecmp(text, "no") == 0 || strcasecmp(text, "false") == 0 || strcasecmp(text, "off") == 0)
        *out = false;
    else
        return value_refuse(why, "\"%.40s\" is neither yes nor no; write one of them", text);
    return true;
}

bool value_word(const char *text, const char *const *words, int64_t *out, char why[VALUE_WHY_SIZE])
{
    char all[200];
    size_t length = 0;

    all[0] = '\0';
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *out = (int64_t)i;
            return true;
        }
        length += (size_t)snprintf(all + length, length < sizeof all ? sizeof all - length : 0, "%s%s",
                                   i == 0                 ? ""
                                   : words[i + 1] == NULL ? " or "
                                                          : ", ",
                                   words[i]);
    }
    return value_refuse(why, "\"%.40s\" is unknown here; write %s", text, all);
}

bool value_number(const struct option_row *option, const char *text, int64_t *out, char why[VALUE_WHY_SIZE])
{
    switch (option->type) {
    case TYPE_DURATION:
        return value_duration(text, option->min, option->max, out, why);
    case TYPE_WORD:
        return value_word(text, option->words, out, why);
    default:
        return value_count(text, option->min, option->max, out, why);
    }
}

bool value_permissions(const char *text, unsigned *out, char why[VALUE_WHY_SIZE])
{
    size_t length = strspn(text, "01234567");
    unsigned value = 0;

    if (length == 0 || text[length] != '\0')
        return value_refuse(why, "\"%.40s\" is no octal mode; write digits from 0 to 7, as \"0660\"", text);
    for (size_t i = 0; i < length; i++) {
        value = value * 8 + (unsigned)(text[i] - '0');
        if (value > 0777)
            return value_refuse(why, "%.40s is too large for a mode; write \"0000\" to \"0777\"", text);
    }
    *out = value;
    return true;
}

bool value_name(const char *text, char why[VALUE_WHY_SIZE])
{
    size_t length = strlen(text);

    if (length == 0)
        return value_refuse(why, "the name is empty; write a word");
    if (length >= VALUE_NAME_SIZE)
        return value_refuse(why, "\"%.40s...\" is too long; write at most %d characters", text, VALUE_NAME_SIZE - 1);
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"\\=[]{}", c) != NULL)
            return value_refuse(
                why, "\"%.100s\" cannot be shown in a log line; write letters, digits and . : _ - + / @, no blanks",
                text);
    }
    return true;
}

bool value_path(const char *text, char why[VALUE_WHY_SIZE])
{
    if (text[0] == '\0')
        return value_refuse(why, "the path is empty; write an absolute path");
    if (text[0] != '/')
        return value_refuse(why, "\"%.100s\" is no absolute path; write one that begins with /", text);
    return true;
}

/* The port that `text` is, or 0 and the reason. */
static uint16_t read_port(const char *text, size_t length, char why[VALUE_WHY_SIZE])
{
    int64_t value;
    size_t digits = read_digits(text, &value);

    if (digits == 0 || digits != length || text[0] == '0' || value > UINT16_MAX) {
        value_refuse(why, "\"%.*s\" is no port; write a decimal number from 1 to 65535", length < 40 ? (int)length : 40,
                     text);
        return 0;
    }
    return (uint16_t)value;
}

static bool read_unix(const char *path, struct socket_name *out, char why[VALUE_WHY_SIZE])
{
    if (!value_path(path, why))
        return false;
    if (strlen(path) >= sizeof out->path)
        return value_refuse(why, "the path is too long for a unix socket; write at most %zu characters",
                            sizeof out->path - 1);
    out->kind = SOCKET_UNIX;
    strcpy(out->path, path);
    return true;
}

static bool read_inet(const char *scheme, const char *rest, struct socket_name *out, char why[VALUE_WHY_SIZE])
{
    const char *at = strchr(rest, '@');
    const char *host, *colon = strrchr(rest, ':');
    size_t length;
    struct addr addr;

    if (at == NULL && colon != NULL && colon != rest && colon[1] != '\0' &&
        colon[1 + strspn(colon + 1, DIGITS)] == '\0')
        return value_refuse(why, "\"%s:%.100s\" has the host first; write \"%s:%.20s@%.*s\"", scheme, rest, scheme,
                            colon + 1, (int)(colon - rest < 80 ? colon - rest : 80), rest);
    if (at == NULL || at[1] == '\0')
        return value_refuse(
            why, "\"%s:%.100s\" does not say where to listen; write \"%s:PORT@HOST\", as \"inet:7357@127.0.0.1\"",
            scheme, rest, scheme);
    out->port = read_port(rest, (size_t)(at - rest), why);
    if (out->port == 0)
        return false;
    host = at + 1;
    length = strlen(host);
    if (host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length == 0 || length >= sizeof out->host || strcspn(host, " \t@[]/") < length)
        return value_refuse(why, "\"%.100s\" is no host; write an address or a host name", at + 1);
    memcpy(out->host, host, length);
    out->host[length] = '\0';
    out->kind = strcmp(scheme, "inet6") == 0 ? SOCKET_INET6 : SOCKET_INET;
    if (out->kind == SOCKET_INET && strchr(out->host, ':') != NULL)
        return value_refuse(why, "\"%.100s\" is no IPv4 address; write \"inet6:%u@%.100s\"", out->host, out->port,
                            out->host);
    if (strspn(out->host, DIGITS ".") == length && (!addr_parse(out->host, &addr) || addr.family != ADDR_IPV4))
        return value_refuse(why, "\"%.100s\" is no address; write one, as 127.0.0.1", out->host);
    if (out->kind == SOCKET_INET6 && strspn(out->host, DIGITS ".") == length)
        return value_refuse(why, "\"%.100s\" is no IPv6 address; write \"inet:%u@%.100s\"", out->host, out->port,
                            out->host);
    if (strchr(out->host, ':') != NULL && !addr_parse(out->host, &addr))
        return value_refuse(why, "\"%.100s\" is no address; write one, as ::1", out->host);
    return true;
}

bool value_socket(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE])
{
    memset(out, 0, sizeof *out);
    if (text[0] == '/')
        return read_unix(text, out, why);
    if (strncmp(text, "unix:", 5) == 0)
        return read_unix(text + 5, out, why);
    if (strncmp(text, "local:", 6) == 0)
        return read_unix(text + 6, out, why);
    if (strncmp(text, "inet:", 5) == 0)
        return read_inet("inet", text + 5, out, why);
    if (strncmp(text, "inet6:", 6) == 0)
        return read_inet("inet6", text + 6, out, why);
    return value_refuse(why, "\"%.100s\" is no socket; write \"inet:PORT@HOST\", \"inet6:PORT@HOST\" or \"unix:PATH\"",
                        text);
}

bool value_unix(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE])
{
    memset(out, 0, sizeof *out);
    return read_unix(strncmp(text, "unix:", 5) == 0 ? text + 5 : text, out, why);
}

bool value_tcp(const char *text, struct socket_name *out, char why[VALUE_WHY_SIZE])
{
    static const char form[] = "\"127.0.0.1:7359\" or \"[::1]:7359\"";
    const char *colon = strrchr(text, ':'), *host = text;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    struct addr addr;

    memset(out, 0, sizeof *out);
    if (length == 0)
        return value_refuse(why, "\"%.100s\" is no address and port; write %s", text, form);
    bool brackets = host[0] == '[' && host[length - 1] == ']';
    if (brackets) {
        host++;
        length -= 2;
    }
    if (length >= ADDR_TEXT_SIZE)
        return value_refuse(why, "\"%.100s\" is no address and port; write %s", text, form);
    memcpy(out->host, host, length);
    out->host[length] = '\0';
    if (!addr_parse(out->host, &addr) || addr.family != (brackets ? ADDR_IPV6 : ADDR_IPV4))
        return value_refuse(why, "\"%.100s\" is no address and port (host names are not looked up); write %s", text,
                            form);
    addr_format(&addr, out->host);
    out->kind = brackets ? SOCKET_INET6 : SOCKET_INET;
    out->port = read_port(colon + 1, strlen(colon + 1), why);
    return out->port != 0;
}

bool value_socket_of(const struct option_row *option, const char *text, struct socket_name *out,
                     char why[VALUE_WHY_SIZE])
{
    return option->type == TYPE_TCP    ? value_tcp(text, out, why)
           : option->type == TYPE_UNIX ? value_unix(text, out, why)
                                       : value_socket(text, out, why);
}

/* Reads the `length` bytes at `text` as an address. */
static bool read_address(const char *text, size_t length, struct addr *addr)
{
    char copy[ADDR_TEXT_SIZE + sizeof "IPv6:"] = "";

    if (length < sizeof copy)
        memcpy(copy, text, length);
    return addr_parse(copy, addr);
}

enum address_form value_address(const char *text, struct addr *out)
{
    const bool brackets = text[0] == '[';
    const char *address = text + brackets, *after = address + strcspn(address, brackets ? "]%" : "%");
    enum address_form form = ADDRESS_LITERAL;

    if (addr_parse(text, out))
        return ADDRESS_ALONE;
    if (after[0] == '%') {
        form = ADDRESS_WITH_ZONE;
    } else if (!brackets || strncmp(after, "]:", 2) == 0) {
        form = ADDRESS_WITH_PORT;
        after = brackets ? after : text + strcspn(text, ":");
    } else if (strcmp(after, "]") != 0) {
        return ADDRESS_NONE;
    }
    return read_address(address, (size_t)(after - address), out) ? form : ADDRESS_NONE;
}

/* The same as read_address(); any address is ADDR_NONE. */
static bool read_listen_address(const char *text, size_t length, struct addr *addr)
{
    if (!read_address(text, length, addr))
        return false;
    if (addr->hi == 0 && addr->lo == 0)
        memset(addr, 0, sizeof *addr);
    return true;
}

bool value_listen(const char *text, struct addr *addr, uint16_t *port, char why[VALUE_WHY_SIZE])
{
    static const char form[] = "\":25\", \"10.0.0.1:25\", \"10.0.0.1\", \"[2001:db8::1]:25\" or \"[2001:db8::1]\"";
    const char *colon = strchr(text, ':');
    const char *after; /* the address */

    memset(addr, 0, sizeof *addr);
    *port = 0;
    if (text[0] == '[') {
        const char *end = strchr(text, ']');

        if (end == NULL)
            return value_refuse(why, "\"%.100s\" has no closing bracket; write %s", text, form);
        if (!read_listen_address(text + 1, (size_t)(end - text - 1), addr))
            return value_refuse(why, "\"%.*s\" is no address; write %s",
                                (int)(end - text - 1 < 100 ? end - text - 1 : 100), text + 1, form);
        after = end + 1;
        if (after[0] != ':' && after[0] != '\0')
            return value_refuse(why, "\"%.100s\" stands after the bracket; write %s", after, form);
    } else {
        if (colon != NULL && strchr(colon + 1, ':') != NULL) {
            if (read_listen_address(text, strlen(text), addr))
                return value_refuse(why, "an IPv6 address stands in brackets; write \"[%.60s]\"", text);
            return value_refuse(why, "\"%.100s\" is no address; write %s", text, form);
        }
        after = colon != NULL ? colon : text + strlen(text);
        if (after != text && !read_listen_address(text, (size_t)(after - text), addr)) {
            if (after[0] == '\0' && text[strspn(text, DIGITS)] == '\0')
                return value_refuse(why, "\"%.40s\" could be an address or a port; write \":%.40s\" for the port", text,
                                    text);
            return value_refuse(why, "\"%.*s\" is no address (host names are not looked up); write %s",
                                (int)(after - text < 100 ? after - text : 100), text, form);
        }
    }
    if (after[0] == ':') {
        *port = read_port(after + 1, strlen(after + 1), why);
        return *port != 0;
    }
    return true;
}

bool value_prefix(const char *text, struct prefix *out, char why[VALUE_WHY_SIZE])
{
    char block[PREFIX_TEXT_SIZE];

    switch (prefix_parse(text, out)) {
    case PREFIX_OK:
        return true;
    case PREFIX_HOST_BITS:
        return value_refuse(why, "%.60s has host bits set; write %s", text, prefix_format(out, block));
    case PREFIX_BAD_LENGTH:
        return value_refuse(
            why,
            "\"%.60s\" has no prefix length that fits; write /0 to /32 after an IPv4 address, /0 to /128 "
            "after an IPv6 address",
            text);
    case PREFIX_BAD_ADDRESS:
    default:
        return value_refuse(why,
                            "\"%.60s\" is no address and no CIDR block; write one, as 192.0.2.1, 10.0.0.0/8 or "
                            "2001:db8::/32",
                            text);
    }
}

/* The length of the enhanced code that `text` begins with (RFC 3463, 2); 0: with none. */
static size_t enhanced_length(const char *text)
{
    size_t at = 0;

    for (int part = 0; part < 3; part++) {
        size_t digits = strspn(text + at, DIGITS);

        if (digits == 0 || digits > (part == 0 ? 1 : 3) || (text[at] == '0' && digits > 1))
            return 0;
        at += digits;
        if (part < 2 && text[at++] != '.')
            return 0;
    }
    return text[at] == ' ' || text[at] == '\0' ? at : 0;
}

/* Checks what the client reads after the codes. */
static bool check_reply_text(const char *text, char why[VALUE_WHY_SIZE])
{
    static const char *const known[] = {"{client}", "{limit}", "{count}", "{max}"};

    for (const char *c = text; *c != '\0'; c++) {
        size_t i = 0;

        if (*c < ' ' || *c > '~')
            return value_refuse(why, "\"%.100s\" has characters that SMTP does not carry; write plain ASCII", text);
        if (*c != '{' && *c != '}')
            continue;
        while (i < sizeof known / sizeof known[0] && strncmp(c, known[i], strlen(known[i])) != 0)
            i++;
        if (i == sizeof known / sizeof known[0])
            return value_refuse(why,
                                "\"%.40s\" is unknown here; {client}, {limit}, {count} and {max} are filled in, and "
                                "no other braces may stand in it",
                                c);
        c += strlen(known[i]) - 1;
    }
    return true;
}

bool value_reply(const char *text, struct reply *out, char why[VALUE_WHY_SIZE])
{
    static const char form[] = "a reply as \"421 4.7.1 Try later.\"";
    size_t digits = strspn(text, DIGITS), enhanced;

    memset(out, 0, sizeof *out);
    if (digits != 3 || (text[3] != ' ' && text[3] != '\0'))
        return value_refuse(why, "\"%.100s\" does not begin with a code of three digits; write %s", text, form);
    memcpy(out->code, text, 3);
    if (strcmp(out->code, "421") != 0 && strncmp(out->code, "45", 2) != 0 && strncmp(out->code, "55", 2) != 0)
        return value_refuse(why, "%s is no code for a refusal; write 421, 450 to 459 or 550 to 559", out->code);
    text += 3;
    text += strspn(text, " ");
    enhanced = enhanced_length(text);
    if (enhanced > 0 && text[0] != out->code[0])
        return value_refuse(why, "%.*s does not go with %s; write %c%.*s", (int)enhanced, text, out->code, out->code[0],
                            (int)enhanced - 1, text + 1);
    if (enhanced == 0 && strcspn(text, ".") < strspn(text, DIGITS "."))
        return value_refuse(why, "\"%.*s\" is no enhanced code (RFC 3463); write one, as %c.7.1, or leave it out",
                            (int)(strcspn(text, " ") < 40 ? strcspn(text, " ") : 40), text, out->code[0]);
    if (enhanced > 0)
        memcpy(out->enhanced, text, enhanced);
    else
        snprintf(out->enhanced, sizeof out->enhanced, "%c.7.1", out->code[0]);
    text += enhanced;
    text += strspn(text, " ");
    if (text[0] == '\0')
        return value_refuse(why, "the reply says nothing after its code; write %s", form);
    if (strlen(text) >= sizeof out->text)
        return value_refuse(why, "the text is too long; write at most %zu characters", sizeof out->text - 1);
    strcpy(out->text, text);
    return check_reply_text(out->text, why);
}

bool value_looks_like_prefix(const char *text)
{
    const char *slash = strchr(text, '/');
    const char *colon = strchr(text, ':');
    const char *dot = strchr(text, '.');
    size_t address = slash != NULL ? (size_t)(slash - text) : strlen(text);

    /* "10.0.0.0/8x", "10.0.0/8", "fe80::/200", "10.0.0.300", "2001:db8:::1"; but not "abc", "pool:outlook", "5" */
    if (strspn(text, DIGITS "abcdefABCDEF.:") < address)
        return false;
    return slash != NULL || (dot != NULL && strspn(text, DIGITS ".") == address) ||
           (colon != NULL && strchr(colon + 1, ':') != NULL);
}

const char *duration_format(int64_t duration, char out[DURATION_TEXT_SIZE])
{
    static const char units[] = "dhm";
    int64_t seconds = duration / SECOND;

    if (seconds == 0)
        return strcpy(out, "0");
    for (size_t i = 0; units[i] != '\0'; i++) {
        int64_t unit = unit_seconds(units[i]);

        if (seconds % unit == 0) {
            snprintf(out, DURATION_TEXT_SIZE, "%" PRId64 "%c", seconds / unit, units[i]);
            return out;
        }
    }
    snprintf(out, DURATION_TEXT_SIZE, "%" PRId64 "s", seconds);
    return out;
}
