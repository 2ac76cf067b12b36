/* SPDX-License-Identifier: MIT */
/* The table of drivers, batches of keys, and the claim of a device. */

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "drivers/driver.h"

Test(registry, every_driver_is_found_by_its_scheme)
{
	for (size_t i = 0; drivers[i]; i++) {
		cr_assert_eq(driver_find(drivers[i]->scheme), drivers[i]);
		cr_assert_not_null(drivers[i]->parameters);
		cr_assert_not_null(drivers[i]->description);
	}
	cr_assert_null(driver_find("clavis0"));
	cr_assert_null(driver_find(""));
}

Test(registry, states_have_the_names_of_the_design)
{
	cr_assert_str_eq(device_state_name(DEVICE_INACTIVE), "Inactive");
	cr_assert_str_eq(device_state_name(DEVICE_LISTENING), "Listening");
	cr_assert_str_eq(device_state_name(DEVICE_CONNECTED), "Connected");
	cr_assert_str_eq(device_state_name(DEVICE_READY), "Ready");
	cr_assert_str_eq(device_state_name(DEVICE_SESSION_STARTED), "SessionStarted");
}

Test(registry, a_batch_holds_its_keys_one_after_another)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;

	cr_assert_eq(key_batch_new(3, 32, &batch), 0);
	cr_assert_eq(batch->keys->size_bytes, 96);
	cr_assert_eq(key_batch_key(batch, 2), batch->keys->bytes + 64);
	cr_assert(uuid_is_null(&batch->ids[2]));
}

Test(registry, a_batch_without_keys_or_with_too_many_is_refused)
{
	struct key_batch *batch = NULL;

	cr_assert_eq(key_batch_new(0, 32, &batch), -EINVAL);
	cr_assert_eq(key_batch_new(1, 0, &batch), -EINVAL);
	cr_assert_eq(key_batch_new(DRIVER_MAX_KEYS + 1, 32, &batch), -EINVAL);
	cr_assert_eq(key_batch_new(1, DEVICE_KEY_BITS_MAX / 8 + 1, &batch), -EINVAL);
	cr_assert_null(batch);
	cr_assert_null(key_batch_free(NULL));
}

static int claim(const char *directory, const char *text)
{
	_cleanup_(device_url_freep) struct device_url *url = NULL;
	char *what = NULL;
	int fd, r;

	cr_assert_eq(device_url_parse(text, &url, &what), 0);
	r = device_claim(directory, url, &fd);
	return r < 0 ? r : fd;
}

Test(claim, a_device_is_claimed_once_until_it_is_let_go)
{
	char directory[] = "/tmp/test-claim-XXXXXX", devices[64], lock[160];
	struct stat status;
	int first, other;

	cr_assert_not_null(mkdtemp(directory));
	snprintf(devices, sizeof(devices), "%s/devices", directory);
	first = claim(devices, "sim://a?side=alice");
	cr_assert_geq(first, 0);
	cr_assert_eq(claim(devices, "sim://a?side=alice"), -EBUSY);
	other = claim(devices, "sim://a?side=bob");
	cr_assert_geq(other, 0);
	close(first);
	first = claim(devices, "sim://a?side=alice");
	cr_assert_geq(first, 0);
	cr_assert_eq(stat(devices, &status), 0);
	cr_assert_eq(status.st_mode & 07777, 0700);
	close(first);
	close(other);
	snprintf(lock, sizeof(lock), "%s/sim_a_0__256_alice.lock", devices);
	cr_assert_eq(unlink(lock), 0);
	snprintf(lock, sizeof(lock), "%s/sim_a_0__256_bob.lock", devices);
	cr_assert_eq(unlink(lock), 0);
	rmdir(devices);
	rmdir(directory);
}

Test(claim, a_link_in_the_lock_s_place_is_not_followed)
{
	char directory[] = "/tmp/test-claim-XXXXXX", lock[160];

	cr_assert_not_null(mkdtemp(directory));
	snprintf(lock, sizeof(lock), "%s/sim_a_0__256_alice.lock", directory);
	cr_assert_eq(symlink("/tmp/elsewhere", lock), 0);
	cr_assert_eq(claim(directory, "sim://a?side=alice"), -ELOOP);
	unlink(lock);
	rmdir(directory);
}
