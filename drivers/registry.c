/* SPDX-License-Identifier: MIT */
/*
 * The table of drivers, and what every driver shares: a new driver is one line here.
 */

#include "drivers/driver.h"

#include "drivers/etsi014.h"
#include "drivers/sim.h"

const struct driver *const drivers[] = {
	&etsi014_driver,
	&sim_driver,
	NULL,
};

const struct driver *driver_find(const char *scheme)
{
	for (size_t i = 0; drivers[i]; i++)
		if (str_equal(drivers[i]->scheme, scheme))
			return drivers[i];
	return NULL;
}

const char *device_state_name(enum device_state state)
{
	switch (state) {
	case DEVICE_INACTIVE:
		return "Inactive";
	case DEVICE_LISTENING:
		return "Listening";
	case DEVICE_CONNECTED:
		return "Connected";
	case DEVICE_READY:
		return "Ready";
	case DEVICE_SESSION_STARTED:
		return "SessionStarted";
	}
	return "unknown";
}

int key_batch_new(size_t count, size_t key_bytes, struct key_batch **ret)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	int r;

	if (count == 0 || count > DRIVER_MAX_KEYS || key_bytes == 0 ||
	    key_bytes > DEVICE_KEY_BITS_MAX / 8)
		return -EINVAL;
	batch = calloc(1, sizeof(*batch));
	if (!batch)
		return -ENOMEM;
	batch->count = count;
	batch->key_bytes = key_bytes;
	batch->ids = calloc(count, sizeof(*batch->ids));
	if (!batch->ids)
		return -ENOMEM;
	r = secret_new(count * key_bytes, &batch->keys);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(batch);
	return 0;
}

struct key_batch *key_batch_free(struct key_batch *batch)
{
	if (!batch)
		return NULL;
	secret_free(batch->keys);
	free(batch->ids);
	free(batch);
	return NULL;
}
