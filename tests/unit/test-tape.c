/* SPDX-License-Identifier: MIT */
/* Files of recorded detections: longer than a buffer, cut off anywhere, or something else. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "qkd-linkd/qkd-distill/tape.h"
#include "tests/unit/support/test-directory.h"

#define COUNT 40000 /* three buffers */

static const struct recording_header header = {
	.period_ps = 1000,
	.intensities = 3,
	.mean_photons = {0.5, 0.1, 0},
	.probability = {0.70, 0.15, 0.15},
};
static struct sim_event events[COUNT], got[COUNT + 1];
static char *directory, path[64];

static void prepare(void)
{
	_cleanup_(sim_optics_freep) struct sim_optics *optics = NULL;
	struct sim_optics_parameters p;

	directory = test_directory_new();
	snprintf(path, sizeof(path), "%s/light", directory);
	sim_optics_defaults(&p);
	cr_assert_eq(sim_optics_new(&p, &optics), 0);
	cr_assert_eq(sim_optics_draw(optics, UINT64_MAX, events, COUNT), COUNT);
}

static void dispose(void)
{
	test_directory_remove(directory);
}

TestSuite(tape, .init = prepare, .fini = dispose);

static void record(void)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;

	cr_assert_eq(tape_new_record(path, &header, &tape), 0);
	cr_assert_eq(tape_write(tape, events, COUNT / 2), 0);
	cr_assert_eq(tape_write(tape, events + COUNT / 2, COUNT / 2), 0);
	cr_assert_eq(tape_flush(tape), 0);
}

static struct tape *replay(void)
{
	struct recording_header found;
	struct tape *tape = NULL;
	const char *what;

	cr_assert_eq(tape_new_replay(path, &found, &tape, &what), 0);
	cr_assert_eq(memcmp(&found, &header, sizeof(found)), 0);
	return tape;
}

Test(tape, what_was_recorded_is_replayed_in_pieces_of_any_size)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;
	size_t count = 0;
	ssize_t n;

	record();
	tape = replay();
	while ((n = tape_read(tape, got + count, 1 + count % 777)) > 0)
		count += (size_t)n;
	cr_assert_eq(n, 0);
	cr_assert_eq(count, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		cr_assert(got[i].slot == events[i].slot && got[i].tag_ps == events[i].tag_ps &&
			  got[i].receiver_bit == events[i].receiver_bit);
}

Test(tape, a_recording_is_for_its_owner_alone)
{
	struct stat status;

	record();
	cr_assert_eq(stat(path, &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
}

Test(tape, a_recording_that_is_cut_off_ends_with_an_error_where_it_is_cut)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;
	struct stat status;
	ssize_t n = 1;

	record();
	cr_assert_eq(stat(path, &status), 0);
	cr_assert_eq(truncate(path, status.st_size - 1), 0);
	tape = replay();
	while (n > 0)
		n = tape_read(tape, got, COUNT + 1);
	cr_expect_eq(n, -EBADMSG);
	cr_expect_gt(tape_offset(tape) + RECORDING_EVENT_MAX_BYTES, (uint64_t)status.st_size);
}

Test(tape, what_is_no_recording_is_told)
{
	struct recording_header found;
	struct tape *tape = NULL;
	const char *what = NULL;

	cr_expect_eq(tape_new_replay(path, &found, &tape, &what), -ENOENT);
	record();
	cr_assert_eq(truncate(path, RECORDING_HEADER_BYTES - 1), 0);
	cr_expect_eq(tape_new_replay(path, &found, &tape, &what), -EINVAL);
	cr_expect_not_null(what);
	what = NULL;
	cr_expect_eq(tape_new_replay("/proc/self/maps", &found, &tape, &what), -EINVAL);
	cr_expect_not_null(what);
	cr_expect_null(tape);
}

Test(tape, a_full_disk_is_told)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;

	cr_assert_eq(symlink("/dev/full", path), 0);
	cr_expect_eq(tape_new_record(path, &header, &tape), -ELOOP);
	cr_assert_eq(tape_new_record("/dev/full", &header, &tape), 0);
	cr_expect_eq(tape_flush(tape), -ENOSPC);
}
