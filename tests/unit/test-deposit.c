/* SPDX-License-Identifier: MIT */

/* Against the real kernel keyring, in a child with a session and a ring of its own. */

#include <criterion/criterion.h>
#include <sys/wait.h>

#include "qkd-linkd/deposit.h"

#define KEY_BYTES 32
#define CAP       8
#define MANY      64

static char site[32], ring_name[48];
static struct uuid ids[MANY];
static uint8_t keys[MANY * KEY_BYTES];

#define REQUIRE(condition)                           \
	do                                           \
		if (!(condition))                    \
			return __LINE__ & 0xff ?: 1; \
	while (0)

static int in_child(int (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(keyctl_join_session_keyring(NULL) < 0 ? 255 : check());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int remove_ring(void)
{
	key_serial_t ring;

	if (key_search(KEY_SPEC_USER_KEYRING, "keyring", ring_name, &ring) < 0)
		return 0;
	return key_clear(ring) < 0 || key_unlink(ring, KEY_SPEC_USER_KEYRING) < 0;
}

static void setup(void)
{
	snprintf(site, sizeof(site), "testdeposit%d", getpid());
	snprintf(ring_name, sizeof(ring_name), "qkd-pool@%s", site);
	for (uint8_t i = 0; i < MANY; i++)
		ids[i] = (struct uuid){.bytes = {1, i}};
}

static void teardown(void)
{
	cr_expect_eq(in_child(remove_ring), 0);
}

TestSuite(deposit, .init = setup, .fini = teardown);

static int add(struct deposit *deposit, uint64_t first, size_t count, uint64_t now_usec)
{
	return deposit_add(deposit, first, &ids[first], keys, count, KEY_BYTES, now_usec);
}

static int fill_to_the_cap(void)
{
	_cleanup_(deposit_freep) struct deposit *deposit = NULL;

	REQUIRE(deposit_new(site, "bob", CAP, 0, &deposit) == 0);
	REQUIRE(add(deposit, 0, 4, 1) == 0);
	REQUIRE(deposit_count(deposit) == 4);
	REQUIRE(add(deposit, 4, 20, 1) == 0);
	REQUIRE(deposit_count(deposit) == CAP);
	return 0;
}

Test(deposit, keys_are_deposited_up_to_the_cap)
{
	cr_assert_eq(in_child(fill_to_the_cap), 0);
}

static int one_half_only(void)
{
	_cleanup_(deposit_freep) struct deposit *deposit = NULL;

	REQUIRE(deposit_new(site, "bob", CAP, 0, &deposit) == 0);
	for (uint64_t i = 0; i < 20; i += 2)
		REQUIRE(add(deposit, i, 1, 1) == 0);
	REQUIRE(deposit_count(deposit) == CAP / 2);
	REQUIRE(add(deposit, 1, 1, 1) == 0);
	REQUIRE(deposit_count(deposit) == CAP / 2 + 1);
	return 0;
}

Test(deposit, one_owners_half_leaves_room_for_the_others)
{
	cr_assert_eq(in_child(one_half_only), 0);
}

static int room_comes_back(void)
{
	_cleanup_(deposit_freep) struct deposit *deposit = NULL;
	_cleanup_(pool_freep) struct pool *pool = NULL;
	_cleanup_(secret_freep) struct secret *secret = NULL;

	REQUIRE(deposit_new(site, "bob", CAP, 0, &deposit) == 0);
	REQUIRE(add(deposit, 0, CAP, 1) == 0);
	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_take(pool, "bob", &ids[2], &secret) == 0);
	REQUIRE(add(deposit, 20, 1, 2) == 0);
	REQUIRE(pool_discard(pool, "bob", &ids[20]) == 0);
	REQUIRE(deposit_count(deposit) == CAP); /* not looked at so soon */
	REQUIRE(add(deposit, 22, 1, CAP * DEPOSIT_RECOUNT_USEC) == 0);
	REQUIRE(deposit_count(deposit) == CAP);
	secret = secret_free(secret);
	REQUIRE(pool_take(pool, "bob", &ids[22], &secret) == 0);
	return 0;
}

Test(deposit, what_was_taken_makes_room)
{
	cr_assert_eq(in_child(room_comes_back), 0);
}

static int strays_count(void)
{
	_cleanup_(deposit_freep) struct deposit *deposit = NULL;

	REQUIRE(deposit_new(site, "bob", CAP, 0, &deposit) == 0);
	REQUIRE(add(deposit, 0, 6, 1) == 0);
	deposit = deposit_free(deposit);
	REQUIRE(deposit_new(site, "bob", CAP, 0, &deposit) == 0);
	REQUIRE(deposit_count(deposit) == 6);
	deposit = deposit_free(deposit);
	REQUIRE(deposit_new(site, "carol", CAP, 0, &deposit) == 0);
	REQUIRE(deposit_count(deposit) == 0);
	return 0;
}

Test(deposit, keys_of_an_earlier_run_are_counted_for_their_peer)
{
	cr_assert_eq(in_child(strays_count), 0);
}
