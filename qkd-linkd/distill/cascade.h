/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reconciliation by Cascade: what both ends share. Block sizes, the order of the bits in each pass,
 * and how a question is written.
 *
 * Martinez-Mateo, Pacher, Peev, Ciurana, Martin: "Demystifying the information reconciliation
 * protocol Cascade", arXiv:1407.3257, Table 3: frames of 2^14 bits, 14 passes with block sizes k1,
 * k2, k3 and then n/2, sub-block reuse, smallest odd block first.
 *
 * One end is the reference (cascade-reference.h): its bits are right by definition. The other, the
 * corrector (cascade-corrector.h), asks for parities. Every pass is a perfect binary tree over the
 * frame's bits in that pass's order: node 1 is the whole frame, node i has the children 2i and
 * 2i+1, leaves are nodes n..2n-1. Sizes are powers of two, so a top block is a node too.
 */

#include "common/macros.h"

#define CASCADE_FRAME_LOG2       14
#define CASCADE_FRAME_BITS       (1u << CASCADE_FRAME_LOG2)
#define CASCADE_FRAME_WORDS      (CASCADE_FRAME_BITS / 64)
#define CASCADE_FRAME_BYTES      (CASCADE_FRAME_BITS / 8)
#define CASCADE_PASSES           14
#define CASCADE_SIZED_PASSES     3 /* k1, k2, k3; the others halve the frame */
#define CASCADE_GROUP_MAX_FRAMES 1024
/* A frame that has cost this many parities is worth nothing any more. */
#define CASCADE_MAX_LEAK_BITS CASCADE_FRAME_BITS
/* In one message. */
#define CASCADE_MAX_QUESTIONS (1u << 19)

/* log2 of the block size of each pass. */
struct cascade_plan {
	uint8_t block_log2[CASCADE_PASSES];
};

/* From the expected error rate; cascade.c says where the sizes come from. */
void cascade_plan_for(double error_rate, struct cascade_plan *ret);
void cascade_plan_of(unsigned k1_log2, unsigned k2_log2, unsigned k3_log2,
		     struct cascade_plan *ret);
bool cascade_plan_is_valid(const struct cascade_plan *plan);

/*
 * The order of bits in each pass, shared by all frames of a group and made by both ends from one
 * announced number. Pass 0 leaves the bits where they are.
 */
struct cascade_order {
	uint16_t place[CASCADE_PASSES][CASCADE_FRAME_BITS]; /* place of bit i in pass p */
	uint16_t bit[CASCADE_PASSES][CASCADE_FRAME_BITS];   /* the bit at place j: the inverse */
	uint64_t first_half[CASCADE_PASSES][CASCADE_FRAME_WORDS]; /* bits whose place is in it */
};
int cascade_order_new(uint64_t seed, struct cascade_order **ret);
struct cascade_order *cascade_order_free(struct cascade_order *order);
DEFINE_CLEANUP(struct cascade_order *, cascade_order_free);

/*
 * A question: the parity of one node, or, with node 0, of all top blocks of a pass (but the last
 * one of passes after the first, which follows from the frame's parity).
 */
#define CASCADE_NODE_BITS 15
#define CASCADE_PASS_BITS 4
#define CASCADE_TOPS      0u

static inline uint32_t cascade_question(unsigned frame, unsigned pass, unsigned node)
{
	return frame << (CASCADE_NODE_BITS + CASCADE_PASS_BITS) | pass << CASCADE_NODE_BITS | node;
}

static inline unsigned cascade_question_frame(uint32_t question)
{
	return question >> (CASCADE_NODE_BITS + CASCADE_PASS_BITS);
}

static inline unsigned cascade_question_pass(uint32_t question)
{
	return question >> CASCADE_NODE_BITS & ((1u << CASCADE_PASS_BITS) - 1);
}

static inline unsigned cascade_question_node(uint32_t question)
{
	return question & ((1u << CASCADE_NODE_BITS) - 1);
}

/* log2 of the size of a node of the tree, 0 for a leaf; node is not 0. */
static inline unsigned cascade_node_log2(unsigned node)
{
	return CASCADE_FRAME_LOG2 - (31 - (unsigned)__builtin_clz(node));
}

/* How many parities the answer to "all top blocks" has. */
static inline unsigned cascade_tops_asked(const struct cascade_plan *plan, unsigned pass)
{
	return (CASCADE_FRAME_BITS >> plan->block_log2[pass]) - (pass > 0);
}

/* Puts a frame's bits in the order of a pass. */
void cascade_permute(const struct cascade_order *order, unsigned pass,
		     const uint64_t bits[static CASCADE_FRAME_WORDS],
		     uint64_t ret_permuted[static CASCADE_FRAME_WORDS]);

/* The parity of a node over bits in its pass's order. */
static inline unsigned cascade_parity(const uint64_t *permuted, unsigned node)
{
	unsigned log2 = cascade_node_log2(node);
	unsigned start = (node << log2) - CASCADE_FRAME_BITS;
	uint64_t fold = 0;

	if (log2 < 6)
		return (unsigned)__builtin_parityll(permuted[start >> 6] >> (start & 63) &
						    ((UINT64_C(1) << (1u << log2)) - 1));
	for (unsigned i = 0; i < 1u << (log2 - 6); i++)
		fold ^= permuted[(start >> 6) + i];
	return (unsigned)__builtin_parityll(fold);
}

/* The parity of the first half of a pass, without permuting. */
unsigned cascade_half_parity(const struct cascade_order *order, unsigned pass,
			     const uint64_t bits[static CASCADE_FRAME_WORDS]);
