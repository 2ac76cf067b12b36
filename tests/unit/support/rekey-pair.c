/* SPDX-License-Identifier: MIT */
/* Two machines, one virtual world. */

#include "rekey-pair.h"

#include <openssl/sha.h>

#define TICK_USEC USEC_PER_MSEC

static uint64_t next_random(struct rekey_pair *pair)
{
	pair->random ^= pair->random << 13;
	pair->random ^= pair->random >> 7;
	pair->random ^= pair->random << 17;
	return pair->random;
}

static int fetch(uint64_t generation, void *userdata)
{
	struct rekey_pair_side *side = userdata;

	side->fetches++;
	side->fetching = generation;
	side->fetch_at_usec = side->pair->now_usec + side->pair->fetch_usec;
	return 0;
}

static bool key_was_used(struct rekey_pair *pair, const struct secret *key)
{
	for (size_t i = 0; i < pair->used_count; i++)
		if (memcmp(pair->used_keys[i], key->bytes, key->size_bytes) == 0)
			return true;
	return false;
}

static int install(enum rekey_direction direction, uint32_t spi, const struct secret *key,
		   void *userdata)
{
	struct rekey_pair_side *side = userdata;
	struct rekey_pair *pair = side->pair;
	struct rekey_pair_sa sa = {direction, spi, pair->now_usec, {0}};

	if (side->kernel_refuses)
		return -EPROTONOSUPPORT;
	memcpy(sa.key, key->bytes, sizeof(sa.key));
	side->sas[side->sa_count++] = sa;
	if (direction == REKEY_OUT) {
		pair->key_repeated |= key_was_used(pair, key);
		memcpy(pair->used_keys[pair->used_count++], key->bytes, key->size_bytes);
	}
	return 0;
}

static void remove_sa(enum rekey_direction direction, uint32_t spi, void *userdata)
{
	struct rekey_pair_side *side = userdata;

	for (size_t i = 0; i < side->sa_count; i++)
		if (side->sas[i].direction == direction && side->sas[i].spi == spi) {
			side->sas[i] = side->sas[--side->sa_count];
			return;
		}
}

void rekey_pair_put(struct rekey_pair *pair, enum rekey_pair_end to, const uint8_t *bytes)
{
	struct rekey_pair_datagram *d = &pair->in_flight[pair->in_flight_count];

	if (pair->in_flight_count == PAIR_MAX_IN_FLIGHT)
		return;
	pair->in_flight_count++;
	d->to = to;
	d->at_usec = pair->now_usec + next_random(pair) % (pair->delay_max_usec + 1);
	memcpy(d->bytes, bytes, REKEY_MESSAGE_BYTES);
}

static void send_datagram(const uint8_t bytes[static REKEY_MESSAGE_BYTES], void *userdata)
{
	struct rekey_pair_side *side = userdata;
	struct rekey_pair *pair = side->pair;

	memcpy(pair->last[side->end].bytes, bytes, REKEY_MESSAGE_BYTES);
	if (pair->cut || next_random(pair) % 100 < pair->loss_percent || bytes[5] == pair->drop)
		return;
	rekey_pair_put(pair, side->end == PAIR_LEADER ? PAIR_FOLLOWER : PAIR_LEADER, bytes);
}

static int random_bytes(void *bytes, size_t size_bytes, void *userdata)
{
	struct rekey_pair_side *side = userdata;

	for (size_t i = 0; i < size_bytes; i++)
		((uint8_t *)bytes)[i] = (uint8_t)(next_random(side->pair) >> 32);
	return 0;
}

static void tell(enum rekey_event event, int error, void *userdata)
{
	struct rekey_pair_side *side = userdata;
	uint64_t *const counters[] = {
		[REKEY_SECURED] = &side->secured, [REKEY_RENEWED] = &side->renewed,
		[REKEY_BLOCKED] = &side->blocked, [REKEY_NO_KEY] = &side->no_key,
		[REKEY_SILENT] = &side->silent,   [REKEY_FAILED] = &side->failed,
	};

	++*counters[event];
}

static const struct rekey_hooks hooks = {
	.fetch = fetch,
	.install = install,
	.remove = remove_sa,
	.send = send_datagram,
	.random = random_bytes,
	.tell = tell,
};

static void make_machine(struct rekey_pair_side *side)
{
	struct rekey_options options = side->pair->options;

	options.leader = side->end == PAIR_LEADER;
	options.userdata = side;
	if (rekey_machine_new(&options, &side->machine) < 0)
		abort();
}

void rekey_pair_init(struct rekey_pair *pair, uint64_t rekey_sec, uint64_t hard_sec,
		     uint64_t drain_sec)
{
	*pair = (struct rekey_pair){
		.options = {.connection = "office",
			    .rekey_usec = rekey_sec * USEC_PER_SEC,
			    .hard_usec = hard_sec * USEC_PER_SEC,
			    .drain_usec = drain_sec * USEC_PER_SEC,
			    .hooks = &hooks},
		.now_usec = 1000 * USEC_PER_SEC,
		.random = 0x9e3779b97f4a7c15,
		.delay_max_usec = 5 * USEC_PER_MSEC,
		.fetch_usec = 10 * USEC_PER_MSEC,
	};
	for (int end = PAIR_LEADER; end <= PAIR_FOLLOWER; end++) {
		pair->sides[end].pair = pair;
		pair->sides[end].end = (enum rekey_pair_end)end;
		make_machine(&pair->sides[end]);
	}
}

void rekey_pair_done(struct rekey_pair *pair)
{
	rekey_machine_free(pair->sides[PAIR_LEADER].machine);
	rekey_machine_free(pair->sides[PAIR_FOLLOWER].machine);
}

void rekey_pair_start(struct rekey_pair *pair, enum rekey_pair_end end)
{
	rekey_machine_start(pair->sides[end].machine, pair->now_usec);
}

void rekey_pair_restart(struct rekey_pair *pair, enum rekey_pair_end end, bool reboot)
{
	struct rekey_pair_side *side = &pair->sides[end];

	rekey_machine_free(side->machine);
	make_machine(side);
	side->fetching = 0;
	if (reboot)
		side->sa_count = 0;
	for (size_t i = 0; i < side->sa_count; i++)
		rekey_machine_adopt(side->machine, pair->now_usec, side->sas[i].direction,
				    side->sas[i].spi, pair->now_usec - side->sas[i].added_usec,
				    side->sas[i].spent);
	rekey_pair_start(pair, end);
}

static bool serve_once(struct rekey_pair *pair, enum rekey_pair_end end, uint64_t label)
{
	for (size_t i = 0; i < pair->served_count[end]; i++)
		if (pair->served[end][i] == label)
			return false;
	pair->served[end][pair->served_count[end]++] = label;
	return true;
}

static void finish_fetch(struct rekey_pair_side *side)
{
	struct rekey_pair *pair = side->pair;
	uint64_t label = side->fetching;
	struct secret *key = NULL;
	int r = pair->no_keys ? -ETIMEDOUT : 0;

	side->fetching = 0;
	if (r == 0 && !serve_once(pair, side->end, label))
		r = -EKEYEXPIRED;
	if (r == 0) {
		r = secret_new(SHA256_DIGEST_LENGTH, &key);
		SHA256((const uint8_t *)&label, sizeof(label), key->bytes);
	}
	rekey_machine_fetched(side->machine, pair->now_usec, label, r, key);
}

static void deliver(struct rekey_pair *pair)
{
	for (size_t i = 0; i < pair->in_flight_count;) {
		struct rekey_pair_datagram d = pair->in_flight[i];
		struct rekey_message message;

		if (d.at_usec > pair->now_usec) {
			i++;
			continue;
		}
		pair->in_flight[i] = pair->in_flight[--pair->in_flight_count];
		if (rekey_message_decode(d.bytes, sizeof(d.bytes), &message) < 0)
			abort();
		rekey_machine_received(pair->sides[d.to].machine, pair->now_usec, &message);
	}
}

static const struct rekey_pair_sa *newest_out(const struct rekey_pair_side *side)
{
	const struct rekey_pair_sa *newest = NULL;

	for (size_t i = 0; i < side->sa_count; i++)
		if (side->sas[i].direction == REKEY_OUT &&
		    (!newest || side->sas[i].added_usec > newest->added_usec))
			newest = &side->sas[i];
	return newest;
}

/* One packet, which arrives at once, as the kernels have it: any outbound that is installed may be
 * the one that is taken, because the kernel compares whole seconds. */
static void packet(struct rekey_pair_side *from, struct rekey_pair_side *to)
{
	const struct rekey_pair_sa *out = newest_out(from);

	if (!out) {
		from->held++;
		rekey_machine_acquire(from->machine, from->pair->now_usec);
		return;
	}
	from->sent++;
	for (size_t i = 0; i < to->sa_count; i++)
		if (to->sas[i].direction == REKEY_IN && to->sas[i].spi == out->spi &&
		    memcmp(to->sas[i].key, out->key, sizeof(out->key)) == 0) {
			to->received++;
			return;
		}
}

static void tick(struct rekey_pair *pair)
{
	struct rekey_pair_side *leader = &pair->sides[PAIR_LEADER],
			       *follower = &pair->sides[PAIR_FOLLOWER];

	pair->now_usec += TICK_USEC;
	deliver(pair);
	for (struct rekey_pair_side *side = leader; side <= follower; side++) {
		if (side->fetching && side->fetch_at_usec <= pair->now_usec)
			finish_fetch(side);
		if (rekey_machine_next_usec(side->machine) <= pair->now_usec)
			rekey_machine_timer(side->machine, pair->now_usec);
	}
	packet(leader, follower);
	packet(follower, leader);
}

void rekey_pair_run(struct rekey_pair *pair, uint64_t usec)
{
	for (uint64_t end = pair->now_usec + usec; pair->now_usec < end;)
		tick(pair);
}

uint64_t rekey_pair_lost(const struct rekey_pair *pair)
{
	const struct rekey_pair_side *one = &pair->sides[0], *other = &pair->sides[1];

	return one->sent + other->sent - one->received - other->received;
}

bool rekey_pair_is_secured(const struct rekey_pair *pair)
{
	return rekey_machine_is_secured(pair->sides[0].machine) &&
	       rekey_machine_is_secured(pair->sides[1].machine);
}
