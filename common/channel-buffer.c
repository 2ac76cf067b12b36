// SPDX-License-Identifier: MIT
/*
 * The queue of bytes of a channel. It is one stretch of memory, so that a frame can be parsed and a
 * TLS record be cut where they lie, without another copy of what may be a key.
 */

#include <assert.h>

#include "common/channel-buffer.h"

void channel_buffer_init(struct channel_buffer *buffer, size_t base_bytes)
{
	*buffer = (struct channel_buffer){.base_bytes = base_bytes};
}

void channel_buffer_done(struct channel_buffer *buffer)
{
	buffer->memory = secret_free(buffer->memory);
	buffer->start = buffer->end = 0;
}

static void move_to_front(struct channel_buffer *buffer)
{
	size_t size_bytes = channel_buffer_size(buffer);
	uint8_t *bytes = buffer->memory->bytes;

	memmove(bytes, bytes + buffer->start, size_bytes);
	secret_wipe(bytes + size_bytes, buffer->start);
	buffer->start = 0;
	buffer->end = size_bytes;
}

static int move_to_larger(struct channel_buffer *buffer, size_t needed_bytes)
{
	size_t size_bytes = channel_buffer_size(buffer), capacity = buffer->base_bytes;
	struct secret *memory;
	int r;

	while (capacity < needed_bytes)
		capacity *= 2;
	r = secret_new(capacity, &memory);
	if (r < 0)
		return r;
	if (size_bytes)
		memcpy(memory->bytes, channel_buffer_bytes(buffer), size_bytes);
	secret_free(buffer->memory);
	buffer->memory = memory;
	buffer->start = 0;
	buffer->end = size_bytes;
	return 0;
}

int channel_buffer_reserve(struct channel_buffer *buffer, size_t size_bytes)
{
	size_t needed_bytes = channel_buffer_size(buffer) + size_bytes;

	if (channel_buffer_room(buffer) >= size_bytes)
		return 0;
	/* Moving is worth it only while little is queued; else the same bytes move again and again.
	 */
	if (buffer->memory && needed_bytes <= buffer->memory->size_bytes / 2) {
		move_to_front(buffer);
		return 0;
	}
	return move_to_larger(buffer, needed_bytes);
}

void channel_buffer_grow(struct channel_buffer *buffer, size_t size_bytes)
{
	assert(size_bytes <= channel_buffer_room(buffer));
	buffer->end += size_bytes;
}

void channel_buffer_consume(struct channel_buffer *buffer, size_t size_bytes)
{
	assert(size_bytes <= channel_buffer_size(buffer));
	if (size_bytes == 0)
		return;
	secret_wipe(channel_buffer_bytes(buffer), size_bytes);
	buffer->start += size_bytes;
	if (buffer->start < buffer->end)
		return;
	buffer->start = buffer->end = 0;
	if (buffer->memory->size_bytes > buffer->base_bytes)
		buffer->memory = secret_free(buffer->memory);
}
