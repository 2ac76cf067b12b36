/* SPDX-License-Identifier: MIT */
/*
 * A process reads the record file while its owner, another process, appends, wipes and rewrites it
 * on a real disk: the reader sees whole records in order and never takes unfinished ones for
 * damage.
 */

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/storage.h"
#include "common/wal.h"
#include "tests/unit/support/test-directory.h"

#define KIND        "TEST"
#define READINGS    1500
#define WRITTEN_MIN 1000
#define RECORDS     500 /* between two rewrites */

struct writing {
	uint32_t from, next;
};

static int append(struct wal *wal, uint32_t number, struct wal_place *ret_place)
{
	uint8_t secret[900];
	const struct wal_record record = {
		.type = 1,
		.public_bytes = &number,
		.public_size = sizeof(number),
		.secret_bytes = secret,
		.secret_size = number % 7 * 150,
	};

	memset(secret, (int)number, sizeof(secret));
	return wal_append(wal, &record, ret_place);
}

static int snapshot(struct wal *wal, void *userdata)
{
	struct writing *writing = userdata;

	writing->from = writing->next - 5;
	for (uint32_t i = writing->from; i < writing->next; i++)
		if (append(wal, i, NULL) < 0)
			return -ENOMEM;
	return 0;
}

static int write_for_ever(struct storage *storage)
{
	struct writing writing = {0};
	struct wal_place place, last = {0};
	struct wal *wal;

	if (wal_open(storage, "w", KIND, NULL, NULL, &wal) < 0)
		return 1;
	for (;;) {
		if (append(wal, writing.next++, &place) < 0 || wal_wipe(wal, &last) < 0)
			return 2;
		last = place;
		if ((writing.next % 3 ? wal_write(wal) : wal_sync(wal)) < 0)
			return 3;
		if (writing.next % RECORDS != 0)
			continue;
		last = (struct wal_place){0};
		if (wal_rewrite(wal, snapshot, &writing) < 0)
			return 4;
	}
}

struct reading {
	bool has_begun;
	uint32_t next;
};

static int check(const struct wal_record *record, const struct wal_place *place, void *userdata)
{
	struct reading *reading = userdata;
	const uint8_t *secret = record->secret_bytes;
	uint32_t number;

	memcpy(&number, record->public_bytes, sizeof(number));
	if (reading->has_begun && number != reading->next)
		return -EILSEQ;
	for (size_t i = 0; secret && i < record->secret_size; i++)
		if (secret[i] != (uint8_t)number)
			return -EILSEQ;
	reading->has_begun = true;
	reading->next = number + 1;
	return 0;
}

Test(wal_shared, a_reader_sees_whole_records_in_order_while_the_owner_writes, .timeout = 60)
{
	_cleanup_(storage_freep) struct storage *storage = NULL;
	char *root = test_directory_new();
	uint32_t last = 0;
	int status, r;
	pid_t pid;

	cr_assert_eq(storage_new_directory(root, &storage), 0);
	pid = fork();
	if (pid == 0)
		_exit(write_for_ever(storage));
	/* The writer may begin late; the test's time limit bounds this. */
	for (int i = 0; i < READINGS || last <= WRITTEN_MIN; i++) {
		struct reading reading = {0};

		r = wal_read(storage, "w", KIND, check, &reading);
		cr_expect(r == 0 || (r == -ENOENT && last == 0), "reading %d: %d", i, r);
		cr_expect_geq(reading.next, reading.has_begun ? last : 0);
		last = MAX(last, reading.next);
	}
	cr_expect_gt(last, WRITTEN_MIN);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFSIGNALED(status), "the writer ended with %d", WEXITSTATUS(status));
	test_directory_remove(root);
}
