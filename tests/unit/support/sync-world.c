/* SPDX-License-Identifier: MIT */

/*
 * The simulated world: a clock that jumps to the next event, a network that loses, doubles, delays
 * and reorders, disks in memory, and a device pair that gives keys whose bytes follow from their
 * serial number.
 */

#include "tests/unit/support/sync-world.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/json-text.h"
#include "qkd-linkd/sync-internal.h"

#define DELAY_USEC   (20 * USEC_PER_MSEC)
#define SETTLE_USEC  (600 * USEC_PER_SEC)
#define SETTLE_STEPS 20000
#define SUPPLY_USEC  (30 * USEC_PER_MSEC)
#define RESTART_USEC (2 * USEC_PER_SEC)
#define FAR_AWAY     (UINT64_C(1) << 60)
#define HOLD_USEC    (5 * USEC_PER_SEC)

const char *const world_names[2] = {"alice", "bob"};

void world_violation(struct world *world, const char *format, ...)
{
	va_list arguments;

	if (world->violation[0])
		return;
	va_start(arguments, format);
	vsnprintf(world->violation, sizeof(world->violation), format, arguments);
	va_end(arguments);
}

static bool chance(struct world *world, unsigned per_thousand)
{
	return prng_below(&world->prng, 1000) < per_thousand;
}

static bool fault(struct world *world, unsigned kind, unsigned per_thousand)
{
	return !world->is_calm && (world->faults & kind) && chance(world, per_thousand);
}

static unsigned choose(unsigned count, void *userdata)
{
	struct world *world = userdata;

	return (unsigned)prng_below(&world->prng, count);
}

/* Keys */

void world_id(uint64_t serial, struct uuid *ret)
{
	uint64_t mixed = prng_mix(serial);

	memcpy(ret->bytes, &mixed, sizeof(mixed));
	memcpy(ret->bytes + sizeof(mixed), &serial, sizeof(serial));
}

uint64_t world_serial(const struct uuid *id)
{
	uint64_t serial;
	struct uuid again;

	memcpy(&serial, id->bytes + sizeof(serial), sizeof(serial));
	world_id(serial, &again);
	return serial < WORLD_MAX_KEYS && uuid_equal(id, &again) ? serial : UINT64_MAX;
}

void world_key(const struct world *world, unsigned site, uint64_t serial,
	       uint8_t ret_key[static WORLD_KEY_BYTES])
{
	bool is_unequal = (world->faults & WORLD_UNEQUAL) && site == 1 && serial % 16 == 5;
	uint64_t key = prng_mix(serial + 0x5eed + is_unequal);

	memcpy(ret_key, &key, WORLD_KEY_BYTES);
}

static struct key_batch *make_keys(const struct world *world, unsigned site, const struct uuid *ids,
				   size_t count)
{
	struct key_batch *keys;

	if (key_batch_new(count, WORLD_KEY_BYTES, &keys) < 0)
		abort();
	for (size_t i = 0; i < count; i++) {
		keys->ids[i] = ids[i];
		world_key(world, site, world_serial(&ids[i]), key_batch_key(keys, i));
	}
	return keys;
}

/* What the machine asks of its owner */

static uint64_t on_now(void *userdata)
{
	const struct world_site *site = userdata;

	return site->world->now_usec;
}

static int on_random(void *bytes, size_t size_bytes, void *userdata)
{
	struct world_site *site = userdata;
	uint8_t *out = bytes;

	for (size_t i = 0; i < size_bytes; i++)
		out[i] = (uint8_t)prng_next(&site->world->prng);
	return 0;
}

/* Now and then over the wire format and back. */
static void transcode(struct world *world, struct world_message *message)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	static struct uuid ids[SYNC_MAX_KEYS];
	struct sync_message copy;
	const char *what = "";

	if (sync_message_build(&message->message, &json) < 0)
		abort();
	if (sync_message_verify(json, ids, &copy, &what) < 0) {
		world_violation(world, "a message of ours is refused: %s", what);
		return;
	}
	message->message = copy;
	if (copy.kind == SYNC_SYN)
		memcpy(message->ids, ids, copy.syn.count * sizeof(ids[0]));
}

static void post(struct world *world, const struct sync_message *message, unsigned to,
		 uint64_t delay_usec)
{
	struct world_message *posted = &world->messages[world->message_count];

	if (world->message_count == WORLD_MAX_MESSAGES)
		return; /* loss */
	posted->message = *message;
	if (message->kind == SYNC_SYN)
		memcpy(posted->ids, message->syn.ids, message->syn.count * sizeof(posted->ids[0]));
	posted->to = to;
	posted->is_wrong = posted->is_replay = false;
	posted->at_usec = world->now_usec + delay_usec;
	if (!(world->faults & WORLD_REORDER))
		for (size_t i = 0; i < world->message_count; i++)
			if (world->messages[i].to == to)
				posted->at_usec = MAX(posted->at_usec, world->messages[i].at_usec);
	if (chance(world, 50))
		transcode(world, posted);
	world->message_count++;
}

static void on_send(const struct sync_message *message, void *userdata)
{
	struct world_site *site = userdata;
	struct world *world = site->world;
	unsigned to = !site->index;

	if (!world->is_connected || fault(world, WORLD_LOSS, 80))
		return;
	post(world, message, to, prng_below(&world->prng, DELAY_USEC));
	if (fault(world, WORLD_DUPLICATES, 150))
		post(world, message, to, prng_below(&world->prng, 10 * DELAY_USEC));
	if (!(world->faults & WORLD_LIES) || !chance(world, 100))
		return;
	world->heard = *message;
	if (message->kind == SYNC_SYN)
		memcpy(world->heard_ids, message->syn.ids,
		       message->syn.count * sizeof(world->heard_ids[0]));
	world->heard.syn.ids = message->kind == SYNC_SYN ? world->heard_ids : world->heard.syn.ids;
	world->heard_to = to;
	world->has_heard = true;
}

static void drop_connection(struct world *world)
{
	world->is_connected = false;
	world->message_count = 0;
	world->connect_usec = world->now_usec + prng_below(&world->prng, RESTART_USEC);
	for (unsigned i = 0; i < 2; i++)
		if (world->sites[i].machine)
			sync_machine_disconnected(world->sites[i].machine);
}

static void on_disconnect(const char *reason, void *userdata)
{
	struct world_site *site = userdata;

	drop_connection(site->world);
}

static int on_fetch(uint64_t txn, const struct uuid *ids, size_t count, void *userdata)
{
	struct world_site *site = userdata;
	struct world *world = site->world;
	struct world_fetch *fetch = &world->fetches[world->fetch_count];

	if (world->fetch_count == WORLD_MAX_FETCHES || fault(world, WORLD_DEVICE_FAILS, 10))
		return -EIO;
	fetch->txn = txn;
	fetch->life = site->life;
	fetch->count = count;
	memcpy(fetch->ids, ids, count * sizeof(*ids));
	fetch->at_usec = world->now_usec + prng_below(&world->prng, DELAY_USEC);
	if (fault(world, WORLD_DEVICE_FAILS, 10))
		fetch->at_usec += 2 * SYNC_FETCH_LIMIT_USEC;
	world->fetch_count++;
	return 0;
}

unsigned world_generation(const struct world_site *site)
{
	const char *tilde = strchr(sync_machine_directory(site->machine), '~');

	return tilde ? (unsigned)strtoul(tilde + 1, NULL, 10) : 0;
}

static void on_agreed(uint64_t first, const struct uuid *ids, const uint8_t *keys, size_t count,
		      void *userdata)
{
	struct world_site *site = userdata;

	for (size_t i = 0; i < count; i++) {
		uint64_t serial = world_serial(&ids[i]);
		uint8_t key[WORLD_KEY_BYTES];

		if (serial == UINT64_MAX) {
			world_violation(site->world, "an id that no device gave");
			return;
		}
		world_key(site->world, site->index, serial, key);
		if (memcmp(key, keys + i * WORLD_KEY_BYTES, WORLD_KEY_BYTES) != 0)
			world_violation(site->world, "a key under another's id");
		site->agreed[serial] = (uint8_t)(1 + world_generation(site));
	}
}

static void on_began(const struct sync_generation *generation, const char *why, uint64_t dropped,
		     void *userdata)
{
	struct world_site *site = userdata;

	if (generation->generation > 0 && !site->world->is_disk_lost)
		world_violation(site->world, "%s retired a generation: %s",
				world_names[site->index], why);
}

static void on_distrust(uint64_t txn, const char *what, void *userdata)
{
}

static void on_refused(const char *what, void *userdata)
{
	struct world_site *site = userdata;

	world_violation(site->world, "RESUME refused: %s", what);
}

static void on_connected(void *userdata)
{
}

static void on_want_flush(void *userdata)
{
	struct world_site *site = userdata;

	site->wants_flush = true;
}

static void on_want_wake(uint64_t deadline_usec, void *userdata)
{
	struct world_site *site = userdata;

	site->wake_usec = deadline_usec;
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

/* Life and death of a site */

/* Nothing more reaches the disk, not even what freeing would write. */
static void end_machine(struct world_site *site)
{
	struct storage *disk = memory_storage_storage(site->disk);

	memory_storage_power_off_at(site->disk, 0);
	(void)disk->ops->sync_directory(disk, ".");
	site->machine = sync_machine_free(site->machine);
}

static void crash(struct world_site *site, enum memory_crash how)
{
	struct world *world = site->world;
	char directory[KEYFILE_NAME_MAX] = "";

	if (site->machine)
		snprintf(directory, sizeof(directory), "%s", sync_machine_directory(site->machine));
	end_machine(site);
	site->wants_flush = false;
	site->wake_usec = UINT64_MAX;
	site->restart_usec = world->now_usec + prng_below(&world->prng, RESTART_USEC);
	memory_storage_crash(site->disk, how, how == MEMORY_CRASH_CHOOSE ? choose : NULL, world);
	if (directory[0])
		world_note_gone(site, directory);
	if (world->is_connected)
		drop_connection(world);
}

static enum memory_crash any_crash(struct world *world)
{
	return chance(world, 500) ? MEMORY_CRASH_PROCESS
				  : (chance(world, 300) ? MEMORY_CRASH_LOSE : MEMORY_CRASH_CHOOSE);
}

/* A disk whose sync has failed keeps nothing of that file, whatever it says later, until the next
 * boot: so that has to come. */
static enum memory_crash power_cut(struct world *world)
{
	return chance(world, 500) ? MEMORY_CRASH_LOSE : MEMORY_CRASH_CHOOSE;
}

/* What a call of the machine says: a negative answer ends the daemon. */
static void heed(struct world_site *site, int r)
{
	struct world *world = site->world;

	if (memory_storage_is_off(site->disk)) {
		crash(site, any_crash(world));
	} else if (r < 0) {
		site->fatal++;
		if (world->is_calm || r == -EBADMSG)
			world_violation(world, "%s stops with %s", world_names[site->index],
					strerror(-r));
		crash(site, r == -ENOSPC ? any_crash(world) : power_cut(world));
	}
}

static void start(struct world_site *site)
{
	struct world *world = site->world;
	struct sync_settings settings = {
		.role = site->index ? SYNC_FOLLOWER : SYNC_LEADER,
		.link = "alice-bob",
		.peer = world_names[!site->index],
		.key_bits = 8 * WORLD_KEY_BYTES,
		.window = 4,
		.hold_usec = HOLD_USEC,
		.store_limit = 1u << 20,
		.confirm = world->faults & WORLD_CONFIRM,
	};
	struct storage *disk = memory_storage_storage(site->disk);
	uint64_t torn;
	int r;

	site->life++;
	site->restart_usec = UINT64_MAX;
	r = sync_machine_new(&settings, &ops, site, disk, disk, disk, &torn, &site->machine);
	heed(site, r);
}

static void lose_disk(struct world *world)
{
	struct world_site *site = &world->sites[prng_below(&world->prng, 2)];

	world->is_disk_lost = true;
	end_machine(site);
	memory_storage_crash(site->disk, MEMORY_CRASH_LOSE, NULL, NULL);
	if (site->has_backup)
		memory_storage_copy(site->disk, site->backup);
	else
		memory_storage_reset(site->disk);
	crash(site, MEMORY_CRASH_LOSE);
}

/* Events */

static void flush_if_wanted(struct world_site *site)
{
	if (!site->machine || !site->wants_flush)
		return;
	site->wants_flush = false;
	heed(site, sync_machine_flush(site->machine));
}

struct footprint {
	unsigned open;
	uint64_t operations;
	size_t fetches;
	bool wants_flush;
};

static struct footprint footprint(const struct world_site *site)
{
	return (struct footprint){
		.open = sync_machine_open(site->machine),
		.operations = memory_storage_operations(site->disk),
		.fetches = site->world->fetch_count,
		.wants_flush = site->wants_flush,
	};
}

static void check_footprint(struct world *world, const struct world_message *posted,
			    const struct footprint *before)
{
	const struct world_site *site = &world->sites[posted->to];
	struct footprint after = footprint(site);

	if (after.open != before->open || after.operations != before->operations ||
	    after.fetches != before->fetches || after.wants_flush != before->wants_flush)
		world_violation(world, "%s believed a %s %s", world_names[site->index],
				posted->is_wrong ? "false" : "stale",
				sync_kind_name(posted->message.kind));
}

static void deliver(struct world *world, size_t i)
{
	struct world_message posted = world->messages[i];
	struct world_site *site = &world->sites[posted.to];
	struct footprint before;
	bool is_over;

	world->messages[i] = world->messages[--world->message_count];
	if (posted.message.kind == SYNC_SYN)
		posted.message.syn.ids = posted.ids;
	if (!site->machine)
		return;
	before = footprint(site);
	is_over = posted.is_replay && posted.message.txn < site->machine->store.next_txn &&
		  !sync_find(site->machine, posted.message.txn);
	heed(site, sync_machine_receive(site->machine, &posted.message));
	if (site->machine && (posted.is_wrong || is_over))
		check_footprint(world, &posted, &before);
}

static bool give_up_keys(struct world *world, struct world_site *site,
			 const struct world_fetch *fetch)
{
	for (size_t i = 0; i < fetch->count; i++) {
		uint64_t serial = world_serial(&fetch->ids[i]);

		if (serial == UINT64_MAX || site->fetched[serial])
			return false;
	}
	for (size_t i = 0; i < fetch->count; i++)
		site->fetched[world_serial(&fetch->ids[i])] = 1;
	return !fault(world, WORLD_DEVICE_FAILS, 30);
}

static void answer_fetch(struct world *world, size_t i)
{
	struct world_site *site = &world->sites[1];
	struct world_fetch fetch = world->fetches[i];
	struct key_batch *keys = NULL;
	int result = -ENOKEY;

	world->fetches[i] = world->fetches[--world->fetch_count];
	if (!site->machine || fetch.life != site->life)
		return;
	if (give_up_keys(world, site, &fetch)) {
		keys = make_keys(world, 1, fetch.ids, fetch.count);
		result = 0;
	}
	heed(site, sync_machine_fetched(site->machine, fetch.txn, result, keys));
}

static void supply(struct world *world)
{
	struct world_site *site = &world->sites[0];
	size_t count = 1 + prng_below(&world->prng, WORLD_MESSAGE_IDS);
	struct uuid ids[WORLD_MESSAGE_IDS];

	world->supply_usec = world->now_usec + prng_below(&world->prng, SUPPLY_USEC);
	if (!site->machine || sync_machine_room(site->machine) == 0 || world->is_calm ||
	    world->serials + count > WORLD_MAX_KEYS)
		return;
	for (size_t i = 0; i < count; i++)
		world_id(world->serials++, &ids[i]);
	heed(site, sync_machine_keys(site->machine, make_keys(world, 0, ids, count)));
}

static void connect_sites(struct world *world)
{
	world->connect_usec = world->now_usec + prng_below(&world->prng, RESTART_USEC);
	if (!world->sites[0].machine || !world->sites[1].machine)
		return;
	world->is_connected = true;
	for (unsigned i = 0; i < 2; i++)
		if (world->sites[!i].machine && world->sites[!i].world->is_connected)
			heed(&world->sites[!i], sync_machine_connect(world->sites[!i].machine));
}

/* An old message again, at times with a wrong proof or number. */
static void lie(struct world *world)
{
	struct sync_message message = world->heard;
	bool is_wrong = chance(world, 500);

	if (message.kind == SYNC_SYN_ACK)
		message.syn_ack.alpha_plus_one += is_wrong;
	else if (message.kind == SYNC_ACK && is_wrong && chance(world, 500))
		message.ack.beta_plus_one++;
	else if (message.kind == SYNC_ACK && is_wrong)
		message.ack.first += WORLD_MAX_KEYS;
	else
		is_wrong = false;
	post(world, &message, world->heard_to, prng_below(&world->prng, DELAY_USEC));
	if (world->message_count == 0)
		return;
	world->messages[world->message_count - 1].is_wrong = is_wrong;
	world->messages[world->message_count - 1].is_replay = message.kind != SYNC_RESUME;
}

/* Something that nobody asked for; at most one in a step. */
static void disturb(struct world *world)
{
	struct world_site *site = &world->sites[prng_below(&world->prng, 2)];

	if (fault(world, WORLD_RECONNECTS, 5) && world->is_connected)
		drop_connection(world);
	if (fault(world, WORLD_CRASHES, 4) && site->machine)
		crash(site, any_crash(world));
	if (fault(world, WORLD_CRASHES, 6))
		memory_storage_power_off_at(site->disk, prng_below(&world->prng, 20));
	if (fault(world, WORLD_SYNC_FAILS, 2))
		memory_storage_fail_at(site->disk, prng_below(&world->prng, 20), -EIO);
	if (fault(world, WORLD_FULL_DISK, 3))
		memory_storage_fail_at(site->disk, prng_below(&world->prng, 20), -ENOSPC);
	if (fault(world, WORLD_LOST_DISK, 3) && !site->has_backup && site->machine &&
	    !world->is_disk_lost)
		site->has_backup = memory_storage_copy(site->backup, site->disk) >= 0;
	if (fault(world, WORLD_LOST_DISK, 2) && !world->is_disk_lost)
		lose_disk(world);
	if (fault(world, WORLD_LIES, 20) && world->has_heard && world->is_connected)
		lie(world);
	if (chance(world, 20) && !world->is_calm && !(world->faults & WORLD_LOST_DISK)) {
		if (world_issue(site) < 0)
			crash(site, power_cut(world));
	}
}

/* What waits longest: a message or an answer of the device. */
static uint64_t next_event(const struct world *world, size_t *ret_message, size_t *ret_fetch)
{
	uint64_t at = UINT64_MAX;

	*ret_message = *ret_fetch = SIZE_MAX;
	for (size_t i = 0; i < world->message_count; i++)
		if (world->messages[i].at_usec < at) {
			at = world->messages[i].at_usec;
			*ret_message = i;
		}
	for (size_t i = 0; i < world->fetch_count; i++)
		if (world->fetches[i].at_usec < at) {
			at = world->fetches[i].at_usec;
			*ret_message = SIZE_MAX;
			*ret_fetch = i;
		}
	return at;
}

static uint64_t next_alarm(const struct world *world)
{
	uint64_t at = world->is_calm ? UINT64_MAX : world->supply_usec;

	for (unsigned i = 0; i < 2; i++)
		at = MIN(at, world->sites[i].machine ? world->sites[i].wake_usec
						     : world->sites[i].restart_usec);
	return world->is_connected ? at : MIN(at, world->connect_usec);
}

static void ring(struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		if (!site->machine && site->restart_usec <= world->now_usec)
			start(site);
		else if (site->machine && site->wake_usec <= world->now_usec)
			heed(site, sync_machine_timer(site->machine));
	}
	if (!world->is_connected && world->connect_usec <= world->now_usec)
		connect_sites(world);
	if (world->supply_usec <= world->now_usec)
		supply(world);
}

static void advance(struct world *world)
{
	size_t message, fetch;
	uint64_t event = next_event(world, &message, &fetch), alarm = next_alarm(world);

	if (event == UINT64_MAX && alarm == UINT64_MAX) {
		if (!world->sites[0].wants_flush && !world->sites[1].wants_flush)
			world_violation(world, "nothing more will ever happen");
		return;
	}
	world->now_usec = MAX(world->now_usec, MIN(event, alarm));
	if (alarm <= event)
		ring(world);
	else if (fetch != SIZE_MAX)
		answer_fetch(world, fetch);
	else
		deliver(world, message);
}

static void step(struct world *world)
{
	world->steps++;
	disturb(world);
	advance(world);
	for (unsigned i = 0; i < 2; i++)
		if (world->is_calm || chance(world, 700))
			flush_if_wanted(&world->sites[i]);
}

static bool is_quiet(const struct world *world)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct world_site *site = &world->sites[i];

		if (!site->machine || site->wants_flush || sync_machine_open(site->machine) > 0 ||
		    !sync_machine_is_connected(site->machine))
			return false;
	}
	return world->message_count == 0;
}

static void begin(struct world *world, uint64_t seed, unsigned faults)
{
	prng_init(&world->prng, seed);
	world->faults = faults;
	world->is_calm = world->is_connected = world->is_disk_lost = world->has_heard = false;
	world->now_usec = USEC_PER_SEC;
	world->message_count = world->fetch_count = 0;
	world->serials = world->supply_usec = world->connect_usec = 0;
	world->violation[0] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		struct world_site *site = &world->sites[i];

		site->world = world;
		site->index = i;
		site->machine = sync_machine_free(site->machine);
		memory_storage_reset(site->disk);
		site->wants_flush = site->has_backup = false;
		site->restart_usec = 0;
		site->wake_usec = UINT64_MAX;
		memset(site->issued, 0, sizeof(site->issued));
		memset(site->recorded, 0, sizeof(site->recorded));
		memset(site->erased, 0, sizeof(site->erased));
		memset(site->gone, 0, sizeof(site->gone));
		memset(site->fetched, 0, sizeof(site->fetched));
		memset(site->agreed, 0, sizeof(site->agreed));
	}
}

/* Takes pending faults back, with or without a restart, which may heal what went wrong. */
static void calm_down(struct world_site *site)
{
	memory_storage_power_off_at(site->disk, FAR_AWAY);
	memory_storage_fail_at(site->disk, FAR_AWAY, -EIO);
	if (chance(site->world, 500))
		crash(site, MEMORY_CRASH_PROCESS);
}

int world_episode(struct world *world, uint64_t seed, unsigned faults, uint64_t steps)
{
	uint64_t calm_usec;

	begin(world, seed, faults);
	for (uint64_t i = 0; i < steps && !world->violation[0]; i++)
		step(world);
	world->is_calm = true;
	calm_usec = world->now_usec;
	for (unsigned i = 0; i < 2; i++)
		calm_down(&world->sites[i]);
	for (uint64_t i = 0; i < SETTLE_STEPS && !world->violation[0] && !is_quiet(world); i++)
		step(world);
	if (!is_quiet(world))
		world_violation(world, "not settled after %" PRIu64 " s",
				(world->now_usec - calm_usec) / USEC_PER_SEC);
	if (!world->violation[0])
		world_check_settled(world);
	return world->violation[0] ? -1 : 0;
}

int world_new(struct world **ret)
{
	_cleanup_(world_freep) struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -ENOMEM;
	for (unsigned i = 0; i < 2; i++)
		if (memory_storage_new(&world->sites[i].disk) < 0 ||
		    memory_storage_new(&world->sites[i].backup) < 0)
			return -ENOMEM;
	*ret = TAKE_PTR(world);
	return 0;
}

struct world *world_free(struct world *world)
{
	if (!world)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		sync_machine_free(world->sites[i].machine);
		memory_storage_free(world->sites[i].disk);
		memory_storage_free(world->sites[i].backup);
	}
	free(world);
	return NULL;
}
