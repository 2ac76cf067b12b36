/* SPDX-License-Identifier: MIT */
/* The quota's formula, as systemd/qkd-keyring.sysctl writes it. */

#include <criterion/criterion.h>

#include "qkd-keyringd/keyring-quota.h"

Test(keyring_quota, needs_the_pool_and_what_waits_to_be_unlinked_for_each_peer)
{
	struct keyring_need need = keyring_quota_need(1, 3, 32);

	cr_assert_eq(need.keys, 1024 + 256 + 64);
	cr_assert_eq(need.bytes, need.keys * (100 + 3 + 32));
}

Test(keyring_quota, never_needs_more_than_the_ring_can_hold)
{
	struct keyring_need need = keyring_quota_need(200, 63, 32);

	cr_assert_leq(need.keys, 20000, "what the sysctl file sets");
	cr_assert_leq(need.bytes, 4000000);
}
