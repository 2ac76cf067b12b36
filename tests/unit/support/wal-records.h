/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Numbered records for the tests of the wal: number n determines type, public and secret bytes, so
 * that a replay can be checked without keeping what was written.
 */

#include <criterion/criterion.h>

#include "common/wal-format.h"
#include "tests/unit/support/memory-storage.h"

#define KIND "TEST"

static struct memory_storage *memory;
static struct storage *disk;

static inline void set_up(void)
{
	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
}

static inline void tear_down(void)
{
	memory = memory_storage_free(memory);
}

/* What a replay found. Record n of the tests has public bytes "n" and a secret that n determines.
 */
#define SEEN_MAX 256
struct seen {
	size_t count;
	unsigned numbers[SEEN_MAX];
	bool has_secret[SEEN_MAX];
	struct wal_place places[SEEN_MAX];
	int answer_at, answer;
};

static inline size_t secret_size(unsigned number)
{
	return number % 3 == 0 ? 0 : number % 3 == 1 ? 32 : 700 + number;
}

static inline void make_secret(unsigned number, uint8_t *secret)
{
	uint32_t state = number * 2654435761u + 1;

	for (size_t i = 0; i < secret_size(number); i++) {
		state = state * 1664525u + 1013904223u;
		secret[i] = (uint8_t)(state >> 24);
	}
}

static inline int see(const struct wal_record *record, const struct wal_place *place,
		      void *userdata)
{
	struct seen *seen = userdata;
	uint8_t secret[1200];
	unsigned number;

	cr_assert_lt(seen->count, SEEN_MAX);
	cr_assert_eq(record->public_size, sizeof(number));
	memcpy(&number, record->public_bytes, sizeof(number));
	cr_assert_eq(record->type, number % 200 + 1);
	cr_assert_eq(record->secret_size, secret_size(number));
	make_secret(number, secret);
	if (record->secret_bytes)
		cr_assert_arr_eq(record->secret_bytes, secret, record->secret_size);
	seen->numbers[seen->count] = number;
	seen->has_secret[seen->count] = record->secret_bytes != NULL;
	seen->places[seen->count++] = *place;
	return (int)seen->count == seen->answer_at ? seen->answer : 0;
}

static inline int append(struct wal *wal, unsigned number, struct wal_place *ret_place)
{
	uint8_t secret[1200];
	struct wal_record record = {
		.type = (uint8_t)(number % 200 + 1),
		.public_bytes = &number,
		.public_size = sizeof(number),
		.secret_bytes = secret,
		.secret_size = secret_size(number),
	};

	make_secret(number, secret);
	return wal_append(wal, &record, ret_place);
}

static inline struct wal *reopen(struct seen *ret_seen)
{
	struct wal *wal = NULL;

	memset(ret_seen, 0, sizeof(*ret_seen));
	cr_assert_eq(wal_open(disk, "w", KIND, see, ret_seen, &wal), 0);
	return wal;
}

static inline void assert_seen(const struct seen *seen, unsigned first, size_t count)
{
	cr_assert_eq(seen->count, count, "%zu records", seen->count);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(seen->numbers[i], first + i);
}

/* A file with the records 0 .. count - 1, one group each. */
static inline void make_file(unsigned count)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;

	wal = reopen(&seen);
	for (unsigned i = 0; i < count; i++) {
		cr_assert_eq(append(wal, i, NULL), 0);
		cr_assert_eq(wal_sync(wal), 0);
	}
}

static inline int snapshot_some(struct wal *wal, void *userdata)
{
	for (unsigned i = 50; i < 53; i++) {
		int r = append(wal, i, NULL);

		if (r < 0)
			return r;
	}
	return userdata ? *(int *)userdata : 0;
}
