/*
 * addr.c: IP addresses and prefixes.
 */
#include "addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define IPV4_BITS 32
#define IPV6_BITS 128
#define MAPPED_BITS 96 /* of ::ffff:0:0/96, RFC 4291, 2.5.5.2 */

static uint64_t load64(const uint8_t *bytes)
{
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | bytes[i];
    return value;
}

static void store64(uint8_t *bytes, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

/* The top `bits` bits set; the shift of a 64-bit value by 64 is not defined in C, hence the cases. */
static uint64_t top_bits(unsigned bits)
{
    return bits == 0 ? 0 : bits >= 64 ? UINT64_MAX : UINT64_MAX << (64 - bits);
}

static struct addr ipv4_from_word(uint32_t word)
{
    return (struct addr){.hi = (uint64_t)word << 32, .family = ADDR_IPV4};
}

struct addr addr_from_ipv4(const uint8_t bytes[4])
{
    return ipv4_from_word((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]);
}

struct addr addr_from_ipv6(const uint8_t bytes[16])
{
    struct addr addr = {.hi = load64(bytes), .lo = load64(bytes + 8), .family = ADDR_IPV6};
    if (addr.hi == 0 && addr.lo >> 32 == 0xffff)
        return ipv4_from_word((uint32_t)addr.lo);
    return addr;
}

/* As addr_parse(), but says whether the text was an IPv4-mapped IPv6 address. */
static bool parse_text(const char *text, struct addr *out, bool *mapped)
{
    uint8_t bytes[16];

    *out = (struct addr){0};
    *mapped = false;
    if (inet_pton(AF_INET, text, bytes) == 1) {
        *out = addr_from_ipv4(bytes);
        return true;
    }
    if (strncasecmp(text, "IPv6:", 5) == 0)
        text += 5;
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    *out = addr_from_ipv6(bytes);
    *mapped = out->family == ADDR_IPV4;
    return true;
}

bool addr_parse(const char *text, struct addr *out)
{
    bool mapped;
    return parse_text(text, out, &mapped);
}

const char *addr_format(const struct addr *addr, char out[ADDR_TEXT_SIZE])
{
    uint8_t bytes[16];

    store64(bytes, addr->hi);
    store64(bytes + 8, addr->lo);
    if (addr->family == ADDR_NONE ||
        !inet_ntop(addr->family == ADDR_IPV4 ? AF_INET : AF_INET6, bytes, out, ADDR_TEXT_SIZE))
        strcpy(out, "none");
    return out;
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return a->hi == b->hi && a->lo == b->lo && a->family == b->family;
}

unsigned addr_width(const struct addr *addr)
{
    return addr->family == ADDR_IPV4 ? IPV4_BITS : addr->family == ADDR_IPV6 ? IPV6_BITS : 0;
}

struct addr addr_cut(const struct addr *addr, unsigned bits)
{
    struct addr cut = *addr;
    cut.hi &= top_bits(bits);
    cut.lo &= top_bits(bits > 64 ? bits - 64 : 0);
    return cut;
}

/* Decimal digits alone, no sign, no leading zero, at most three of them. */
static bool parse_length(const char *text, unsigned *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 3 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < digits; i++)
        value = value * 10 + (unsigned)(text[i] - '0');
    *out = value;
    return true;
}

enum prefix_error prefix_parse(const char *text, struct prefix *out)
{
    char address[64]; /* longer than any address; a longer text is none */
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    struct addr addr;
    bool mapped;

    *out = (struct prefix){0};
    if (length >= sizeof address)
        return PREFIX_BAD_ADDRESS;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!parse_text(address, &addr, &mapped))
        return PREFIX_BAD_ADDRESS;

    unsigned bits = addr_width(&addr);
    if (slash) {
        unsigned skipped = mapped ? MAPPED_BITS : 0;
        if (!parse_length(slash + 1, &bits) || bits < skipped || bits - skipped > addr_width(&addr))
            return PREFIX_BAD_LENGTH;
        bits -= skipped;
    }
    out->addr = addr_cut(&addr, bits);
    out->bits = (uint8_t)bits;
    return addr_equal(&out->addr, &addr) ? PREFIX_OK : PREFIX_HOST_BITS;
}

const char *prefix_format(const struct prefix *prefix, char out[PREFIX_TEXT_SIZE])
{
    addr_format(&prefix->addr, out);
    if (prefix->bits < addr_width(&prefix->addr)) {
        size_t used = strlen(out);
        snprintf(out + used, PREFIX_TEXT_SIZE - used, "/%u", (unsigned)prefix->bits);
    }
    return out;
}

bool prefix_contains(const struct prefix *prefix, const struct addr *addr)
{
    struct addr cut = addr_cut(addr, prefix->bits);
    return addr_equal(&prefix->addr, &cut);
}

static int compare_words(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
    int order = compare_words(a->addr.family, b->addr.family);
    if (order == 0)
        order = compare_words(a->addr.hi, b->addr.hi);
    if (order == 0)
        order = compare_words(a->addr.lo, b->addr.lo);
    return order != 0 ? order : compare_words(a->bits, b->bits);
}
