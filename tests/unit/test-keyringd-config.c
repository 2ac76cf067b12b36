// SPDX-License-Identifier: MIT
/* qkd-keyringd's settings: defaults, peers, and what is told when they are wrong. */

#include <criterion/criterion.h>
#include <syslog.h>

#include "qkd-keyringd/keyringd-config.h"
#include "tests/unit/support/test-allocation.h"

/* Reads words of the command line; the errors are allocated. */
static struct keyringd_config *read_words(char *const *words, char **ret_errors, size_t *ret_count)
{
	struct keyringd_config *config = NULL;
	size_t size;
	FILE *errors = open_memstream(ret_errors, &size);

	cr_assert_eq(keyringd_config_new(NULL, words, errors, &config, ret_count), 0);
	fclose(errors);
	return config;
}

#define COMMON "--tls.ca=/ca", "--tls.certificate=/c", "--tls.key=/k"

Test(keyringd_config, fills_in_what_is_not_set)
{
	char *words[] = {"--site=alice", COMMON, NULL};
	_cleanup_(freep) char *errors = NULL;
	size_t count;
	_cleanup_(keyringd_config_freep) struct keyringd_config *config =
		read_words(words, &errors, &count);

	cr_assert_eq(count, 0, "%s", errors);
	cr_assert_str_eq(config->site, "alice");
	cr_assert_str_eq(config->home, "/var/lib/qkd");
	cr_assert_str_eq(config->runtime, "/run/qkd");
	cr_assert_str_eq(config->policy, "/etc/qkd/policy.json");
	cr_assert_str_eq(config->bus, "system");
	cr_assert(config->unqualified);
	cr_assert_not(config->kernel_shared);
	cr_assert_eq(config->label_ttl_sec, 86400);
	cr_assert_eq(config->reservation_sec, 600);
	cr_assert_eq(config->run_ahead_keys, 64);
	cr_assert_eq(config->low_water_keys, 0);
	cr_assert_eq(config->log_level, LOG_INFO);
	cr_assert_null(config->listen);
	cr_assert_eq(config->peer_count, 0);
}

Test(keyringd_config, takes_every_setting)
{
	char *words[] = {"--site=bob",
			 "--listen=127.0.0.1:7700",
			 COMMON,
			 "--peers={\"alice\": {}, \"carol\": {\"address\": \"[::1]:7700\"}}",
			 "--home=/h",
			 "--runtime=/r",
			 "--policy=/p",
			 "--bus=none",
			 "--kernel_shared=true",
			 "--unqualified=false",
			 "--label_ttl_sec=1",
			 "--reservation_sec=2",
			 "--run_ahead_keys=3",
			 "--low_water_keys=4",
			 "--log_level=debug",
			 NULL};
	_cleanup_(freep) char *errors = NULL;
	size_t count;
	_cleanup_(keyringd_config_freep) struct keyringd_config *config =
		read_words(words, &errors, &count);

	cr_assert_eq(count, 0, "%s", errors);
	cr_assert_eq(config->peer_count, 2);
	cr_assert_str_eq(config->peers[0].site, "alice");
	cr_assert_null(config->peers[0].address);
	cr_assert_str_eq(config->peers[1].address, "[::1]:7700");
	cr_assert_str_eq(config->bus, "none");
	cr_assert_eq(config->log_level, LOG_DEBUG);
	cr_assert_eq(config->low_water_keys, 4);
}

static void assert_error(char *const *words, const char *expected)
{
	_cleanup_(freep) char *errors = NULL;
	size_t count;
	_cleanup_(keyringd_config_freep) struct keyringd_config *config =
		read_words(words, &errors, &count);

	cr_assert_gt(count, 0, "expected: %s", expected);
	cr_assert_not_null(strstr(errors, expected), "expected %s, said\n%s", expected, errors);
}

Test(keyringd_config, tells_what_is_wrong_with_the_peers)
{
	char *no_address[] = {"--site=alice", COMMON, "--peers={\"bob\": {}}", NULL};
	char *ourselves[] = {"--site=alice", COMMON, "--peers={\"alice\": {}}", NULL};
	char *nobody_listens[] = {"--site=bob", COMMON, "--peers={\"alice\": {}}", NULL};
	char *no_name[] = {"--site=bob", COMMON, "--peers={\"A b\": {}}", NULL};
	char *bad_address[] = {"--site=alice", COMMON, "--peers={\"bob\": {\"address\": 5}}", NULL};
	char *unknown[] = {"--site=alice", COMMON, "--peers={\"bob\": {\"adress\": \"b:1\"}}",
			   NULL};
	char *no_object[] = {"--site=alice", COMMON, "--peers=[]", NULL};

	assert_error(no_address, "needs an address");
	assert_error(ourselves, "our own site");
	assert_error(nobody_listens, "listen");
	assert_error(no_name, "site's name");
	assert_error(bad_address, "HOST:PORT");
	assert_error(unknown, "\"address\" is the nearest");
	assert_error(no_object, "expected");
}

Test(keyringd_config, tells_what_is_missing_and_out_of_range)
{
	char *missing[] = {"--site=alice", NULL};
	char *range[] = {"--site=alice", COMMON, "--run_ahead_keys=0", NULL};
	char *level[] = {"--site=alice", COMMON, "--log_level=loud", NULL};

	assert_error(missing, "tls.key");
	assert_error(range, "run_ahead_keys");
	assert_error(level, "log_level");
}

Test(keyringd_config, survives_the_failure_of_every_allocation)
{
	char *words[] = {"--site=bob", COMMON, "--listen=127.0.0.1:1",
			 "--peers={\"alice\": {}, \"carol\": {\"address\": \"c:1\"}}", NULL};
	FILE *errors = fopen("/dev/null", "w");
	bool complete = false;

	TEST_EACH_ALLOCATION (n, 1) {
		struct keyringd_config *config = NULL;
		size_t count = 0;
		int r = keyringd_config_new(NULL, words, errors, &config, &count);

		complete = r == 0 && count == 0;
		cr_assert(!complete || config->peer_count == 2);
		keyringd_config_free(config);
	}
	cr_assert(complete, "the last time, when nothing failed");
	fclose(errors);
}
