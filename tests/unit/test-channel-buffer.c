// SPDX-License-Identifier: MIT
#include <criterion/criterion.h>

#include "common/channel-buffer.h"

#define BASE_BYTES 64

static struct channel_buffer buffer;

static void begin(void)
{
	channel_buffer_init(&buffer, BASE_BYTES);
}

static void end(void)
{
	channel_buffer_done(&buffer);
}

TestSuite(channel_buffer, .init = begin, .fini = end);

static void put(const char *text)
{
	cr_assert_eq(channel_buffer_reserve(&buffer, strlen(text)), 0);
	memcpy(channel_buffer_tail(&buffer), text, strlen(text));
	channel_buffer_grow(&buffer, strlen(text));
}

Test(channel_buffer, it_holds_no_memory_until_it_is_used)
{
	cr_assert_null(buffer.memory);
	cr_assert_eq(channel_buffer_size(&buffer), 0u);
	cr_assert_eq(channel_buffer_room(&buffer), 0u);
}

Test(channel_buffer, bytes_come_out_in_order_whatever_the_sizes)
{
	uint8_t next_in = 0, next_out = 0;

	for (size_t i = 0; i < 2000; i++) {
		size_t in = i * 7 % 50, out;

		cr_assert_eq(channel_buffer_reserve(&buffer, in), 0);
		for (size_t j = 0; j < in; j++)
			channel_buffer_tail(&buffer)[j] = next_in++;
		channel_buffer_grow(&buffer, in);
		out = MIN(i * 11 % 47, channel_buffer_size(&buffer));
		for (size_t j = 0; j < out; j++)
			cr_assert_eq(channel_buffer_bytes(&buffer)[j], next_out++);
		channel_buffer_consume(&buffer, out);
	}
}

Test(channel_buffer, what_is_taken_out_is_wiped)
{
	put("secret");
	put("tail");
	channel_buffer_consume(&buffer, 6);
	cr_assert_eq(memcmp(buffer.memory->bytes, "\0\0\0\0\0\0tail", 10), 0);
	channel_buffer_consume(&buffer, 4);
	cr_assert_null(memmem(buffer.memory->bytes, BASE_BYTES, "tail", 4));
}

Test(channel_buffer, moving_to_the_front_leaves_no_copy_behind)
{
	for (int i = 0; i < 15; i++)
		put("....");
	put("key!");
	channel_buffer_consume(&buffer, 60);
	cr_assert_eq(channel_buffer_reserve(&buffer, 20), 0);
	cr_assert_eq(buffer.memory->size_bytes, (size_t)BASE_BYTES, "no need to grow");
	cr_assert_eq(memcmp(channel_buffer_bytes(&buffer), "key!", 4), 0);
	cr_assert_null(memmem(buffer.memory->bytes + 4, BASE_BYTES - 4, "key!", 4));
}

Test(channel_buffer, it_shrinks_when_it_is_empty_again)
{
	cr_assert_eq(channel_buffer_reserve(&buffer, 10 * BASE_BYTES), 0);
	cr_assert_geq(channel_buffer_room(&buffer), (size_t)(10 * BASE_BYTES));
	channel_buffer_grow(&buffer, 10 * BASE_BYTES);
	channel_buffer_consume(&buffer, 10 * BASE_BYTES);
	cr_assert_null(buffer.memory);
	put("again");
	cr_assert_eq(buffer.memory->size_bytes, (size_t)BASE_BYTES);
}

Test(channel_buffer, more_than_secret_memory_holds_is_refused_and_changes_nothing)
{
	put("kept");
	cr_assert_lt(channel_buffer_reserve(&buffer, SECRET_MAX_BYTES), 0);
	cr_assert_eq(memcmp(channel_buffer_bytes(&buffer), "kept", 4), 0);
}
