"""What the five systems that tidegate unites do, row by row, and the end-to-end tests that show it.

A row is called what its ancestor calls it. The tests of a row are `FILE::NAME` on real Postfix; those whose names begin
with `test_ANCESTOR_` were written for it. A row without tests says why. test_seeds.py sees to all that.
"""

MOMENTUM, ASSP, HARAKA, POSTFIX, STALWART = "Momentum", "ASSP", "Haraka", "Postfix", "Stalwart"

# (ancestor, its name for it): tests, or a text that says why there are none
ROWS = {
    (MOMENTUM, "Listener_Sessions (0)"): [
        "test_momentum.py::test_momentum_listener_sessions",
        "test_caps.py::test_the_block_of_momentum",
        "test_caps.py::test_listener_sessions_in_a_listener_is_one_budget",
        "test_caps.py::test_listen_has_its_own_cap_and_shares_the_listeners",
        "test_caps.py::test_listens_peer_and_listeners_peer_hold_both",
        "test_caps.py::test_pathway_is_one_counter_over_all_listeners",
        "test_caps.py::test_pathway_group_is_one_counter_for_its_pathways",
    ],
    (MOMENTUM, "Service_Sessions (0)"): [
        "test_momentum.py::test_momentum_service_sessions",
        "test_caps.py::test_service_sessions",
        "test_caps.py::test_service_sessions_inside_a_listener",
    ],
    (MOMENTUM, "the slot"): [
        "test_momentum.py::test_momentum_slot",
        "test_slots.py::test_slot_is_held_by_the_silent",
        "test_slots.py::test_refusal_is_spoken_at_the_first_command_that_can_carry_it",
    ],
    (MOMENTUM, "scopes and fallback"): [
        "test_momentum.py::test_momentum_scopes_and_fallback",
        "test_limits.py::test_limit_terms_fall_back_singly",
        "test_limits.py::test_limit_counts_in_the_scope_of_its_block",
    ],
    (MOMENTUM, "Idle_Time"): [
        "test_momentum.py::test_momentum_idle_time",
        "test_idle.py::test_idle_sessions_are_refused_at_their_next_command",
        "test_idle.py::test_disconnect_frees_the_slot_of_a_stuck_session",
        "test_slow_body.py::test_body_of_a_minute_arrives",
    ],
    (MOMENTUM, "pathway, pathway_group"): [
        "test_momentum.py::test_momentum_pathway_and_group",
        "test_caps.py::test_pathway_chosen_by_peer",
    ],
    (MOMENTUM, "Max_Receptions_Per_Connection, Max_Recipients_Per_Connection, Max_Recipients_Per_Message"): [
        "test_momentum.py::test_momentum_receptions_per_connection",
        "test_momentum.py::test_momentum_recipients_per_connection",
        "test_momentum.py::test_momentum_recipients_per_message",
    ],
    (ASSP, "DoDenyConnect, denySMTPConnectionsFromAlways"): [
        "test_assp.py::test_assp_deny",
        "test_lists.py::test_a_million_denied_blocks",
        "test_lists.py::test_deny_of_senders_and_users",
    ],
    (ASSP, "MaxErrors"): [
        "test_assp.py::test_assp_max_errors",
        "test_modes.py::test_refusal_by_a_rejected_recipient_is_said_at_the_next_command",
    ],
    (ASSP, "maxSMTPSessions (64 suggested)"): ["test_assp.py::test_assp_max_smtp_sessions"],
    (ASSP, "maxSMTPipSessions (5 suggested)"): [
        "test_assp.py::test_assp_max_smtp_sessions_of_one_address",
        "test_clients.py::test_each_address_has_its_own_count",
    ],
    (ASSP, "DoFrequencyIP: maxSMTPipConnects (10), maxSMTPipDuration (90 s), maxSMTPipExpiration (7200 s); "
           "0 off, 1 block, 2 monitor, 3 score"): [
        "test_assp.py::test_assp_frequency_of_one_address",
        "test_assp.py::test_assp_frequency_ban_ends_while_the_client_retries",
        "test_assp.py::test_assp_frequency_modes",
    ],
    (ASSP, "DoDomainIP: maxSMTPdomainIP (10), maxSMTPdomainIPExpiration (7200 s), maxSMTPdomainIPWL"): [
        "test_assp.py::test_assp_domain_networks",
        "test_assp.py::test_assp_domain_networks_prefix",
        "test_assp.py::test_assp_helo_networks",
        "test_limits.py::test_domains_are_the_same_in_any_spelling",
    ],
    (ASSP, "smtpIdleTimeout (180 s)"): ["test_assp.py::test_assp_idle_timeout"],
    (ASSP, "modes"): [
        "test_assp.py::test_assp_modes",
        "test_modes.py::test_score_is_handed_on_in_the_topmost_header",
        "test_modes.py::test_score_refuses_when_it_is_enough",
        "test_modes.py::test_monitor_tells_what_block_does",
    ],
    (ASSP, "exemptions"): [
        "test_assp.py::test_assp_exemptions",
        "test_assp.py::test_assp_exempt_users",
        "test_assp.py::test_assp_except_in_a_limit",
        "test_limits.py::test_exempt_session_costs_two_events",
    ],
    (ASSP, "reply when over"): ["test_assp.py::test_assp_reply"],
    (HARAKA, "concurrency.max"): ["test_haraka.py::test_haraka_concurrency"],
    (HARAKA, "disconnect_delay / tarpit_delay (3 s)"): ["test_haraka.py::test_haraka_disconnect_delay"],
    (HARAKA, "history: good, none, bad (10, 2, 1 for concurrency; recipients 50, 5, 1; rate 15/1m, 1/5m, 1/15m)"): [
        "test_haraka.py::test_haraka_history",
        "test_haraka.py::test_haraka_history_of_rates_and_recipients",
    ],
    (HARAKA, "recipients.max, max_relaying"): [
        "test_haraka.py::test_haraka_recipients",
        "test_haraka.py::test_haraka_max_relaying",
    ],
    (HARAKA, "unrecognized_commands.max (10)"): ["test_haraka.py::test_haraka_unrecognized_commands"],
    (HARAKA, "errors.max (10)"): ["test_haraka.py::test_haraka_errors"],
    (HARAKA, "rate_conn, rate_rcpt_host, rate_rcpt_sender, rate_rcpt, rate_rcpt_null (`max/time`)"): [
        "test_haraka.py::test_haraka_rate_conn",
        "test_haraka.py::test_haraka_rate_conn_by_host_name",
        "test_haraka.py::test_haraka_rate_of_a_domain",
        "test_haraka.py::test_haraka_rate_rcpt_host",
        "test_haraka.py::test_haraka_rate_rcpt_sender",
        "test_haraka.py::test_haraka_rate_rcpt",
        "test_haraka.py::test_haraka_rate_rcpt_null",
        "test_haraka.py::test_haraka_rate_of_a_user",
    ],
    (HARAKA, "counters too high after a crash, too low after the periodic reset (`concurrencyreset`)"): [
        "test_haraka.py::test_haraka_counters_are_never_repaired",
        "test_reload.py::test_reload_under_load",
        "test_failures.py::test_daemon_stops_under_open_sessions",
    ],
    (HARAKA, "Redis"): "a store that several hosts share is to come",
    (POSTFIX, "default_process_limit (100), a master.cf service's maxproc"): [
        "test_postfix.py::test_postfix_process_limit",
    ],
    (POSTFIX, "smtpd_error_sleep_time (1 s), smtpd_soft_error_limit (10), smtpd_hard_error_limit (20)"): [
        "test_postfix.py::test_postfix_error_delays",
        "test_postfix.py::test_postfix_error_limit_is_reset_by_a_message",
    ],
    (POSTFIX, "\"does not yet know how to limit the number of connections from the same client\""): [
        "test_postfix.py::test_postfix_connections_of_one_client",
        "test_postfix.py::test_postfix_messages_of_one_client",
        "test_postfix.py::test_postfix_recipients_of_one_client",
    ],
    (POSTFIX, "smtpd_recipient_limit (1000)"): ["test_postfix.py::test_postfix_recipient_limit"],
    (POSTFIX, "destination concurrency, recipient limits per delivery, defer_transports, backoff"):
        "outbound delivery: no filter and no policy service is asked there",
    (STALWART, "several listeners, each bound to several IPv4/IPv6 addresses and ports"): [
        "test_stalwart.py::test_stalwart_listeners",
        "test_caps.py::test_listen_matches_address_and_port",
    ],
    (STALWART, "server.max-connections (8192), overridden for a listener (1024)"): [
        "test_stalwart.py::test_stalwart_max_connections",
        "test_caps.py::test_listener_sessions_at_the_top_is_each_listeners_default",
    ],
    (STALWART, "socket options: reuse-addr, reuse-port, backlog, ttl, send and receive buffer, linger, tos, nodelay, "
               "with global defaults and overrides"): [
        "test_stalwart.py::test_stalwart_socket_options",
    ],
}
