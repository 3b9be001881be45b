/*
 * test_clients.c: sessions open by client. Links src/engine/clients.c, hash.c, addr.c.
 */
#include "check_main.h"
#include "engine/clients.h"
#include "prng.h"

static const uint64_t seed[2] = {7, 8};

static struct client_key key_of(const char *text, uint32_t scope)
{
    struct client_key key = {.scope = scope};
    ck_assert(addr_parse(text, &key.client));
    return key;
}

START_TEST(counts_up_and_down)
{
    struct clients *clients = clients_new(4, seed);
    struct client_key key = key_of("192.0.2.1", 0);
    ck_assert_ptr_nonnull(clients);
    ck_assert_uint_eq(clients_count(clients, &key), 0);
    ck_assert_uint_eq(clients_used(clients), 0);
    uint32_t entry = clients_take(clients, &key);
    ck_assert_uint_ne(entry, CLIENTS_NONE);
    ck_assert_uint_eq(clients_take(clients, &key), entry);
    ck_assert_uint_eq(clients_count(clients, &key), 2);
    ck_assert_uint_eq(clients_used(clients), 1);
    clients_release(clients, entry);
    ck_assert_uint_eq(clients_count(clients, &key), 1);
    clients_release(clients, entry);
    ck_assert_uint_eq(clients_count(clients, &key), 0);
    ck_assert_uint_eq(clients_used(clients), 0);
    clients_free(&clients);
    ck_assert_ptr_null(clients);
    clients_free(&clients);
}
END_TEST

START_TEST(every_part_of_the_key_counts)
{
    /* The same bits in both families, and the same client in two scopes. */
    struct client_key keys[] = {key_of("32.1.13.184", 0), key_of("2001:db8::", 0), key_of("32.1.13.184", 1),
                                key_of("2001:db8::1", 0), key_of("32.1.13.185", 0)};
    struct clients *clients = clients_new(5, seed);
    for (unsigned i = 0; i < 5; i++)
        for (unsigned times = 0; times <= i; times++)
            clients_take(clients, &keys[i]);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(clients_count(clients, &keys[i]), i + 1);
    ck_assert_uint_eq(clients_used(clients), 5);
    clients_free(&clients);
}
END_TEST

START_TEST(padding_of_the_key_does_not_count)
{
    union {
        struct client_key key;
        unsigned char bytes[sizeof(struct client_key)];
    } zeros, ones;
    for (size_t i = 0; i < sizeof zeros.bytes; i++) {
        zeros.bytes[i] = 0;
        ones.bytes[i] = 0xff;
    }
    zeros.key.client.hi = ones.key.client.hi = 42;
    zeros.key.client.lo = ones.key.client.lo = 43;
    zeros.key.client.family = ones.key.client.family = ADDR_IPV6;
    zeros.key.scope = ones.key.scope = 9;
    struct clients *clients = clients_new(64, seed);
    uint32_t entry = clients_take(clients, &zeros.key);
    ck_assert_uint_eq(clients_count(clients, &ones.key), 1);
    ck_assert_uint_eq(clients_take(clients, &ones.key), entry);
    clients_free(&clients);
}
END_TEST

/* A table as full as it gets, then emptied and filled again with others: nothing is lost and no room leaks. */
static void fill_and_empty(uint32_t room)
{
    struct clients *clients = clients_new(room, seed);
    uint32_t *entries = calloc(room, sizeof *entries);
    ck_assert(clients && entries);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < room; i++) {
            struct client_key key = {.client = {.hi = (uint64_t)(i + round * room) << 32, .family = ADDR_IPV4},
                                     .scope = 3};
            entries[i] = clients_take(clients, &key);
            ck_assert_uint_lt(entries[i], room);
        }
        ck_assert_uint_eq(clients_used(clients), room);
        for (uint32_t i = 0; i < room; i++) {
            struct client_key key = {.client = {.hi = (uint64_t)(i + round * room) << 32, .family = ADDR_IPV4},
                                     .scope = 3};
            ck_assert_uint_eq(clients_count(clients, &key), 1);
            clients_release(clients, entries[i]);
            ck_assert_uint_eq(clients_count(clients, &key), 0);
        }
        ck_assert_uint_eq(clients_used(clients), 0);
    }
    free(entries);
    clients_free(&clients);
}

START_TEST(full_tables_of_many_sizes)
{
    static const uint32_t rooms[] = {1, 2, 3, 4, 5, 7, 8, 9, 100, 1000, 65536};
    fill_and_empty(rooms[_i]);
}
END_TEST

START_TEST(random_takes_and_releases)
{
    enum { KEYS = 60, ROOM = 40, HELD = 200 };
    for (uint64_t run = 1; run <= 20; run++) {
        struct prng prng = prng_seeded(run);
        struct clients *clients = clients_new(ROOM, (const uint64_t[]){run, ~run});
        uint32_t held_entry[HELD], held_key[HELD], held = 0, count[KEYS] = {0}, used = 0;
        for (int step = 0; step < 5000; step++) {
            uint32_t number = prng_below(&prng, KEYS);
            struct client_key key = {.client = {.hi = number / 2, .family = number % 2 ? ADDR_IPV6 : ADDR_IPV4},
                                     .scope = number / 30};
            if (held < HELD && prng_below(&prng, 2) && (count[number] > 0 || used < ROOM)) {
                held_entry[held] = clients_take(clients, &key);
                held_key[held++] = number;
                used += count[number]++ == 0;
            } else if (held > 0) {
                uint32_t which = prng_below(&prng, held);
                clients_release(clients, held_entry[which]);
                used -= --count[held_key[which]] == 0;
                held--;
                held_entry[which] = held_entry[held];
                held_key[which] = held_key[held];
            }
            ck_assert_uint_eq(clients_used(clients), used);
            ck_assert_msg(clients_count(clients, &key) == count[number], "run %u, step %d", (unsigned)run, step);
        }
        clients_free(&clients);
    }
}
END_TEST

START_TEST(memory_is_said_before)
{
    ck_assert_uint_ge(clients_bytes(1000), 1000 * (sizeof(struct client_key) + 2 * sizeof(uint32_t)));
    ck_assert_uint_le(clients_bytes(1000), 1000 * 96);
    ck_assert_uint_gt(clients_bytes(1001), clients_bytes(1000));
    ck_assert_uint_gt(clients_bytes(UINT32_C(16777216)), UINT32_MAX / 8); /* no overflow of 32 bits */
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("clients");
    TCase *tests = test_case(suite, "table");
    tcase_add_test(tests, counts_up_and_down);
    tcase_add_test(tests, every_part_of_the_key_counts);
    tcase_add_test(tests, padding_of_the_key_does_not_count);
    tcase_add_loop_test(tests, full_tables_of_many_sizes, 0, 11);
    tcase_add_test(tests, random_takes_and_releases);
    tcase_add_test(tests, memory_is_said_before);
    return suite;
}
