/*
 * load_wire.h: what an MTA and a filter say to each other, as bytes. No I/O and no state but what the caller hands in.
 *
 * Functions that judge what the filter said return NULL when it is of the protocol, otherwise what is wrong with it (a
 * string constant).
 */
#ifndef BENCH_LOAD_WIRE_H
#define BENCH_LOAD_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* What is to be sent. Room for the longest of our packets with the shorter ones that may follow it at once. */
struct wire_output {
    size_t used;
    size_t sent;
    unsigned char bytes[2048];
};

/* The longest text of a packet, end included. */
#define WIRE_TEXT_SIZE 256

struct wire_client {
    uint32_t address; /* IPv4, host order */
    uint16_t port;
    char host[WIRE_TEXT_SIZE]; /* the name that the MTA has verified */
    char user[WIRE_TEXT_SIZE]; /* as whom it has authenticated */
};

/* How the MTA names its listener. Both are the caller's. */
struct wire_daemon {
    const char *name;
    const char *port;
};

/* The steps that macros go with. */
enum wire_stage { WIRE_CONNECT, WIRE_MAIL, WIRE_RCPT, WIRE_STAGES };

struct wire_negotiated {
    uint32_t protocol;            /* SMFIP_* */
    uint32_t macros[WIRE_STAGES]; /* those that the filter wants, by a numbering of this module */
};

/* Reads "inet:PORT@HOST", "inet6:PORT@HOST", "unix:PATH", "local:PATH" or an absolute path, as libmilter writes them.
 * Returns NULL or what is wrong. */
const char *wire_read_socket(const char *text, struct sockaddr_storage *address, socklen_t *size);

/* Each appends one packet (connect, MAIL and RCPT: with their macros in one before it). */
void wire_put_negotiate(struct wire_output *output);
void wire_put_connect(struct wire_output *output, const struct wire_negotiated *negotiated,
                      const struct wire_client *client, const struct wire_daemon *daemon);
void wire_put_mail(struct wire_output *output, const struct wire_negotiated *negotiated,
                   const struct wire_client *client, const char *sender);
void wire_put_rcpt(struct wire_output *output, const struct wire_negotiated *negotiated, const char *recipient);
void wire_put_text(struct wire_output *output, char command, const char *text);
void wire_put_empty(struct wire_output *output, char command);

uint32_t wire_get_u32(const unsigned char *bytes);

/* The filter's answer to the negotiation, from behind its command byte on. */
const char *wire_read_negotiation(const unsigned char *data, size_t length, struct wire_negotiated *negotiated);

/* Its answer to anything else. *code becomes that of an SMTP reply, 400 to 599, or 0. `in_mail`: to MAIL or later. */
const char *wire_read_answer(char command, const unsigned char *data, size_t length, bool in_mail, int *code);

#endif
