/* SPDX-License-Identifier: MIT */
/* qkd-xfrmd's settings: what a file says, and what is wrong with one. */

#include <criterion/criterion.h>
#include <sys/mman.h>

#include "keyring-helpers/qkd-xfrmd/xfrmd-config.h"
#include "keyring-helpers/qkd-xfrmd/xfrmd-connection.h"

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
	cr_assert(xfrmd_reqid_is_ours(c->reqid));
}

Test(xfrmd_config, makes_three_policies_of_a_selector)
{
	_cleanup_(xfrmd_config_freep) struct xfrmd_config *config = config_of(
		"{" ENDS ",\"selectors\":[{\"local\":\"10.1.0.0/16\",\"remote\":\"10.2.0.0/16\","
		"\"protocol\":\"udp\",\"remote_port\":53},{\"local\":\"10.1.0.0/24\"}]}");
	struct xfrm_policy_rule in, out, forward, last;

	cr_assert(xfrmd_connection_rule(config->connections, 0, &in));
	cr_assert(xfrmd_connection_rule(config->connections, 1, &out));
	cr_assert(xfrmd_connection_rule(config->connections, 2, &forward));
	cr_assert(xfrmd_connection_rule(config->connections, 5, &last));
	cr_assert_not(xfrmd_connection_rule(config->connections, 6, &last));
	cr_assert_eq(out.direction, XFRM_DIRECTION_OUT);
	cr_assert_eq(out.destination_port, 53);
	cr_assert_eq(out.source_port, 0);
	cr_assert_eq(in.direction, XFRM_DIRECTION_IN);
	cr_assert_eq(in.source_port, 53);
	cr_assert(ip_address_equal(&in.outer_source, &config->connections->remote));
	cr_assert_eq(forward.direction, XFRM_DIRECTION_FORWARD);
	cr_assert_lt(last.priority, out.priority, "the narrower one comes first");
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
