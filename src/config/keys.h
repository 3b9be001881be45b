/*
 * keys.h: clients, domains, addresses and users, as the configuration names them.
 *
 * A name is taken into the normal form of mail/names.h. What no mail could ever bring is refused: each reader returns
 * false then and leaves in `why` what was wrong and what would be right. Pure; any thread.
 */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include "config/values.h"
#include "mail/names.h"

/* What is written before a user's name where it could be taken for something else. */
#define KEY_USER_MARK "user:"

enum key_kind {
    KEY_PREFIX,  /* "192.0.2.1", "10.0.0.0/8", "2001:db8::/32" */
    KEY_ADDRESS, /* "a@example.com" */
    KEY_DOMAIN,  /* "example.com", "example." (its subdomains belong to it) */
    KEY_USER,    /* "joe", "user:joe.smith" */
};

struct key {
    enum key_kind kind;
    struct prefix prefix; /* KEY_PREFIX */
    char name[NAME_SIZE]; /* of the others, without KEY_USER_MARK */
};

/* Any of the four, told apart by how it is written. */
bool key_read(const char *text, struct key *out, char why[VALUE_WHY_SIZE]);

/* One that must be of that kind: a domain needs no dot then, and a user no mark. */
bool key_read_as(enum key_kind kind, const char *text, struct key *out, char why[VALUE_WHY_SIZE]);

#endif
