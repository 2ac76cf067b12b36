/* SPDX-License-Identifier: MIT */

#include "tests/unit/support/sync-side.h"

#include <criterion/criterion.h>

#include "qkd-linkd/sync-internal.h"

static uint64_t on_now(void *userdata)
{
	const struct side *side = userdata;

	return side->now_usec;
}

static int on_random(void *bytes, size_t size_bytes, void *userdata)
{
	struct side *side = userdata;

	memset(bytes, 0x11, size_bytes);
	side->random++;
	memcpy(bytes, &side->random, MIN(size_bytes, sizeof(side->random)));
	return 0;
}

static void on_send(const struct sync_message *message, void *userdata)
{
	struct side *side = userdata;

	cr_assert_lt(side->sent_count, (size_t)SIDE_SENT_MAX);
	side->sent[side->sent_count++] = *message;
}

static void on_disconnect(const char *reason, void *userdata)
{
	((struct side *)userdata)->disconnects++;
}

static int on_fetch(uint64_t txn, const struct uuid *ids, size_t count, void *userdata)
{
	struct side *side = userdata;

	side->fetches++;
	side->fetch_txn = txn;
	return side->fetch_fails ? -EIO : 0;
}

static void on_agreed(uint64_t first, const struct uuid *ids, const uint8_t *keys, size_t count,
		      void *userdata)
{
	struct side *side = userdata;

	if (side->agreed_count == 0)
		side->agreed_first = first;
	cr_assert_eq(first, side->agreed_first + side->agreed_count, "told in order");
	side->agreed_count += count;
}

static void on_began(const struct sync_generation *generation, const char *why, uint64_t dropped,
		     void *userdata)
{
	struct side *side = userdata;

	side->generations++;
	side->dropped = dropped;
	side->agreed_count = 0;
}

static void on_distrust(uint64_t txn, const char *what, void *userdata)
{
	((struct side *)userdata)->distrusts++;
}

static void on_refused(const char *what, void *userdata)
{
	((struct side *)userdata)->refusals++;
}

static void on_connected(void *userdata)
{
	((struct side *)userdata)->connects++;
}

static void on_want_flush(void *userdata)
{
	((struct side *)userdata)->wants_flush = true;
}

static void on_want_wake(uint64_t deadline_usec, void *userdata)
{
	((struct side *)userdata)->wake_usec = deadline_usec;
}

static const struct sync_ops ops = {
	.now = on_now,
	.random = on_random,
	.send = on_send,
	.disconnect = on_disconnect,
	.fetch = on_fetch,
	.agreed = on_agreed,
	.began = on_began,
	.distrust = on_distrust,
	.refused = on_refused,
	.connected = on_connected,
	.want_flush = on_want_flush,
	.want_wake = on_want_wake,
};

static void start(struct side *side)
{
	uint64_t torn;

	cr_assert_eq(sync_machine_new(&side->settings, &ops, side, side->disk, side->disk,
				      side->disk, &torn, &side->machine),
		     0);
	side_flush(side);
}

void side_init(struct side *side, enum sync_role role)
{
	*side = (struct side){
		.now_usec = USEC_PER_SEC,
		.settings = {.role = role,
			     .link = "alice-bob",
			     .peer = role == SYNC_LEADER ? "bob" : "alice",
			     .key_bits = 8 * SIDE_KEY_BYTES,
			     .window = 4,
			     .hold_usec = 30 * USEC_PER_SEC,
			     .store_limit = 1000},
	};
	cr_assert_eq(memory_storage_new(&side->memory), 0);
	side->disk = memory_storage_storage(side->memory);
	start(side);
}

void side_done(struct side *side)
{
	side->machine = sync_machine_free(side->machine);
	side->memory = memory_storage_free(side->memory);
}

void side_restart(struct side *side, enum memory_crash crash)
{
	memory_storage_power_off_at(side->memory, 0);
	(void)side->disk->ops->sync_directory(side->disk, ".");
	side->machine = sync_machine_free(side->machine);
	memory_storage_crash(side->memory, crash, NULL, NULL);
	side->sent_count = 0;
	side->wants_flush = false;
	start(side);
}

void side_receive(struct side *side, const struct sync_message *message)
{
	cr_assert_eq(sync_machine_receive(side->machine, message), 0);
}

void side_flush(struct side *side)
{
	while (side->wants_flush) {
		side->wants_flush = false;
		cr_assert_eq(sync_machine_flush(side->machine), 0);
	}
}

void side_wait(struct side *side, uint64_t usec)
{
	side->now_usec += usec;
	if (side->wake_usec <= side->now_usec)
		cr_assert_eq(sync_machine_timer(side->machine), 0);
	side_flush(side);
}

struct key_batch *side_keys(uint8_t number, size_t count)
{
	struct key_batch *keys;

	cr_assert_eq(key_batch_new(count, SIDE_KEY_BYTES, &keys), 0);
	for (size_t i = 0; i < count; i++) {
		keys->ids[i].bytes[0] = number;
		keys->ids[i].bytes[1] = (uint8_t)i;
		memset(key_batch_key(keys, i), (int)(number + i), SIDE_KEY_BYTES);
	}
	return keys;
}

const struct sync_message *side_last(const struct side *side, enum sync_kind kind)
{
	const struct sync_message *last;

	cr_assert_gt(side->sent_count, 0u, "nothing was sent, %s is missing", sync_kind_name(kind));
	last = &side->sent[side->sent_count - 1];
	cr_assert_eq(last->kind, kind, "%s was sent, not %s", sync_kind_name(last->kind),
		     sync_kind_name(kind));
	return last;
}

/* As the other side would describe itself. */
static struct sync_message their_resume(const struct side *side)
{
	struct sync_message message = {.kind = SYNC_RESUME};

	message.resume.session = 99;
	message.resume.next_txn = 1;
	message.resume.key_bits = side->settings.key_bits;
	message.resume.confirm = side->settings.confirm;
	return message;
}

void side_connect_fresh(struct side *side)
{
	struct sync_message resume = their_resume(side);

	cr_assert_eq(sync_machine_connect(side->machine), 0);
	if (side->settings.role == SYNC_LEADER) {
		resume.resume.session = side_last(side, SYNC_RESUME)->resume.session;
		side_receive(side, &resume); /* we have none either */
		resume.resume = side_last(side, SYNC_RESUME)->resume;
	} else {
		resume.resume.store.bytes[0] = 7;
	}
	side_receive(side, &resume);
	cr_assert(sync_machine_is_connected(side->machine));
	side->sent_count = 0;
}

void side_connect(struct side *side, uint64_t next, uint64_t next_txn, const struct sync_open *open,
		  size_t open_count)
{
	struct sync_message resume = their_resume(side);

	cr_assert_eq(sync_machine_connect(side->machine), 0);
	if (side->settings.role == SYNC_LEADER)
		resume.resume.session = side_last(side, SYNC_RESUME)->resume.session;
	resume.resume.store = side->machine->store.uuid;
	resume.resume.generation = side->machine->store.generation;
	resume.resume.next = next;
	resume.resume.next_txn = next_txn;
	resume.resume.open_count = open_count;
	if (open_count > 0)
		memcpy(resume.resume.open, open, open_count * sizeof(*open));
	side->sent_count = 0;
	side_receive(side, &resume);
}
