/*
 * test_config_edits.c: whatever is done to a good file, it is taken or refused with its line. Links all of src/config,
 * src/engine and src/mail, libconfuse, libidn2.
 */
#include "check_main.h"
#include "config/config.h"
#include "config_loading.h"
#include "prng.h"

static void cut_everywhere(const char *text, size_t size)
{
    for (size_t cut = 0; cut < size; cut++)
        if (is_open_at(text, cut))
            ck_assert_msg(!load_size(text, cut), "cut after %zu bytes it is taken", cut);
        else
            load_size(text, cut);
    ck_assert(load_size(text, size));
}

START_TEST(every_cut_inside_a_block_is_refused)
{
    size_t size;
    char *text = source_text("conf/tidegate.conf", &size);
    cut_everywhere(text, size);
    free(text);
    cut_everywhere(everything, sizeof everything - 1);
}
END_TEST

/* Changes the text a little, in place; it has room for 64 bytes more. */
static void mutate(struct prng *prng, char *text, size_t *size)
{
    static const char *const pieces[] = {"{",
                                         "}",
                                         "=",
                                         "\"",
                                         "'",
                                         ",",
                                         "#",
                                         "/*",
                                         "*/",
                                         "//",
                                         "\\",
                                         "${",
                                         "+=",
                                         "\n",
                                         "\r",
                                         "\xff",
                                         "0",
                                         "-",
                                         "5m",
                                         "listener {",
                                         "max",
                                         "peer",
                                         "listen",
                                         "milter",
                                         "pathway ",
                                         "limit",
                                         "clients",
                                         "10.0.0.0/8",
                                         "::/0",
                                         " = 5 ",
                                         " { } ",
                                         "\x01",
                                         "mode = score",
                                         "key ",
                                         "except",
                                         "deny {",
                                         "reputation { }",
                                         "window = ",
                                         "count = errors",
                                         "file = ",
                                         "user:",
                                         "policy {",
                                         "backlog",
                                         "socket = ",
                                         "inet:7358@127.0.0.1",
                                         "reuse_port = yes",
                                         "@",
                                         "off"};
    size_t at = prng_below(prng, (uint32_t)*size + 1);
    size_t length = prng_below(prng, 20) + 1;
    const char *piece = pieces[prng_below(prng, sizeof pieces / sizeof pieces[0])];

    switch (prng_below(prng, 5)) {
    case 0: /* a byte changes */
        if (at < *size)
            text[at] = (char)prng_below(prng, 256);
        break;
    case 1: /* a piece is lost */
        if (length > *size - at)
            length = *size - at;
        memmove(text + at, text + at + length, *size - at - length);
        *size -= length;
        break;
    case 2: /* the end is lost */
        *size = at;
        break;
    case 3: /* something stands twice */
        if (length > *size - at)
            length = *size - at;
        memmove(text + at + length, text + at, *size - at);
        *size += length;
        break;
    default: /* something is put in */
        length = strlen(piece);
        memmove(text + at + length, text + at, *size - at);
        memcpy(text + at, piece, length);
        *size += length;
    }
}

START_TEST(whatever_is_changed_is_taken_or_refused_with_its_line)
{
    enum { ROUNDS = 20000 };
    size_t size, taken = 0, refused = 0;
    char *sample = source_text("conf/tidegate.conf", &size);
    const char *const texts[] = {everything, sample};
    const size_t sizes[] = {sizeof everything - 1, size};
    char *text = malloc(size + sizeof everything + 64 * 4);
    struct prng prng = prng_seeded(1);

    ck_assert_ptr_nonnull(text);
    for (size_t round = 0; round < ROUNDS; round++) {
        /* Mostly the shorter text: it has more to change and less to say. */
        size_t which = round % 8 == 0, length = sizes[which];
        memcpy(text, texts[which], length);
        for (uint32_t i = prng_below(&prng, 3); i < 3; i++)
            mutate(&prng, text, &length);
        if (load_size(text, length)) {
            char *first = dump_text(), *second;
            ck_assert_msg(load_size(first, strlen(first)), "round %zu: its dump is refused: %s\n%s", round,
                          messages.list[0].text, first);
            second = dump_text();
            ck_assert_str_eq(first, second);
            free(first);
            free(second);
            taken++;
            continue;
        }
        refused++;
        size_t placed = 0;
        for (size_t i = 0; i < messages.count; i++) {
            const char *said = messages.list[i].text, *after = said + strlen(path);
            bool here = strncmp(said, path, strlen(path)) == 0;
            placed += here;
            ck_assert_msg(!here || (after[0] == ':' && after[1] >= '1' && after[1] <= '9'), "round %zu: no line: %s",
                          round, said);
            /* Whatever libconfuse stumbles over should have been seen before. */
            ck_assert_msg(strstr(said, "libconfuse") == NULL, "round %zu: %s\n%.*s", round, said, (int)length, text);
        }
        ck_assert_msg(placed > 0, "round %zu: no FILE:LINE: %s", round, messages.list[0].text);
    }
    ck_assert_uint_gt(taken, ROUNDS / 50);
    ck_assert_uint_gt(refused, ROUNDS / 10);
    free(text);
    free(sample);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config edits");
    TCase *edits = test_case(suite, "edits");
    tcase_add_unchecked_fixture(edits, set_up, tear_down);
    tcase_add_checked_fixture(edits, NULL, forget);
    tcase_add_test(edits, every_cut_inside_a_block_is_refused);
    tcase_add_test(edits, whatever_is_changed_is_taken_or_refused_with_its_line);
    return suite;
}
