/* SPDX-License-Identifier: MIT */
/*
 * The end of Cascade that corrects its bits.
 *
 * In each pass a frame is divided into blocks whose parity at the other end is known: the frontier
 * of that pass's tree. Asking for the left half of an odd block moves the frontier one level down
 * there, and what has been learnt stays (sub-block reuse). A corrected bit changes the parity of
 * one frontier block in every pass; odd ones wait in a queue by size, and the smallest goes first.
 */

#include "qkd-linkd/distill/cascade-corrector.h"
#include "common/secret.h"

#define NO_ENTRY     0u
#define POOL_INITIAL 4096u

#define NODE_WORDS (2 * CASCADE_FRAME_WORDS)

/* One pass over one frame. */
struct pass_state {
	uint64_t odd[NODE_WORDS];            /* frontier blocks of odd error parity */
	uint64_t queued[NODE_WORDS];         /* is in the queue already */
	uint64_t split[CASCADE_FRAME_WORDS]; /* lies above the frontier */
};

struct corrector_frame {
	uint64_t *permuted[CASCADE_PASSES]; /* our bits in each pass's order; [0] is the frame */
	struct pass_state *states;          /* one for each pass */
	uint32_t queue[CASCADE_FRAME_LOG2]; /* by log2 of the size; heads of lists in the pool */
	uint32_t leak_bits;
	uint16_t passes;  /* whose top blocks are known */
	uint16_t pending; /* questions without an answer */
	bool odd;         /* error parity of the whole frame */
	bool done;
};

struct queue_entry {
	uint32_t pass_node; /* a question without its frame */
	uint32_t next;
};

struct cascade_corrector {
	const struct cascade_order *order;
	struct cascade_plan plan;
	size_t frame_count;
	struct corrector_frame *frames;
	struct pass_state *states;
	struct queue_entry *pool; /* [0] is never used */
	uint32_t pool_size, pool_used, pool_free;
	uint32_t *questions;
	size_t question_count, question_size;
	size_t expected_bits;
	uint64_t leak_bits, errors;
	unsigned rounds;
	int failure; /* sticky: out of memory in the middle of a step */
};

static bool get_bit(const uint64_t *bits, unsigned i)
{
	return bits[i >> 6] >> (i & 63) & 1;
}

static void flip_bit(uint64_t *bits, unsigned i)
{
	bits[i >> 6] ^= UINT64_C(1) << (i & 63);
}

int cascade_corrector_new(const struct cascade_order *order, const struct cascade_plan *plan,
			  uint64_t *bits, size_t frame_count, struct cascade_corrector **ret)
{
	_cleanup_(cascade_corrector_freep) struct cascade_corrector *corrector = NULL;

	if (frame_count == 0 || frame_count > CASCADE_GROUP_MAX_FRAMES ||
	    !cascade_plan_is_valid(plan))
		return -EINVAL;
	corrector = calloc(1, sizeof(*corrector));
	if (!corrector)
		return -ENOMEM;
	corrector->order = order;
	corrector->plan = *plan;
	corrector->frame_count = frame_count;
	corrector->frames = calloc(frame_count, sizeof(corrector->frames[0]));
	corrector->states = calloc(frame_count, CASCADE_PASSES * sizeof(corrector->states[0]));
	corrector->pool = malloc(POOL_INITIAL * sizeof(corrector->pool[0]));
	if (!corrector->frames || !corrector->states || !corrector->pool)
		return -ENOMEM;
	corrector->pool_size = POOL_INITIAL;
	corrector->pool_used = 1;
	for (size_t i = 0; i < frame_count; i++) {
		corrector->frames[i].permuted[0] = bits + i * CASCADE_FRAME_WORDS;
		corrector->frames[i].states = corrector->states + i * CASCADE_PASSES;
	}
	*ret = TAKE_PTR(corrector);
	return 0;
}

struct cascade_corrector *cascade_corrector_free(struct cascade_corrector *corrector)
{
	if (!corrector)
		return NULL;
	for (size_t i = 0; corrector->frames && i < corrector->frame_count; i++)
		for (unsigned pass = 1; pass < CASCADE_PASSES; pass++)
			secret_mfree(corrector->frames[i].permuted[pass]);
	free(corrector->frames);
	free(corrector->states);
	free(corrector->pool);
	free(corrector->questions);
	free(corrector);
	return NULL;
}

uint64_t cascade_corrector_leak_bits(const struct cascade_corrector *corrector)
{
	return corrector->leak_bits;
}

uint64_t cascade_corrector_errors(const struct cascade_corrector *corrector)
{
	return corrector->errors;
}

unsigned cascade_corrector_rounds(const struct cascade_corrector *corrector)
{
	return corrector->rounds;
}

size_t cascade_corrector_expects(const struct cascade_corrector *corrector)
{
	return corrector->expected_bits;
}

/* An unused entry of the pool, or NO_ENTRY when there is no memory. */
static uint32_t pool_take(struct cascade_corrector *corrector)
{
	uint32_t entry = corrector->pool_free;

	if (entry != NO_ENTRY) {
		corrector->pool_free = corrector->pool[entry].next;
		return entry;
	}
	if (corrector->pool_used == corrector->pool_size) {
		uint32_t size = 2 * corrector->pool_size;
		struct queue_entry *pool = realloc(corrector->pool, size * sizeof(*pool));

		if (!pool) {
			corrector->failure = -ENOMEM;
			return NO_ENTRY;
		}
		corrector->pool = pool;
		corrector->pool_size = size;
	}
	return corrector->pool_used++;
}

/* Leaves never wait: they are corrected when they are found. */
static void enqueue(struct cascade_corrector *corrector, struct corrector_frame *frame,
		    unsigned pass, unsigned node, unsigned log2)
{
	uint32_t entry;

	if (log2 == 0 || get_bit(frame->states[pass].queued, node))
		return;
	entry = pool_take(corrector);
	if (entry == NO_ENTRY)
		return;
	flip_bit(frame->states[pass].queued, node);
	corrector->pool[entry].pass_node = cascade_question(0, pass, node);
	corrector->pool[entry].next = frame->queue[log2];
	frame->queue[log2] = entry;
}

/* Takes the first block of this size off the queue; false when it is not odd or split by now. */
static bool dequeue(struct cascade_corrector *corrector, struct corrector_frame *frame,
		    unsigned log2, unsigned *ret_pass, unsigned *ret_node)
{
	uint32_t entry = frame->queue[log2];
	unsigned pass = cascade_question_pass(corrector->pool[entry].pass_node);
	unsigned node = cascade_question_node(corrector->pool[entry].pass_node);
	struct pass_state *state = &frame->states[pass];

	frame->queue[log2] = corrector->pool[entry].next;
	corrector->pool[entry].next = corrector->pool_free;
	corrector->pool_free = entry;
	flip_bit(state->queued, node);
	if (!get_bit(state->odd, node) || get_bit(state->split, node))
		return false;
	*ret_pass = pass;
	*ret_node = node;
	return true;
}

/* The frontier block of a pass that holds this place. */
static unsigned frontier(const struct pass_state *state, unsigned place, unsigned *log2)
{
	unsigned node = (CASCADE_FRAME_BITS + place) >> *log2;

	while (*log2 > 0 && get_bit(state->split, node)) {
		--*log2;
		node = (CASCADE_FRAME_BITS + place) >> *log2;
	}
	return node;
}

static void correct(struct cascade_corrector *corrector, struct corrector_frame *frame,
		    unsigned bit)
{
	corrector->errors++;
	frame->odd = !frame->odd;
	for (unsigned pass = 0; pass < frame->passes; pass++) {
		unsigned place = corrector->order->place[pass][bit];
		unsigned log2 = corrector->plan.block_log2[pass];
		unsigned node = frontier(&frame->states[pass], place, &log2);

		if (frame->permuted[pass])
			flip_bit(frame->permuted[pass], place);
		flip_bit(frame->states[pass].odd, node);
		if (get_bit(frame->states[pass].odd, node))
			enqueue(corrector, frame, pass, node, log2);
	}
}

/* Our bits in a pass's order. */
static int permute(struct cascade_corrector *corrector, struct corrector_frame *frame,
		   unsigned pass)
{
	if (frame->permuted[pass])
		return 0;
	frame->permuted[pass] = secret_malloc(CASCADE_FRAME_BYTES);
	if (!frame->permuted[pass])
		return -ENOMEM;
	cascade_permute(corrector->order, pass, frame->permuted[0], frame->permuted[pass]);
	return 0;
}

static void learn_top(struct cascade_corrector *corrector, struct corrector_frame *frame,
		      unsigned pass, unsigned node, bool odd)
{
	if (!odd)
		return;
	flip_bit(frame->states[pass].odd, node);
	enqueue(corrector, frame, pass, node, corrector->plan.block_log2[pass]);
}

static bool answer_bit(const uint8_t *answers, size_t i)
{
	return answers[i >> 3] >> (i & 7) & 1;
}

/* The parities of a pass's top blocks; answers begins at bit first. */
static int take_tops(struct cascade_corrector *corrector, struct corrector_frame *frame,
		     unsigned pass, const uint8_t *answers, size_t first)
{
	unsigned asked = cascade_tops_asked(&corrector->plan, pass);
	unsigned node = CASCADE_FRAME_BITS >> corrector->plan.block_log2[pass];
	bool odd, sum = false;
	int r;

	if (pass < CASCADE_SIZED_PASSES) {
		r = permute(corrector, frame, pass);
		if (r < 0)
			return r;
	}
	for (unsigned i = 0; i < asked; i++) {
		unsigned ours =
			pass < CASCADE_SIZED_PASSES
				? cascade_parity(frame->permuted[pass], node + i)
				: cascade_half_parity(corrector->order, pass, frame->permuted[0]);

		odd = answer_bit(answers, first + i) != ours;
		sum ^= odd;
		learn_top(corrector, frame, pass, node + i, odd);
	}
	if (pass == 0)
		frame->odd = sum;
	else
		learn_top(corrector, frame, pass, node + asked, sum != frame->odd);
	frame->passes++;
	return 0;
}

/* A child of a block that has just been split: on the frontier from now on. */
static void learn_child(struct cascade_corrector *corrector, struct corrector_frame *frame,
			unsigned pass, unsigned node, bool odd)
{
	unsigned log2 = cascade_node_log2(node);

	if (!odd)
		return;
	flip_bit(frame->states[pass].odd, node);
	if (log2 == 0)
		correct(corrector, frame, corrector->order->bit[pass][node - CASCADE_FRAME_BITS]);
	else
		enqueue(corrector, frame, pass, node, log2);
}

/* The parity of the left child of a frontier block. */
static int take_node(struct cascade_corrector *corrector, struct corrector_frame *frame,
		     unsigned pass, unsigned left, bool parity)
{
	struct pass_state *state = &frame->states[pass];
	bool left_odd, block_odd;
	int r = permute(corrector, frame, pass);

	if (r < 0)
		return r;
	left_odd = parity != cascade_parity(frame->permuted[pass], left);
	block_odd = get_bit(state->odd, left >> 1);
	flip_bit(state->split, left >> 1);
	learn_child(corrector, frame, pass, left, left_odd);
	learn_child(corrector, frame, pass, left + 1, left_odd != block_odd);
	return 0;
}

static unsigned question_cost(const struct cascade_corrector *corrector, uint32_t question)
{
	if (cascade_question_node(question) != CASCADE_TOPS)
		return 1;
	return cascade_tops_asked(&corrector->plan, cascade_question_pass(question));
}

int cascade_corrector_take(struct cascade_corrector *corrector, const uint8_t *answers,
			   size_t bit_count)
{
	size_t next = 0;
	int r = 0;

	if (bit_count != corrector->expected_bits)
		return -EBADMSG;
	for (size_t i = 0; i < corrector->question_count && r >= 0; i++) {
		uint32_t question = corrector->questions[i];
		struct corrector_frame *frame =
			&corrector->frames[cascade_question_frame(question)];
		unsigned pass = cascade_question_pass(question);
		unsigned node = cascade_question_node(question);

		frame->pending--;
		if (node == CASCADE_TOPS)
			r = take_tops(corrector, frame, pass, answers, next);
		else
			r = take_node(corrector, frame, pass, node, answer_bit(answers, next));
		next += question_cost(corrector, question);
	}
	corrector->question_count = 0;
	corrector->expected_bits = 0;
	return r < 0 ? r : corrector->failure;
}

/* False when the list is full or cannot grow, so that the frame asks in the next round, or when the
 * frame has cost so much that it is given up. */
static bool ask(struct cascade_corrector *corrector, struct corrector_frame *frame, unsigned pass,
		unsigned node)
{
	uint32_t question = cascade_question((unsigned)(frame - corrector->frames), pass, node);
	unsigned cost = question_cost(corrector, question);

	if (frame->leak_bits + cost > CASCADE_MAX_LEAK_BITS) {
		frame->done = true;
		return false;
	}
	if (corrector->question_count == corrector->question_size) {
		size_t size = MAX(2 * corrector->question_size, (size_t)1024);
		uint32_t *questions;

		if (size > CASCADE_MAX_QUESTIONS)
			return false;
		questions = realloc(corrector->questions, size * sizeof(*questions));
		if (!questions) {
			corrector->failure = -ENOMEM;
			return false;
		}
		corrector->questions = questions;
		corrector->question_size = size;
	}
	corrector->questions[corrector->question_count++] = question;
	corrector->expected_bits += cost;
	corrector->leak_bits += cost;
	frame->leak_bits += cost;
	frame->pending++;
	return true;
}

/*
 * The odd blocks to split next: all of the first pass while it is the only one, for they cannot
 * share an error; later those of the smallest size that are of one pass, for the same reason.
 */
static void ask_blocks(struct cascade_corrector *corrector, struct corrector_frame *frame)
{
	unsigned first_pass = CASCADE_PASSES;

	for (unsigned log2 = 1; log2 < CASCADE_FRAME_LOG2; log2++) {
		while (frame->queue[log2] != NO_ENTRY) {
			unsigned pass, node;
			uint32_t head = frame->queue[log2];

			if (first_pass < CASCADE_PASSES &&
			    cascade_question_pass(corrector->pool[head].pass_node) != first_pass)
				return;
			if (!dequeue(corrector, frame, log2, &pass, &node))
				continue;
			first_pass = pass;
			if (!ask(corrector, frame, pass, 2 * node)) {
				enqueue(corrector, frame, pass, node, log2);
				return;
			}
		}
		if (first_pass < CASCADE_PASSES && frame->passes > 1)
			return;
	}
}

/* The top blocks of the next pass; of all that halve the frame at once: little is left by then. */
static void ask_tops(struct cascade_corrector *corrector, struct corrector_frame *frame)
{
	unsigned first = frame->passes;
	unsigned end = first < CASCADE_SIZED_PASSES ? first + 1 : CASCADE_PASSES;

	for (unsigned pass = first; pass < end; pass++)
		if (!ask(corrector, frame, pass, CASCADE_TOPS))
			return;
}

static void ask_frame(struct cascade_corrector *corrector, struct corrector_frame *frame)
{
	if (frame->done)
		return;
	ask_blocks(corrector, frame);
	if (frame->pending > 0 || frame->done)
		return;
	if (frame->passes == CASCADE_PASSES)
		frame->done = true;
	else
		ask_tops(corrector, frame);
}

ssize_t cascade_corrector_ask(struct cascade_corrector *corrector, const uint32_t **ret_questions)
{
	if (corrector->question_count > 0)
		return -EBUSY;
	for (size_t i = 0; i < corrector->frame_count; i++)
		ask_frame(corrector, &corrector->frames[i]);
	if (corrector->failure < 0)
		return corrector->failure;
	if (corrector->question_count > 0)
		corrector->rounds++;
	*ret_questions = corrector->questions;
	return (ssize_t)corrector->question_count;
}
