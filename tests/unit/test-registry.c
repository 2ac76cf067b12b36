/* SPDX-License-Identifier: MIT */
/* The table of drivers, and batches of keys. */

#include <criterion/criterion.h>

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
