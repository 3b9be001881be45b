/*
 * addr.h: IP addresses and prefixes.
 *
 * An address is kept left-aligned in 128 bits, so that "the first n bits" means the same for both families: an IPv4
 * address fills the top 32 bits of `hi`. An IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2) is turned into the IPv4
 * address it stands for wherever an address is made, and nowhere else.
 *
 * No function here allocates, keeps a pointer or touches anything global; all may be called from any thread.
 */
#ifndef ENGINE_ADDR_H
#define ENGINE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum addr_family { ADDR_NONE = 0, ADDR_IPV4 = 4, ADDR_IPV6 = 6 };

struct addr {
    uint64_t hi, lo;
    uint8_t family; /* enum addr_family; ADDR_NONE: no IP address, hi and lo are 0 */
};

struct prefix {
    struct addr addr; /* bits after the first `bits` are 0 */
    uint8_t bits;     /* 0 to 32 for IPv4, 0 to 128 for IPv6 */
};

/* Room for any text that addr_format() (46) and prefix_format() (50) write, the end included. */
#define ADDR_TEXT_SIZE 46
#define PREFIX_TEXT_SIZE 50

enum prefix_error {
    PREFIX_OK = 0,
    PREFIX_BAD_ADDRESS, /* what stands before the slash is no address */
    PREFIX_BAD_LENGTH,  /* what stands after the slash is no decimal number, or too large for the family */
    PREFIX_HOST_BITS,   /* bits are set after the prefix: `prefix_parse` still fills in the block that was meant */
};

/* Makes an address of 4 or 16 bytes in network order (what sockaddr_in and sockaddr_in6 hold). */
struct addr addr_from_ipv4(const uint8_t bytes[4]);
struct addr addr_from_ipv6(const uint8_t bytes[16]);

/* Reads "192.0.2.1", "2001:db8::1" or, as MTAs write it, "IPv6:2001:db8::1". No brackets, no zone, no port.
 * False, and ADDR_NONE in *out, for anything else. */
bool addr_parse(const char *text, struct addr *out);

/* Writes the usual text form (RFC 5952 for IPv6), "none" for ADDR_NONE. Returns `out`. */
const char *addr_format(const struct addr *addr, char out[ADDR_TEXT_SIZE]);

bool addr_equal(const struct addr *a, const struct addr *b);

/* The widest prefix of the address's family: 32, 128, or 0 for ADDR_NONE. */
unsigned addr_width(const struct addr *addr);

/* The address with everything after its first `bits` bits cleared; `bits` past the width change nothing. */
struct addr addr_cut(const struct addr *addr, unsigned bits);

/* Reads "ADDRESS/BITS", or an address alone as a block of one. On PREFIX_OK and PREFIX_HOST_BITS *out is a proper
 * prefix. "::ffff:a.b.c.d/n" with n >= 96 is the IPv4 prefix of n - 96 bits; a mapped prefix shorter than 96 bits is
 * PREFIX_BAD_LENGTH, as it stands for no block of IPv4 addresses. */
enum prefix_error prefix_parse(const char *text, struct prefix *out);

/* Writes "ADDRESS/BITS"; the address alone where the prefix holds just that one. Returns `out`. */
const char *prefix_format(const struct prefix *prefix, char out[PREFIX_TEXT_SIZE]);

bool prefix_contains(const struct prefix *prefix, const struct addr *addr);

/* Orders by family, then address, then bits: an enclosing prefix comes before what it encloses. For qsort. */
int prefix_compare(const struct prefix *a, const struct prefix *b);

#endif
