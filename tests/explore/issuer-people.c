/* SPDX-License-Identifier: MIT */

/*
 * People at both sites, and the ledger of what they were given. At one site a key goes to one owner
 * for one purpose, and once more only while nobody has reported that it arrived; at both sites it
 * has the same purpose; a label stands for one key at a time, at both sites for the same; a new key
 * is new.
 */

#include "tests/explore/issuer-world.h"

#include <inttypes.h>

#include "qkd-keyringd/issuer-private.h"

#define OWNERS        3
#define WAIT_USEC     (4 * USEC_PER_SEC)
#define LATE_USEC     (1 * USEC_PER_SEC)
#define PURPOSE_ID    1
#define PURPOSE_LABEL 2

static uint64_t sequence_of(const struct uuid *id)
{
	uint64_t sequence;
	struct uuid again;

	memcpy(&sequence, id->bytes + 8, sizeof(sequence));
	again = issuers_id(sequence);
	return sequence < ISSUERS_MAX_KEYS && uuid_equal(id, &again) ? sequence : UINT64_MAX;
}

static void describe_purpose(unsigned purpose, char *text, size_t size)
{
	if (purpose == PURPOSE_ID)
		snprintf(text, size, "its id");
	else
		snprintf(text, size, "label L%u", purpose - PURPOSE_LABEL);
}

/* What came of them */

static void note_label(struct issuers_site *site, unsigned label, uint64_t sequence)
{
	struct issuers *world = site->world;
	uint64_t *newest = &world->label_key[label];

	if (*newest == sequence + 1)
		return;
	if (world->was_label[label][sequence])
		explore_violation(&world->course,
				  "L%u is key %" PRIu64 " at %s, which it was before %" PRIu64,
				  label, sequence, issuers_names[site->index], *newest - 1);
	if (*newest && !(world->course.plan->features & ISSUERS_SHORT_LABELS))
		explore_violation(&world->course,
				  "L%u is key %" PRIu64 " at %s, and %" PRIu64 " elsewhere", label,
				  sequence, issuers_names[site->index], *newest - 1);
	if (*newest)
		world->was_label[label][*newest - 1] = true;
	*newest = sequence + 1;
}

static void note_handed_out(struct issuers_request *request, uint64_t sequence)
{
	struct issuers_site *site = request->site;
	struct issuers *world = site->world;
	struct issuers_key *here = &site->keys[sequence];
	struct issuers_key *there = &world->sites[!site->index].keys[sequence];
	unsigned purpose = request->ask == ISSUERS_ASK_LABEL ? PURPOSE_LABEL + request->label
							     : PURPOSE_ID;
	const char *name = issuers_names[site->index];
	char text[32];

	describe_purpose(purpose, text, sizeof(text));
	explore_trace(&world->course, "%s: key %" PRIu64 " for %s to uid %u", name, sequence, text,
		      request->owner);
	/* What was on its way to its owner when its label ended is the owner's still. */
	if (purpose == PURPOSE_ID && here->purpose >= PURPOSE_LABEL &&
	    here->owner == request->owner && world->course.plan->features & ISSUERS_SHORT_LABELS)
		purpose = here->purpose;
	if (here->delivery == DELIVERY_RECORDED)
		explore_violation(&world->course, "%s: key %" PRIu64 " is issued twice", name,
				  sequence);
	if (here->purpose && (here->purpose != purpose || here->owner != request->owner))
		explore_violation(&world->course, "%s: key %" PRIu64 " goes to two requests", name,
				  sequence);
	if (there->purpose && there->purpose != purpose)
		explore_violation(&world->course, "key %" PRIu64 " has another purpose at %s",
				  sequence, name);
	if (purpose >= PURPOSE_LABEL && world->is_new[sequence])
		explore_violation(&world->course, "key %" PRIu64 " was new, and is L%u's", sequence,
				  request->label);
	world->delivered++;
	world->pairs += there->purpose && !here->purpose;
	here->purpose = (uint8_t)purpose;
	here->owner = (uint8_t)request->owner;
}

static bool is_same_part(const struct issuers_key *a, const struct issuers_key *b)
{
	return a->first == b->first && a->bits == b->bits && a->offset == b->offset;
}

/* The parts of one key are handed out together, in the same order at both sites. */
static void note_part(struct issuers_request *request, uint64_t sequence, size_t offset,
		      uint32_t bits)
{
	struct issuers_site *site = request->site;
	struct issuers *world = site->world;
	struct issuers_key *here = &site->keys[sequence];
	const struct issuers_key *there = &world->sites[!site->index].keys[sequence];
	struct issuers_key now = *here;

	now.first = request->sequence;
	now.bits = bits;
	now.offset = offset;
	if (here->bits && !is_same_part(here, &now))
		explore_violation(&world->course, "%s: key %" PRIu64 " is part of two keys",
				  issuers_names[site->index], sequence);
	if (there->bits && !is_same_part(there, &now))
		explore_violation(&world->course, "key %" PRIu64 " is part of another key at %s",
				  sequence, issuers_names[site->index]);
	note_handed_out(request, sequence);
	here->first = now.first;
	here->bits = bits;
	here->offset = offset;
}

/* The key whose bytes these are; at the end of a larger key, its first bytes. */
static uint64_t recognise(const uint8_t *bytes, size_t size_bytes)
{
	uint8_t expected[ISSUERS_KEY_BYTES];
	uint64_t sequence;

	memcpy(&sequence, bytes, sizeof(sequence));
	issuers_key(sequence, expected);
	return sequence < ISSUERS_MAX_KEYS && memcmp(bytes, expected, size_bytes) == 0 ? sequence
										       : UINT64_MAX;
}

static void note_key(struct issuers_request *request, const struct secret *key)
{
	struct issuers *world = request->site->world;
	size_t size_bytes;

	for (size_t done = 0; done < key->size_bytes; done += size_bytes) {
		uint64_t sequence;

		size_bytes = MIN(key->size_bytes - done, (size_t)ISSUERS_KEY_BYTES);
		sequence = recognise(key->bytes + done, size_bytes);
		if (sequence == UINT64_MAX || (done == 0 && sequence != request->sequence)) {
			explore_violation(&world->course, "key %" PRIu64 " has other bytes",
					  request->sequence);
			return;
		}
		note_part(request, sequence, done, (uint32_t)key->size_bytes * 8);
	}
	if (request->ask == ISSUERS_ASK_LABEL)
		note_label(request->site, request->label, request->sequence);
}

static void answered(struct issuers_request *request, int result)
{
	struct issuers *world = request->site->world;

	if (request->is_answered)
		explore_violation(&world->course, "a request is answered twice");
	request->is_answered = true;
	request->operation = NULL;
	explore_trace(&world->course, "%s: request %zu: %s", issuers_names[request->site->index],
		      (size_t)(request - world->requests), result < 0 ? strerror(-result) : "done");
}

static void on_delivered(int result, const struct issued_key *key, void *userdata)
{
	struct issuers_request *request = userdata;
	struct issuers *world = request->site->world;
	uint64_t sequence;

	answered(request, result);
	if (result < 0) {
		request->site = NULL;
		return;
	}
	request->delivery = key->delivery;
	request->sequence = sequence = sequence_of(&key->id);
	if (sequence == UINT64_MAX) {
		explore_violation(&world->course, "a key that no linkd agreed");
		return;
	}
	request->bits = key->key_bits;
	note_key(request, key->key);
}

static void note_new(struct issuers_request *request, uint64_t sequence)
{
	struct issuers *world = request->site->world;

	explore_trace(&world->course, "%s: key %" PRIu64 " is new",
		      issuers_names[request->site->index], sequence);
	if (world->is_new[sequence])
		explore_violation(&world->course, "key %" PRIu64 " is new twice", sequence);
	/* Whoever guesses its id may have it at the other site before its owner hears of it here.
	 */
	for (unsigned i = 0; i < 2; i++)
		if (world->sites[i].keys[sequence].purpose >=
		    (i == request->site->index ? PURPOSE_ID : PURPOSE_LABEL))
			explore_violation(&world->course, "key %" PRIu64 " is new, and %s had it",
					  sequence, issuers_names[i]);
	world->is_new[sequence] = true;
}

static void on_reserved(int result, const struct uuid *ids, size_t count, void *userdata)
{
	struct issuers_request *request = userdata;

	answered(request, result);
	for (size_t i = 0; result >= 0 && i < count && request->ask == ISSUERS_ASK_NEW; i++)
		note_new(request, MIN(sequence_of(&ids[i]), (uint64_t)ISSUERS_MAX_KEYS - 1));
	request->site = NULL;
}

/* Asking */

static struct issuers_request *free_request(struct issuers *world)
{
	for (size_t i = 0; i < ISSUERS_REQUESTS; i++)
		if (!world->requests[i].site)
			return &world->requests[i];
	return NULL;
}

static int ask(struct issuers_request *request)
{
	struct issuer *issuer = request->site->issuer;
	const char *peer = issuers_names[!request->site->index];
	struct uuid id = issuers_id(request->sequence);
	char label[16];

	switch (request->ask) {
	case ISSUERS_ASK_NEW:
		return issuer_reserve_new(issuer, peer, request->bits, 1 + request->sequence % 3,
					  request->owner, request->deadline_usec, on_reserved,
					  request, &request->operation);
	case ISSUERS_ASK_EXISTING:
		return issuer_reserve_existing(issuer, peer, &id, request->owner,
					       request->deadline_usec, on_reserved, request,
					       &request->operation);
	case ISSUERS_ASK_ID:
		return issuer_deliver_id(issuer, peer, &id, 0, request->owner,
					 request->deadline_usec, on_delivered, request,
					 &request->operation);
	case ISSUERS_ASK_LABEL:
	case ISSUERS_ASKS_:
		break;
	}
	snprintf(label, sizeof(label), "L%u", request->label);
	return issuer_deliver_label(issuer, peer, label, request->bits, 0, request->owner,
				    request->deadline_usec, on_delivered, request,
				    &request->operation);
}

static void start_request(struct issuers_request *request, struct issuers_site *site)
{
	static const char *const names[] = {"a new key", "existing key", "key by id", "label"};
	struct issuers *world = site->world;

	request->site = site;
	request->life = site->life;
	request->delivery = NULL;
	request->is_answered = false;
	explore_trace(&world->course, "%s: request %zu: uid %u asks for %s %" PRIu64,
		      issuers_names[site->index], (size_t)(request - world->requests),
		      request->owner, names[request->ask],
		      request->ask == ISSUERS_ASK_LABEL ? request->label : request->sequence);
	issuers_site_enter(site);
	if (ask(request) < 0)
		request->site = NULL;
}

/* Of a key that somebody was told of; now and then people guess. */
static uint64_t choose_sequence(struct issuers_site *site)
{
	struct issuers *world = site->world;
	uint64_t sequence = explore_choose((unsigned)site->lines + 3, &world->course);
	bool is_known = explore_chance(&world->course, 700);

	for (unsigned i = 0; is_known && i < ISSUERS_MAX_KEYS; i++) {
		uint64_t other = (sequence + i) % ISSUERS_MAX_KEYS;

		if (world->is_new[other])
			return other;
	}
	return sequence;
}

/* A label has one size, as those who use it have agreed. */
static uint32_t choose_bits(const struct issuers *world, unsigned which)
{
	static const uint32_t sizes[] = {64, 128, 136, 256, 392};

	if (!(world->course.plan->features & ISSUERS_SIZES))
		return 0;
	return sizes[which % ELEMENTSOF(sizes)];
}

void issuers_ask(struct issuers_site *site)
{
	struct issuers *world = site->world;
	struct issuers_request *request = free_request(world);

	if (!request || !site->issuer)
		return;
	request->ask = (enum issuers_ask)explore_choose(ISSUERS_ASKS_ + 1, &world->course);
	if (request->ask == ISSUERS_ASKS_)
		request->ask = ISSUERS_ASK_LABEL;
	request->label = explore_choose(ISSUERS_LABELS, &world->course);
	request->owner = explore_choose(OWNERS, &world->course);
	request->sequence = choose_sequence(site);
	request->bits =
		choose_bits(world, request->ask == ISSUERS_ASK_LABEL
					   ? request->label
					   : explore_choose(ISSUERS_LABELS, &world->course));
	request->deadline_usec =
		world->course.now_usec + prng_below(&world->course.prng, WAIT_USEC);
	start_request(request, site);
}

void issuers_helper(struct issuers *world)
{
	struct issuers_request *request =
		&world->requests[explore_choose(ISSUERS_REQUESTS, &world->course)];
	struct issuers_site *site = request->site;
	struct delivery *delivery;
	bool is_delivered = explore_chance(&world->course, 700);

	if (!site)
		return;
	issuers_site_enter(site);
	if (!request->is_answered) {
		if (!explore_chance(&world->course, 50))
			return;
		explore_trace(&world->course, "%s: request %zu is given up",
			      issuers_names[site->index], (size_t)(request - world->requests));
		issue_operation_cancel(TAKE_PTR(request->operation));
		request->site = NULL;
		return;
	}
	delivery = TAKE_PTR(request->delivery);
	request->site = NULL;
	if (!delivery)
		return;
	explore_trace(&world->course, "%s: key %" PRIu64 " %s", issuers_names[site->index],
		      request->sequence, is_delivered ? "is delivered" : "is not delivered");
	for (size_t i = 0; is_delivered && i < ISSUERS_MAX_KEYS; i++)
		if (site->keys[i].bits && site->keys[i].first == request->sequence)
			site->keys[i].delivery = DELIVERY_REPORTED;
	site->has_reports |= is_delivered;
	delivery_report(delivery, is_delivered);
}

/* keyringd is gone: its operations with it, and what was delivered cannot be reported any more. */
void issuers_people_lost(struct issuers_site *site)
{
	for (size_t i = 0; i < ISSUERS_REQUESTS; i++) {
		struct issuers_request *request = &site->world->requests[i];

		if (request->site != site)
			continue;
		if (request->delivery)
			delivery_abandon(TAKE_PTR(request->delivery));
		request->operation = NULL;
		request->site = NULL;
	}
}

void issuers_people_begin(struct issuers *world)
{
	memset(world->requests, 0, sizeof(world->requests));
	memset(world->is_new, 0, sizeof(world->is_new));
	memset(world->label_key, 0, sizeof(world->label_key));
	memset(world->was_label, 0, sizeof(world->was_label));
}

void issuers_check_deadlines(struct issuers *world)
{
	for (size_t i = 0; i < ISSUERS_REQUESTS; i++) {
		const struct issuers_request *request = &world->requests[i];

		if (request->site && !request->is_answered &&
		    request->site->stalled_usec + LATE_USEC < world->course.now_usec &&
		    request->deadline_usec + LATE_USEC < world->course.now_usec)
			explore_violation(&world->course,
					  "%s: request %zu has no answer at its deadline",
					  issuers_names[request->site->index], i);
	}
}

bool issuers_all_answered(const struct issuers *world)
{
	for (size_t i = 0; i < ISSUERS_REQUESTS; i++)
		if (world->requests[i].site && !world->requests[i].is_answered)
			return false;
	return true;
}

static void check_owner(struct issuers *world, uint64_t sequence)
{
	const struct store_place place = {.directory = 0, .sequence = sequence};
	unsigned owners = 0;

	for (unsigned i = 0; i < 2; i++)
		owners += store_is_own(
			issuer_find_store(world->sites[i].issuer, issuers_names[!i])->store, place);
	if (owners == 2)
		explore_violation(&world->course, "key %" PRIu64 " has two owners", sequence);
}

/* While its owner has not been killed, a key is available to it only on the peer's word that it is
 * not marked: an unknown outcome is asked about, not taken for a refusal. */
static void check_marked(struct issuers *world, unsigned owner, uint64_t sequence)
{
	const struct store_place place = {.directory = 0, .sequence = sequence};
	const struct store *stores[2];

	for (unsigned i = 0; i < 2; i++)
		stores[i] = issuer_find_store(world->sites[i].issuer, issuers_names[!i])->store;
	if (world->sites[owner].life == 1 && store_is_own(stores[owner], place) &&
	    store_state(stores[owner], place) == STORE_KEY_AVAILABLE &&
	    store_state(stores[!owner], place) == STORE_KEY_RESERVED)
		explore_violation(&world->course, "%s may choose key %" PRIu64 ", which is marked",
				  issuers_names[owner], sequence);
}

/* What its owner has destroyed, the other site has heard of, whoever was killed or cut off, as long
 * as the owner's power stayed on. A mark that nobody answered before a kill is another matter: its
 * key is found out when it is chosen. */
static void check_destroyed(struct issuers *world, unsigned owner, uint64_t sequence)
{
	const struct store_place place = {.directory = 0, .sequence = sequence};
	const struct store *stores[2];

	for (unsigned i = 0; i < 2; i++)
		stores[i] = issuer_find_store(world->sites[i].issuer, issuers_names[!i])->store;
	if (world->sites[owner].boot.bytes[0] == 1 &&
	    store_state(stores[owner], place) == STORE_KEY_DESTROYED &&
	    store_state(stores[!owner], place) == STORE_KEY_AVAILABLE &&
	    !store_is_own(stores[!owner], place))
		explore_violation(&world->course, "key %" PRIu64 " is destroyed at %s only",
				  sequence, issuers_names[owner]);
}

void issuers_check_settled(struct issuers *world)
{
	struct store_status status;

	for (unsigned i = 0; i < 2; i++) {
		if (!world->sites[i].issuer ||
		    issuer_store_status(world->sites[i].issuer, 0, &status) < 0)
			return;
		if (!status.connected)
			explore_violation(&world->course, "%s is not connected", issuers_names[i]);
	}
	for (uint64_t i = 0; i < world->agreed; i++)
		check_owner(world, i);
	for (uint64_t i = 0; i < 2 * world->agreed; i++)
		check_marked(world, i % 2, i / 2);
	for (uint64_t i = 0; i < 2 * world->agreed; i++)
		check_destroyed(world, i % 2, i / 2);
}
