/*
 * keys.c: clients, domains, addresses and users, as the configuration names them.
 */
#include "config/keys.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define PLAIN "abcdefghijklmnopqrstuvwxyz0123456789-_"

/* Whether a domain in normal form could be one: labels, or an address literal (RFC 5321, 4.1.3). */
static bool is_domain(const char *name)
{
    size_t length = strlen(name);

    if (length > 2 && name[0] == '[' && name[length - 1] == ']')
        return strspn(name + 1, PLAIN ".:") == length - 2;
    for (;;) {
        size_t label = strspn(name, PLAIN);

        if (label == 0)
            return false;
        if (name[label] == '\0')
            return true;
        if (name[label] != '.')
            return false;
        name += label + 1;
    }
}

static bool read_domain(const char *text, struct key *out, char why[VALUE_WHY_SIZE])
{
    size_t dot = text[0] == '*' && text[1] == '.' ? 2 : text[0] == '.';

    if (dot > 0)
        return value_refuse(why, "\"%.100s\": a domain takes its subdomains along; write %.100s", text, text + dot);
    if (value_looks_like_prefix(text))
        return value_refuse(why, "\"%.100s\" is an address and no domain; write it where clients may stand", text);
    name_domain(text, out->name);
    if (!is_domain(out->name))
        return value_refuse(why, "\"%.100s\" is no domain; write one, as example.com", text);
    return true;
}

static bool read_address(const char *text, struct key *out, char why[VALUE_WHY_SIZE])
{
    const char *at;

    if (text[0] == '@' && strchr(text + 1, '@') == NULL)
        return value_refuse(why, "\"%.100s\" has nothing before the @; write the domain alone, where domains may stand",
                            text);
    name_address(text, out->name);
    at = strrchr(out->name, '@');
    /* Blanks and commas outside quotes: more than one address in one entry. */
    if (at == NULL || at == out->name || !is_domain(at + 1) ||
        (strchr(text, '"') == NULL && strpbrk(text, " \t,;") != NULL))
        return value_refuse(why, "\"%.100s\" is no mail address; write one, as joe@example.com", text);
    return true;
}

static bool read_user(const char *text, struct key *out, char why[VALUE_WHY_SIZE])
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return value_refuse(why, "\"%.100s\" has blanks and is no user name; write one name an entry", text);
    name_user(text, out->name);
    return true;
}

/* Whether it is written as a domain: with a dot, or internationalised (RFC 5890). */
static bool looks_like_domain(const char *text)
{
    if (strncasecmp(text, "xn--", 4) == 0)
        return true;
    for (; *text != '\0'; text++)
        if (*text == '.' || !isascii((unsigned char)*text))
            return true;
    return false;
}

bool key_read_as(enum key_kind kind, const char *text, struct key *out, char why[VALUE_WHY_SIZE])
{
    memset(out, 0, sizeof *out);
    out->kind = kind;
    if (kind == KEY_PREFIX)
        return value_prefix(text, &out->prefix, why);
    if (kind == KEY_USER && strncasecmp(text, KEY_USER_MARK, strlen(KEY_USER_MARK)) == 0)
        text += strlen(KEY_USER_MARK);
    if (text[0] == '\0')
        return value_refuse(why, "the name is empty; write one");
    if (strlen(text) >= NAME_SIZE)
        return value_refuse(why, "\"%.40s...\" is too long; write at most %d characters", text, NAME_SIZE - 1);
    switch (kind) {
    case KEY_ADDRESS:
        return read_address(text, out, why);
    case KEY_USER:
        return read_user(text, out, why);
    default:
        return read_domain(text, out, why);
    }
}

bool key_read(const char *text, struct key *out, char why[VALUE_WHY_SIZE])
{
    struct prefix prefix;

    if (strncasecmp(text, KEY_USER_MARK, strlen(KEY_USER_MARK)) == 0)
        return key_read_as(KEY_USER, text, out, why);
    if (strchr(text, '@') != NULL)
        return key_read_as(KEY_ADDRESS, text, out, why);
    if (prefix_parse(text, &prefix) == PREFIX_OK || value_looks_like_prefix(text))
        return key_read_as(KEY_PREFIX, text, out, why);
    return key_read_as(looks_like_domain(text) ? KEY_DOMAIN : KEY_USER, text, out, why);
}
