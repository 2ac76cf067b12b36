/* SPDX-License-Identifier: MIT */

/*
 * The ledger. Whatever fails, and whoever lies:
 *  - a key of a link is issued by itself, or bound for one path of one build, or neither;
 *  - a relay has one answer for each path of a build, so with the above no pad is used twice;
 *  - whoever has the key of an id has the same bytes, and no two ids have the same;
 *  - in the end nothing is reserved, nobody waits, and both sites of a link know of the same keys.
 */

#include "tests/explore/relay-world.h"

#include <inttypes.h>

#include "common/encoding.h"
#include "qkd-keyringd/issuer-private.h"
#include "qkd-keyringd/multihop-private.h"

/* What is said */

static uint64_t digest_of(const char *text)
{
	uint64_t digest = 0;

	for (; *text; text++)
		digest = prng_mix(digest ^ (uint8_t)*text);
	return digest;
}

static bool is_same_build(const struct relays_use *use, const struct uuid *build, unsigned from,
			  unsigned leg)
{
	return uuid_equal(&use->build, build) && use->from == from && use->leg == leg;
}

static void note_binding(struct relays_site *from, unsigned to, const struct path_message *message)
{
	struct relays *world = from->world;
	unsigned link = relays_link(from->index, to);

	for (size_t i = 0; i < message->keys.count; i++) {
		uint64_t sequence = message->keys.sequences[i];
		struct relays_use *use;

		if (sequence >= RELAYS_MAX_KEYS)
			continue;
		use = &world->uses[link][sequence];
		if (use->is_issued)
			explore_violation(&world->course,
					  "key %" PRIu64 " of %s and %s was issued, and is bound",
					  sequence, relays_names[from->index], relays_names[to]);
		if (use->is_bound &&
		    !is_same_build(use, &message->build, from->index, message->leg))
			explore_violation(&world->course,
					  "key %" PRIu64 " of %s and %s is bound for two builds",
					  sequence, relays_names[from->index], relays_names[to]);
		use->is_bound = true;
		use->build = message->build;
		use->from = from->index;
		use->leg = message->leg;
	}
}

static void note_answer(struct relays_site *relay, const struct path_message *message,
			const char *text)
{
	struct relays *world = relay->world;
	struct relays_answer answer = {message->build, relay->index, message->leg, digest_of(text)};

	for (size_t i = 0; i < world->answer_count; i++) {
		const struct relays_answer *old = &world->answers[i];

		if (!uuid_equal(&old->build, &answer.build) || old->relay != answer.relay ||
		    old->leg != answer.leg)
			continue;
		if (old->digest != answer.digest)
			explore_violation(&world->course, "%s has two answers for one build",
					  relays_names[relay->index]);
		return;
	}
	world->relayed++;
	if (world->answer_count < RELAYS_ANSWERS)
		world->answers[world->answer_count++] = answer;
}

void relays_note_frame(struct relays_site *from, unsigned to, const json_t *frame)
{
	const json_t *messages = json_object_get(frame, "messages"), *message;
	size_t i;

	json_array_foreach (messages, i, message) {
		const json_t *body = json_object_get(message, "body");
		_cleanup_(path_message_done) struct path_message said = {};

		if (!body || path_message_verify(body, &said) < 0)
			continue;
		if (said.step == PATH_BIND)
			note_binding(from, to, &said);
		else if (said.step == PATH_COMBINED && said.bytes)
			note_answer(from, &said, json_string_value(json_object_get(body, "bytes")));
	}
}

/* What is given */

static struct relays_issued *find_issued(struct relays *world, const struct uuid *id)
{
	struct relays_issued *issued = &world->issued[world->issued_count];

	for (size_t i = 0; i < world->issued_count; i++)
		if (uuid_equal(&world->issued[i].id, id))
			return &world->issued[i];
	if (world->issued_count == RELAYS_ISSUED)
		return NULL;
	world->issued_count++;
	*issued = (struct relays_issued){.id = *id};
	return issued;
}

static void note_link_key(struct relays *world, unsigned link, uint64_t sequence,
			  const uint8_t *bytes)
{
	struct relays_use *use = &world->uses[link][sequence];
	uint8_t expected[RELAYS_KEY_BYTES];

	relays_key(link, sequence, expected);
	if (memcmp(bytes, expected, sizeof(expected)) != 0)
		explore_violation(&world->course, "key %" PRIu64 " of link %u has other bytes",
				  sequence, link);
	if (use->is_bound)
		explore_violation(&world->course,
				  "key %" PRIu64 " of link %u was bound, and is issued", sequence,
				  link);
	use->is_issued = true;
}

static void note_bytes(struct relays *world, struct relays_issued *issued, const uint8_t *bytes)
{
	if (issued->has_bytes && memcmp(issued->bytes, bytes, RELAYS_KEY_BYTES) != 0)
		explore_violation(&world->course, "two sites have different keys of one id");
	for (size_t i = 0; i < world->issued_count; i++)
		if (&world->issued[i] != issued && world->issued[i].has_bytes &&
		    memcmp(world->issued[i].bytes, bytes, RELAYS_KEY_BYTES) == 0)
			explore_violation(&world->course, "one key has two ids");
	memcpy(issued->bytes, bytes, RELAYS_KEY_BYTES);
	issued->has_bytes = true;
}

void relays_note_key(struct relays_site *site, const struct uuid *id, const uint8_t *bytes)
{
	struct relays *world = site->world;
	struct relays_issued *issued = find_issued(world, id);
	uint64_t sequence;
	unsigned link;

	world->delivered++;
	if (relays_find_id(id, &link, &sequence))
		note_link_key(world, link, sequence, bytes);
	if (!issued)
		return;
	world->pairs += issued->has_bytes && !(issued->sites & 1U << site->index);
	issued->sites |= 1U << site->index;
	note_bytes(world, issued, bytes);
}

void relays_note_new(struct relays *world, const struct uuid *id)
{
	struct relays_issued *issued = find_issued(world, id);

	if (!issued)
		return;
	if (issued->is_new)
		explore_violation(&world->course, "a key is new twice");
	issued->is_new = true;
}

/* The end */

static void check_idle(struct relays_site *site)
{
	const struct multihop *multihop = site->multihop;

	if (!list_is_empty(&multihop->building) || !list_is_empty(&multihop->relaying) ||
	    !list_is_empty(&multihop->ending) || !list_is_empty(&multihop->keeping))
		explore_violation(&site->world->course, "%s: a build is still under way",
				  relays_names[site->index]);
}

static void check_store(struct relays_site *site, unsigned peer)
{
	struct issuer_store *store = issuer_find_store(site->issuer, relays_names[peer]);

	if (store->reservations.count > 0)
		explore_violation(
			&site->world->course, "%s: %zu keys with %s are reserved for ever",
			relays_names[site->index], store->reservations.count, store->peer_name);
	if (!site_peer_is_connected(store->peer))
		explore_violation(&site->world->course, "%s and %s are not connected",
				  relays_names[site->index], store->peer_name);
}

/* What its owner has destroyed the other site does not take for available; unless a power cut has
 * taken what one of them knew. */
static void check_link(struct relays *world, unsigned owner, unsigned other)
{
	const struct store *stores[2] = {
		issuer_find_store(world->sites[owner].issuer, relays_names[other])->store,
		issuer_find_store(world->sites[other].issuer, relays_names[owner])->store,
	};
	unsigned link = relays_link(owner, other);

	if (world->sites[owner].was_cut || world->sites[other].was_cut)
		return;
	for (uint64_t i = 0; i < world->agreed[link]; i++) {
		const struct store_place place = {.directory = 0, .sequence = i};

		if (world->uses[link][i].is_bound &&
		    store_state(stores[0], place) != STORE_KEY_AVAILABLE &&
		    store_state(stores[1], place) == STORE_KEY_AVAILABLE)
			explore_violation(&world->course,
					  "key %" PRIu64 " is over at %s, and available at %s", i,
					  relays_names[owner], relays_names[other]);
	}
}

/* Of what one end has built for the other only the newest generation is there, or what is not used
 * up. */
static void check_generations(struct relays *world, unsigned here, unsigned peer)
{
	const struct issuer_store *store =
		issuer_find_store(world->sites[here].issuer, relays_names[peer]);
	struct storage *disk = memory_storage_storage(world->sites[here].disk);

	for (size_t i = 0; i < store->directory_count; i++) {
		const struct issuer_directory *directory = store->directories[i];
		char path[KEYFILE_NAME_MAX + 8];
		int file;

		if (!directory->over)
			continue;
		snprintf(path, sizeof(path), "%s/store", directory->on_disk.name);
		file = disk->ops->open(disk, path, STORAGE_READ);
		if (file >= 0)
			disk->ops->close(disk, file);
		if (file != -ENOENT)
			explore_violation(&world->course, "%s: directory %s is over, and there",
					  relays_names[here], directory->on_disk.name);
		world->removed++;
	}
}

void relays_check_settled(struct relays *world)
{
	for (unsigned i = 0; i < world->site_count; i++)
		if (!world->sites[i].issuer)
			return;
	for (unsigned i = 0; i < world->site_count; i++) {
		check_idle(&world->sites[i]);
		for (unsigned j = 0; j < world->site_count; j++) {
			if (j == i)
				continue;
			check_store(&world->sites[i], j);
			check_generations(world, i, j);
			if (relays_has_link(world, i, j))
				check_link(world, i, j);
		}
	}
}
