/* SPDX-License-Identifier: MIT */

/*
 * A site: its issuer, started and killed; its end of the connection; its key files, which linkd
 * would have written.
 */

#include "tests/explore/issuer-world.h"

#include <inttypes.h>

#include "common/json-text.h"
#include "common/keyfile.h"

#define DELAY_USEC     (5 * USEC_PER_MSEC)
#define RESTART_USEC   (2 * USEC_PER_SEC)
#define RECONNECT_USEC (1 * USEC_PER_SEC)

const char *const issuers_names[2] = {"alice", "bob"};

void issuers_site_enter(struct issuers_site *site)
{
	fake_loop_set_time(site->world->course.now_usec);
	fake_loop_set_clock(site->clock_offset);
}

/* Keys */

void issuers_key(uint64_t sequence, uint8_t ret[static ISSUERS_KEY_BYTES])
{
	uint64_t key[2] = {sequence, prng_mix(sequence + 0x5eed)};

	memcpy(ret, key, ISSUERS_KEY_BYTES);
}

struct uuid issuers_id(uint64_t sequence)
{
	struct uuid id = {{0x1d}};

	memcpy(id.bytes + 8, &sequence, sizeof(sequence));
	return id;
}

static void write_at(struct storage *disk, const char *path, uint64_t offset, const void *bytes,
		     size_t size_bytes)
{
	int file = disk->ops->open(disk, path, STORAGE_WRITE | STORAGE_CREATE);

	if (file < 0 || disk->ops->write_at(disk, file, bytes, size_bytes, offset) < 0 ||
	    disk->ops->sync(disk, file) < 0)
		abort();
	disk->ops->close(disk, file);
}

static void write_line(struct issuers_site *site, uint64_t sequence)
{
	struct storage *disk = memory_storage_storage(site->disk);
	char path[KEYFILE_NAME_MAX], line[ISSUERS_STRIDE], id[KEYFILE_ID_STRIDE + 1];
	const char *peer = issuers_names[!site->index];
	uint8_t key[ISSUERS_KEY_BYTES];
	struct uuid uuid = issuers_id(sequence);

	issuers_key(sequence, key);
	keyfile_build_line(key, sizeof(key), line);
	uuid_format(&uuid, id);
	id[UUID_CHARS] = '\n';
	keyfile_ids_path(peer, peer, keyfile_number(sequence), path);
	write_at(disk, path, keyfile_offset(sequence, KEYFILE_ID_STRIDE), id, KEYFILE_ID_STRIDE);
	keyfile_path(peer, peer, keyfile_number(sequence), path);
	write_at(disk, path, keyfile_offset(sequence, sizeof(line)), line, sizeof(line));
}

static void write_store(struct issuers_site *site)
{
	struct storage *disk = memory_storage_storage(site->disk);
	const char *peer = issuers_names[!site->index];
	struct keyfile_store store = {.uuid = {{0x5e, 1, 2}}, .key_bits = 8 * ISSUERS_KEY_BYTES};

	strcpy(store.link, "alice-bob");
	strcpy(store.peer, peer);
	if (disk->ops->make_directory(disk, peer) < 0 ||
	    keyfile_store_write(disk, peer, &store) < 0 || disk->ops->sync_directory(disk, ".") < 0)
		abort();
}

/* The faults that wait for keyringd's next operations are not linkd's: they are set aside. */
void issuers_add_keys(struct issuers_site *site, uint64_t count)
{
	struct storage *disk = memory_storage_storage(site->disk);
	const char *peer = issuers_names[!site->index];
	uint64_t first = site->lines;

	if (count == 0 || first + count > ISSUERS_MAX_KEYS)
		return;
	memory_storage_power_on(site->disk);
	for (uint64_t i = 0; i < count; i++)
		write_line(site, site->lines++);
	if (disk->ops->sync_directory(disk, peer) < 0)
		abort();
	explore_trace(&site->world->course, "%s: linkd has keys %" PRIu64 " to %" PRIu64,
		      issuers_names[site->index], first, site->lines - 1);
	if (!site->issuer)
		return;
	issuers_site_enter(site);
	(void)issuer_keys_agreed(site->issuer, peer, first, count);
	issuers_site_heed(site);
}

/* The connection */

static int end_send(struct site_transport *transport, const json_t *frame)
{
	struct issuers_end *end = CONTAINER_OF(transport, struct issuers_end, transport);
	struct issuers *world = end->site->world;
	struct issuers_frame *queued = &world->frames[world->frame_count];
	uint64_t at = world->course.now_usec + prng_below(&world->course.prng, DELAY_USEC);
	char *text;

	if (!end->other)
		return -ENOTCONN;
	if (world->frame_count == ISSUERS_FRAMES)
		return -ENOBUFS;
	text = json_dumps(frame, JSON_COMPACT);
	*queued = (struct issuers_frame){.to = end->other, .json = json_loads(text, 0, NULL)};
	explore_trace(&world->course, "%s says %s", issuers_names[end->site->index], text);
	free(text);
	for (size_t i = 0; i < world->frame_count; i++) /* TLS keeps the order */
		if (world->frames[i].to == queued->to)
			at = MAX(at, world->frames[i].at_usec);
	queued->at_usec = at;
	world->frame_count++;
	return 0;
}

static void forget_frames(struct issuers *world, const struct issuers_end *end)
{
	size_t kept = 0;

	for (size_t i = 0; i < world->frame_count; i++)
		if (world->frames[i].to == end)
			json_decref(world->frames[i].json);
		else
			world->frames[kept++] = world->frames[i];
	world->frame_count = kept;
}

static void end_close(struct site_transport *transport)
{
	struct issuers_end *end = CONTAINER_OF(transport, struct issuers_end, transport);
	struct issuers *world = end->site->world;

	forget_frames(world, end);
	if (end->other)
		end->other->other = NULL;
	if (end->site->end == end)
		end->site->end = NULL;
	free(end);
	world->connect_usec =
		world->course.now_usec + prng_below(&world->course.prng, RECONNECT_USEC);
}

static void lose_end(struct issuers_site *site)
{
	if (!site->end || !site->issuer)
		return;
	issuers_site_enter(site);
	site_peer_lost(issuer_site_peer(site->issuer, issuers_names[!site->index]), "cut");
}

void issuers_cut(struct issuers *world)
{
	if (!world->sites[0].end && !world->sites[1].end)
		return;
	explore_trace(&world->course, "the connection is cut");
	lose_end(&world->sites[0]);
	lose_end(&world->sites[1]);
}

static struct issuers_end *new_end(struct issuers_site *site)
{
	struct issuers_end *end = calloc(1, sizeof(*end));

	if (!end)
		abort();
	end->transport.send = end_send;
	end->transport.close = end_close;
	end->site = site;
	return end;
}

void issuers_connect(struct issuers *world)
{
	world->connect_usec = world->course.now_usec + RECONNECT_USEC;
	if (!world->sites[0].issuer || !world->sites[1].issuer)
		return;
	issuers_cut(world);
	explore_trace(&world->course, "a connection begins");
	for (unsigned i = 0; i < 2; i++)
		world->sites[i].end = new_end(&world->sites[i]);
	for (unsigned i = 0; i < 2; i++)
		world->sites[i].end->other = world->sites[!i].end;
	for (unsigned i = 0; i < 2; i++) {
		struct issuers_site *site = &world->sites[i];

		issuers_site_enter(site);
		if (issuer_attach(site->issuer, issuers_names[!i], &site->end->transport) < 0)
			abort();
	}
}

void issuers_deliver_frame(struct issuers *world, size_t i)
{
	struct issuers_frame frame = world->frames[i];
	struct issuers_site *site = frame.to->site;

	world->frame_count--;
	memmove(&world->frames[i], &world->frames[i + 1], (world->frame_count - i) * sizeof(frame));
	issuers_site_enter(site);
	site_peer_receive(issuer_site_peer(site->issuer, issuers_names[!site->index]), frame.json);
	json_decref(frame.json);
	issuers_site_heed(site);
}

/* Life and death */

static void on_fatal(int result, const char *what, void *userdata)
{
	struct issuers_site *site = userdata;

	site->is_fatal = true;
	if (!site->is_disk_faulty && !memory_storage_is_off(site->disk))
		explore_violation(&site->world->course, "%s: %s: %s", issuers_names[site->index],
				  what, strerror(-result));
}

void issuers_site_start(struct issuers_site *site)
{
	static const struct issuer_handler handler = {.on_fatal = on_fatal};
	struct issuers *world = site->world;
	uint32_t features = world->course.plan->features;
	struct issuer_peer peer = {.site = issuers_names[!site->index]};
	struct storage *disk = memory_storage_storage(site->disk);
	struct issuer_options options = {
		.event = site->event,
		.site = issuers_names[site->index],
		.state = disk,
		.keys = disk,
		.peers = &peer,
		.peer_count = 1,
		.boot = &site->boot,
		.label_ttl_sec = features & ISSUERS_SHORT_LABELS ? 2 : 86400,
		.reservation_sec = features & ISSUERS_SHORT_RESERVATIONS ? 2 : 3600,
		.run_ahead_keys = 8,
		.handler = &handler,
		.userdata = site,
	};
	_cleanup_(freep) char *what = NULL;
	int r;

	site->life++;
	site->is_fatal = false;
	explore_trace(&world->course, "%s: keyringd starts", issuers_names[site->index]);
	issuers_site_enter(site);
	r = issuer_new(&options, &what, &site->issuer);
	if (r < 0 && !site->is_disk_faulty && !memory_storage_is_off(site->disk))
		explore_violation(&world->course, "%s does not start: %s",
				  issuers_names[site->index], what);
	if (r < 0)
		issuers_site_crash(site, MEMORY_CRASH_LOSE);
	else
		issuers_site_heed(site);
}

void issuers_site_stop(struct issuers_site *site)
{
	if (!site->issuer)
		return;
	explore_trace(&site->world->course, "%s: keyringd stops in order",
		      issuers_names[site->index]);
	memory_storage_power_on(site->disk);
	site->is_disk_faulty = false;
	issuers_site_enter(site);
	site->issuer = issuer_free(site->issuer);
	issuers_people_lost(site);
	lose_end(&site->world->sites[!site->index]);
	site->restart_usec =
		site->world->course.now_usec + prng_below(&site->world->course.prng, RESTART_USEC);
}

/* What it frees must not reach the disk any more: the disk is off meanwhile. */
void issuers_site_crash(struct issuers_site *site, enum memory_crash how)
{
	struct storage *disk = memory_storage_storage(site->disk);
	struct issuers *world = site->world;
	bool is_cut = how != MEMORY_CRASH_PROCESS;

	explore_trace(&world->course, "%s: %s", issuers_names[site->index],
		      is_cut ? "power cut" : "kill -9");
	world->crashes++;
	memory_storage_power_off_at(site->disk, 0);
	(void)disk->ops->sync_directory(disk, ".");
	issuers_site_enter(site);
	if (site->end) { /* nothing is said at the end */
		if (site->end->other)
			site->end->other->other = NULL;
		site->end->other = NULL;
	}
	site->issuer = issuer_free(site->issuer);
	issuers_people_lost(site);
	memory_storage_crash(site->disk, how, how == MEMORY_CRASH_CHOOSE ? explore_choose : NULL,
			     &world->course);
	site->is_disk_faulty = site->is_fatal = false;
	lose_end(&world->sites[!site->index]);
	site->restart_usec = world->course.now_usec + prng_below(&world->course.prng, RESTART_USEC);
	for (size_t i = 0; i < ISSUERS_MAX_KEYS; i++)
		if (is_cut || site->keys[i].delivery == DELIVERY_REPORTED)
			site->keys[i].delivery = DELIVERY_OPEN;
	site->has_reports = false;
	site->boot.bytes[0] += is_cut; /* another boot */
}

/* A file whose sync has failed keeps nothing until the next boot, not even linkd's lines: so that
 * comes, also when keyringd could go on. */
void issuers_site_heed(struct issuers_site *site)
{
	struct issuers *world = site->world;
	bool is_off = memory_storage_is_off(site->disk);
	bool has_failed = site->is_disk_faulty && memory_storage_has_lost(site->disk);

	if (!site->issuer || (!is_off && !has_failed && !site->is_fatal))
		return;
	if (is_off && explore_chance(&world->course, 400))
		issuers_site_crash(site, MEMORY_CRASH_PROCESS);
	else
		issuers_site_crash(site, explore_chance(&world->course, 400) ? MEMORY_CRASH_LOSE
									     : MEMORY_CRASH_CHOOSE);
}

/* The loop is at rest: everything of before is with the kernel. */
static void note_recorded(struct issuers_site *site)
{
	for (size_t i = 0; site->has_reports && i < ISSUERS_MAX_KEYS; i++)
		if (site->keys[i].delivery == DELIVERY_REPORTED)
			site->keys[i].delivery = DELIVERY_RECORDED;
	site->has_reports = false;
}

bool issuers_site_run(struct issuers_site *site)
{
	bool is_done;

	if (!site->issuer || site->stalled_usec > site->world->course.now_usec)
		return false;
	issuers_site_enter(site);
	is_done = fake_loop_run_one(site->event);
	if (!is_done)
		note_recorded(site);
	issuers_site_heed(site);
	return is_done;
}

void issuers_site_begin(struct issuers_site *site)
{
	if (site->issuer)
		issuers_site_crash(site, MEMORY_CRASH_PROCESS);
	memory_storage_reset(site->disk);
	site->boot = (struct uuid){{1, (uint8_t)site->index}};
	site->clock_offset = (int64_t)(UINT64_C(1700000000) * USEC_PER_SEC);
	site->restart_usec = site->stalled_usec = site->lines = site->life = 0;
	site->is_disk_faulty = site->is_fatal = site->has_reports = false;
	memset(site->keys, 0, sizeof(site->keys));
	write_store(site);
}
