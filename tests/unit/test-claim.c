/* SPDX-License-Identifier: MIT */
/* One device, one link. */

#include <criterion/criterion.h>
#include <sys/stat.h>

#include "drivers/driver.h"
#include "tests/unit/support/test-directory.h"

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
	char *directory = test_directory_new(), devices[64], lock[160];
	struct stat status;
	int first, other;

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
	test_directory_remove(directory);
}

Test(claim, a_link_in_the_lock_s_place_is_not_followed)
{
	char *directory = test_directory_new(), lock[160];

	snprintf(lock, sizeof(lock), "%s/sim_a_0__256_alice.lock", directory);
	cr_assert_eq(symlink("/tmp/elsewhere", lock), 0);
	cr_assert_eq(claim(directory, "sim://a?side=alice"), -ELOOP);
	test_directory_remove(directory);
}

Test(claim, two_pairs_of_saes_at_one_kme_are_two_devices)
{
	char *directory = test_directory_new();
	int carol, bob;

	bob = claim(directory, "etsi014://kme:1/?side=alice&sae=a&peer_sae=b");
	cr_assert_geq(bob, 0);
	carol = claim(directory, "etsi014://kme:1/?side=alice&sae=a&peer_sae=c");
	cr_assert_geq(carol, 0);
	cr_assert_eq(claim(directory, "etsi014://kme:1/?side=alice&sae=a&peer_sae=b"), -EBUSY);
	close(bob);
	close(carol);
	test_directory_remove(directory);
}
