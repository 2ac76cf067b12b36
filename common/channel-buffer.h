/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Bytes on their way through a channel: a queue that grows, in secret memory, because frames carry
 * keys. What is taken out is wiped.
 */

#include "common/secret.h"

struct channel_buffer {
	struct secret *memory; /* NULL: nothing yet */
	size_t start, end;     /* what is queued lies between */
	size_t base_bytes;     /* it shrinks back to this when it is empty */
};

void channel_buffer_init(struct channel_buffer *buffer, size_t base_bytes);
void channel_buffer_done(struct channel_buffer *buffer);

static inline size_t channel_buffer_size(const struct channel_buffer *buffer)
{
	return buffer->end - buffer->start;
}
static inline uint8_t *channel_buffer_bytes(const struct channel_buffer *buffer)
{
	return buffer->memory->bytes + buffer->start;
}
static inline uint8_t *channel_buffer_tail(const struct channel_buffer *buffer)
{
	return buffer->memory->bytes + buffer->end;
}
static inline size_t channel_buffer_room(const struct channel_buffer *buffer)
{
	return buffer->memory ? buffer->memory->size_bytes - buffer->end : 0;
}

/* Room for so many bytes at the tail. Moves what is queued. -ENOMEM. */
int channel_buffer_reserve(struct channel_buffer *buffer, size_t size_bytes);
/* So many bytes have been written at the tail. */
void channel_buffer_grow(struct channel_buffer *buffer, size_t size_bytes);
/* So many bytes have been used up at the front. */
void channel_buffer_consume(struct channel_buffer *buffer, size_t size_bytes);
