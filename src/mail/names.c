/*
 * names.c: the normal form of domains, addresses and user names.
 */
#include "mail/names.h"

#include <idn2.h>
#include <inttypes.h>
#include <libpsl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define HASH_TEXT 17   /* "#" and 16 digits */
#define DOMAIN_MAX 255 /* bytes; RFC 5321, 4.5.3.1.2 */

/* ---- reading ---- */

/* The bytes from `at` to before `end`. */
struct span {
    const char *at, *end;
};

static struct span span_of(const char *text)
{
    if (!text)
        text = "";
    return (struct span){text, text + strlen(text)};
}

/* 0 to 15, or -1. */
static int upper_hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool is_printable(unsigned char byte)
{
    return byte > ' ' && byte <= '~';
}

/* Takes the next byte of a span that is not empty, however it is written. */
static unsigned char take(struct span *from)
{
    const char *at = from->at;

    if (at[0] == '%' && from->end - at >= 3 && upper_hex(at[1]) >= 0 && upper_hex(at[2]) >= 0) {
        unsigned char byte = (unsigned char)(upper_hex(at[1]) * 16 + upper_hex(at[2]));
        if (!is_printable(byte)) {
            from->at += 3;
            return byte;
        }
    }
    from->at++;
    return (unsigned char)at[0];
}

/* ---- writing ---- */

struct writer {
    char *out;
    size_t room;   /* for so many bytes and the NUL */
    size_t length; /* of the whole, of which what does not fit is not written */
    size_t keep;   /* of what is written when a hash has to follow; never ends within a %XX */
    uint64_t hash;
    size_t dots; /* of a domain, not written yet */
};

static struct writer writer_to(char *out, size_t room)
{
    return (struct writer){.out = out, .room = room, .hash = UINT64_C(0xcbf29ce484222325)};
}

static void put(struct writer *to, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    char text[3] = {'%', digits[byte >> 4], digits[byte & 15]};
    size_t size = sizeof text;

    if (is_printable(byte)) {
        text[0] = (char)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
        size = 1;
    }
    for (size_t i = 0; i < size; i++)
        to->hash = (to->hash ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
    if (to->length + size <= to->room)
        memcpy(to->out + to->length, text, size);
    to->length += size;
    if (to->length + HASH_TEXT <= to->room)
        to->keep = to->length;
}

static void put_all(struct writer *to, struct span from)
{
    while (from.at < from.end)
        put(to, take(&from));
}

static void finish(struct writer *to)
{
    if (to->length <= to->room)
        to->out[to->length] = '\0';
    else
        snprintf(to->out + to->keep, HASH_TEXT + 1, "#%016" PRIx64, to->hash);
}

/* ---- domains ---- */

/* Dots wait for what follows: at the end they are left out. */
static void put_of_domain(struct writer *to, unsigned char byte)
{
    if (byte == '.') {
        to->dots++;
        return;
    }
    for (; to->dots > 0; to->dots--)
        put(to, '.');
    put(to, byte);
}

static bool is_ascii(struct span text)
{
    while (text.at < text.end)
        if ((unsigned char)*text.at++ >= 0x80)
            return false;
    return true;
}

/* Writes the label as libidn2 has it: more than one label where it holds one of the other full stops of UTS #46. False:
 * it has no such form. */
static bool put_a_label(struct writer *to, struct span label)
{
    uint8_t text[DOMAIN_MAX + 1], *ascii = NULL;
    size_t size = (size_t)(label.end - label.at);

    if (size > DOMAIN_MAX || is_ascii(label))
        return false;
    memcpy(text, label.at, size);
    text[size] = '\0';
    if (idn2_lookup_u8(text, &ascii, IDN2_NONTRANSITIONAL) != IDN2_OK)
        return false;
    /* UTS #46 makes more of it than a host name may have: FULLWIDTH COMMERCIAL AT to '@', SOFT HYPHEN to nothing.
     * libidn2's own flag against that drops the characters, by which different names would become one. */
    const char *result = (const char *)ascii;
    bool fits = result[strspn(result, "abcdefghijklmnopqrstuvwxyz0123456789-_.")] == '\0' &&
                result[strspn(result, ".")] != '\0';
    for (size_t i = 0; fits && result[i] != '\0'; i++)
        put_of_domain(to, (unsigned char)result[i]);
    idn2_free(ascii);
    return fits;
}

/* Label by label, so that one which libidn2 refuses does not hide the domains above it. */
static void put_domain(struct writer *to, struct span domain)
{
    while (domain.at < domain.end) {
        const char *dot = memchr(domain.at, '.', (size_t)(domain.end - domain.at));
        struct span label = {domain.at, dot ? dot : domain.end};
        if (!put_a_label(to, label))
            while (label.at < label.end)
                put_of_domain(to, take(&label));
        if (dot)
            put_of_domain(to, '.');
        domain.at = dot ? dot + 1 : domain.end;
    }
}

/* ---- the usual case ---- */

/* A byte that stands for itself wherever it is, in lower case; 0 for others. */
static char plain(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '+' || c == '='
               ? c
               : '\0';
}

/* Most names are plain: then there is nothing to do but copy them. False, and nothing is said of `out`, for others:
 * what is below has to look at them. With `at` there may be one '@' in the middle. */
static bool copy_plain(const char *text, bool at, char out[NAME_SIZE])
{
    size_t size = 0;

    for (; text && text[size] != '\0'; size++) {
        char c = plain(text[size]);
        if (c == '\0' && at && text[size] == '@' && size > 0) {
            c = '@';
            at = false;
        }
        if (c == '\0' || size == NAME_SIZE - 1)
            return false;
        out[size] = c;
    }
    out[size] = '\0';
    return size == 0 || (out[size - 1] != '.' && out[size - 1] != '@');
}

void name_domain(const char *text, char out[NAME_SIZE])
{
    if (copy_plain(text, false, out))
        return;
    struct writer to = writer_to(out, NAME_SIZE - 1);

    put_domain(&to, span_of(text));
    finish(&to);
}

/* ---- local parts ---- */

/* RFC 5322, 3.2.3, and RFC 6531, 3.3. */
static bool is_atext(unsigned char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte >= 0x80 || (byte != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", byte) != NULL);
}

/* Whether the local part is one quoted string. If so, `inside` becomes what is between the quotes, and `needed` whether
 * it could not stand without them. */
static bool is_quoted(struct span local, struct span *inside, bool *needed)
{
    bool atom = false;

    if (local.end - local.at < 2 || local.at[0] != '"' || local.end[-1] != '"')
        return false;
    *inside = (struct span){local.at + 1, local.end - 1};
    *needed = false;
    for (struct span rest = *inside; rest.at < rest.end;) {
        unsigned char byte = take(&rest);
        if (byte == '"' || (byte == '\\' && rest.at == rest.end))
            return false; /* it ends earlier, or not at all */
        if (byte == '\\')
            byte = take(&rest);
        if (!(byte == '.' ? atom : is_atext(byte)))
            *needed = true;
        atom = byte != '.';
    }
    *needed = *needed || !atom;
    return true;
}

static void put_local(struct writer *to, struct span local)
{
    struct span inside;
    bool needed;

    if (!is_quoted(local, &inside, &needed)) {
        put_all(to, local);
        return;
    }
    if (needed)
        put(to, '"');
    while (inside.at < inside.end) {
        unsigned char byte = take(&inside);
        if (byte == '\\')
            byte = take(&inside);
        if (byte == '"' || byte == '\\')
            put(to, '\\');
        put(to, byte);
    }
    if (needed)
        put(to, '"');
}

/* ---- addresses ---- */

/* The last '@', or NULL. */
static const char *last_at(struct span text)
{
    while (text.end > text.at)
        if (*--text.end == '@')
            return text.end;
    return NULL;
}

/* Takes away what may stand around an address, in whatever order. */
static struct span without_wrapping(struct span text)
{
    const char *at = last_at(text), *colon;

    for (;;) {
        if (text.end - text.at >= 2 && text.at[0] == '<' && text.end[-1] == '>') {
            text.at++;
            text.end--;
        } else if (text.at < text.end && text.at[0] == '@' &&
                   (colon = memchr(text.at, ':', (size_t)(text.end - text.at))) != NULL) {
            text.at = colon + 1;
        } else if (at && text.at <= at && text.end[-1] == '.') {
            text.end--;
        } else {
            return text;
        }
    }
}

void name_address(const char *text, char out[NAME_SIZE])
{
    if (copy_plain(text, true, out))
        return;
    struct span address = without_wrapping(span_of(text));
    const char *at = last_at(address);
    char domain[NAME_SIZE] = "";
    size_t size = 0; /* of '@' and domain */

    if (at) {
        struct writer to = writer_to(domain, NAME_SIZE - 1);
        put_domain(&to, (struct span){at + 1, address.end});
        finish(&to);
        size = strlen(domain) + 1;
    }
    bool fits = size + HASH_TEXT < NAME_SIZE;
    struct writer to = writer_to(out, fits ? NAME_SIZE - 1 - size : NAME_SIZE - 1);
    put_local(&to, (struct span){address.at, at ? at : address.end});
    if (!fits) {
        put(&to, '@');
        put_all(&to, span_of(domain));
    }
    finish(&to);
    if (at && fits) {
        strcat(out, "@");
        strcat(out, domain);
    }
}

void name_user(const char *text, char out[NAME_SIZE])
{
    if (copy_plain(text, true, out))
        return;
    struct writer to = writer_to(out, NAME_SIZE - 1);

    put_all(&to, span_of(text));
    finish(&to);
}

void name_registrable(const char *host, char out[NAME_SIZE])
{
    char name[NAME_SIZE];
    const psl_ctx_t *list = psl_builtin();
    const char *registrable = NULL;

    name_domain(host, name);
    /* A last label of digits is an address: no top-level domain is one (RFC 3696, 2). */
    const char *dot = strrchr(name, '.');
    if (list && dot && (dot[1] < '0' || dot[1] > '9') && !strchr(name, ':'))
        registrable = psl_registrable_domain(list, name);
    snprintf(out, NAME_SIZE, "%s", registrable ? registrable : "");
}
