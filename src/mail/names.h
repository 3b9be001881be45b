/*
 * names.h: what clients say of themselves, in one normal form, in which it is counted, looked up in lists and logged.
 *
 * The normal form is printable ASCII (0x21 to 0x7e) with letters in lower case. Any other byte is written as %XX, with
 * upper-case digits; where a text already says %XX of such a byte, it is taken for that byte. A '%' before anything
 * else stands for itself. So a name may be copied from a log into a list: normalising a normal form changes nothing.
 *
 * A normal form that is longer than NAME_SIZE - 1 bytes is cut and ends in "#" and 16 hex digits of a hash (FNV-1a, 64
 * bits) of all of it, so that long names stay different, unless somebody takes pains to make his own alike.
 *
 * Pure; any thread. Nothing stays allocated.
 */
#ifndef MAIL_NAMES_H
#define MAIL_NAMES_H

#define NAME_SIZE 256 /* with the final NUL */

/* A domain, HELO name or address literal; NULL gives "". Dots at the end are left out. A label in UTF-8 becomes its
 * A-label (RFC 5890; non-transitional UTS #46); bytes that libidn2 refuses, or has no memory for, stay. So do address
 * literals and whatever else is no domain. */
void name_domain(const char *text, char out[NAME_SIZE]);

/*
 * A sender or recipient of the envelope, with or without <>; NULL, "" and "<>" (the null sender) give "".
 *
 * Behind the last '@' stands the domain, as name_domain() has it. The local part is in lower case too, although it need
 * not mean the same (RFC 5321, 2.4): nobody shall escape a count by the case of letters. Quotes that it does not need,
 * and backslashes in quotes (RFC 5321, 4.1.2), are left out. So are source routes, "@a,@b:" (RFC 5321, appendix C).
 * Where an address is too long its local part is cut, so that the domain is still found; only where a domain of more
 * than 237 bytes leaves no room is it cut as a whole.
 */
void name_address(const char *text, char out[NAME_SIZE]);

/* The name with which a client has authenticated; NULL gives "". */
void name_user(const char *text, char out[NAME_SIZE]);

/* The part of a host's name that somebody registered, by the Public Suffix List that libpsl was built with:
 * "example.co.uk" of "a.b.example.co.uk". "" for what has none: a single label, a public suffix, an address. */
void name_registrable(const char *host, char out[NAME_SIZE]);

#endif
