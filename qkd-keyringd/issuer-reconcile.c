/* SPDX-License-Identifier: MIT */

/*
 * Two stores that disagree find out when they connect.
 *
 * Which keys there are is compared by digests over the ids of each key file's lines, erased ones
 * included; where two digests differ, the ids decide, and keys that are not common are destroyed.
 * Lines that only one side has yet are not settled and say nothing.
 *
 * A site that comes back with fewer entries on its disk than its peer has seen was restored from an
 * old disk. It cannot know what it has handed out since, so all that was reserved, and every label,
 * is over; what it believes to be available, and was used, is refused by the peer.
 */

#include <openssl/evp.h>

#include "common/events.h"
#include "qkd-keyringd/issuer-private.h"

struct comparison {
	struct list link;
	struct issuer_store *store;
	struct site_request request;
	struct store_place first;
	uint32_t count;
	struct site_keys keys; /* of the second step */
};

static void free_comparison(struct comparison *comparison)
{
	list_remove(&comparison->link);
	site_request_cancel(comparison->store->peer, &comparison->request);
	site_keys_done(&comparison->keys);
	free(comparison);
}

static struct comparison *new_comparison(struct issuer_store *store, struct store_place first,
					 uint32_t count)
{
	struct comparison *comparison = calloc(1, sizeof(*comparison));

	if (!comparison)
		return NULL;
	comparison->store = store;
	comparison->first = first;
	comparison->count = count;
	list_init(&comparison->link);
	list_append(&store->comparisons, &comparison->link);
	return comparison;
}

void issuer_reconcile_stop(struct issuer_store *store)
{
	while (!list_is_empty(&store->comparisons))
		free_comparison(LIST_ENTRY(store->comparisons.next, struct comparison, link));
}

/* Of the ids of count lines; one that was never there counts as zeros. */
static int digest_lines(const struct issuer_store *store, struct store_place place, uint32_t count,
			struct uuid *ret)
{
	static const struct uuid absent;
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);

	for (uint32_t i = 0; ok && i < count; i++, place.sequence++) {
		const struct uuid *id = store_id(store->store, place) ?: &absent;

		ok = EVP_DigestUpdate(context, id->bytes, sizeof(id->bytes));
	}
	ok = ok && EVP_DigestFinal_ex(context, digest, NULL);
	EVP_MD_CTX_free(context);
	if (!ok)
		return -ENOMEM;
	memcpy(ret->bytes, digest, sizeof(ret->bytes));
	return 0;
}

/* Destroys available keys of those; answers how many. */
static unsigned destroy_available(struct issuer_store *store, struct store_place place,
				  uint32_t count)
{
	unsigned destroyed = 0;

	for (uint32_t i = 0; i < count; i++, place.sequence++) {
		if (store_state(store->store, place) != STORE_KEY_AVAILABLE)
			continue;
		issuer_directory_end_key(store, place, STORE_KEY_DESTROYED);
		destroyed++;
	}
	return destroyed;
}

static void log_destroyed(struct issuer_store *store, uint32_t directory, unsigned count)
{
	if (count > 0)
		log_event(LOG_WARNING, EVENT_STORES_DIFFER,
			  &(struct log_fields){.peer = store->peer_name},
			  "%u keys of %s that site %s does not have are destroyed", count,
			  store->directories[directory]->on_disk.name, store->peer_name);
}

static void differed(struct site_request *request, const struct site_message *answer)
{
	struct comparison *comparison = CONTAINER_OF(request, struct comparison, request);
	struct issuer_store *store = comparison->store;
	size_t known = strlen(answer->verdicts);
	unsigned destroyed = 0;

	for (size_t i = 0; i < MIN(known, comparison->keys.count); i++) {
		struct store_place place = {comparison->first.directory,
					    comparison->keys.sequences[i]};

		if (answer->verdicts[i] == SITE_VERDICT_REFUSED)
			destroyed += destroy_available(store, place, 1);
	}
	log_destroyed(store, comparison->first.directory, destroyed);
	free_comparison(comparison);
}

static int collect_keys(struct comparison *comparison)
{
	struct issuer_store *store = comparison->store;
	struct store_place place = comparison->first;
	struct site_keys *keys = &comparison->keys;

	keys->ids = calloc(comparison->count, sizeof(*keys->ids));
	keys->sequences = calloc(comparison->count, sizeof(*keys->sequences));
	if (!keys->ids || !keys->sequences)
		return -ENOMEM;
	for (uint32_t i = 0; i < comparison->count; i++, place.sequence++) {
		if (store_state(store->store, place) != STORE_KEY_AVAILABLE)
			continue;
		keys->ids[keys->count] = *store_id(store->store, place);
		keys->sequences[keys->count++] = place.sequence;
	}
	return 0;
}

/* Names the available keys among some lines to the peer. */
static void ask_which(struct issuer_store *store, struct store_place first, uint32_t count)
{
	const struct keyfile_store *on_disk = &issuer_directory_of(store, first)->on_disk.store;
	struct comparison *comparison = new_comparison(store, first, count);
	struct site_message message = {.type = SITE_DIFFER};

	if (!comparison)
		return;
	if (collect_keys(comparison) < 0 || comparison->keys.count == 0) {
		free_comparison(comparison);
		return;
	}
	message.request = issuer_new_request(store->issuer);
	message.keys = comparison->keys;
	message.keys.store = on_disk->uuid;
	message.keys.generation = on_disk->generation;
	if (site_peer_ask(store->peer, &comparison->request, &message, differed) < 0)
		free_comparison(comparison);
}

static void compared(struct site_request *request, const struct site_message *answer)
{
	struct comparison *comparison = CONTAINER_OF(request, struct comparison, request);
	struct issuer_store *store = comparison->store;
	struct store_place place = comparison->first;
	uint32_t left = comparison->count;

	if (answer->verdicts[0] == SITE_VERDICT_DESTROYED)
		log_destroyed(store, place.directory, destroy_available(store, place, left));
	while (answer->verdicts[0] == SITE_VERDICT_REFUSED && left > 0) {
		uint32_t count = MIN(left, (uint32_t)SITE_MESSAGE_MAX_KEYS);

		ask_which(store, place, count);
		place.sequence += count;
		left -= count;
	}
	free_comparison(comparison);
}

static void send_summary(struct issuer_directory *directory, uint32_t number)
{
	struct issuer_store *store = directory->store;
	uint64_t first = (uint64_t)number * KEYFILE_LINES;
	struct store_place place = {directory->index, first};
	uint32_t count = (uint32_t)MIN(directory->scanned - first, (uint64_t)KEYFILE_LINES);
	struct comparison *comparison = new_comparison(store, place, count);
	struct site_message message = {
		.type = SITE_SUMMARY,
		.keys = {.store = directory->on_disk.store.uuid,
			 .generation = directory->on_disk.store.generation},
		.first = first,
		.count = count,
	};

	if (!comparison)
		return;
	message.request = issuer_new_request(store->issuer);
	if (digest_lines(store, place, count, &message.digest) < 0 ||
	    site_peer_ask(store->peer, &comparison->request, &message, compared) < 0)
		free_comparison(comparison);
}

static void send_summaries(struct issuer_directory *directory)
{
	if (directory->scanned == UINT64_MAX)
		return;
	for (uint32_t i = 0; (uint64_t)i * KEYFILE_LINES < directory->scanned; i++)
		if (store_file_is_known(directory->store->store, directory->index, i))
			send_summary(directory, i);
}

static enum site_verdict compare(struct issuer_store *store, const struct site_message *message)
{
	struct issuer_directory *directory =
		issuer_directory_find(store, &message->keys.store, message->keys.generation);
	struct store_place place = {.sequence = message->first};
	struct uuid digest;

	if (!directory || directory->scanned == UINT64_MAX || message->first % KEYFILE_LINES != 0 ||
	    message->first >= STORE_MAX_SEQUENCE ||
	    directory->scanned < message->first + message->count)
		return SITE_VERDICT_UNKNOWN;
	place.directory = directory->index;
	if (!store_file_is_known(store->store, place.directory, keyfile_number(message->first)))
		return SITE_VERDICT_DESTROYED;
	if (digest_lines(store, place, message->count, &digest) < 0)
		return SITE_VERDICT_UNKNOWN;
	return uuid_equal(&digest, &message->digest) ? SITE_VERDICT_OK : SITE_VERDICT_REFUSED;
}

void issuer_reconcile_summary(struct issuer_store *store, const struct site_message *message)
{
	char verdicts[2] = {(char)compare(store, message)};

	(void)site_peer_answer(store->peer, &(struct site_message){.type = SITE_COMPARED,
								   .request = message->request,
								   .verdicts = verdicts});
}

/* What the peer has under this number; ours, if it is another and not used yet, is destroyed. */
static enum site_verdict differ(struct issuer_store *store, const struct site_keys *keys, size_t i)
{
	struct store_place place;
	bool gone;

	if (issuer_directory_look_up(store, &keys->store, keys->generation, keys->sequences[i],
				     &place, &gone) == STORE_KEY_ABSENT)
		return gone ? SITE_VERDICT_REFUSED : SITE_VERDICT_UNKNOWN;
	if (uuid_equal(store_id(store->store, place), &keys->ids[i]))
		return SITE_VERDICT_OK;
	log_destroyed(store, place.directory, destroy_available(store, place, 1));
	return SITE_VERDICT_REFUSED;
}

void issuer_reconcile_differ(struct issuer_store *store, const struct site_message *message)
{
	_cleanup_(freep) char *verdicts = calloc(message->keys.count + 1, 1);

	for (size_t i = 0; verdicts && i < message->keys.count; i++)
		verdicts[i] = (char)differ(store, &message->keys, i);
	if (verdicts)
		(void)site_peer_answer(store->peer,
				       &(struct site_message){.type = SITE_DIFFERENCE,
							      .request = message->request,
							      .verdicts = verdicts});
}

static void forget_reservation(struct id_node *node, void *userdata)
{
	struct reservation *reservation = CONTAINER_OF(node, struct reservation, node);

	if (reservation_is_busy(reservation))
		return;
	reservation_destroy(reservation);
}

static void forget(struct issuer_store *store)
{
	log_event(LOG_ERR, EVENT_STORES_DIFFER, &(struct log_fields){.peer = store->peer_name},
		  "this site was restored from an old disk: site %s remembers what is not in the "
		  "issue record here. All reservations with it end, its labels are spent",
		  store->peer_name);
	id_table_foreach(&store->reservations, forget_reservation, NULL);
}

void issuer_reconcile_begin(struct issuer_store *store, const struct site_message *hello)
{
	const struct issue_log *log = store->issuer->log;

	if (!store->met && uuid_equal(&hello->known_log, &issue_log_start(log)->log) &&
	    hello->known_position > issue_log_position_at_open(log))
		forget(store);
	if (!uuid_equal(&store->peer_log, &hello->log))
		store->peer_position = 0;
	store->met = true;
	store->peer_log = hello->log;
	issuer_reconcile_note(store);
	for (size_t i = 0; i < store->directory_count; i++)
		send_summaries(store->directories[i]);
}

void issuer_reconcile_note(struct issuer_store *store)
{
	struct issuer *issuer = store->issuer;
	struct issue_peer entry = {.log = store->peer_log};

	store->peer_position = MAX(store->peer_position, site_peer_position(store->peer));
	if (store->peer_position == store->peer_position_noted || issuer->failed)
		return;
	store->peer_position_noted = entry.position = store->peer_position;
	strcpy(entry.peer, store->peer_name);
	issuer_check_log(issuer, issue_log_peer(issuer->log, &entry));
	issuer_loop_flush_soon(issuer);
}
