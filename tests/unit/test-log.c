// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "common/events.h"
#include "common/log.h"

static char seen[8192];
static unsigned entries;

/* Every field on a line of its own. */
static void remember(const struct iovec *fields, size_t count, void *userdata)
{
	size_t used = 0;

	entries++;
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(seen + used, sizeof(seen) - used, "%.*s\n",
					 (int)fields[i].iov_len, (const char *)fields[i].iov_base);
}

static void catch_entries(void)
{
	log_set_sink(remember, NULL);
	log_set_identity("qkd-linkd", "alice", "alice-bob");
}

Test(log, a_line_carries_the_identity_of_the_process, .init = catch_entries)
{
	log_info("agreed %d keys", 3);
	cr_assert_str_eq(seen, "MESSAGE=agreed 3 keys\nPRIORITY=6\nSYSLOG_IDENTIFIER=qkd-linkd\n"
			       "QKD_SITE=alice\nQKD_LINK=alice-bob\n");
}

Test(log, an_event_carries_its_message_id_and_fields, .init = catch_entries)
{
	struct uuid id;
	struct log_fields fields = {
		.peer = "bob",
		.link = "bob-carol",
		.key_id = &id,
		.label = "vpn1",
		.transaction = "17",
		.reason = "spent",
		.error = ETIMEDOUT,
	};

	memset(&id, 0x11, sizeof(id));
	log_event(LOG_WARNING, EVENT_KEY_ISSUED, &fields, "hello");
	cr_assert_str_eq(seen, "MESSAGE=hello\nPRIORITY=4\nSYSLOG_IDENTIFIER=qkd-linkd\n"
			       "MESSAGE_ID=" EVENT_KEY_ISSUED "\nQKD_SITE=alice\n"
			       "QKD_LINK=bob-carol\nQKD_PEER=bob\n"
			       "QKD_KEY_ID=11111111-1111-1111-1111-111111111111\n"
			       "QKD_LABEL=vpn1\nQKD_TRANSACTION=17\nQKD_REASON=spent\nERRNO=110\n");
}

Test(log, what_is_above_the_level_is_left_out, .init = catch_entries)
{
	log_debug("not yet");
	log_event(LOG_DEBUG, EVENT_KEY_ISSUED, NULL, "not yet");
	cr_assert_eq(entries, 0u);
	log_set_max_level(LOG_DEBUG);
	log_debug("now");
	cr_assert_eq(entries, 1u);
	cr_assert_eq(log_max_level(), LOG_DEBUG);
}

Test(log, control_characters_of_a_peer_do_not_get_through, .init = catch_entries)
{
	log_info("from %s", "evil\nPRIORITY=0\x1b[2J");
	cr_assert_null(strstr(seen, "\nPRIORITY=0"));
	cr_assert(strstr(seen, "MESSAGE=from evil?PRIORITY=0?[2J\n"));
}

Test(log, an_endless_message_is_cut_and_keeps_the_other_fields, .init = catch_entries)
{
	static char endless[20000];

	memset(endless, 'x', sizeof(endless) - 1);
	log_event(LOG_INFO, EVENT_KEY_ISSUED, &(struct log_fields){.peer = "bob"}, "%s", endless);
	cr_assert(strstr(seen, "QKD_PEER=bob\n"));
	cr_assert_lt(strlen(seen), 4096u);
}

Test(log, errno_survives, .init = catch_entries)
{
	errno = ENOENT;
	log_info("x");
	cr_assert_eq(errno, ENOENT);
}

Test(log, without_journald_a_line_goes_to_standard_error, .init = cr_redirect_stderr)
{
	if (access("/run/systemd/journal/socket", F_OK) == 0)
		cr_skip_test("this machine has journald");
	log_set_identity("qkd-keyringd", "alice", NULL);
	log_info("one\ttwo");
	cr_assert_stderr_eq_str("qkd-keyringd[alice]: one?two\n");
}

Test(log, a_rate_limit_lets_a_burst_through_and_counts_the_rest)
{
	struct log_ratelimit limit = {.interval_usec = 50 * USEC_PER_MSEC, .burst = 2};
	unsigned suppressed = 99;

	cr_assert(log_ratelimit_pass(&limit, &suppressed));
	cr_assert_eq(suppressed, 0u);
	cr_assert(log_ratelimit_pass(&limit, &suppressed));
	cr_assert_not(log_ratelimit_pass(&limit, &suppressed));
	cr_assert_not(log_ratelimit_pass(&limit, &suppressed));
	usleep(60 * 1000);
	cr_assert(log_ratelimit_pass(&limit, &suppressed));
	cr_assert_eq(suppressed, 2u);
}
