/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>
#include <syslog.h>

#include "qkd-linkd/link-config.h"

#define WORDS_MAX 24

static const char *const base[] = {
	"--site=alice",
	"--peer=bob",
	"--link=alice-bob",
	"--device=sim://pair?side=alice&seed=00112233445566778899aabbccddeeff",
	"--peer_address=192.0.2.1:7800",
	"--tls.ca=/ca",
	"--tls.certificate=/c",
	"--tls.key=/k",
};

/* The base with words in place of those that begin the same; NULL-terminated. Errors in a string.
 */
static int load(const char *const *words, char **ret_errors, struct link_config **ret)
{
	char *all[WORDS_MAX + 1] = {};
	size_t count = 0, size = 0;
	FILE *errors = open_memstream(ret_errors, &size);
	int r;

	for (size_t i = 0; i < ELEMENTSOF(base); i++) {
		size_t name = strchr(base[i], '=') - base[i] + 1;
		bool replaced = false;

		for (size_t k = 0; words[k]; k++)
			replaced |= strncmp(words[k], base[i], name) == 0;
		if (!replaced)
			all[count++] = (char *)base[i];
	}
	for (size_t k = 0; words[k]; k++)
		if (words[k][strlen(words[k]) - 1] != '!')
			all[count++] = (char *)words[k];
	r = link_config_new(NULL, all, errors, ret);
	fclose(errors);
	return r;
}

static void expect_error(const char *const *words, const char *expected)
{
	_cleanup_(link_config_freep) struct link_config *config = NULL;
	_cleanup_(freep) char *errors = NULL;

	cr_expect_eq(load(words, &errors, &config), -EINVAL, "%s", expected);
	cr_expect_not_null(strstr(errors, expected), "%s is not in: %s", expected, errors);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

Test(link_config, the_least_configuration_has_the_documented_defaults)
{
	_cleanup_(link_config_freep) struct link_config *config = NULL;
	_cleanup_(freep) char *errors = NULL;

	cr_assert_eq(load(WORDS("--bus=none"), &errors, &config), 0, "%s", errors);
	cr_expect(link_config_is_leader(config));
	cr_expect_eq(config->keys_per_transaction, 64u);
	cr_expect_eq(config->window, 8u);
	cr_expect_eq(config->hold_sec, 30u);
	cr_expect_eq(config->deposit_cap, 1024u);
	cr_expect_eq(config->store_limit_keys, 1048576u);
	cr_expect_eq(config->consumer, LINK_CONSUMER_KEYRING);
	cr_expect_eq(config->distill_frames, 2048u);
	cr_expect_eq(config->distill_window, 2u);
	cr_expect_not(config->confirm || config->kernel_shared || config->distill_count_both);
	cr_expect_str_eq(config->home, "/var/lib/qkd");
	cr_expect_str_eq(config->bus, "none");
}

Test(link_config, each_role_needs_its_address)
{
	expect_error(WORDS("--peer_address=!"), "peer_address");
	expect_error(WORDS("--site=carol"), "listen");
	expect_error(WORDS("--site=bob"), "two different sites");
}

Test(link_config, limits_are_kept)
{
	expect_error(WORDS("--keys_per_transaction=0"), "keys_per_transaction");
	expect_error(WORDS("--keys_per_transaction=1025"), "keys_per_transaction");
	expect_error(WORDS("--window=65"), "window");
	expect_error(WORDS("--hold_sec=0"), "hold_sec");
	expect_error(WORDS("--deposit_cap=16001"), "deposit_cap");
	expect_error(WORDS("--confirm=true", "--keys_per_transaction=1"), "confirm spends one");
	expect_error(WORDS("--consumer=nobody"), "consumer");
}

Test(link_config, the_device_is_checked_as_its_driver_does)
{
	expect_error(WORDS("--device=nosuch://pair"), "nosuch");
	expect_error(WORDS("--device=sim://pair?side=alice&keybitz=256"), "keybits");
	expect_error(WORDS("--device=!"), "device");
}

Test(link_config, a_reload_names_what_it_cannot_change)
{
	_cleanup_(link_config_freep) struct link_config *old = NULL, *same = NULL, *other = NULL;
	_cleanup_(freep) char *a = NULL, *b = NULL, *c = NULL, *left = NULL, *left_too = NULL;

	cr_assert_eq(load(WORDS("--bus=none"), &a, &old), 0);
	cr_assert_eq(load(WORDS("--bus=none", "--hold_sec=7", "--log_level=debug"), &b, &same), 0);
	cr_assert_eq(load(WORDS("--bus=none", "--home=/other", "--confirm=true", "--tls.ca=/new",
				"--device=sim://other?side=alice&seed="
				"00112233445566778899aabbccddeeff"),
			  &c, &other),
		     0);
	cr_assert_eq(link_config_take_over(old, same, &left), 0);
	cr_expect_str_eq(left, "");
	cr_expect_eq(old->hold_sec, 7u);
	cr_expect_eq(old->log_level, LOG_DEBUG);
	cr_assert_eq(link_config_take_over(old, other, &left_too), 0);
	cr_expect_str_eq(left_too, "device, home, confirm");
	cr_expect_str_eq(old->home, "/var/lib/qkd", "the old one is in force");
	cr_expect_str_eq(old->tls_ca, "/new", "certificates are read again");
}

Test(link_config, a_setting_changes_alone_and_only_to_what_a_start_would_take)
{
	_cleanup_(link_config_freep) struct link_config *config = NULL;
	_cleanup_(freep) char *errors = NULL;
	static const struct {
		const char *name, *value;
		int result;
		const char *what;
	} cases[] = {
		{"window", "0", -EINVAL, "window: expected a whole number from 1 to 64, found 0"},
		{"window", "\"3\"", -EINVAL, "window: expected a whole number"},
		{"keys_per_transaction", "1", -EINVAL, "confirm spends one"},
		{"log_level", "loud", -EINVAL, "expected one of"},
		{"home", "/elsewhere", -EROFS, "home: cannot be changed now"},
		{"tls.key", "/k2", -EROFS, "tls.key"},
		{"windwo", "3", -ENOENT, "no such setting"},
		{"window=3 --hold_sec", "4", -ENOENT, "no such setting"},
		{"", "", -ENOENT, "no such setting"},
	};

	cr_assert_eq(load(WORDS("--bus=none", "--confirm=true"), &errors, &config), 0, "%s",
		     errors);
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(freep) char *what = NULL;

		cr_expect_eq(link_config_change(config, cases[i].name, cases[i].value, &what),
			     cases[i].result, "%s=%s", cases[i].name, cases[i].value);
		cr_expect_not_null(strstr(what, cases[i].what), "%s", what);
		cr_expect_null(strchr(what, '\n'));
	}
	cr_expect_eq(config->window, 8u);
	cr_expect_eq(config->keys_per_transaction, 64u);
	cr_assert_eq(link_config_change(config, "window", "3", NULL), 0);
	cr_expect_eq(config->window, 3u);
	cr_assert_eq(link_config_change(config, "log_level", "debug", NULL), 0);
	cr_expect_eq(config->log_level, LOG_DEBUG);
}
