/* SPDX-License-Identifier: MIT */
/*
 * A set of serial numbers in bounded memory, for the simulator's promise to give a key only once.
 */

#include "drivers/serial-set.h"

/* The first range that ends at or after serial; count when there is none. */
static size_t find(const struct serial_set *set, uint64_t serial)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].last < serial)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool serial_set_contains(const struct serial_set *set, uint64_t serial)
{
	size_t i = find(set, serial);

	return i < set->count && set->ranges[i].first <= serial;
}

static void remove_range(struct serial_set *set, size_t i)
{
	memmove(set->ranges + i, set->ranges + i + 1, (set->count - i - 1) * sizeof(*set->ranges));
	set->count--;
}

static void join_with_next(struct serial_set *set, size_t i)
{
	set->ranges[i].last = set->ranges[i + 1].last;
	remove_range(set, i + 1);
}

static void join_nearest(struct serial_set *set)
{
	size_t nearest = 0;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i + 1 < set->count; i++) {
		uint64_t gap = set->ranges[i + 1].first - set->ranges[i].last;

		if (gap < least) {
			least = gap;
			nearest = i;
		}
	}
	join_with_next(set, nearest);
}

static int insert(struct serial_set *set, size_t i, uint64_t serial)
{
	if (!set->ranges) {
		set->ranges = calloc(SERIAL_SET_MAX_RANGES, sizeof(*set->ranges));
		if (!set->ranges)
			return -ENOMEM;
	}
	memmove(set->ranges + i + 1, set->ranges + i, (set->count - i) * sizeof(*set->ranges));
	set->ranges[i] = (struct serial_range){serial, serial};
	set->count++;
	if (set->count == SERIAL_SET_MAX_RANGES)
		join_nearest(set);
	return 0;
}

int serial_set_add(struct serial_set *set, uint64_t serial)
{
	size_t i = find(set, serial);
	bool after, before;

	if (i < set->count && set->ranges[i].first <= serial)
		return -EEXIST;
	after = i > 0 && set->ranges[i - 1].last + 1 == serial;
	before = i < set->count && serial + 1 == set->ranges[i].first;
	if (!after && !before)
		return insert(set, i, serial);
	if (after)
		set->ranges[i - 1].last = serial;
	else
		set->ranges[i].first = serial;
	if (after && before)
		join_with_next(set, i - 1);
	return 0;
}

void serial_set_done(struct serial_set *set)
{
	free(set->ranges);
	*set = (struct serial_set){};
}
