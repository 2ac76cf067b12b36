/* SPDX-License-Identifier: MIT */
/* Secret memory: wiped, zeroed, shared by small objects, bounded, gone in a child, thread-safe. */

#include <criterion/criterion.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "common/secret.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

static bool is_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Runs check in a child; true when it answered 0. */
static bool holds_in_child(int (*check)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(check());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Test(secret, a_new_secret_is_zero_and_a_copy_equals_its_source)
{
	_cleanup_(secret_freep) struct secret *a = NULL, *b = NULL, *c = NULL;
	uint8_t key[32];

	memset(key, 0xa5, sizeof(key));
	cr_assert_eq(secret_new(32, &a), 0);
	cr_assert(is_zero(a->bytes, 32));
	cr_assert_eq(secret_new_copy(key, 32, &b), 0);
	cr_assert_not(secret_equal(a, b));
	memcpy(a->bytes, key, 32);
	cr_assert(secret_equal(a, b));
	cr_assert_eq(secret_new_copy(key, 31, &c), 0);
	cr_assert_not(secret_equal(a, c));
}

Test(secret, sizes_out_of_range_are_refused)
{
	struct secret *secret = (void *)1;

	cr_assert_eq(secret_new(0, &secret), -EINVAL);
	cr_assert_eq(secret_new(SECRET_MAX_BYTES + 1u, &secret), -EINVAL);
	cr_assert_eq(secret, (void *)1, "untouched on failure");
	cr_assert_null(secret_free(NULL));
	errno = 0;
	cr_assert_null(secret_malloc((size_t)-1));
	cr_assert_eq(errno, ENOMEM);
	errno = 0;
	cr_assert_null(secret_calloc((size_t)-1 / 2, 3));
	cr_assert_eq(errno, ENOMEM);
}

Test(secret, every_size_is_zero_aligned_and_wiped_when_freed)
{
	static const size_t sizes[] = {0,     1,      15,     16,     17,     31,
				       32,    100,    4095,   4096,   4097,   16384,
				       16385, 131072, 262144, 262145, 1 << 20};

	for (size_t i = 0; i < ELEMENTSOF(sizes); i++)
		for (int round = 0; round < 3; round++) {
			uint8_t *pointer = secret_malloc(sizes[i]);

			cr_assert_not_null(pointer);
			cr_assert_eq((uintptr_t)pointer % 16, 0);
			cr_assert(is_zero(pointer, sizes[i]), "size %zu", sizes[i]);
			memset(pointer, 0xff, sizes[i]);
			secret_mfree(pointer);
			/* A big object's pages are gone; the others stay and have to be wiped. */
			if (sizes[i] <= 262144)
				cr_assert(is_zero(pointer, sizes[i]), "size %zu", sizes[i]);
		}
	secret_mfree(NULL);
}

Test(secret, small_objects_do_not_overlap_and_share_pages)
{
	enum { COUNT = 20000 };
	static uint8_t *keys[COUNT];
	struct rlimit limit = {4u << 20, 4u << 20};

	cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
	for (int i = 0; i < COUNT; i++) {
		keys[i] = secret_malloc(32);
		cr_assert_not_null(keys[i]);
		memset(keys[i], i % 251, 32);
	}
	for (int i = 0; i < COUNT; i++)
		for (int byte = 0; byte < 32; byte++)
			cr_assert_eq(keys[i][byte], i % 251);
	for (int i = 0; i < COUNT; i++)
		secret_mfree(keys[i]);
}

Test(secret, realloc_keeps_the_contents_and_wipes_the_old_place)
{
	uint8_t *pointer = secret_realloc(NULL, 10), *old;
	size_t size = 10;

	memset(pointer, 0x5a, size);
	while (size < 3u << 20) {
		old = pointer;
		pointer = secret_realloc(pointer, size * 3);
		cr_assert_not_null(pointer);
		for (size_t i = 0; i < size; i++)
			cr_assert_eq(pointer[i], 0x5a);
		if (old != pointer && size <= 4096)
			cr_assert(is_zero(old, size));
		size *= 3;
		memset(pointer, 0x5a, size);
	}
	pointer = secret_realloc(pointer, 5);
	cr_assert_arr_eq(pointer, "ZZZZZ", 5);
	secret_mfree(pointer);
}

Test(secret, strdup_copies_with_its_end)
{
	char *text = secret_strdup("hello");

	cr_assert_str_eq(text, "hello");
	secret_mfree(text);
}

static int free_twice(void)
{
	void *pointer = secret_malloc(32), *other = secret_malloc(32);

	secret_mfree(pointer);
	prctl(PR_SET_DUMPABLE, 0);
	secret_mfree(pointer);
	secret_mfree(other);
	return 0;
}

Test(secret, freeing_twice_stops_the_process)
{
	cr_assert_not(holds_in_child(free_twice));
}

static struct secret *inherited, *inherited_big;
static uint8_t *inherited_bytes;

static int free_inherited_and_go_on(void)
{
	struct secret *mine;

	secret_free(inherited);
	secret_free(inherited_big);
	if (secret_new(32, &mine) < 0 || mine == inherited || !is_zero(mine->bytes, 32))
		return 1;
	memset(mine->bytes, 1, 32);
	secret_free(mine);
	return 0;
}

/* The kernel looks, because a fault of our own would be taken for a bug. */
static int reading_inherited_faults(void)
{
	int ends[2];

	if (pipe(ends) < 0)
		return 1;
	return write(ends[1], inherited_bytes, 1) < 0 && errno == EFAULT ? 0 : 2;
}

Test(secret, a_child_sees_none_of_it_and_goes_on_with_its_own)
{
	cr_assert_eq(secret_new(32, &inherited), 0);
	cr_assert_eq(secret_new(1 << 20, &inherited_big), 0);
	inherited_bytes = inherited->bytes;
	memset(inherited_bytes, 0x77, 32);
	cr_assert(holds_in_child(free_inherited_and_go_on));
	cr_assert(holds_in_child(reading_inherited_faults));
	cr_assert_eq(inherited->bytes[0], 0x77);
	secret_free(inherited);
	secret_free(inherited_big);
}

static int run_out_of_locked_memory(void)
{
	const struct rlimit limit = {1u << 20, 1u << 20};
	struct secret *secret = NULL, *last = NULL;
	int count = 0;

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || setuid(65534) < 0)
		return 1;
	if (secret_new(2u << 20, &secret) != -ENOMEM)
		return 2;
	while (secret_new(4000, &secret) == 0 && ++count < 2000)
		last = secret;
	if (count < 100 || count == 2000)
		return 3;
	errno = 0;
	if (secret_malloc(100000) || errno != ENOMEM)
		return 4;
	/* What is given back can be had again. */
	secret_free(last);
	return secret_new(4000, &secret) == 0 ? 0 : 5;
}

Test(secret, the_limit_on_locked_memory_gives_enomem_and_nothing_breaks)
{
	cr_assert(holds_in_child(run_out_of_locked_memory));
}

static int without_memfd_secret(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_memfd_secret, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {ELEMENTSOF(code), code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return 1;
	if (!str_equal(secret_backing(), "locked memory"))
		return 2;
	inherited = NULL;
	for (int i = 0; i < 100; i++) {
		if (secret_new(1000, &inherited) < 0)
			return 3;
		memset(inherited->bytes, 1, 1000);
	}
	secret_free(inherited);
	return holds_in_child(free_inherited_and_go_on) ? run_out_of_locked_memory() : 4;
}

Test(secret, without_memfd_secret_it_is_locked_memory)
{
	inherited = inherited_big = NULL;
	cr_assert(holds_in_child(without_memfd_secret));
}

static void *churn(void *seed)
{
	uint8_t *kept[64] = {0};
	unsigned state = (unsigned)(uintptr_t)seed;

	for (int i = 0; i < 100000; i++) {
		unsigned slot, size;

		state = state * 1103515245 + 12345;
		slot = state >> 16 & 63;
		size = (state >> 8) % (i % 100 == 0 ? 40000 : 600) + 1;
		if (kept[slot] && kept[slot][0] != slot)
			return (void *)1;
		secret_mfree(kept[slot]);
		kept[slot] = secret_malloc(size);
		if (!kept[slot] || !is_zero(kept[slot], size))
			return (void *)1;
		memset(kept[slot], (int)slot, size);
	}
	for (size_t i = 0; i < ELEMENTSOF(kept); i++)
		secret_mfree(kept[i]);
	return NULL;
}

Test(secret, threads_do_not_disturb_each_other)
{
	pthread_t threads[4];
	void *result;

	for (uintptr_t i = 0; i < ELEMENTSOF(threads); i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
	for (size_t i = 0; i < ELEMENTSOF(threads); i++) {
		cr_assert_eq(pthread_join(threads[i], &result), 0);
		cr_assert_null(result);
	}
}
