/* SPDX-License-Identifier: MIT */
/* Policies: what a file says, what is wrong with one, who gets what. */

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "qkd-keyringd/policy.h"
#include "tests/unit/support/test-allocation.h"

#define FILE_TEMPLATE "/tmp/qkd-test-policy-XXXXXX"

static int fake_user(const char *name, uid_t *ret)
{
	if (!str_equal(name, "ann"))
		return -ENOENT;
	*ret = 1000;
	return 0;
}

static int fake_group(const char *name, gid_t *ret, uid_t **ret_members, size_t *ret_count)
{
	if (!str_equal(name, "vpn"))
		return -ENOENT;
	*ret_members = calloc(1, sizeof(uid_t));
	(*ret_members)[0] = 1007;
	*ret_count = 1;
	*ret = 50;
	return 0;
}

static const struct policy_names names = {.user = fake_user, .group = fake_group};

/* Loads a text as a policy file; errors, allocated, without the file's name. */
static int load(const char *text, char **ret_errors, struct policy **ret)
{
	char path[] = FILE_TEMPLATE;
	int fd = mkstemp(path);
	size_t size;
	FILE *errors = open_memstream(ret_errors, &size);
	int r;

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = policy_load(path, &names, errors, ret);
	fclose(errors);
	unlink(path);
	return r;
}

static struct policy *policy_of(const char *text)
{
	_cleanup_(freep) char *errors = NULL;
	struct policy *policy = NULL;

	cr_assert_eq(load(text, &errors, &policy), 0, "%s", errors);
	cr_assert_str_eq(errors, "");
	return policy;
}

static enum policy_verdict ask(struct policy *policy, uid_t uid, gid_t gid, const char *label,
			       uint32_t bits)
{
	const struct policy_request request = {
		.uid = uid,
		.groups = &gid,
		.group_count = 1,
		.peer = "bob",
		.label = label,
		.bits = bits,
		.count = 1,
	};
	size_t rule;

	return policy_decide(policy, &request, 1, &rule);
}

Test(policy, without_a_file_serves_root_alone)
{
	_cleanup_(policy_freep) struct policy *policy = NULL;

	cr_assert_eq(policy_load("/nonexistent/policy.json", &names, stderr, &policy), -ENOENT);
	cr_assert_eq(policy_new_default(&policy), 0);
	cr_assert_eq(ask(policy, 0, 0, "a", 256), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 0, 0, NULL, 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1000, 0, "a", 256), POLICY_REFUSE);
}

Test(policy, with_no_rules_refuses_everybody)
{
	_cleanup_(policy_freep) struct policy *policy = policy_of("{\"rules\": []}");

	cr_assert_eq(ask(policy, 0, 0, "a", 256), POLICY_REFUSE);
}

Test(policy, finds_requesters_by_name_number_group_and_membership)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("{\"rules\": [{\"users\": [\"ann\", 1001], \"groups\": [\"vpn\", 60]}]}");

	cr_assert_eq(ask(policy, 1000, 1, "a", 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1001, 1, "a", 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1002, 50, "a", 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1002, 60, "a", 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1007, 1, "a", 0), POLICY_ALLOW, "a member of the group vpn");
	cr_assert_eq(ask(policy, 1002, 1, "a", 0), POLICY_REFUSE);
}

Test(policy, takes_the_first_rule_that_matches)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("{\"rules\": [{\"allow\": false, \"labels\": [\"secret-*\"]},"
			  "{\"users\": [1000]}]}");

	cr_assert_eq(ask(policy, 1000, 1, "secret-1", 0), POLICY_REFUSE);
	cr_assert_eq(ask(policy, 1000, 1, "vpn", 0), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1001, 1, "vpn", 0), POLICY_REFUSE);
}

Test(policy, compares_peers_labels_and_sizes)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("{\"rules\": [{\"peers\": [\"b?b\"], \"labels\": [\"vpn-*\", \"x\"],"
			  "\"sizes\": [256, 512]}]}");

	cr_assert_eq(ask(policy, 1, 1, "vpn-1", 256), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1, 1, "x", 512), POLICY_ALLOW);
	cr_assert_eq(ask(policy, 1, 1, "x", 0), POLICY_ALLOW, "a size that is not known");
	cr_assert_eq(ask(policy, 1, 1, "xx", 256), POLICY_REFUSE);
	cr_assert_eq(ask(policy, 1, 1, "x", 128), POLICY_REFUSE);
}

Test(policy, covers_keys_by_id_only_where_a_rule_means_them)
{
	_cleanup_(policy_freep) struct policy *labels =
		policy_of("{\"rules\": [{\"labels\": [\"*\"]}]}");
	_cleanup_(policy_freep) struct policy *both =
		policy_of("{\"rules\": [{\"labels\": [\"*\"], \"by_id\": true}]}");
	_cleanup_(policy_freep) struct policy *neither =
		policy_of("{\"rules\": [{\"by_id\": false}]}");

	cr_assert_eq(ask(labels, 1, 1, NULL, 0), POLICY_REFUSE);
	cr_assert_eq(ask(both, 1, 1, NULL, 0), POLICY_ALLOW);
	cr_assert_eq(ask(neither, 1, 1, NULL, 0), POLICY_REFUSE);
	cr_assert_eq(ask(neither, 1, 1, "a", 0), POLICY_ALLOW);
}

static enum policy_verdict ask_many(struct policy *policy, uid_t uid, unsigned count,
				    uint64_t now_usec)
{
	const struct policy_request request = {.uid = uid, .peer = "bob", .count = count};
	size_t rule;

	return policy_decide(policy, &request, now_usec, &rule);
}

Test(policy, limits_the_rate_of_each_uid_by_itself)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("{\"rules\": [{\"rate\": {\"keys_per_sec\": 10, \"burst\": 3}}]}");
	uint64_t now = 1000000;

	cr_assert_eq(ask_many(policy, 1, 3, now), POLICY_ALLOW);
	cr_assert_eq(ask_many(policy, 1, 1, now), POLICY_TOO_FAST);
	cr_assert_eq(ask_many(policy, 2, 1, now), POLICY_ALLOW, "another uid has its own");
	cr_assert_eq(ask_many(policy, 1, 1, now + 99999), POLICY_TOO_FAST);
	cr_assert_eq(ask_many(policy, 1, 1, now + 100001), POLICY_ALLOW);
	cr_assert_eq(ask_many(policy, 1, 4, now + 60000000), POLICY_TOO_FAST, "above the burst");
	cr_assert_eq(ask_many(policy, 1, 3, now + 60000000), POLICY_ALLOW);
}

Test(policy, remembers_a_bounded_number_of_uids)
{
	_cleanup_(policy_freep) struct policy *policy =
		policy_of("{\"rules\": [{\"rate\": {\"keys_per_sec\": 1}}]}");

	for (uid_t uid = 0; uid < 5 * POLICY_MAX_BUCKETS; uid++)
		cr_assert_eq(ask_many(policy, uid, 1, 1000 + uid), POLICY_ALLOW);
}

Test(policy, tells_every_error_with_its_place)
{
	static const char text[] = "{\n \"rules\": [\n  {\"lables\": [\"x\"]},\n"
				   "  {\"users\": [\"nobody-here\"],\n   \"sizes\": [7]},\n"
				   "  {\"rate\": {\"keys_per_sec\": 0}},\n  {\"peers\": []},\n"
				   "  {\"allow\": \"yes\"}, 5\n ]\n}\n";
	static const char *const expected[] = {
		":3:4: ", "labels",        ":4:", "no user \"nobody-here\"",
		":5:",    "multiple of 8", ":6:", "1000000",
		":7:",    "1 to 256",      ":8:", "true or false",
	};
	_cleanup_(freep) char *errors = NULL;
	struct policy *policy = NULL;

	cr_assert_eq(load(text, &errors, &policy), -EINVAL);
	cr_assert_null(policy);
	for (size_t i = 0; i < ELEMENTSOF(expected); i++)
		cr_assert_not_null(strstr(errors, expected[i]), "no %s in\n%s", expected[i],
				   errors);
}

Test(policy, refuses_a_file_that_is_no_policy)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{}",
		"{\"rules\": {}}",
		"{\"rules\": [], \"rules\": []}",
		"{\"rules\": [], \"more\": 1}",
		"{\"rules\": [[]]}",
		"{\"rules\": [{\"users\": [-1]}]}",
		"{\"rules\": [{\"users\": [4294967295]}]}",
		"{\"rules\": [{\"labels\": [\"\"]}]}",
		"{\"rules\": [{\"rate\": {\"burst\": 3}}]}",
		"{\"rules\": [{\"rate\": 3}]}",
		"{\"rules\": [{\"by_id\": 1}]}",
		"{\"rules\": [{\"comment\": 1}]}",
	};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		_cleanup_(freep) char *errors = NULL;
		struct policy *policy = NULL;

		cr_assert_eq(load(bad[i], &errors, &policy), -EINVAL, "%s", bad[i]);
		cr_assert_neq(errors[0], '\0', "%s", bad[i]);
	}
}

Test(policy, survives_the_failure_of_every_allocation)
{
	static const char text[] = "{\"rules\": [{\"users\": [\"ann\"], \"peers\": [\"bob\"],"
				   "\"labels\": [\"a\", \"b\"], \"sizes\": [256]}, {}]}";
	char path[] = FILE_TEMPLATE;
	int fd = mkstemp(path);
	FILE *errors = fopen("/dev/null", "w");
	bool loaded = false;

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	TEST_EACH_ALLOCATION (n, 1) {
		struct policy *policy = NULL;
		int r = policy_load(path, &names, errors, &policy);

		loaded = r == 0;
		cr_assert(r == 0 ? policy_rule_count(policy) == 2 : policy == NULL);
		policy_free(policy);
	}
	cr_assert(loaded, "the last time, when nothing failed");
	fclose(errors);
	unlink(path);
}
