/* SPDX-License-Identifier: MIT */
/*
 * The pool in the real kernel keyring, each test in a child: as root, and as users without
 * privileges that have nothing to do with each other.
 */

#include <criterion/criterion.h>
#include <grp.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/pool.h"

#define SITE         "testpool"
#define OWNER_UID    64110
#define STRANGER_UID 64111
#define QUOTA_UID    64112 /* its quota is used up for a while */

/* Tests run at the same time: a ring for each. */
static char site[32], ring_name[48], serials_path[64];

#define REQUIRE(condition)                           \
	do                                           \
		if (!(condition))                    \
			return __LINE__ & 0xff ?: 1; \
	while (0)

static int become(uid_t uid)
{
	if (keyctl_join_session_keyring(NULL) < 0)
		return -1;
	if (uid == 0)
		return 0;
	if (setgroups(0, NULL) < 0 || setresgid(OWNER_UID, OWNER_UID, OWNER_UID) < 0)
		return -1;
	return setresuid(uid, uid, uid);
}

/* 0, or the line (modulo 256) of what did not hold. */
static int in_child(uid_t uid, int (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(become(uid) < 0 ? 255 : check());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status), "ended by a signal");
	return WEXITSTATUS(status);
}

static int remove_ring(void)
{
	key_serial_t ring;

	if (key_search(KEY_SPEC_USER_KEYRING, "keyring", ring_name, &ring) < 0)
		return 0;
	if (key_clear(ring) < 0)
		return 1;
	return key_unlink(ring, KEY_SPEC_USER_KEYRING) < 0 ? 1 : 0;
}

static void set_up(void)
{
	snprintf(site, sizeof(site), "testpool%d", getpid());
	snprintf(ring_name, sizeof(ring_name), "qkd-pool@%s", site);
	snprintf(serials_path, sizeof(serials_path), "/tmp/test-pool-%d", getpid());
}

static void tear_down(void)
{
	cr_expect_eq(in_child(0, remove_ring), 0);
	cr_expect_eq(in_child(QUOTA_UID, remove_ring), 0);
	cr_expect_eq(in_child(OWNER_UID, remove_ring), 0);
}

TestSuite(pool, .init = set_up, .fini = tear_down);

static const struct uuid id_a = {{0xa}}, id_b = {{0xb}}, id_c = {{0xc}};
static const uint8_t key_a[32] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static int deposit_and_take(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	_cleanup_(secret_freep) struct secret *secret = NULL;

	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_deposit(pool, "bob", &id_a, key_a, 32) == 0);
	REQUIRE(pool_take(pool, "bob", &id_b, &secret) == -ENOKEY);
	REQUIRE(pool_take(pool, "carol", &id_a, &secret) == -ENOKEY);
	REQUIRE(pool_take(pool, "bob", &id_a, &secret) == 0);
	REQUIRE(secret->size_bytes == 32 && memcmp(secret->bytes, key_a, 32) == 0);
	secret = secret_free(secret);
	REQUIRE(pool_take(pool, "bob", &id_a, &secret) == -ENOKEY);
	REQUIRE(!secret);
	REQUIRE(pool_deposit(pool, "Bob", &id_a, key_a, 32) == -EINVAL);
	REQUIRE(pool_deposit(pool, "bob", &id_b, key_a, 1) == -EINVAL);
	return 0;
}

Test(pool, a_key_is_deposited_and_taken_once)
{
	cr_assert_eq(in_child(0, deposit_and_take), 0);
}

Test(pool, an_ordinary_user_can_do_the_same)
{
	cr_assert_eq(in_child(OWNER_UID, deposit_and_take), 0);
}

static int deposit_two(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;

	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_deposit(pool, "bob", &id_a, key_a, 32) == 0);
	REQUIRE(pool_deposit(pool, "bob", &id_b, key_a, 32) == 0);
	return 0;
}

static int take_from_another_process(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	_cleanup_(secret_freep) struct secret *secret = NULL;
	size_t links;

	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_take(pool, "bob", &id_a, &secret) == 0);
	REQUIRE(memcmp(secret->bytes, key_a, 32) == 0);
	REQUIRE(pool_discard(pool, "bob", &id_b) == 0);
	REQUIRE(pool_discard(pool, "bob", &id_b) == 0);
	REQUIRE(pool_discard(pool, "bob", &id_c) == 0);
	REQUIRE(pool_unlink_wiped(pool, false) == 0);
	REQUIRE(key_size(pool_ring(pool), &links) == 0 && links == 2 * sizeof(key_serial_t));
	REQUIRE(pool_unlink_wiped(pool, true) == 0);
	REQUIRE(key_size(pool_ring(pool), &links) == 0 && links == 0);
	return 0;
}

Test(pool, the_ring_outlives_the_process_that_made_it)
{
	cr_assert_eq(in_child(OWNER_UID, deposit_two), 0);
	cr_assert_eq(in_child(OWNER_UID, take_from_another_process), 0);
}

static key_serial_t shared_ring, shared_key;

static int learn_serials(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	_cleanup_(freep) key_serial_t *keys = NULL;
	_cleanup_(freep) char *ring_text = NULL, *key_text = NULL;
	size_t count;
	FILE *file = fopen(serials_path, "we");

	REQUIRE(file);
	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(key_list(pool_ring(pool), &keys, &count) == 0 && count == 2);
	REQUIRE(key_describe(pool_ring(pool), &ring_text) == 0);
	REQUIRE(strstr(ring_text, ";003f0000;") && strstr(ring_text, ring_name));
	REQUIRE(key_describe(keys[0], &key_text) == 0);
	REQUIRE(strstr(key_text, ";003f0000;qkd-pool:bob:"));
	fprintf(file, "%d %d\n", pool_ring(pool), keys[0]);
	return fclose(file);
}

static int reach_for_it(void)
{
	struct secret *secret;
	key_serial_t found;

	REQUIRE(key_read(shared_key, &secret) == -EACCES);
	REQUIRE(key_search(shared_ring, "user", "qkd-pool:bob:x", &found) == -EACCES);
	REQUIRE(key_link(shared_ring, KEY_SPEC_PROCESS_KEYRING) == -EACCES);
	REQUIRE(key_link(shared_key, KEY_SPEC_PROCESS_KEYRING) == -EACCES);
	REQUIRE(key_update(shared_key, "x", 1) == -EACCES);
	REQUIRE(key_unlink(shared_key, shared_ring) == -EACCES);
	REQUIRE(key_clear(shared_ring) == -EACCES);
	REQUIRE(keyctl_invalidate(shared_key) < 0 && errno == EACCES);
	REQUIRE(keyctl_revoke(shared_key) < 0 && errno == EACCES);
	return 0;
}

Test(pool, nobody_else_can_find_read_link_or_destroy_a_key)
{
	FILE *file;

	cr_assert_eq(in_child(OWNER_UID, deposit_two), 0);
	cr_assert_eq(in_child(OWNER_UID, learn_serials), 0);
	file = fopen(serials_path, "re");
	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%d %d", &shared_ring, &shared_key), 2);
	fclose(file);
	unlink(serials_path);
	/* With the owner's group, too. */
	cr_assert_eq(in_child(STRANGER_UID, reach_for_it), 0);
}

struct counting {
	unsigned count, stop_at;
};

static int count_key(const char *peer, const struct uuid *id, void *userdata)
{
	struct counting *counting = userdata;

	if (!str_equal(peer, "bob") || uuid_equal(id, &id_b))
		return -EBADMSG;
	return ++counting->count == counting->stop_at ? 5 : 0;
}

static int count_what_is_there(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct counting counting = {0};
	size_t links;

	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_deposit(pool, "bob", &id_c, key_a, 32) == 0);
	REQUIRE(pool_foreach(pool, count_key, &counting) == 0);
	REQUIRE(counting.count == 2);
	counting = (struct counting){.stop_at = 1};
	REQUIRE(pool_foreach(pool, count_key, &counting) == 5);
	REQUIRE(pool_unlink_wiped(pool, true) == 0);
	REQUIRE(key_size(pool_ring(pool), &links) == 0 && links == 2 * sizeof(key_serial_t));
	return 0;
}

static int wipe_and_die(void)
{
	struct pool *pool;

	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_discard(pool, "bob", &id_b) == 0);
	return 0; /* the wiped key stays linked */
}

Test(pool, foreach_passes_over_wiped_keys_and_takes_them_for_unlinking)
{
	cr_assert_eq(in_child(OWNER_UID, deposit_two), 0);
	cr_assert_eq(in_child(OWNER_UID, wipe_and_die), 0);
	cr_assert_eq(in_child(OWNER_UID, count_what_is_there), 0);
}

static int fill_the_quota(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	_cleanup_(secret_freep) struct secret *secret = NULL;
	struct uuid id = {{0}};
	int r, count = 0;

	REQUIRE(pool_open(site, &pool) == 0);
	do {
		id.bytes[0] = (uint8_t)count;
		id.bytes[1] = (uint8_t)(count >> 8);
		r = pool_deposit(pool, "bob", &id, key_a, 32);
	} while (r == 0 && ++count < 100000);
	REQUIRE(r == -EDQUOT);
	REQUIRE(count > 50);
	/* What was there can still be taken, and makes room. */
	REQUIRE(pool_take(pool, "bob", &(struct uuid){{0}}, &secret) == 0);
	REQUIRE(pool_unlink_wiped(pool, true) == 0);
	return 0;
}

Test(pool, a_used_up_quota_is_told_and_nothing_is_lost)
{
	struct key_quota quota;

	cr_assert_eq(key_get_quota(QUOTA_UID, &quota), 0);
	if (quota.keys_max > 5000 || quota.bytes_max > 1000000)
		cr_skip_test("this user's quota is too large to fill");
	cr_assert_eq(in_child(QUOTA_UID, fill_the_quota), 0);
}

static int unlink_in_blocks(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	size_t links;

	REQUIRE(pool_open(site, &pool) == 0);
	for (unsigned i = 0; i < POOL_UNLINK_BLOCK + 3; i++) {
		struct uuid id = {{(uint8_t)i, (uint8_t)(i >> 8)}};

		REQUIRE(pool_deposit(pool, "bob", &id, key_a, 32) == 0);
	}
	for (unsigned i = 0; i < POOL_UNLINK_BLOCK; i++) {
		struct uuid id = {{(uint8_t)i, (uint8_t)(i >> 8)}};

		REQUIRE(key_size(pool_ring(pool), &links) == 0);
		REQUIRE(links == (POOL_UNLINK_BLOCK + 3) * sizeof(key_serial_t));
		REQUIRE(pool_discard(pool, "bob", &id) == 0);
		REQUIRE(pool_unlink_wiped(pool, false) == 0);
	}
	REQUIRE(key_size(pool_ring(pool), &links) == 0 && links == 3 * sizeof(key_serial_t));
	return 0;
}

Test(pool, wiped_keys_are_unlinked_a_block_at_a_time)
{
	cr_assert_eq(in_child(0, unlink_in_blocks), 0);
}

static int fill_the_ring(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	int r = 0;

	REQUIRE(pool_open(site, &pool) == 0);
	for (unsigned i = 0; i < POOL_RING_MAX_LINKS; i++) {
		struct uuid id = {{(uint8_t)i, (uint8_t)(i >> 8)}};

		REQUIRE(pool_deposit(pool, "bob", &id, key_a, 32) == 0);
	}
	r = pool_deposit(pool, "carol", &id_a, key_a, 32);
	REQUIRE(r == -ENOSPC);
	return 0;
}

Test(pool, a_ring_stays_below_the_kernels_limit, .timeout = 30)
{
	cr_assert_eq(in_child(0, fill_the_ring), 0);
}

static int open_at_once(void)
{
	key_serial_t rings[8];
	int ends[2];

	REQUIRE(pipe(ends) == 0);
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			struct pool *pool;
			key_serial_t ring = pool_open(site, &pool) == 0 ? pool_ring(pool) : -1;

			_exit(write(ends[1], &ring, sizeof(ring)) != sizeof(ring));
		}
	}
	for (int i = 0; i < 8; i++) {
		REQUIRE(read(ends[0], &rings[i], sizeof(rings[i])) == sizeof(rings[i]));
		REQUIRE(rings[i] > 0 && rings[i] == rings[0]);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

Test(pool, processes_that_open_it_at_once_get_the_same_ring)
{
	for (int i = 0; i < 20; i++) {
		cr_assert_eq(in_child(OWNER_UID, open_at_once), 0);
		cr_assert_eq(in_child(OWNER_UID, remove_ring), 0);
	}
}

/* To where the kernel is done with add_key(2); -1 when the process has ended before. */
static int run_past_add_key(pid_t pid)
{
	struct __ptrace_syscall_info info;
	bool is_add_key = false;
	int status;

	while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid &&
	       WIFSTOPPED(status)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) < 0)
			return -1;
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			is_add_key = info.entry.nr == SYS_add_key;
		else if (is_add_key)
			return 0;
	}
	return -1;
}

static int deposit_one(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;

	REQUIRE(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
	REQUIRE(raise(SIGSTOP) == 0);
	REQUIRE(pool_open(site, &pool) == 0);
	REQUIRE(pool_deposit(pool, "bob", &id_a, key_a, 32) == 0);
	return 0;
}

/* As one that takes keys may do, between their making and their permissions. */
static int unlink_meanwhile(void)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	pid_t depositor;
	int status;

	REQUIRE(pool_open(site, &pool) == 0);
	depositor = fork();
	REQUIRE(depositor >= 0);
	if (depositor == 0)
		_exit(deposit_one());
	REQUIRE(waitpid(depositor, &status, 0) == depositor && WIFSTOPPED(status));
	REQUIRE(ptrace(PTRACE_SETOPTIONS, depositor, NULL, PTRACE_O_TRACESYSGOOD) == 0);
	REQUIRE(run_past_add_key(depositor) == 0);
	REQUIRE(key_clear(pool_ring(pool)) == 0);
	REQUIRE(ptrace(PTRACE_CONT, depositor, NULL, NULL) == 0);
	REQUIRE(waitpid(depositor, &status, 0) == depositor && WIFEXITED(status));
	REQUIRE(WEXITSTATUS(status) == 0);
	return remove_ring();
}

Test(pool, a_key_that_is_taken_before_it_has_its_permissions_is_no_error)
{
	cr_assert_eq(in_child(OWNER_UID, unlink_meanwhile), 0);
}
