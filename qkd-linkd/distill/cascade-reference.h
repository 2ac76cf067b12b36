/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The end of Cascade whose bits are right: answers questions about parities and counts every one
 * that it has disclosed.
 */

#include "qkd-linkd/distill/cascade.h"

struct cascade_reference;

/* order and bits (frame after frame, secret memory) are borrowed and must outlive it. */
int cascade_reference_new(const struct cascade_order *order, const struct cascade_plan *plan,
			  const uint64_t *bits, size_t frame_count, struct cascade_reference **ret);
struct cascade_reference *cascade_reference_free(struct cascade_reference *reference);
DEFINE_CLEANUP(struct cascade_reference *, cascade_reference_free);

/*
 * Answers in the order of the questions, least significant bit of the first byte first. Returns
 * the number of bits, -EBADMSG for a question that no corrector asks, -E2BIG when a frame would
 * disclose more than CASCADE_MAX_LEAK_BITS, -ENOBUFS when the answers do not fit.
 */
ssize_t cascade_reference_answer(struct cascade_reference *reference, const uint32_t *questions,
				 size_t count, uint8_t *ret_answers, size_t max_bytes);

uint64_t cascade_reference_leak_bits(const struct cascade_reference *reference);
