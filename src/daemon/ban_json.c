/*
 * ban_json.c: one ban as JSON.
 */
#include "daemon/control.h"

#include <stdio.h>
#include <string.h>

json_t *lift_command(const char *target)
{
    char text[4 * KEY_TEXT_SIZE + 32] = "tidegate unban ";
    size_t length = strlen(text);

    if (target[0] == '-')
        length += (size_t)sprintf(text + length, "-- ");
    if (target[0] && strspn(target, "abcdefghijklmnopqrstuvwxyz0123456789.:/@_-") == strlen(target)) {
        strcpy(text + length, target);
        return json_string(text);
    }
    text[length++] = '\'';
    for (; *target; target++)
        length += (size_t)sprintf(text + length, *target == '\'' ? "'\\''" : "%c", *target);
    strcpy(text + length, "'");
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
                     "lift", lift_command(named ? ban->key : client));
}
