/* SPDX-License-Identifier: MIT */
/*
 * A workload on the record file is stopped by a power cut at every operation, with many choices of
 * what survives; then the file is opened again and has to show what was confirmed.
 */

#include "tests/unit/support/wal-records.h"

TestSuite(wal_crash, .init = set_up, .fini = tear_down);

struct workload {
	unsigned appended, confirmed; /* records 0 .. n - 1 */
	bool may_be_wiped[SEEN_MAX];
	bool is_rewriting, is_rewritten;
};

static unsigned random_choice(unsigned count, void *userdata)
{
	uint64_t *state = userdata;

	*state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (unsigned)((*state >> 33) % count);
}

static int run_workload(struct workload *work, uint64_t *seed)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct wal_place places[SEEN_MAX];
	struct seen seen = {0};
	int r;

	r = wal_open(disk, "w", KIND, see, &seen, &wal);
	if (r < 0)
		return r;
	memcpy(places, seen.places, sizeof(places));
	work->appended = work->confirmed = (unsigned)seen.count;
	for (int group = 0; group < 6; group++) {
		unsigned first = work->appended, count = random_choice(4, seed);

		for (unsigned i = first; i < first + count; i++, work->appended++)
			if ((r = append(wal, i, &places[i])) < 0)
				return r;
		if (first > 0 && random_choice(2, seed)) {
			unsigned which = random_choice(first, seed);

			work->may_be_wiped[which] = true;
			if ((r = wal_wipe(wal, &places[which])) < 0)
				return r;
		}
		r = random_choice(3, seed) ? wal_sync(wal) : wal_write(wal);
		if (r < 0)
			return r;
		if (!wal_is_dirty(wal))
			work->confirmed = work->appended;
	}
	return 0;
}

static void check_after_crash(struct workload *work)
{
	_cleanup_(wal_freep) struct wal *wal = NULL;
	struct seen seen;

	wal = reopen(&seen);
	cr_assert_geq(seen.count, work->confirmed);
	cr_assert_leq(seen.count, work->appended);
	for (size_t i = 0; i < seen.count; i++) {
		cr_assert_eq(seen.numbers[i], i);
		cr_assert(seen.has_secret[i] || work->may_be_wiped[i] ||
			  secret_size((unsigned)i) == 0);
	}
}

Test(wal_crash, whatever_a_power_cut_takes_the_confirmed_records_are_there, .timeout = 60)
{
	unsigned crashes = 0;

	for (uint64_t round = 0; round < 300; round++)
		for (uint64_t cut = 0; cut < 40; cut++) {
			struct workload work = {0};
			uint64_t seed = round;

			memory_storage_reset(memory);
			/* Half of the rounds begin with a file that a crash has hit before. */
			for (int again = 0; again < 1 + (int)(round % 2); again++) {
				memory_storage_power_off_at(memory, cut);
				if (run_workload(&work, &seed) == 0)
					cut = 40;
				seed += cut * 1000;
				memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, random_choice,
						     &seed);
				check_after_crash(&work);
				memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
				crashes++;
			}
		}
	cr_assert_gt(crashes, 5000);
}

Test(wal_crash, a_rewrite_that_a_power_cut_stops_is_whole_or_has_not_happened, .timeout = 60)
{
	for (uint64_t seed = 0; seed < 3000; seed++) {
		_cleanup_(wal_freep) struct wal *wal = NULL;
		uint64_t state = seed;
		struct seen seen;
		int r;

		memory_storage_reset(memory);
		make_file(7);
		wal = reopen(&seen);
		memory_storage_power_off_at(memory, seed % 16);
		r = wal_rewrite(wal, snapshot_some, NULL);
		wal = wal_free(wal);
		memory_storage_crash(memory, MEMORY_CRASH_CHOOSE, random_choice, &state);
		wal = reopen(&seen);
		if (r == 0 || seen.numbers[0] == 50)
			assert_seen(&seen, 50, 3);
		else
			assert_seen(&seen, 0, 7);
		cr_assert_null(memory_storage_content(memory, "w.new", &(size_t){0}));
		/* All secrets of confirmed records are there: nothing is wiped before the new file
		 * stands. */
		for (size_t i = 0; i < seen.count; i++)
			cr_assert(seen.has_secret[i] || secret_size(seen.numbers[i]) == 0);
	}
}

Test(wal_crash, any_single_error_leaves_a_file_that_opens, .timeout = 60)
{
	for (uint64_t n = 0; n < 60; n++) {
		_cleanup_(wal_freep) struct wal *wal = NULL;
		struct workload work = {0};
		struct seen seen;
		uint64_t seed = n;

		memory_storage_reset(memory);
		memory_storage_fail_at(memory, n, n % 2 ? -EIO : -ENOSPC);
		(void)run_workload(&work, &seed);
		memory_storage_crash(memory, MEMORY_CRASH_LOSE, NULL, NULL);
		check_after_crash(&work);
		wal = reopen(&seen);
		(void)wal_rewrite(wal, snapshot_some, NULL);
	}
}
