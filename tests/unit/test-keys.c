/* SPDX-License-Identifier: MIT */
/* The wrappers against the real kernel, in a session of the test's own. */

#include <criterion/criterion.h>

#include "common/keys.h"

static key_serial_t ring;

static void set_up(void)
{
	cr_assert_geq(keyctl_join_session_keyring(NULL), 0);
	cr_assert_eq(key_add("keyring", "test-keys", NULL, 0, KEY_SPEC_SESSION_KEYRING, &ring), 0);
}

static void tear_down(void)
{
	key_clear(ring);
	key_unlink(ring, KEY_SPEC_SESSION_KEYRING);
}

TestSuite(keys, .init = set_up, .fini = tear_down);

Test(keys, a_key_of_any_size_is_read_into_secret_memory)
{
	static const size_t sizes[] = {1, 32, 64, 65, 512, 32767};
	static uint8_t payload[32767];

	for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
		_cleanup_(secret_freep) struct secret *secret = NULL;
		key_serial_t key;
		size_t size;

		memset(payload, 0x40 + (int)i, sizeof(payload));
		cr_assert_eq(key_add("user", "test:size", payload, sizes[i], ring, &key), 0);
		cr_assert_eq(key_read(key, &secret), 0);
		cr_assert_eq(secret->size_bytes, sizes[i]);
		cr_assert_arr_eq(secret->bytes, payload, sizes[i]);
		cr_assert_eq(key_size(key, &size), 0);
		cr_assert_eq(size, sizes[i]);
	}
}

Test(keys, search_finds_what_is_linked_and_nothing_else)
{
	key_serial_t key, found = 7;

	cr_assert_eq(key_add("user", "test:a", "x", 1, ring, &key), 0);
	cr_assert_eq(key_search(ring, "user", "test:a", &found), 0);
	cr_assert_eq(found, key);
	cr_assert_eq(key_search(ring, "user", "test:b", &found), -ENOKEY);
	cr_assert_eq(found, key, "untouched on failure");
	cr_assert_eq(key_unlink(key, ring), 0);
	cr_assert_eq(key_search(ring, "user", "test:a", &found), -ENOKEY);
	cr_assert_eq(key_request("user", "test:a", NULL, 0, &found), -ENOKEY);
}

Test(keys, update_describe_list_and_timeout_do_what_they_say)
{
	_cleanup_(freep) key_serial_t *keys = NULL;
	_cleanup_(freep) char *text = NULL;
	_cleanup_(secret_freep) struct secret *secret = NULL;
	key_serial_t key;
	size_t count;

	cr_assert_eq(key_add("user", "test:u", "before", 6, ring, &key), 0);
	cr_assert_eq(key_update(key, "after", 5), 0);
	cr_assert_eq(key_read(key, &secret), 0);
	cr_assert_arr_eq(secret->bytes, "after", 5);
	cr_assert_eq(key_set_permission(key, 0x1b010000), 0);
	cr_assert_eq(key_describe(key, &text), 0);
	cr_assert(strstr(text, "user;") == text && strstr(text, ";1b010000;test:u"));
	cr_assert_eq(key_list(ring, &keys, &count), 0);
	cr_assert_eq(count, 1);
	cr_assert_eq(keys[0], key);
	cr_assert_eq(key_set_timeout(key, 100), -EACCES, "no SETATTR any more");
}

Test(keys, a_key_with_no_way_to_read_it_says_so)
{
	struct secret *secret = (void *)1;
	key_serial_t key;

	cr_assert_eq(key_add("logon", "test:logon", "x", 1, ring, &key), 0);
	cr_assert_eq(key_read(key, &secret), -EOPNOTSUPP);
	cr_assert_eq(key_read(0x7ffffff1, &secret), -ENOKEY);
	cr_assert_eq(secret, (void *)1, "untouched on failure");
}

Test(keys, an_exclusive_move_does_not_displace)
{
	key_serial_t other, a, b, found;

	cr_assert_eq(key_add("keyring", "test-other", NULL, 0, ring, &other), 0);
	cr_assert_eq(key_add("user", "test:m", "a", 1, ring, &a), 0);
	cr_assert_eq(key_add("user", "test:m", "b", 1, other, &b), 0);
	cr_assert_eq(key_move_exclusive(a, ring, other), -EEXIST);
	cr_assert_eq(key_unlink(b, other), 0);
	cr_assert_eq(key_move_exclusive(a, ring, other), 0);
	cr_assert_eq(key_search(other, "user", "test:m", &found), 0);
	cr_assert_eq(found, a);
	cr_assert_eq(key_link(a, ring), 0);
}

Test(keys, the_quota_of_a_user_with_and_without_keys_is_known)
{
	struct key_quota before, after, none;
	key_serial_t key;

	cr_assert_eq(key_get_quota(getuid(), &before), 0);
	cr_assert_eq(key_add("user", "test:q", "1234567890", 10, ring, &key), 0);
	cr_assert_eq(key_get_quota(getuid(), &after), 0);
	cr_assert_gt(after.keys, 0);
	cr_assert_gt(after.bytes_max, after.bytes);
	cr_assert_gt(before.keys_max, 0);
	cr_assert_eq(key_get_quota(4000000000u, &none), 0);
	cr_assert_eq(none.keys, 0);
	cr_assert_gt(none.keys_max, 0);
	cr_assert_gt(none.bytes_max, 0);
}

Test(keys, the_session_has_an_id)
{
	key_serial_t id;

	cr_assert_eq(key_get_id(KEY_SPEC_SESSION_KEYRING, false, &id), 0);
	cr_assert_gt(id, 0);
}
