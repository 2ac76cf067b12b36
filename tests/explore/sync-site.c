/* SPDX-License-Identifier: MIT */

/*
 * Life and death of a site's processes, and what its machine asks of its owner.
 */

#include "tests/explore/sync-world.h"

#include "qkd-linkd/sync-internal.h"

#define RESTART_USEC (2 * USEC_PER_SEC)
#define SMALL_STORE  60
#define LINK_NAME    "alice-bob"

const char *const world_names[2] = {"alice", "bob"};

unsigned site_generation(const struct world_site *site)
{
	const char *tilde = strchr(sync_machine_directory(site->machine), '~');

	return tilde ? (unsigned)strtoul(tilde + 1, NULL, 10) : 0;
}

/* What the machine asks of its owner */

static uint64_t on_now(void *userdata)
{
	return ((struct world_site *)userdata)->world->course.now_usec;
}

static int on_random(void *bytes, size_t size_bytes, void *userdata)
{
	struct world_site *site = userdata;
	uint8_t *out = bytes;

	for (size_t i = 0; i < size_bytes; i++)
		out[i] = (uint8_t)prng_next(&site->world->course.prng);
	return 0;
}

static void on_send(const struct sync_message *message, void *userdata)
{
	network_send(userdata, message);
}

static void on_disconnect(const char *reason, void *userdata)
{
	struct world_site *site = userdata;

	explore_trace(&site->world->course, "%s hangs up: %s", world_names[site->index], reason);
	site->is_attached = false;
	network_drop(site->world, false);
}

static int on_fetch(uint64_t txn, const struct uuid *ids, size_t count, void *userdata)
{
	return device_fetch(userdata, txn, ids, count);
}

static void on_agreed(uint64_t first, const struct uuid *ids, const uint8_t *keys, size_t count,
		      void *userdata)
{
	ledger_agreed(userdata, first, ids, keys, count);
}

static void on_began(const struct sync_generation *generation, const char *why, uint64_t dropped,
		     void *userdata)
{
	struct world_site *site = userdata;
	struct world *world = site->world;

	explore_trace(&world->course, "%s begins generation %u: %s", world_names[site->index],
		      generation->generation, why);
	world->retired += generation->generation > 0;
	world->generations = MAX(world->generations, generation->generation + UINT64_C(1));
	if (world->generations > WORLD_MAX_GENERATIONS)
		explore_violation(&world->course, "too many generations");
	if (generation->generation > 0 && !world->is_disk_lost)
		explore_violation(&world->course, "%s retires a generation: %s",
				  world_names[site->index], why);
}

static void on_distrust(uint64_t txn, const char *what, void *userdata)
{
	struct world_site *site = userdata;

	explore_trace(&site->world->course, "%s distrusts a message: %s", world_names[site->index],
		      what);
}

static void on_refused(const char *what, void *userdata)
{
	explore_violation(&((struct world_site *)userdata)->world->course, "RESUME is refused: %s",
			  what);
}

static void on_connected(void *userdata)
{
	((struct world_site *)userdata)->is_behind = false;
}

static void on_want_flush(void *userdata)
{
	((struct world_site *)userdata)->wants_flush = true;
}

static void on_want_wake(uint64_t deadline_usec, void *userdata)
{
	((struct world_site *)userdata)->wake_usec = deadline_usec;
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

/* Death. What is freed must not reach the disk any more: the disk is off meanwhile. */

static uint64_t restart_time(struct world *world)
{
	return world->course.now_usec + prng_below(&world->course.prng, RESTART_USEC);
}

static void take_disk_away(struct world_site *site)
{
	struct storage *disk = memory_storage_storage(site->disk);

	memory_storage_power_off_at(site->disk, 0);
	(void)disk->ops->sync_directory(disk, ".");
}

static void end_linkd(struct world_site *site)
{
	site->machine = sync_machine_free(site->machine);
	site->wants_flush = site->is_attached = false;
	site->attach_usec = site->notice_usec = site->wake_usec = UINT64_MAX;
	site->restart_usec = restart_time(site->world);
	network_drop(site->world, false);
}

static void end_keyringd(struct world_site *site)
{
	keyringd_end(site);
	site->keyringd.restart_usec = restart_time(site->world);
}

void site_kill_linkd(struct world_site *site)
{
	explore_trace(&site->world->course, "%s: kill -9 of linkd", world_names[site->index]);
	take_disk_away(site);
	end_linkd(site);
	memory_storage_power_on(site->disk);
	site->world->crashes++;
	ledger_check_site(site);
}

void site_kill_keyringd(struct world_site *site)
{
	explore_trace(&site->world->course, "%s: kill -9 of keyringd", world_names[site->index]);
	take_disk_away(site);
	end_keyringd(site);
	memory_storage_power_on(site->disk);
}

void site_crash(struct world_site *site, enum memory_crash how)
{
	struct world *world = site->world;
	bool is_cut = how != MEMORY_CRASH_PROCESS;

	explore_trace(&world->course, "%s: %s", world_names[site->index],
		      is_cut ? "power cut" : "kill -9 of everything");
	take_disk_away(site);
	end_linkd(site);
	end_keyringd(site);
	memory_storage_crash(site->disk, how, how == MEMORY_CRASH_CHOOSE ? explore_choose : NULL,
			     &world->course);
	site->is_disk_faulty = false;
	world->crashes++;
	ledger_check_site(site);
}

void site_power_cut(struct world_site *site)
{
	site_crash(site, explore_chance(&site->world->course, 400) ? MEMORY_CRASH_LOSE
								   : MEMORY_CRASH_CHOOSE);
}

/* It stopped in the middle of a call, at the disk: alone or with all else. */
static void stop_in_write(struct world_site *site, void (*kill)(struct world_site *site))
{
	if (explore_chance(&site->world->course, 300))
		kill(site);
	else if (explore_chance(&site->world->course, 400))
		site_crash(site, MEMORY_CRASH_PROCESS);
	else
		site_power_cut(site);
}

/* A disk whose sync has failed keeps nothing of that file until the next boot: so that comes. */
static void heed(struct world_site *site, int r, const char *name,
		 void (*kill)(struct world_site *site))
{
	struct world *world = site->world;

	if (memory_storage_is_off(site->disk)) {
		stop_in_write(site, kill);
		return;
	}
	if (r >= 0)
		return;
	explore_trace(&world->course, "%s: %s stops: %s", world_names[site->index], name,
		      strerror(-r));
	if (r == -EBADMSG || (!site->is_disk_faulty && site->full_until == 0))
		explore_violation(&world->course, "%s: %s stops: %s", world_names[site->index],
				  name, strerror(-r));
	if (r == -ENOSPC)
		kill(site);
	else
		site_power_cut(site);
}

void site_heed(struct world_site *site, int r)
{
	heed(site, r, "linkd", site_kill_linkd);
}

void site_heed_keyringd(struct world_site *site, int r)
{
	heed(site, r, "keyringd", site_kill_keyringd);
}

/* Life */

void site_start(struct world_site *site)
{
	struct world *world = site->world;
	uint32_t features = world->course.plan->features;
	struct sync_settings settings = {
		.role = site->index ? SYNC_FOLLOWER : SYNC_LEADER,
		.link = LINK_NAME,
		.peer = world_names[!site->index],
		.key_bits = 8 * WORLD_KEY_BYTES,
		.window = world->window,
		.hold_usec = world->hold_usec,
		.store_limit = features & WORLD_SMALL_STORE ? world->base + SMALL_STORE : 1u << 20,
		.confirm = features & WORLD_CONFIRM,
	};
	struct storage *disk = memory_storage_storage(site->disk);
	uint64_t torn;
	int r;

	ledger_linkd_starts(site);
	site->life++;
	site->restart_usec = UINT64_MAX;
	explore_trace(&world->course, "%s: linkd starts", world_names[site->index]);
	r = sync_machine_new(&settings, &ops, site, disk, disk, disk, &torn, &site->machine);
	if (r >= 0)
		ledger_linkd_started(site);
	site_heed(site, r);
}

/* As the flush does with a journal of 16 MiB, which no episode reaches. */
static int compact(struct world_site *site)
{
	struct sync_machine *machine = site->machine;
	int r;

	explore_trace(&site->world->course, "%s compacts its journal", world_names[site->index]);
	r = sync_journal_compact(machine->journal, &machine->store, machine->txns, machine->count);
	return r == -ENOSPC ? 0 : r;
}

void site_flush(struct world_site *site)
{
	struct world *world = site->world;
	int r;

	if (!site->machine || !site->wants_flush)
		return;
	site->wants_flush = false;
	r = sync_machine_flush(site->machine);
	if (r >= 0 && world->course.plan->features & WORLD_SMALL_JOURNAL &&
	    explore_chance(&world->course, 60))
		r = compact(site);
	site_heed(site, r);
}

void site_lose_disk(struct world_site *site)
{
	struct world *world = site->world;

	if (world->sites[!site->index].is_behind)
		return; /* with both disks lost there is nothing to agree with */
	explore_trace(&world->course, "%s: %s", world_names[site->index],
		      site->has_backup ? "an old backup is restored" : "a new, empty disk");
	world->is_disk_lost = true;
	site->is_behind = true;
	site_crash(site, MEMORY_CRASH_LOSE);
	world->message_count = 0; /* nothing survives a disk's replacement on the network */
	if (site->has_backup)
		memory_storage_copy(site->disk, site->backup);
	else
		memory_storage_reset(site->disk);
	memory_storage_crash(site->disk, MEMORY_CRASH_LOSE, NULL, NULL);
	memory_storage_set_capacity(site->disk, UINT64_MAX);
	site->full_until = 0;
	ledger_disk_lost(site);
}

/* A store whose first lines have all been issued and erased, up to the first of this episode. */

static void write_file(struct storage *disk, const char *path, const void *bytes, size_t size_bytes)
{
	int file = disk->ops->open(disk, path, STORAGE_WRITE | STORAGE_CREATE);

	if (file < 0 || disk->ops->write_at(disk, file, bytes, size_bytes, 0) < 0 ||
	    disk->ops->sync(disk, file) < 0)
		abort();
	disk->ops->close(disk, file);
}

static void write_used_lines(struct world_site *site, const char *directory)
{
	static char lines[KEYFILE_LINES * 64], ids[KEYFILE_LINES * KEYFILE_ID_STRIDE];
	struct storage *disk = memory_storage_storage(site->disk);
	const char *peer = world_names[!site->index];
	struct uuid id = {};
	char path[KEYFILE_NAME_MAX];

	for (uint64_t i = 0; lines[0] == '\0' && i < KEYFILE_LINES; i++) {
		memset(lines + i * WORLD_STRIDE, KEYFILE_ERASED, WORLD_STRIDE - 1);
		lines[(i + 1) * WORLD_STRIDE - 1] = '\n';
		uuid_format(&id, ids + i * KEYFILE_ID_STRIDE);
		ids[(i + 1) * KEYFILE_ID_STRIDE - 1] = '\n';
	}
	keyfile_path(directory, peer, 0, path);
	write_file(disk, path, lines, site->world->base * WORLD_STRIDE);
	keyfile_ids_path(directory, peer, 0, path);
	write_file(disk, path, ids, site->world->base * KEYFILE_ID_STRIDE);
}

static void write_used_store(struct world_site *site)
{
	struct storage *disk = memory_storage_storage(site->disk);
	struct sync_store store = {.uuid = {{0x5e, 1}},
				   .key_bits = 8 * WORLD_KEY_BYTES,
				   .next = site->world->base,
				   .decided = site->world->base,
				   .next_txn = 1};
	struct sync_journal *journal;
	struct sync_recovered recovered;

	snprintf(store.directory, sizeof(store.directory), "%s", world_names[!site->index]);
	if (sync_journal_open(disk, SYNC_JOURNAL_FILE, &recovered, &journal) < 0 ||
	    sync_journal_compact(journal, &store, NULL, 0) < 0)
		abort();
	sync_journal_free(journal);
	if (disk->ops->make_directory(disk, store.directory) < 0 ||
	    disk->ops->sync_directory(disk, ".") < 0)
		abort();
	write_used_lines(site, store.directory);
	if (disk->ops->sync_directory(disk, store.directory) < 0)
		abort();
}

void site_begin(struct world_site *site)
{
	site->machine = sync_machine_free(site->machine);
	keyringd_end(site);
	site->keyringd = (struct keyringd){};
	memory_storage_reset(site->disk);
	site->wants_flush = site->has_backup = site->is_attached = false;
	site->is_behind = site->is_disk_faulty = false;
	site->full_until = 0;
	site->restart_usec = 0;
	site->wake_usec = site->attach_usec = site->notice_usec = UINT64_MAX;
	memset(site->fetched, 0, sizeof(site->fetched));
	if (site->world->base > 0)
		write_used_store(site);
}
