/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The end of Cascade that corrects its bits: says what to ask next and does what the answers imply.
 * Many frames are in flight at once, so that they share the round trips.
 *
 *	while ((count = cascade_corrector_ask(corrector, &questions)) > 0)
 *		send questions, receive answers, cascade_corrector_take(corrector, answers, bits);
 */

#include "qkd-linkd/distill/cascade.h"

struct cascade_corrector;

/* order and bits (frame after frame, secret memory, corrected in place) are borrowed. */
int cascade_corrector_new(const struct cascade_order *order, const struct cascade_plan *plan,
			  uint64_t *bits, size_t frame_count, struct cascade_corrector **ret);
struct cascade_corrector *cascade_corrector_free(struct cascade_corrector *corrector);
DEFINE_CLEANUP(struct cascade_corrector *, cascade_corrector_free);

/* The next questions, valid until the next call; 0 when there is nothing left to ask. -ENOMEM;
 * -EBUSY while the last questions have no answers. */
ssize_t cascade_corrector_ask(struct cascade_corrector *corrector, const uint32_t **ret_questions);
/* How many bits the answers to them have. */
size_t cascade_corrector_expects(const struct cascade_corrector *corrector);
/* -EBADMSG when bit_count is another number than that. */
int cascade_corrector_take(struct cascade_corrector *corrector, const uint8_t *answers,
			   size_t bit_count);

uint64_t cascade_corrector_leak_bits(const struct cascade_corrector *corrector);
uint64_t cascade_corrector_errors(const struct cascade_corrector *corrector); /* corrected */
unsigned cascade_corrector_rounds(const struct cascade_corrector *corrector);
