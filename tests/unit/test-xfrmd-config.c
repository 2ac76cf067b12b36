/* SPDX-License-Identifier: MIT */
/* qkd-xfrmd's settings: what a file says, and what is wrong with one. */

#include <criterion/criterion.h>
#include <sys/mman.h>

#include "keyring-helpers/qkd-xfrmd/xfrmd-config.h"

static int load(const char *text, char **ret_errors, struct xfrmd_config **ret)
{
	char path[32], *none[] = {NULL};
	int fd = memfd_create("xfrmd.json", 0);
	size_t size;
	FILE *errors = open_memstream(ret_errors, &size);
	int r;

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = xfrmd_config_new(path, none, errors, ret);
	fclose(errors);
	close(fd);
	return r;
}

static struct xfrmd_config *config_of(const char *connection)
{
	_cleanup_(freep) char *text = NULL, *errors = NULL;
	struct xfrmd_config *config = NULL;

	cr_assert_gt(
		asprintf(&text, "{\"site\":\"alice\",\"connections\":{\"office\":%s}}", connection),
		0);
	cr_assert_eq(load(text, &errors, &config), 0, "%s", errors);
	return config;
}

static void refused(const char *connection, const char *expected)
{
	_cleanup_(freep) char *text = NULL, *errors = NULL;
	struct xfrmd_config *config = NULL;

	cr_assert_gt(
		asprintf(&text, "{\"site\":\"alice\",\"connections\":{\"office\":%s}}", connection),
		0);
	cr_assert_eq(load(text, &errors, &config), -EINVAL, "%s", connection);
	cr_assert_not_null(strstr(errors, expected), "%s: %s", connection, errors);
}

#define ENDS "\"peer\":\"bob\",\"local\":\"192.0.2.1\",\"remote\":\"192.0.2.2\""

Test(xfrmd_config, has_defaults_for_all_but_the_ends)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *config = config_of("{" ENDS "}");
	const struct xfrmd_connection_config *c = &config->connections[0];

	cr_assert_eq(config->connection_count, 1);
	cr_assert_eq(config->port, 7900);
	cr_assert_str_eq(c->name, "office");
	cr_assert(c->tunnel);
	cr_assert_eq(c->rekey_sec, 3600);
	cr_assert_eq(c->hard_sec, 14400);
	cr_assert_eq(c->drain_sec, 30);
	cr_assert_eq(c->control_port, 7900);
	cr_assert(ip_address_equal(&c->control, &c->remote));
	cr_assert_eq(c->selector_count, 1);
	cr_assert_eq(c->selectors[0].local.length_bits, 32);
	cr_assert_eq(c->clear_count, 0);
	cr_assert(xfrmd_reqid_is_ours(c->reqid));
}

Test(xfrmd_config, reads_what_goes_in_clear_like_what_is_protected)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *config =
		config_of("{" ENDS ",\"mode\":\"transport\",\"clear\":["
			  "{\"protocol\":\"tcp\",\"local_port\":7700},"
			  "{\"protocol\":\"tcp\",\"remote_port\":7700}]}");
	const struct xfrmd_connection_config *c = &config->connections[0];

	cr_assert_eq(c->selector_count, 1);
	cr_assert_eq(c->clear_count, 2);
	cr_assert_eq(c->clear[0].protocol, 6);
	cr_assert_eq(c->clear[0].local_port, 7700);
	cr_assert_eq(c->clear[0].remote.length_bits, 32);
	cr_assert_eq(c->clear[1].remote_port, 7700);
}

Test(xfrmd_config, tells_what_is_wrong_and_where)
{
	static const struct {
		const char *connection, *expected;
	} wrong[] = {
		{"{}", "peer: missing"},
		{"[]", "expected an object"},
		{"{" ENDS ",\"mod\":\"tunnel\"}", "\"mode\" is the nearest"},
		{"{" ENDS ",\"mode\":\"beet\"}", "expected \"tunnel\""},
		{"{" ENDS ",\"rekey_sec\":1}", "rekey_sec: expected a number, 2 to"},
		{"{" ENDS ",\"rekey_sec\":100,\"hard_sec\":100}", "must be longer than rekey_sec"},
		{"{" ENDS ",\"rekey_bytes\":65536,\"hard_bytes\":65536}", "must be more than"},
		{"{" ENDS ",\"drain_sec\":-1}", "drain_sec: expected a number"},
		{"{" ENDS ",\"control\":\"host:1\"}", "expected IP:PORT"},
		{"{" ENDS ",\"selectors\":[]}", "a list of 1 to 32"},
		{"{" ENDS ",\"selectors\":[{\"local\":\"10.0.0.1/8\"}]}", "nothing below the bits"},
		{"{" ENDS ",\"selectors\":[{\"local_port\":1}]}", "ports need a protocol"},
		{"{" ENDS ",\"selectors\":[{\"protocol\":\"esp\"}]}", "expected tcp, udp"},
		{"{" ENDS ",\"selectors\":[{\"local\":\"::/0\"}]}", "is of another family"},
		{"{" ENDS ",\"mode\":\"transport\",\"selectors\":[{\"local\":\"10.0.0.0/8\"}]}",
		 "transport mode protects the two ends only"},
		{"{" ENDS ",\"clear\":[]}", "clear: expected a list of 1 to 32"},
		{"{" ENDS ",\"clear\":[{\"remote_port\":1}]}", "ports need a protocol"},
		{"{" ENDS ",\"clear\":[{}]}", "clear: has a selector that protects"},
		{"{" ENDS ",\"mode\":\"transport\",\"clear\":[{\"remote\":\"10.0.0.0/8\"}]}",
		 "transport mode protects the two ends only"},
		{"{\"peer\":\"alice\",\"local\":\"192.0.2.1\",\"remote\":\"192.0.2.2\"}",
		 "our own site"},
		{"{\"peer\":\"bob\",\"local\":\"192.0.2.1\",\"remote\":\"::2\"}", "another family"},
		{"{\"peer\":\"bob\",\"local\":\"192.0.2\",\"remote\":\"192.0.2.2\"}",
		 "local: expected"},
	};

	for (size_t i = 0; i < ELEMENTSOF(wrong); i++)
		refused(wrong[i].connection, wrong[i].expected);
}

Test(xfrmd_config, refuses_names_that_make_no_label)
{
	_cleanup_(freep) char *errors = NULL;
	struct xfrmd_config *config = NULL;

	cr_assert_eq(load("{\"site\":\"alice\",\"connections\":{\"Office_1\":{" ENDS "}}}", &errors,
			  &config),
		     -EINVAL);
	cr_assert_not_null(strstr(errors, "expected a name"), "%s", errors);
}

Test(xfrmd_config, refuses_to_clear_what_another_connection_protects)
{
	_cleanup_(freep) char *errors = NULL;
	struct xfrmd_config *config = NULL;

	cr_assert_eq(load("{\"site\":\"alice\",\"connections\":{"
			  "\"office\":{" ENDS ",\"clear\":[{\"protocol\":\"tcp\"}]},"
			  "\"tcp\":{" ENDS ",\"selectors\":[{\"protocol\":\"tcp\"}]}}}",
			  &errors, &config),
		     -EINVAL);
	cr_assert_not_null(strstr(errors, "clear: has a selector that protects"), "%s", errors);
}

/* Found by trying: the same 24 bits of CRC-32C. */
Test(xfrmd_config, refuses_two_names_with_one_number)
{
	_cleanup_(freep) char *errors = NULL;
	struct xfrmd_config *config = NULL;

	cr_assert_eq(xfrmd_reqid("c399889"), xfrmd_reqid("c822244"));
	cr_assert_eq(load("{\"site\":\"alice\",\"connections\":{\"c399889\":{" ENDS "},"
			  "\"c822244\":{" ENDS "}}}",
			  &errors, &config),
		     -EINVAL);
	cr_assert_not_null(strstr(errors, "its name has another's number"), "%s", errors);
}
