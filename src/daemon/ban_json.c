/*
 * ban_json.c: one ban as JSON.
 */
#include "daemon/control.h"

#include <stdio.h>

#include "config/keys.h"
#include "config/shell_word.h"

json_t *lift_command(const char *key, enum limit_per per)
{
    char target[sizeof KEY_USER_MARK + KEY_TEXT_SIZE], word[SHELL_WORD_SIZE(sizeof target)], text[sizeof word + 16];

    snprintf(target, sizeof target, "%s%s", per == PER_USER ? KEY_USER_MARK : "", key);
    snprintf(text, sizeof text, "tidegate unban %s", shell_word(target, word));
    return control_text(text);
}

json_t *ban_json(const struct ban_view *ban)
{
    char client[PREFIX_TEXT_SIZE];
    const bool named = ban->client.addr.family == ADDR_NONE;

    prefix_format(&ban->client, client);
    return json_pack("{s:o, s:o, s:s, s:s, s:o, s:s, s:f, s:f, s:o}", "client",
                     named ? json_null() : json_string(client), "key",
                     named ? (ban->key[0] ? control_text(ban->key) : json_string("")) : json_null(), "per",
                     limit_per_name(ban->per), "limit", ban->name, "scope", control_text(ban->scope), "action",
                     action_name(ban->action), "since", (double)ban->since_ns / 1e9, "left", (double)ban->left_ns / 1e9,
                     "lift", lift_command(named ? ban->key : client, ban->per));
}
