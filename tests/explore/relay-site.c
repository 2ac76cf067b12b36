/* SPDX-License-Identifier: MIT */

/*
 * A site: its issuer and its builds, started and killed; its key files, which linkd would have
 * written.
 */

#include "tests/explore/relay-world.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/json-text.h"
#include "common/keyfile.h"

#define RESTART_USEC (2 * USEC_PER_SEC)
#define CLOCK_USEC   (UINT64_C(1700000000) * USEC_PER_SEC)

void relays_site_enter(struct relays_site *site)
{
	fake_loop_set_time(site->world->course.now_usec);
	fake_loop_set_clock((int64_t)CLOCK_USEC);
}

/* Keys */

static void write_at(struct storage *disk, const char *path, uint64_t offset, const void *bytes,
		     size_t size_bytes)
{
	int file = disk->ops->open(disk, path, STORAGE_WRITE | STORAGE_CREATE);

	if (file < 0 || disk->ops->write_at(disk, file, bytes, size_bytes, offset) < 0 ||
	    disk->ops->sync(disk, file) < 0)
		abort();
	disk->ops->close(disk, file);
}

static void write_lines(struct relays_site *site, unsigned peer, uint64_t first, uint64_t count)
{
	struct storage *disk = memory_storage_storage(site->disk);
	const char *name = relays_names[peer];
	unsigned link = relays_link(site->index, peer);
	char path[KEYFILE_NAME_MAX], lines[RELAYS_STRIDE * 64], ids[KEYFILE_ID_STRIDE * 64 + 1];
	uint8_t key[RELAYS_KEY_BYTES];

	for (uint64_t i = 0; i < count; i++) {
		struct uuid id = relays_id(link, first + i);

		relays_key(link, first + i, key);
		keyfile_build_line(key, sizeof(key), lines + i * RELAYS_STRIDE);
		uuid_format(&id, ids + i * KEYFILE_ID_STRIDE);
		ids[(i + 1) * KEYFILE_ID_STRIDE - 1] = '\n';
	}
	keyfile_ids_path(name, name, 0, path);
	write_at(disk, path, keyfile_offset(first, KEYFILE_ID_STRIDE), ids,
		 count * KEYFILE_ID_STRIDE);
	keyfile_path(name, name, 0, path);
	write_at(disk, path, keyfile_offset(first, RELAYS_STRIDE), lines, count * RELAYS_STRIDE);
	if (disk->ops->sync_directory(disk, name) < 0)
		abort();
}

static void write_store(struct relays_site *site, unsigned peer)
{
	struct storage *disk = memory_storage_storage(site->disk);
	unsigned link = relays_link(site->index, peer);
	struct keyfile_store store = {
		.uuid = {{0x5e, 1, (uint8_t)link}},
		.key_bits = 8 * RELAYS_KEY_BYTES,
	};

	snprintf(store.link, sizeof(store.link), "link-%u", link);
	strcpy(store.peer, relays_names[peer]);
	if (disk->ops->make_directory(disk, store.peer) < 0 ||
	    keyfile_store_write(disk, store.peer, &store) < 0 ||
	    disk->ops->sync_directory(disk, ".") < 0)
		abort();
}

/* The faults that wait for keyringd's next operations are not linkd's: they are set aside. */
void relays_add_keys(struct relays_site *site, unsigned peer)
{
	uint64_t agreed = site->world->agreed[relays_link(site->index, peer)];
	uint64_t first = site->lines[peer], count = MIN(agreed - first, (uint64_t)64);

	if (count == 0)
		return;
	memory_storage_power_on(site->disk);
	write_lines(site, peer, first, count);
	site->lines[peer] += count;
	if (!site->issuer)
		return;
	relays_site_enter(site);
	(void)issuer_keys_agreed(site->issuer, relays_names[peer], first, count);
	relays_site_heed(site);
}

/* Paths */

static void allow(struct relays_site *site)
{
	struct path paths[PATH_MAX_DISJOINT];
	size_t count = relays_paths(site->world, paths);

	for (size_t i = 0; i < count; i++)
		if (path_find(&paths[i], relays_names[site->index]) >= 0 &&
		    multihop_allow(site->multihop, &paths[i]) < 0)
			abort();
}

void relays_forget_path(struct relays_site *site)
{
	struct path paths[PATH_MAX_DISJOINT];

	if (!site->multihop)
		return;
	explore_trace(&site->world->course, "%s: the path is over, and begins again",
		      relays_names[site->index]);
	relays_site_enter(site);
	(void)relays_paths(site->world, paths);
	if (path_find(&paths[0], relays_names[site->index]) < 0)
		return;
	multihop_forbid(site->multihop, &paths[0]);
	if (multihop_allow(site->multihop, &paths[0]) < 0)
		abort();
}

static void use_paths(struct relays_site *site)
{
	struct relays *world = site->world;
	unsigned last = world->site_count - 1;
	struct path paths[PATH_MAX_DISJOINT];
	struct path_set set = {
		.count = relays_paths(world, paths),
		.stock = world->course.plan->features & RELAYS_STOCK ? 6 : 0,
		.disjoint = world->shape == RELAYS_DISJOINT ? 2 : 1,
	};

	if (site->index != 0 && site->index != last)
		return;
	for (size_t i = 0; i < set.count; i++) {
		set.choices[i].weight = 1;
		if (site->index == 0)
			set.choices[i].path = paths[i];
		else
			path_reverse(&paths[i], &set.choices[i].path);
	}
	if (multihop_set(site->multihop, relays_names[last - site->index], &set) < 0)
		abort();
}

/* Life and death */

static void on_fatal(int result, const char *what, void *userdata)
{
	struct relays_site *site = userdata;

	site->is_fatal = true;
	if (!memory_storage_is_off(site->disk))
		explore_violation(&site->world->course, "%s: %s: %s", relays_names[site->index],
				  what, strerror(-result));
}

static int start_issuer(struct relays_site *site, char **ret_what)
{
	static const struct issuer_handler handler = {.on_fatal = on_fatal};
	struct relays *world = site->world;
	struct issuer_peer peers[RELAYS_SITES];
	struct storage *disk = memory_storage_storage(site->disk);
	struct issuer_options options = {
		.event = site->event,
		.site = relays_names[site->index],
		.state = disk,
		.keys = disk,
		.peers = peers,
		.boot = &site->boot,
		.label_ttl_sec = 2,
		.reservation_sec = 2,
		.run_ahead_keys = 16,
		.handler = &handler,
		.userdata = site,
	};

	for (unsigned i = 0; i < world->site_count; i++)
		if (i != site->index)
			peers[options.peer_count++] = (struct issuer_peer){.site = relays_names[i]};
	return issuer_new(&options, ret_what, &site->issuer);
}

void relays_site_start(struct relays_site *site)
{
	struct relays *world = site->world;
	struct multihop_options options = {
		.event = site->event,
		.site = relays_names[site->index],
	};
	_cleanup_(freep) char *what = NULL;
	int r;

	site->is_fatal = false;
	explore_trace(&world->course, "%s: keyringd starts", relays_names[site->index]);
	relays_site_enter(site);
	r = start_issuer(site, &what);
	if (r < 0 && !memory_storage_is_off(site->disk))
		explore_violation(&world->course, "%s does not start: %s",
				  relays_names[site->index], what);
	if (r < 0) {
		relays_site_crash(site, MEMORY_CRASH_LOSE);
		return;
	}
	options.issuer = site->issuer;
	if (multihop_new(&options, &site->multihop) < 0)
		abort();
	allow(site);
	use_paths(site);
	relays_site_heed(site);
}

/* What it frees must not reach the disk any more: the disk is off meanwhile. */
void relays_site_crash(struct relays_site *site, enum memory_crash how)
{
	struct storage *disk = memory_storage_storage(site->disk);
	struct relays *world = site->world;
	bool is_cut = how != MEMORY_CRASH_PROCESS;

	explore_trace(&world->course, "%s: %s", relays_names[site->index],
		      is_cut ? "power cut" : "kill -9");
	world->crashes++;
	memory_storage_power_off_at(site->disk, 0);
	(void)disk->ops->sync_directory(disk, ".");
	relays_site_enter(site);
	relays_lose(site);
	site->multihop = multihop_free(site->multihop);
	site->issuer = issuer_free(site->issuer);
	relays_people_lost(site);
	memory_storage_crash(site->disk, how, how == MEMORY_CRASH_CHOOSE ? explore_choose : NULL,
			     &world->course);
	site->is_fatal = false;
	for (unsigned i = 0; i < world->site_count; i++)
		relays_cut(world, site->index, i);
	site->restart_usec = world->course.now_usec + prng_below(&world->course.prng, RESTART_USEC);
	site->boot.bytes[0] += is_cut; /* another boot */
	site->was_cut |= is_cut;
}

void relays_site_heed(struct relays_site *site)
{
	struct relays *world = site->world;
	bool is_off = memory_storage_is_off(site->disk);

	if (!site->issuer || (!is_off && !site->is_fatal))
		return;
	if (explore_chance(&world->course, 400))
		relays_site_crash(site, MEMORY_CRASH_PROCESS);
	else
		relays_site_crash(site, explore_chance(&world->course, 400) ? MEMORY_CRASH_LOSE
									    : MEMORY_CRASH_CHOOSE);
}

bool relays_site_run(struct relays_site *site)
{
	bool is_done;

	if (!site->issuer || site->stalled_usec > site->world->course.now_usec)
		return false;
	relays_site_enter(site);
	is_done = fake_loop_run_one(site->event);
	relays_site_heed(site);
	return is_done;
}

void relays_site_begin(struct relays_site *site)
{
	struct relays *world = site->world;

	memory_storage_reset(site->disk);
	site->boot = (struct uuid){{1, (uint8_t)site->index}};
	site->restart_usec = site->stalled_usec = 0;
	site->is_fatal = site->lies = site->was_cut = false;
	memset(site->lines, 0, sizeof(site->lines));
	memset(site->keys_usec, 0, sizeof(site->keys_usec));
	for (unsigned i = 0; i < world->site_count; i++)
		if (i != site->index && relays_has_link(world, site->index, i))
			write_store(site, i);
}
