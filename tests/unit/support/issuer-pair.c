/* SPDX-License-Identifier: MIT */

/*
 * The pair of issuers: everything between them is played here, so that a test can stop, lose and
 * reorder it.
 */

#include "tests/unit/support/issuer-pair.h"

#include <criterion/criterion.h>
#include <time.h>

#include "common/keyfile.h"
#include "common/log.h"

static const struct uuid store_uuid = {{0x5e, 1, 2, 3}};

uint64_t pair_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

void pair_key(uint64_t sequence, uint8_t ret[static PAIR_KEY_BYTES])
{
	for (size_t i = 0; i < PAIR_KEY_BYTES; i++)
		ret[i] = (uint8_t)((sequence >> (i % 8 * 8)) + i * 31 + 7);
}

struct uuid pair_id(uint64_t sequence)
{
	struct uuid id = {{0x1d}};

	memcpy(id.bytes + 8, &sequence, sizeof(sequence));
	return id;
}

static void frame_out(struct pair_end *end, const char *text)
{
	char **larger = reallocarray(end->frames, end->count + 1, sizeof(char *));

	cr_assert_not_null(larger);
	end->frames = larger;
	end->frames[end->count++] = strdup(text);
	sd_event_source_set_enabled(end->source, SD_EVENT_ONESHOT);
}

static int end_send(struct site_transport *transport, const json_t *frame)
{
	struct pair_end *end = CONTAINER_OF(transport, struct pair_end, transport);
	struct issuer_pair *pair = end->pair;
	char *text;

	if (!end->other)
		return -ENOTCONN;
	text = json_dumps(frame, JSON_COMPACT);
	cr_assert_not_null(text);
	pair->frames++;
	if (!pair->drop || !pair->drop(end->site->name, text, pair->userdata))
		frame_out(end->other, text);
	free(text);
	return 0;
}

static void end_close(struct site_transport *transport)
{
	struct pair_end *end = CONTAINER_OF(transport, struct pair_end, transport);

	if (end->other)
		end->other->other = NULL;
	sd_event_source_disable_unref(end->source);
	for (size_t i = 0; i < end->count; i++)
		free(end->frames[i]);
	free(end->frames);
	if (end->site->end == end)
		end->site->end = NULL;
	free(end);
}

static int deliver_frames(sd_event_source *source, void *userdata)
{
	struct pair_end *end = userdata;
	struct pair_site *site = end->site;
	struct site_peer *peer = issuer_site_peer(site->issuer, site->peer);
	char **frames = TAKE_PTR(end->frames);
	size_t count = end->count;

	end->count = 0;
	for (size_t i = 0; i < count; i++) {
		json_t *json = json_loads(frames[i], 0, NULL);

		cr_assert_not_null(json);
		if (site->end == end)
			site_peer_receive(peer, json);
		json_decref(json);
		free(frames[i]);
	}
	free(frames);
	return 0;
}

static struct pair_end *new_end(struct pair_site *site)
{
	struct pair_end *end = calloc(1, sizeof(*end));

	cr_assert_not_null(end);
	end->transport.send = end_send;
	end->transport.close = end_close;
	end->pair = site->pair;
	end->site = site;
	cr_assert(sd_event_add_defer(site->pair->event, &end->source, deliver_frames, end) >= 0);
	sd_event_source_set_enabled(end->source, SD_EVENT_OFF);
	return end;
}

void pair_connect(struct issuer_pair *pair)
{
	struct pair_end *a = new_end(&pair->alice), *b = new_end(&pair->bob);

	a->other = b;
	b->other = a;
	pair->alice.end = a;
	pair->bob.end = b;
	cr_assert(issuer_attach(pair->alice.issuer, "bob", &a->transport) >= 0);
	cr_assert(issuer_attach(pair->bob.issuer, "alice", &b->transport) >= 0);
}

static void lose_end(struct pair_site *site)
{
	if (site->end && site->issuer)
		site_peer_lost(issuer_site_peer(site->issuer, site->peer), "cut");
}

void pair_cut(struct issuer_pair *pair)
{
	lose_end(&pair->alice);
	lose_end(&pair->bob);
}

static void on_label(const char *peer, const char *label, const struct uuid *id, void *userdata)
{
	((struct pair_site *)userdata)->labels_told++;
}

static void on_low_water(const char *peer, uint64_t available, void *userdata)
{
	((struct pair_site *)userdata)->low_water++;
}

static void on_fatal(int result, const char *what, void *userdata)
{
	((struct pair_site *)userdata)->fatal++;
}

static const struct issuer_handler handler = {
	.on_label = on_label,
	.on_low_water = on_low_water,
	.on_fatal = on_fatal,
};

void pair_start_site(struct pair_site *site)
{
	struct issuer_peer peer = {.site = site->peer};
	struct issuer_options options = site->pair->options;
	_cleanup_(freep) char *what = NULL;
	int r;

	options.event = site->pair->event;
	options.site = site->name;
	options.boot = &site->boot;
	options.state = memory_storage_storage(site->state);
	options.keys = memory_storage_storage(site->keys);
	options.peers = &peer;
	options.peer_count = 1;
	options.handler = &handler;
	options.userdata = site;
	r = issuer_new(&options, &what, &site->issuer);
	cr_assert(r >= 0, "%s: %s", site->name, what);
}

void pair_stop_site(struct pair_site *site)
{
	struct issuer_pair *pair = site->pair;

	site->issuer = issuer_free(site->issuer);
	lose_end(site == &pair->alice ? &pair->bob : &pair->alice);
}

static struct memory_storage *crashed_copy(struct memory_storage *memory, enum memory_crash crash)
{
	struct memory_storage *copy;

	cr_assert(memory_storage_new(&copy) >= 0);
	cr_assert(memory_storage_copy(copy, memory) >= 0);
	memory_storage_crash(copy, crash, NULL, NULL);
	return copy;
}

void pair_kill_site(struct pair_site *site, enum memory_crash crash)
{
	struct memory_storage *state, *keys;

	pair_cut(site->pair);
	state = crashed_copy(site->state, crash);
	keys = crashed_copy(site->keys, crash);
	pair_stop_site(site); /* on the disks that are thrown away */
	memory_storage_free(site->state);
	memory_storage_free(site->keys);
	site->state = state;
	site->keys = keys;
	if (crash != MEMORY_CRASH_PROCESS)
		site->boot.bytes[0]++;
}

static void append(struct storage *storage, const char *path, uint64_t offset, const void *bytes,
		   size_t size_bytes)
{
	int file = storage->ops->open(storage, path, STORAGE_WRITE | STORAGE_CREATE);

	cr_assert(file >= 0);
	cr_assert(storage->ops->write_at(storage, file, bytes, size_bytes, offset) >= 0);
	cr_assert(storage->ops->sync(storage, file) >= 0);
	storage->ops->close(storage, file);
}

static void write_line(struct pair_site *site, uint64_t sequence)
{
	struct storage *keys = memory_storage_storage(site->keys);
	size_t stride = keyfile_stride(PAIR_KEY_BYTES * 8);
	char path[KEYFILE_NAME_MAX], line[PAIR_KEY_BYTES * 2 + 1], id[UUID_CHARS + 2];
	uint8_t key[PAIR_KEY_BYTES];
	struct uuid uuid = pair_id(sequence);

	pair_key(sequence, key);
	keyfile_build_line(key, sizeof(key), line);
	uuid_format(&uuid, id);
	id[UUID_CHARS] = '\n';
	cr_assert(keyfile_ids_path(site->peer, site->peer, keyfile_number(sequence), path) >= 0);
	append(keys, path, keyfile_offset(sequence, KEYFILE_ID_STRIDE), id, KEYFILE_ID_STRIDE);
	cr_assert(keyfile_path(site->peer, site->peer, keyfile_number(sequence), path) >= 0);
	append(keys, path, keyfile_offset(sequence, stride), line, sizeof(line));
}

static void write_store(struct pair_site *site)
{
	struct storage *keys = memory_storage_storage(site->keys);
	struct keyfile_store store = {.uuid = store_uuid, .key_bits = PAIR_KEY_BYTES * 8};

	strcpy(store.link, "alice-bob");
	strcpy(store.peer, site->peer);
	keys->ops->make_directory(keys, site->peer);
	cr_assert(keyfile_store_write(keys, site->peer, &store) >= 0);
	cr_assert(keys->ops->sync_directory(keys, ".") >= 0);
}

void pair_add_keys_at(struct pair_site *site, uint64_t count)
{
	struct storage *keys = memory_storage_storage(site->keys);
	uint64_t first = site->written;

	if (first == 0)
		write_store(site);
	for (uint64_t i = 0; i < count; i++)
		write_line(site, site->written++);
	cr_assert(keys->ops->sync_directory(keys, site->peer) >= 0);
	if (site->issuer)
		cr_assert(issuer_keys_agreed(site->issuer, site->peer, first, count) >= 0);
}

void pair_add_keys(struct issuer_pair *pair, uint64_t count)
{
	pair_add_keys_at(&pair->alice, count);
	pair_add_keys_at(&pair->bob, count);
}

char pair_line(struct pair_site *site, uint64_t sequence)
{
	size_t stride = keyfile_stride(PAIR_KEY_BYTES * 8), size_bytes;
	char path[KEYFILE_NAME_MAX];
	const uint8_t *bytes;

	keyfile_path(site->peer, site->peer, keyfile_number(sequence), path);
	bytes = memory_storage_content(site->keys, path, &size_bytes);
	if (!bytes || keyfile_offset(sequence, stride) >= size_bytes)
		return 0;
	return (char)bytes[keyfile_offset(sequence, stride)];
}

static void init_site(struct issuer_pair *pair, struct pair_site *site, const char *name,
		      const char *peer)
{
	*site = (struct pair_site){.pair = pair, .name = name, .peer = peer};
	cr_assert(memory_storage_new(&site->state) >= 0);
	cr_assert(memory_storage_new(&site->keys) >= 0);
}

void pair_init(struct issuer_pair *pair)
{
	*pair = (struct issuer_pair){};
	log_set_max_level(LOG_ERR);
	cr_assert(sd_event_new(&pair->event) >= 0);
	init_site(pair, &pair->alice, "alice", "bob");
	init_site(pair, &pair->bob, "bob", "alice");
}

void pair_start(struct issuer_pair *pair)
{
	pair_start_site(&pair->alice);
	pair_start_site(&pair->bob);
	pair_connect(pair);
	pair_run_for(pair, 20 * USEC_PER_MSEC); /* connected, and the first marks are on disk */
}

static void done_site(struct pair_site *site)
{
	site->issuer = issuer_free(site->issuer);
	memory_storage_free(site->state);
	memory_storage_free(site->keys);
}

void pair_done(struct issuer_pair *pair)
{
	done_site(&pair->alice);
	done_site(&pair->bob);
	sd_event_unref(pair->event);
}

void pair_run_for(struct issuer_pair *pair, uint64_t usec)
{
	(void)PAIR_RUN_UNTIL(pair, false, usec);
}

void pair_reserved(int result, const struct uuid *ids, size_t count, void *userdata)
{
	struct pair_result *ret = userdata;

	cr_assert_not(ret->done);
	ret->done = true;
	ret->result = result;
	ret->count = count;
	if (count > 0)
		ret->id = ids[0];
	for (size_t i = 0; i < MIN(count, ELEMENTSOF(ret->ids)); i++)
		ret->ids[i] = ids[i];
}

void pair_delivered(int result, const struct issued_key *key, void *userdata)
{
	struct pair_result *ret = userdata;

	cr_assert_not(ret->done);
	ret->done = true;
	ret->result = result;
	if (result < 0)
		return;
	cr_assert_eq(key->key_bits, key->key->size_bytes * 8);
	ret->id = key->id;
	ret->bits = key->key_bits;
	memcpy(ret->whole, key->key->bytes, key->key->size_bytes);
	memcpy(ret->key, ret->whole, PAIR_KEY_BYTES);
	if (ret->keep)
		ret->delivery = key->delivery;
	else
		delivery_report(key->delivery, !ret->fail);
}

void pair_ask_new(struct pair_site *site, size_t count, uid_t owner, struct pair_result *ret)
{
	cr_assert(issuer_reserve_new(site->issuer, site->peer, 0, count, owner,
				     pair_now() + PAIR_WAIT, pair_reserved, ret,
				     &ret->operation) >= 0);
}

void pair_ask_id(struct pair_site *site, const struct uuid *id, uid_t owner,
		 struct pair_result *ret)
{
	cr_assert(issuer_deliver_id(site->issuer, site->peer, id, 0, owner, pair_now() + PAIR_WAIT,
				    pair_delivered, ret, &ret->operation) >= 0);
}

void pair_ask_existing(struct pair_site *site, const struct uuid *id, uid_t owner,
		       struct pair_result *ret)
{
	cr_assert(issuer_reserve_existing(site->issuer, site->peer, id, owner,
					  pair_now() + PAIR_WAIT, pair_reserved, ret,
					  &ret->operation) >= 0);
}

void pair_ask_label(struct pair_site *site, const char *label, uid_t owner, struct pair_result *ret)
{
	cr_assert(issuer_deliver_label(site->issuer, site->peer, label, 0, 0, owner,
				       pair_now() + PAIR_WAIT, pair_delivered, ret,
				       &ret->operation) >= 0);
}

int pair_finish(struct issuer_pair *pair, struct pair_result *result)
{
	cr_assert(PAIR_RUN_UNTIL(pair, result->done, PAIR_WAIT + USEC_PER_SEC));
	return result->result;
}

struct store_status pair_status(struct pair_site *site)
{
	struct store_status status;

	cr_assert(issuer_store_status(site->issuer, 0, &status) >= 0);
	return status;
}
