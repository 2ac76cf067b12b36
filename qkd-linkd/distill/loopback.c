/* SPDX-License-Identifier: MIT */
/*
 * Both ends of a distillation session in one process.
 *
 * Frames wait in one queue for each direction and are delivered in turn; when nothing is under way,
 * more light is simulated. With a synchronisation pattern Bob knows time tags only and aligns them,
 * as a real receiver does; without one he is given slot numbers.
 */

#include <time.h>

#include "common/prng.h"
#include "qkd-linkd/distill/loopback.h"

#define DRAW_EVENTS    8192
#define FRAMES_AT_ONCE 65536 /* delivered before light is looked at again */

struct queued_frame {
	struct queued_frame *next;
	size_t size_bytes;
	uint8_t bytes[];
};

struct frame_queue {
	struct queued_frame *first, **last;
	uint64_t sent;
	struct queued_frame *held; /* until so many were sent */
	uint64_t held_until;
};

struct loopback_end {
	struct loopback *loopback;
	enum wegman_carter_role role;
	struct distill *distill;
	struct wegman_carter *authentication;
	struct frame_queue outgoing;
	uint64_t blocks_finished;
	int failure;
};

struct loopback {
	struct sim_optics_parameters parameters;
	struct sim_optics *optics;
	struct prng prng;
	struct loopback_handler handler;
	void *userdata;
	struct loopback_end ends[2];
	uint64_t slot, simulation_nsec;
	struct align_parameters align_parameters;
	struct align align;
	bool is_aligned;
	uint64_t next_slot; /* at the receiver: two tags of one slot are noise */
	int64_t *tags;      /* of the pattern, until aligned */
	size_t tag_count;
	struct sim_event *events;
	struct detection *alice, *bob;
};

static uint64_t cpu_nsec(void *userdata)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct queued_frame *frame_new(const void *bytes, size_t size_bytes)
{
	struct queued_frame *frame = malloc(sizeof(*frame) + size_bytes);

	if (!frame)
		return NULL;
	frame->next = NULL;
	frame->size_bytes = size_bytes;
	memcpy(frame->bytes, bytes, size_bytes);
	return frame;
}

static void append(struct frame_queue *queue, struct queued_frame *frame)
{
	*queue->last = frame;
	queue->last = &frame->next;
}

/* Once more, at once or later; one frame of a direction is held at a time. */
static int repeat(struct frame_queue *queue, const struct queued_frame *frame, bool later)
{
	struct queued_frame *copy = frame_new(frame->bytes, frame->size_bytes);

	if (!copy)
		return -ENOMEM;
	if (later && !queue->held) {
		queue->held = copy;
		queue->held_until = queue->sent + LOOPBACK_REPLAY_AFTER;
	} else {
		append(queue, copy);
	}
	return 0;
}

static void release_held(struct frame_queue *queue)
{
	if (queue->held && queue->sent >= queue->held_until)
		append(queue, TAKE_PTR(queue->held));
}

/* Consumes the frame. */
static int enqueue(struct frame_queue *queue, struct queued_frame *frame, enum loopback_fate fate)
{
	int r = 0;

	queue->sent++;
	if (fate == LOOPBACK_LOSE) {
		free(frame);
		return 0;
	}
	if (fate == LOOPBACK_DELAY && !queue->held) {
		queue->held = frame;
		queue->held_until = queue->sent + 1;
		return 0;
	}
	append(queue, frame);
	if (fate == LOOPBACK_REPEAT || fate == LOOPBACK_REPLAY)
		r = repeat(queue, frame, fate == LOOPBACK_REPLAY);
	release_held(queue);
	return r;
}

static int on_send(const void *bytes, size_t size_bytes, void *userdata)
{
	struct loopback_end *end = userdata;
	struct loopback *loopback = end->loopback;
	struct queued_frame *frame = frame_new(bytes, size_bytes);
	enum loopback_fate fate = LOOPBACK_DELIVER;

	if (!frame)
		return -ENOMEM;
	if (loopback->handler.meddle)
		fate = loopback->handler.meddle(end->role, end->outgoing.sent, frame->bytes,
						size_bytes, loopback->userdata);
	return enqueue(&end->outgoing, frame, fate);
}

static int on_key(uint32_t block, struct secret *key, void *userdata)
{
	struct loopback_end *end = userdata;
	struct loopback *loopback = end->loopback;

	if (loopback->handler.on_key)
		loopback->handler.on_key(end->role, block, key, loopback->userdata);
	secret_free(key);
	return 0;
}

static void on_report(const struct distill_report *report, void *userdata)
{
	struct loopback_end *end = userdata;
	struct loopback *loopback = end->loopback;

	end->blocks_finished++;
	if (loopback->handler.on_report)
		loopback->handler.on_report(end->role, report, loopback->userdata);
}

static int on_random(void *ret_bytes, size_t size_bytes, void *userdata)
{
	struct loopback_end *end = userdata;
	uint8_t *to = ret_bytes;

	for (size_t i = 0; i < size_bytes; i += sizeof(uint64_t)) {
		uint64_t word = prng_next(&end->loopback->prng);

		memcpy(to + i, &word, MIN(sizeof(word), size_bytes - i));
	}
	return 0;
}

static int new_end(struct loopback *loopback, const struct distill_config *config,
		   enum wegman_carter_role role, const struct secret *first)
{
	static const struct distill_handler handler = {
		.send = on_send,
		.on_key = on_key,
		.on_report = on_report,
		.random = on_random,
		.cpu_nsec = cpu_nsec,
	};
	struct loopback_end *end = &loopback->ends[role];
	struct distill_config own = *config;
	int r;

	own.role = role;
	end->loopback = loopback;
	end->role = role;
	end->outgoing.last = &end->outgoing.first;
	r = wegman_carter_new(gf128_kernel(), role, first, &end->authentication);
	if (r < 0)
		return r;
	return distill_new(&own, &handler, end, end->authentication, &end->distill);
}

static int new_ends(struct loopback *loopback, const struct distill_config *config)
{
	_cleanup_(secret_freep) struct secret *first = NULL;
	int r = secret_new(WEGMAN_CARTER_FIRST_BYTES, &first);

	for (size_t i = 0; r >= 0 && i < first->size_bytes; i++)
		first->bytes[i] = (uint8_t)prng_next(&loopback->prng);
	if (r >= 0)
		r = new_end(loopback, config, WEGMAN_CARTER_ALICE, first);
	if (r >= 0)
		r = new_end(loopback, config, WEGMAN_CARTER_BOB, first);
	return r;
}

int loopback_new(const struct sim_optics_parameters *optics, const struct distill_config *config,
		 uint64_t seed, const struct loopback_handler *handler, void *userdata,
		 struct loopback **ret)
{
	_cleanup_(loopback_freep) struct loopback *loopback = calloc(1, sizeof(*loopback));
	int r;

	if (!loopback)
		return -ENOMEM;
	loopback->parameters = *optics;
	loopback->handler = *handler;
	loopback->userdata = userdata;
	prng_init(&loopback->prng, seed);
	align_parameters_defaults(&loopback->align_parameters);
	loopback->align_parameters.period_ps = optics->period_ps;
	loopback->align_parameters.gate_ps = 0.4 * optics->period_ps;
	loopback->align_parameters.pattern = sim_optics_sync_word;
	loopback->align_parameters.pattern_seed = optics->sync_seed;
	loopback->align_parameters.pattern_slots = optics->sync_slots;
	loopback->tags = malloc(ALIGN_MAX_TAGS * sizeof(*loopback->tags));
	loopback->events = secret_malloc(DRAW_EVENTS * sizeof(*loopback->events));
	loopback->alice = secret_malloc(DRAW_EVENTS * sizeof(*loopback->alice));
	loopback->bob = secret_malloc(DRAW_EVENTS * sizeof(*loopback->bob));
	if (!loopback->tags || !loopback->events || !loopback->alice || !loopback->bob)
		return -ENOMEM;
	r = handler->draw ? 0 : sim_optics_new(optics, &loopback->optics);
	if (r >= 0)
		r = new_ends(loopback, config);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(loopback);
	return 0;
}

static void queue_done(struct frame_queue *queue)
{
	while (queue->first) {
		struct queued_frame *frame = queue->first;

		queue->first = frame->next;
		free(frame);
	}
	free(queue->held);
}

struct loopback *loopback_free(struct loopback *loopback)
{
	if (!loopback)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		distill_free(loopback->ends[i].distill);
		wegman_carter_free(loopback->ends[i].authentication);
		queue_done(&loopback->ends[i].outgoing);
	}
	sim_optics_free(loopback->optics);
	secret_mfree(loopback->events);
	secret_mfree(loopback->alice);
	secret_mfree(loopback->bob);
	free(loopback->tags);
	free(loopback);
	return NULL;
}

/* Gives the first frame of one direction to the other end; false when there is none. */
static bool deliver(struct loopback *loopback, enum wegman_carter_role sender)
{
	struct frame_queue *queue = &loopback->ends[sender].outgoing;
	struct loopback_end *receiver = &loopback->ends[sender == WEGMAN_CARTER_ALICE];
	struct queued_frame *frame = queue->first;
	int r;

	if (!frame)
		return false;
	queue->first = frame->next;
	if (!queue->first)
		queue->last = &queue->first;
	r = distill_receive(receiver->distill, frame->bytes, frame->size_bytes);
	if (r < 0 && receiver->failure == 0)
		receiver->failure = r;
	free(frame);
	return true;
}

static void deliver_all(struct loopback *loopback)
{
	for (unsigned i = 0; i < FRAMES_AT_ONCE; i++) {
		bool moved = deliver(loopback, WEGMAN_CARTER_ALICE);

		if (!deliver(loopback, WEGMAN_CARTER_BOB) && !moved)
			return;
	}
}

/* Tags of the pattern are collected until the pattern is over, then aligned. */
static int collect_tags(struct loopback *loopback, const struct sim_event *event)
{
	if (event->slot < loopback->parameters.sync_slots) {
		if (loopback->tag_count < ALIGN_MAX_TAGS)
			loopback->tags[loopback->tag_count++] = event->tag_ps;
		return 0;
	}
	if (loopback->parameters.sync_slots == 0 || loopback->is_aligned)
		return 0;
	loopback->is_aligned = true;
	return align_acquire(&loopback->align_parameters, loopback->tags, loopback->tag_count,
			     &loopback->align);
}

static bool receiver_slot(struct loopback *loopback, const struct sim_event *event,
			  uint64_t *ret_slot)
{
	*ret_slot = event->slot;
	if (loopback->parameters.sync_slots == 0)
		return true;
	if (!align_slot(&loopback->align, event->tag_ps, ret_slot) ||
	    *ret_slot < loopback->next_slot)
		return false;
	loopback->next_slot = *ret_slot + 1;
	return true;
}

static int split_events(struct loopback *loopback, size_t count, size_t *ret_alice, size_t *ret_bob)
{
	for (size_t i = 0; i < count; i++) {
		const struct sim_event *e = &loopback->events[i];
		uint64_t slot;
		int r = collect_tags(loopback, e);

		if (r < 0)
			return r;
		if (e->slot < loopback->parameters.sync_slots)
			continue;
		loopback->alice[(*ret_alice)++] = (struct detection){
			.time = e->slot,
			.basis = e->sender_basis,
			.bit = e->sender_bit,
			.intensity = e->intensity,
		};
		if (receiver_slot(loopback, e, &slot))
			loopback->bob[(*ret_bob)++] = (struct detection){
				.time = slot,
				.basis = e->receiver_basis,
				.bit = e->receiver_bit,
			};
	}
	return 0;
}

static int feed(struct loopback_end *end, const struct detection *detections, size_t count)
{
	int r = distill_detections(end->distill, detections, count);

	if (r < 0 && end->failure == 0)
		end->failure = r;
	return r;
}

static ssize_t draw_events(struct loopback *loopback, uint64_t end_slot, size_t max)
{
	if (loopback->handler.draw)
		return loopback->handler.draw(end_slot, loopback->events, max, loopback->userdata);
	return (ssize_t)sim_optics_draw(loopback->optics, end_slot, loopback->events, max);
}

/* More light for both ends; -EPIPE when an end has no room. */
static int draw(struct loopback *loopback, uint64_t max_slots)
{
	size_t alice = 0, bob = 0, room = DRAW_EVENTS;
	uint64_t start = cpu_nsec(NULL);
	ssize_t count;
	int r;

	for (size_t i = 0; i < 2; i++)
		room = MIN(room, distill_room(loopback->ends[i].distill));
	if (room == 0)
		return -EPIPE;
	count = draw_events(loopback, max_slots, room);
	if (count <= 0)
		return count < 0 ? (int)count : -ETIME;
	loopback->slot = loopback->events[count - 1].slot;
	r = split_events(loopback, (size_t)count, &alice, &bob);
	loopback->simulation_nsec += cpu_nsec(NULL) - start;
	if (r >= 0)
		r = feed(&loopback->ends[0], loopback->alice, alice);
	return r < 0 ? r : feed(&loopback->ends[1], loopback->bob, bob);
}

int loopback_run(struct loopback *loopback, uint64_t blocks, uint64_t max_slots)
{
	const struct loopback_end *ends = loopback->ends;
	int r = 0;

	while (r >= 0) {
		deliver_all(loopback);
		for (size_t i = 0; i < 2; i++)
			if (ends[i].failure < 0)
				return ends[i].failure;
		if (ends[0].blocks_finished >= blocks && ends[1].blocks_finished >= blocks)
			return 0;
		r = draw(loopback, max_slots);
	}
	return r;
}

const struct distill *loopback_end(const struct loopback *loopback, enum wegman_carter_role end)
{
	return loopback->ends[end].distill;
}

int loopback_failure(const struct loopback *loopback, enum wegman_carter_role end)
{
	return loopback->ends[end].failure;
}

uint64_t loopback_slot(const struct loopback *loopback)
{
	return loopback->slot;
}

uint64_t loopback_simulation_nsec(const struct loopback *loopback)
{
	return loopback->simulation_nsec;
}

const struct align *loopback_align(const struct loopback *loopback)
{
	return loopback->is_aligned ? &loopback->align : NULL;
}

const struct wegman_carter *loopback_authentication(const struct loopback *loopback,
						    enum wegman_carter_role end)
{
	return loopback->ends[end].authentication;
}
