/*
 * test_config_scan.c: a configuration text as a tree of blocks, and the mistakes in it. Links src/config/arena.c,
 * lexer.c, messages.c, options.c, scan.c, suggest.c.
 */
#include "check_main.h"
#include "config/scan.h"
#include "config_cases.h"

static struct scan scan;
static struct config_messages messages;
static char *scanned; /* the text of the last scan, comments blanked */

static void end_scan(void)
{
    scan_clear(&scan);
    messages_clear(&messages);
    free(scanned);
    scanned = NULL;
}

/* Scans a copy that is exactly as long as the text, so that a step beyond its end is seen by the sanitizers. */
static bool begin_scan(const char *text, size_t size)
{
    end_scan();
    scanned = malloc(size + 1);
    ck_assert_ptr_nonnull(scanned);
    memcpy(scanned, text, size);
    scanned[size] = '\0';
    bool good = scan_text("x.conf", scanned, size, &scan, &messages);
    ck_assert_uint_eq(good, messages.errors == 0);
    return good;
}

static void assert_good(const char *text)
{
    ck_assert_msg(begin_scan(text, strlen(text)), "<%s> is refused: %s", text, messages.list[0].text);
}

static const struct value *values_of(const struct block *block, enum option_id option)
{
    const struct entry *entry = block_entry(block, option);
    ck_assert_msg(entry != NULL, "%s is not set", option_table[option].name);
    return entry->values;
}

START_TEST(a_text_becomes_a_tree)
{
    assert_good(everything);
    const struct block *top = scan.top, *listener, *peer, *listen;
    ck_assert_int_eq(top->section->id, SECTION_TOP);
    ck_assert_uint_eq(top->block_count, 18);
    ck_assert_str_eq(values_of(top, OPTION_SERVICE_SESSIONS)->text, "4000");
    ck_assert_uint_eq(block_entry(top, OPTION_PID_FILE)->line, 11);
    ck_assert_str_eq(values_of(top, OPTION_PID_FILE)->text, "/run/x/y.pid");
    ck_assert_str_eq(values_of(top, OPTION_LOG_REFUSALS)->text, "YES");
    ck_assert_str_eq(values_of(top, OPTION_SERVICE_MODE)->text, "monitor");
    ck_assert_ptr_null(block_entry(top, OPTION_LIMIT_MODE));

    listener = top->blocks->next->next;
    ck_assert_int_eq(listener->section->id, SECTION_LISTENER);
    ck_assert_uint_eq(listener->line, 15);
    ck_assert_ptr_null(listener->title);
    ck_assert_ptr_eq(listener->parent, top);
    peer = listener->blocks->next->next->next;
    ck_assert_str_eq(peer->title, "pool:outlook");
    ck_assert_uint_eq(peer->line, 22);
    const struct value *client = values_of(peer, OPTION_CLIENTS);
    ck_assert_str_eq(client->text, "192.0.2.0/24");
    ck_assert_uint_eq(client->line, 22);
    ck_assert_str_eq(client->next->text, "2001:db8::/32");
    ck_assert_uint_eq(client->next->line, 23);
    ck_assert_ptr_null(client->next->next);
    listen = peer->next;
    ck_assert_str_eq(listen->title, ":25");
    ck_assert_str_eq(listen->blocks->blocks->title, "client_sessions");
    ck_assert_int_eq(listener->next->section->id, SECTION_LISTENER);
    ck_assert_uint_eq(listener->next->line, 30);

    const struct block *limit = listener->next->next->next->next;
    ck_assert_str_eq(limit->title, "Client_Connections");
    ck_assert_str_eq(values_of(limit, OPTION_LIMIT_MODE)->text, "score");
    ck_assert_str_eq(values_of(limit, OPTION_LIMIT_DISCONNECT_DELAY)->text, "3s");
    ck_assert_ptr_null(block_entry(limit, OPTION_DISCONNECT_DELAY));
    ck_assert_int_eq(limit->blocks->section->id, SECTION_KEY);
    ck_assert_str_eq(values_of(limit->blocks, OPTION_MAX_BAD)->text, "7");
}
END_TEST

START_TEST(a_name_means_one_thing_in_a_section)
{
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option_row *a = &option_table[i];
        ck_assert_uint_eq(a->id, i);
        ck_assert_ptr_nonnull(a->text);
        ck_assert_uint_eq(a->type == TYPE_WORD, a->words != NULL);
        ck_assert_uint_eq(option_places(a->name) & a->where, a->where);
        for (unsigned section = 0; section < SECTION_COUNT; section++)
            ck_assert_msg((a->where & IN(section)) == 0 || option_find(a->name, IN(section)) == a,
                          "%s is ambiguous in section %u", a->name, section);
    }
    ck_assert_ptr_eq(option_find("MODE", IN(SECTION_MILTER)), &option_table[OPTION_PERMISSIONS]);
    ck_assert_ptr_eq(option_find("mode", IN(SECTION_DENY)), &option_table[OPTION_LIMIT_MODE]);
    ck_assert_ptr_null(option_find("mode", IN(SECTION_PEER)));
    ck_assert_ptr_null(option_find("quux", ANYWHERE));
    ck_assert_uint_eq(option_places("quux"), 0);
}
END_TEST

START_TEST(blocks_are_listed_as_they_close)
{
    static const char *const expected[] = {"limit", "peer", "listen", "listener", "pathway", "pathway_group", ""};
    assert_good("listener { listen a { peer b { limit c { } } } }\npathway_group d { pathway e { } }");
    const struct block *block = scan.first_closed;
    for (size_t i = 0; i < 7; i++, block = block->next_closed)
        ck_assert_str_eq(block->section->name, expected[i]);
    ck_assert_ptr_null(block);
}
END_TEST

START_TEST(an_empty_text_is_good)
{
    static const char *const texts[] = {"", "\n", "   \t\r\n", "# a comment", "// a comment\n", "/* a\ncomment */",
                                        "#"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_good(texts[i]);
        ck_assert_ptr_null(scan.top->entries);
        ck_assert_ptr_null(scan.top->blocks);
    }
}
END_TEST

START_TEST(words_and_strings_are_decoded)
{
    static const struct {
        const char *text, *value;
    } good[] = {
        {"pid_file = /run/x", "/run/x"},
        {"pid_file=x//y", "x//y"},
        {"pid_file = \"a b\"", "a b"},
        {"pid_file = 'a b'", "a b"},
        {"pid_file = \"#{}=,()*+'//\"", "#{}=,()*+'//"},
        {"pid_file = '#{}=,()*+\"/*'", "#{}=,()*+\"/*"},
        {"pid_file = \"\\\"\\\\\\x41\\101\\q\\$x\"", "\"\\AAq$x"},
        {"pid_file = '\\'\\\\\\x'", "'\\\\x"},
        {"pid_file = \"a\\\nb\"", "ab"},
        {"pid_file = 'a\\\nb'", "ab"},
        {"pid_file = \"\"", ""},
        {"pid_file = a:b.c-d_e@f/g", "a:b.c-d_e@f/g"},
        {"pid_file = \"\\x4\"", "\x04"},
        {"pid_file\n=\n/run/x # c", "/run/x"},
        {"pid_file = /* c */ /run/x// c", "/run/x//"},
        {"\"pid_file\" = '/run/x'", "/run/x"},
        {"PID_file = \xc3\xa9", "\xc3\xa9"},
        {"pid_file = $HOME", "$HOME"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (strcmp(good[i].value, "\x04") == 0) { /* decoded, but no value may hold it */
            ck_assert(!begin_scan(good[i].text, strlen(good[i].text)));
            continue;
        }
        /* The last comment is none: it is part of the word. */
        if (strstr(good[i].text, "x// c") != NULL) {
            ck_assert(!begin_scan(good[i].text, strlen(good[i].text)));
            ck_assert_str_eq(values_of(scan.top, OPTION_PID_FILE)->text, good[i].value);
            continue;
        }
        assert_good(good[i].text);
        ck_assert_str_eq(values_of(scan.top, OPTION_PID_FILE)->text, good[i].value);
    }
}
END_TEST

START_TEST(comments_are_blanked_and_lines_kept)
{
    assert_good("# one {\nmax_waiting = 5 /* two\n } */ max_delay = 5s // three \"\nlog_refusals = no");
    ck_assert_str_eq(scanned, "       \nmax_waiting = 5       \n      max_delay = 5s           \nlog_refusals = no");
    ck_assert_uint_eq(block_entry(scan.top, OPTION_MAX_DELAY)->line, 3);
    ck_assert_uint_eq(block_entry(scan.top, OPTION_LOG_REFUSALS)->line, 4);
}
END_TEST

static const struct mistake mistakes[] = {
    /* blocks that are not closed, or not open */
    {"max_waiting = 5\nlistener {\n\n", 2, "listener, opened here, is never closed; add \"}\""},
    {"listener {\nlisten \":25\" {\n}\n", 1, "listener, opened here, is never closed"},
    {"listener {\nlisten \":25\" {\n", 2, "listen \":25\", opened here, is never closed"},
    {"listener {\n}\n}\n", 3, "\"}\" closes nothing"},
    {"}", 1, "\"}\" closes nothing"},
    {"listener { peer a { clients = {\n\"10.0.0.0/8\",\n", 1,
     "the list of clients that is opened here is never closed"},
    {"listener { peer a { clients = {\n\"10.0.0.0/8\"\nlistener_sessions = 5 } }", 3, "no comma before"},
    {"listener { peer a {\nclients = {\n\"10.0.0.0/8\",\nlistener_sessions = 5 } }", 4, "close the list of line 2"},
    {"listener { peer a { clients = { { \"10.0.0.0/8\" } } } }", 1, "in the list of clients"},
    {"foo {\nbar {\n}\n", 1, "unknown name \"foo\""},
    {"{ max = 5 }", 1, "\"{\" where a name is expected"},
    {"\n= 5", 2, "\"=\" where a name is expected"},
    {"max_waiting = 5,\nmax_delay = 5", 1, "\",\" where a name is expected"},

    /* strings, comments and characters */
    {"\npid_file = \"/run/x\nmax_waiting = 5\n", 2,
     "the string that begins here is not closed on its line; end it with \""},
    {"pid_file = '/run/x\nmax_waiting = '5'\n", 1, "not closed on its line; end it with '"},
    {"pid_file = \"/run/x", 1, "not closed"},
    {"pid_file = \"/run/x\\", 1, "not closed"},
    {"pid_file = \"/run/x\\\"", 1, "not closed"},
    {"pid_file = \"", 1, "not closed"},
    {"max_waiting = 5\n\n/* never\nclosed", 3, "the comment that begins here is not closed; end it with */"},
    {"/*", 1, "not closed"},
    {"/*/", 1, "not closed"},
    {"max_waiting = 5 \n /* a */ */", 2, "'*' has no meaning here"},
    {"\npid_file = \"${HOME}/x\"", 2, "\"${\" is not replaced by the environment; write the value out"},
    {"\npid_file = ${HOME}", 2, "write the value out"},
    {"\npid_file = /run${X}/y", 2, "write the value out"},
    {"\npid_file = '${HOME}'", 2, "write the value out"},
    {"\npid_file = \"${HOME", 2, "not closed"},
    {"\npid_file = \"${HOME\"", 2, "write the value out"},
    {"\npid_file = \"\\${HOME}\"", 2, "write the value out"},
    {"\npid_file = ${HOME", 2, "write the value out"},
    {"pid_file = \"a\\nb\"", 1, "a control character in a string"},
    {"pid_file = \"a\tb\"", 1, "a control character in a string"},
    {"pid_file = \"a\\x00b\"", 1, "a control character in a string"},
    {"pid_file = \"\\400\"", 1, "no octal character"},
    {"pid_file = \"\\8\"", 1, "no octal character"},
    {"pid_file = \"\\1234\"", 1, "no octal character"},
    {"max_waiting\x01 = 5", 1, "a control character (1); remove it"},
    {"max_waiting = \x7f 5", 1, "a control character (127)"},
    {"max_waiting = 5\rmax_delay = 5s", 1, "a control character (13)"},
    {"max_waiting = 5\vmax_delay = 5s", 1, "a control character (11)"},
    {"max_waiting = (5)", 1, "'(' has no meaning here"},
    {"max_waiting = *5", 1, "'*' has no meaning here"},
    {"max_waiting = 5+5", 1, "'+' has no meaning here"},
    {"max_waiting = 5/* c */", 1, "a comment cannot begin inside a word"},
    {"include(\"x\")", 1, "'(' has no meaning here"},
    {"\xef\xbb\xbfmax_waiting = 5", 1, "byte order mark"},

    /* names that are unknown, and names in the wrong place */
    {"\nlistner_sessions = 5", 2, "unknown name \"listner_sessions\"; did you mean \"listener_sessions\"?"},
    {"max_wating = 5", 1, "did you mean \"max_waiting\"?"},
    {"Listner { }", 1, "did you mean \"listener\"?"},
    {"emstp_listener { }", 1, "did you mean \"esmtp_listener\"?"},
    {"listener { listne \":25\" { } }", 1, "did you mean \"listen\"?"},
    {"quux = 5", 1, "unknown name \"quux\"; at the top level may stand: mode, service_sessions"},
    {"listener { quux = 5 }", 1, "at listener may stand: service_sessions, listener_sessions"},
    {"quux { a = 5 b { } }\nfoo = 7", 1, "unknown name \"quux\""},
    {"listener|peer = 5", 1, "unknown name \"listener|peer\""},
    {"\nlisten \":25\" { }", 2, "section \"listen\" cannot stand in the top level; it may stand in listener"},
    {"peer \"10.0.0.0/8\" { }", 1, "it may stand in listener or listen"},
    {"listener { listener { } }", 1, "section \"listener\" cannot stand in listener; it may stand in the top level"},
    {"listener { milter { } }", 1, "section \"milter\" cannot stand in listener"},
    {"listener { pathway \"x\" { } }", 1, "\"pathway\" is an option of listener; write pathway = ..."},
    {"limit client_sessions { limit client_sessions { } }", 1, "cannot stand in limit"},
    {"daemon_name = x", 1, "option \"daemon_name\" cannot stand in the top level; it may stand in listener"},
    {"listener { max_delay = 5 }", 1, "cannot stand in listener; it may stand in the top level"},
    {"listener { peer a { refuse_pending = 5 } }", 1,
     "cannot stand in peer; it may stand in the top level or listener"},
    {"listener { listen a { clients = { } } }", 1, "option \"clients\" cannot stand in listen; it may stand in peer"},
    {"max = 5", 1, "option \"max\" cannot stand in the top level; it may stand in limit or key"},
    {"listener {\nmode = block }", 2,
     "option \"mode\" cannot stand in listener; it may stand in the top level, milter, policy, control, limit or deny"},
    {"limit a { key b { window = 5 } }", 1, "option \"window\" cannot stand in key; it may stand in limit"},
    {"limit a { key b {\nkey c { } } }", 2, "section \"key\" cannot stand in key; it may stand in limit"},
    {"key a { }", 1, "section \"key\" cannot stand in the top level; it may stand in limit"},
    {"limit a { clients = { b } }", 1, "it may stand in peer, deny or exempt"},
    {"listener { deny { } }", 1, "section \"deny\" cannot stand in listener; it may stand in the top level"},
    {"deny { authenticated = yes }", 1, "it may stand in exempt"},
    {"limit a { maximum_good = 5 }", 1, "unknown name \"maximum_good\"; did you mean \"max_good\"?"},
    {"state { }", 1, "unknown name \"state\"; at the top level may stand: mode"},
    {"milter { listener_sessions = 5 }", 1, "cannot stand in milter; it may stand in the top level, listener, listen"},
    {"listener { peer a { service_sessions = 5 } }", 1, "it may stand in the top level or listener"},

    /* options as sections, sections as options */
    {"max_waiting { }", 1, "\"max_waiting\" is an option of the top level; write max_waiting = ..."},
    {"max_waiting \"x\" { }", 1, "\"max_waiting\" is an option of the top level"},
    {"milter = \"inet:7357@127.0.0.1\"", 1, "\"milter\" is a section of the top level; write milter { }"},
    {"listener { listen = \":25\" }", 1, "\"listen\" is a section of listener; write listen \":25\" { }"},
    {"pathway = \"submission\"", 1, "\"pathway\" is a section of the top level"},
    {"limit = 5", 1, "\"limit\" is a section of the top level; write limit client_sessions { }"},

    /* repetitions */
    {"max_waiting = 5\nmax_delay = 5\nMAX_waiting = 6", 3, "max_waiting is set twice here; line 1 has the first"},
    {"listener {\nlistener_sessions = 5\nlistener_sessions = 5\n}", 3, "line 2 has the first"},
    {"listener { peer a { clients = { \"b\" }\nclients = { \"c\" } } }", 2, "clients is set twice here; line 1"},
    {"milter { }\n\nmilter { }", 3, "milter stands twice here; line 1 has the first"},
    {"pathway \"a\" { }\npathway \"b\" { }\npathway \"A\" { }", 3,
     "pathway \"A\" stands twice here; line 1 has the first"},
    {"limit client_sessions { max = 5 }\nlimit Client_Sessions { max = 6 }", 2, "stands twice here; line 1"},
    {"listener {\npeer \"10.0.0.0/8\" { }\npeer \"10.0.0.0/8\" { } }", 3, "stands twice here; line 2"},
    {"listener {\nlisten \":25\" { }\nlisten \":25\" { } }", 3, "stands twice here; line 2"},
    {"pathway_group a { }\npathway_group a { }", 2, "stands twice here; line 1"},
    {"limit a {\nmode = off\nMode = block }", 3, "mode is set twice here; line 2 has the first"},
    {"limit a { key b { }\nkey B { } }", 2, "key \"B\" stands twice here; line 1 has the first"},
    {"deny { }\ndeny { }", 2, "deny stands twice here; line 1 has the first, put all into one"},
    {"exempt { }\nreputation { }\nreputation { }", 3, "reputation stands twice here; line 2"},

    /* values */
    {"max_waiting 5", 1, "no \"=\" after max_waiting; write max_waiting = 5"},
    {"max_waiting\nmax_delay = 5", 1, "max_waiting has no value; write max_waiting = ..."},
    {"max_waiting", 1, "max_waiting has no value"},
    {"\nmax_waiting =", 2, "max_waiting has no value; write max_waiting = ..."},
    {"listener { listener_sessions = }", 1, "listener_sessions has no value"},
    {"max_waiting = = 5", 1, "max_waiting has no value"},
    {"max_waiting = , 5", 1, "max_waiting has no value"},
    {"max_waiting += 5", 1, "\"+=\" is not offered; write all values of max_waiting in one list"},
    {"listener { peer a {\nclients += { \"b\" } } }", 2, "\"+=\" is not offered"},
    {"max_delay = 5 m", 1, "\"m\" after the value of max_delay; a value is one word"},
    {"max_delay = 5 m\nmax_waiting = 3", 1, "\"m\" after the value of max_delay"},
    {"limit a { except = joe }", 1, "except takes a list; write except = { \"joe\" }"},
    {"limit a { key { max = 5 } }", 1, "key needs a title; write key \"192.0.2.0/24\" { }"},
    {"deny \"x\" { }", 1, "deny takes no title; write deny { }"},
    {"max_waiting = { 5 }", 1, "max_waiting takes one value, no list; write max_waiting = ..."},
    {"listener { peer a { clients = \"10.0.0.0/8\" } }", 1, "clients takes a list; write clients = { \"10.0.0.0/8\" }"},
    {"listener { peer a { clients = { , \"10.0.0.0/8\" } } }", 1, "a comma without a value before it"},
    {"listener { peer a { clients = { \"a\",, \"b\" } } }", 1, "a comma without a value before it"},
    {"listener { peer a { clients = { \"a\" \"b\" } } }", 1, "no comma before \"b\" in the list of clients; add one"},
    {"listener { peer a { clients = } }", 1, "clients has no value; write clients = { \"...\", \"...\" }"},

    /* titles */
    {"\nlistener \"mx\" { }", 2, "listener takes no title; write listener { }, and daemon_name = ... in it for a name"},
    {"milter x { }", 1, "milter takes no title; write milter { }"},
    {"listener {\npeer { listener_sessions = 5 } }", 2, "peer needs a title; write peer \"10.0.0.0/8\" { }"},
    {"limit { max = 5 }", 1, "limit needs a title; write limit client_sessions { }"},
    {"listener {\nlisten\n{ } }", 2, "listen needs a title; write listen \":25\" { }"},
    {"listener", 1, "no \"{\" after listener; write listener { }"},
    {"listener\nmax_waiting = 5", 1, "no \"{\" after listener"},
    {"pathway \"x\"", 1, "no \"{\" after pathway; write pathway \"submission\" { }"},
    {"pathway \"x\" \"y\" { }", 1, "no \"{\" after pathway"},
    {"listener }", 1, "no \"{\" after listener"},
};

START_TEST(a_mistake_is_refused_with_line_and_remedy)
{
    const struct mistake *mistake = &mistakes[_i];
    ck_assert_msg(!begin_scan(mistake->text, strlen(mistake->text)), "<%s> is taken", mistake->text);
    assert_first_error(&messages, "x.conf", mistake);
}
END_TEST

START_TEST(one_scan_tells_many_mistakes)
{
    static const char text[] = "quux = 5\nmax_waiting = 1\nlistener {\n  max_delay = 5\n"
                               "  listen \":25\" { foo = 1 }\n}\nmax_waiting = 2\n";
    begin_scan(text, sizeof text - 1);
    ck_assert_uint_eq(messages.errors, 4);
    ck_assert(is_at(&messages.list[0], "x.conf", 1));
    ck_assert(is_at(&messages.list[1], "x.conf", 4));
    ck_assert(is_at(&messages.list[2], "x.conf", 5));
    ck_assert(is_at(&messages.list[3], "x.conf", 7));
}
END_TEST

START_TEST(each_unclosed_block_is_named)
{
    static const char text[] = "listener {\nlisten a {\npeer b {\nlimit c {\n";
    begin_scan(text, sizeof text - 1);
    ck_assert_uint_eq(messages.errors, 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert(is_at(&messages.list[i], "x.conf", 4 - i));
}
END_TEST

START_TEST(endless_mistakes_end)
{
    enum { TIMES = 100000 };
    static const char *const pieces[] = {"quux = 5\n",    "a{", "listener{", "}", "=",
                                         "pathway x{}\n", "\"", "(",         "{", "x\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        size_t length = strlen(pieces[i]);
        char *text = malloc(TIMES * length + 1);
        ck_assert_ptr_nonnull(text);
        for (size_t j = 0; j < TIMES; j++)
            memcpy(text + j * length, pieces[i], length);
        ck_assert(!begin_scan(text, TIMES * length));
        ck_assert_uint_le(messages.count, MESSAGES_MAX);
        free(text);
    }
}
END_TEST

/* Every beginning of a sample that ends inside a block is refused; any other is taken or refused, but survived. */
static void cut_everywhere(const char *text, size_t size)
{
    size_t open = 0;
    for (size_t cut = 0; cut < size; cut++) {
        bool good = begin_scan(text, cut);
        if (!is_open_at(text, cut))
            continue;
        open++;
        ck_assert_msg(!good, "cut after %zu bytes it is taken", cut);
        ck_assert(strstr(messages.list[0].text, "x.conf:") == messages.list[0].text);
    }
    ck_assert_uint_gt(open, size / 10);
    ck_assert(begin_scan(text, size));
}

START_TEST(every_cut_of_the_sample_is_refused)
{
    size_t size;
    char *text = source_text("conf/tidegate.conf", &size);
    cut_everywhere(text, size);
    free(text);
}
END_TEST

START_TEST(every_cut_of_everything_is_refused)
{
    cut_everywhere(everything, sizeof everything - 1);
}
END_TEST

START_TEST(many_sections_are_scanned_quickly)
{
    /* A search for duplicates that compares each with each would take minutes for so many. */
    enum { PEERS = 200000 };
    char *text = malloc(PEERS * 40 + 100), *end = text;
    ck_assert_ptr_nonnull(text);
    end += sprintf(end, "listener {\n");
    for (unsigned i = 0; i < PEERS; i++)
        end += sprintf(end, "peer \"10.%u.%u.%u\" { }\n", i >> 16, i >> 8 & 255, i & 255);
    strcpy(end, "}\n");
    assert_good(text);
    ck_assert_uint_eq(scan.top->blocks->block_count, PEERS);
    strcpy(end, "peer \"10.1.0.0\" { }\n}\n");
    ck_assert(!begin_scan(text, strlen(text)));
    assert_first_error(
        &messages, "x.conf",
        &(struct mistake){"a duplicate among many", PEERS + 2, "\"10.1.0.0\" stands twice here; line 65538"});
    free(text);
}
END_TEST

START_TEST(errors_displace_warnings_in_a_full_list)
{
    for (unsigned i = 0; i < MESSAGES_MAX - 1; i++)
        messages_error(&messages, "x.conf", i + 1, "error %u", i);
    messages_warning(&messages, "x.conf", 7, "a warning");
    messages_warning(&messages, "x.conf", 8, "a warning too many");
    ck_assert_uint_eq(messages.count, MESSAGES_MAX);
    ck_assert_uint_eq(messages.warnings, 2);
    ck_assert(!messages_full(&messages));
    ck_assert_str_eq(messages.list[MESSAGES_MAX - 1].text, "x.conf:7: a warning");

    messages_error(&messages, "x.conf", 0, "the last error");
    ck_assert(messages_full(&messages));
    ck_assert_uint_eq(messages.count, MESSAGES_MAX);
    ck_assert_str_eq(messages.list[MESSAGES_MAX - 1].text, "x.conf: the last error");
    messages_error(&messages, "x.conf", 9, "an error too many");
    ck_assert_uint_eq(messages.count, MESSAGES_MAX);
    ck_assert_uint_eq(messages.errors, MESSAGES_MAX + 1);
    for (size_t i = 0; i < MESSAGES_MAX; i++)
        ck_assert_int_eq(messages.list[i].severity, MESSAGE_ERROR);
}
END_TEST

START_TEST(a_message_is_one_line_of_bounded_length)
{
    char name[2 * MESSAGE_SIZE];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    messages_error(&messages, "a\nb", 1, "c\r\x7f\x1b[31m%s", "d\te");
    ck_assert_str_eq(messages.list[0].text, "a?b:1: c???[31md?e");
    messages_error(&messages, "x", 1, "%s", name);
    messages_error(&messages, name, 1, "%s", name);
    ck_assert_uint_eq(strlen(messages.list[1].text), MESSAGE_SIZE - 1);
    ck_assert_uint_eq(strlen(messages.list[2].text), MESSAGE_SIZE - 1);
}
END_TEST

static Suite *test_suite(void)
{
    Suite *suite = suite_create("config scan");
    TCase *tree = test_case(suite, "tree");
    tcase_add_checked_fixture(tree, NULL, end_scan);
    tcase_add_test(tree, a_text_becomes_a_tree);
    tcase_add_test(tree, a_name_means_one_thing_in_a_section);
    tcase_add_test(tree, blocks_are_listed_as_they_close);
    tcase_add_test(tree, an_empty_text_is_good);
    tcase_add_test(tree, words_and_strings_are_decoded);
    tcase_add_test(tree, comments_are_blanked_and_lines_kept);
    tcase_add_test(tree, many_sections_are_scanned_quickly);
    TCase *refused = test_case(suite, "mistakes");
    tcase_add_checked_fixture(refused, NULL, end_scan);
    tcase_add_loop_test(refused, a_mistake_is_refused_with_line_and_remedy, 0, sizeof mistakes / sizeof mistakes[0]);
    tcase_add_test(refused, one_scan_tells_many_mistakes);
    tcase_add_test(refused, each_unclosed_block_is_named);
    tcase_add_test(refused, endless_mistakes_end);
    tcase_add_test(refused, every_cut_of_the_sample_is_refused);
    tcase_add_test(refused, every_cut_of_everything_is_refused);
    TCase *told = test_case(suite, "messages");
    tcase_add_checked_fixture(told, NULL, end_scan);
    tcase_add_test(told, errors_displace_warnings_in_a_full_list);
    tcase_add_test(told, a_message_is_one_line_of_bounded_length);
    return suite;
}
