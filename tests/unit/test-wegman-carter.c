/* SPDX-License-Identifier: MIT */
/* Authentication: honest ends agree, any change is refused, and no pad serves twice. */

#include <criterion/criterion.h>

#include "common/prng.h"
#include "qkd-linkd/distill/wegman-carter.h"

struct ends {
	struct wegman_carter *alice, *bob;
};

static struct ends ends_new(size_t units)
{
	_cleanup_(secret_freep) struct secret *first = NULL;
	struct ends ends;
	struct prng prng;

	prng_init(&prng, units);
	cr_assert_eq(secret_new(WEGMAN_CARTER_KEY_BYTES + units * WEGMAN_CARTER_UNIT_BYTES, &first),
		     0);
	for (size_t i = 0; i < first->size_bytes; i++)
		first->bytes[i] = (uint8_t)prng_next(&prng);
	cr_assert_eq(wegman_carter_new(gf128_kernel(), WEGMAN_CARTER_ALICE, first, &ends.alice), 0);
	cr_assert_eq(wegman_carter_new(&gf128_portable, WEGMAN_CARTER_BOB, first, &ends.bob), 0);
	return ends;
}

static void ends_done(struct ends *ends)
{
	wegman_carter_free(ends->alice);
	wegman_carter_free(ends->bob);
}

static struct wegman_carter_stream stream_of(const struct wegman_carter *wc, const char *text)
{
	struct wegman_carter_stream stream = {};

	wegman_carter_update(wc, &stream, text, strlen(text));
	return stream;
}

/* What bob says to a tag of alice's when he saw other bytes than she. */
static int exchange(struct ends *ends, const char *alice_sent, const char *bob_sent,
		    const char *bob_received, const char *alice_received)
{
	struct wegman_carter_stream sent = stream_of(ends->alice, alice_sent);
	struct wegman_carter_stream received = stream_of(ends->alice, alice_received);
	struct wegman_carter_stream bobs = stream_of(ends->bob, bob_sent);
	struct wegman_carter_stream alices = stream_of(ends->bob, bob_received);
	uint8_t tag[WEGMAN_CARTER_TAG_BYTES];
	uint64_t number;

	cr_assert_eq(wegman_carter_sign(ends->alice, &sent, &received, &number, tag), 0);
	return wegman_carter_check(ends->bob, &bobs, &alices, number, tag);
}

Test(wegman_carter, what_arrived_unchanged_is_accepted_in_both_directions)
{
	struct ends ends = ends_new(3);
	struct wegman_carter_stream sent, received;
	uint8_t tag[WEGMAN_CARTER_TAG_BYTES];
	uint64_t number;

	cr_expect_eq(exchange(&ends, "from alice", "from bob", "from alice", "from bob"), 0);
	cr_expect_eq(exchange(&ends, "", "", "", ""), 0);
	sent = stream_of(ends.bob, "b");
	received = stream_of(ends.bob, "a");
	cr_assert_eq(wegman_carter_sign(ends.bob, &sent, &received, &number, tag), 0);
	cr_expect_eq(wegman_carter_check(ends.alice, &received, &sent, number, tag), 0);
	ends_done(&ends);
}

Test(wegman_carter, pieces_of_any_size_hash_like_the_whole)
{
	struct ends ends = ends_new(1);
	uint8_t bytes[100];
	struct wegman_carter_stream whole = {};

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 37);
	wegman_carter_update(ends.alice, &whole, bytes, sizeof(bytes));
	for (size_t piece = 1; piece < 40; piece++) {
		struct wegman_carter_stream pieces = {};

		for (size_t at = 0; at < sizeof(bytes); at += piece)
			wegman_carter_update(ends.alice, &pieces, bytes + at,
					     MIN(piece, sizeof(bytes) - at));
		cr_expect(pieces.state.low == whole.state.low &&
				  pieces.state.high == whole.state.high &&
				  pieces.size_bytes == whole.size_bytes &&
				  pieces.block_count == whole.block_count,
			  "pieces of %zu", piece);
	}
	ends_done(&ends);
}

Test(wegman_carter, any_change_of_what_was_said_is_refused)
{
	static const struct {
		const char *alice_sent, *bob_sent, *bob_received, *alice_received;
	} changed[] = {
		{"abcd", "x", "abce", "x"}, /* a letter */
		{"abcd", "x", "abc", "x"},  /* cut */
		{"abcd", "x", "abcd", "y"}, /* the other direction */
		{"abcd", "x", "x", "abcd"}, /* directions swapped */
		{"ab", "cd", "abc", "d"},   /* a border moved */
		{"", "a", "", ""},          /* dropped */
		{"0123456789abcdef", "", "0123456789abcdef0123456789abcdef", ""}, /* repeated */
		{"0123456789abcdefFEDCBA9876543210", "", "FEDCBA98765432100123456789abcdef", ""},
	};

	for (size_t i = 0; i < ELEMENTSOF(changed); i++) {
		struct ends ends = ends_new(2);

		cr_expect_eq(exchange(&ends, changed[i].alice_sent, changed[i].bob_sent,
				      changed[i].bob_received, changed[i].alice_received),
			     -EKEYREJECTED, "row %zu", i);
		cr_expect(wegman_carter_has_failed(ends.bob));
		ends_done(&ends);
	}
}

Test(wegman_carter, nothing_is_accepted_after_a_failure)
{
	struct ends ends = ends_new(4);

	cr_expect_eq(exchange(&ends, "a", "b", "z", "b"), -EKEYREJECTED);
	cr_expect_eq(exchange(&ends, "a", "b", "a", "b"), -EKEYREJECTED);
	ends_done(&ends);
}

Test(wegman_carter, a_tag_serves_once_in_its_order_and_direction)
{
	struct ends ends = ends_new(4);
	struct wegman_carter_stream a = stream_of(ends.alice, "a"), b = stream_of(ends.alice, "b");
	uint8_t first[WEGMAN_CARTER_TAG_BYTES], second[WEGMAN_CARTER_TAG_BYTES];
	uint64_t number;

	cr_assert_eq(wegman_carter_sign(ends.alice, &a, &b, &number, first), 0);
	cr_expect_eq(number, 0);
	cr_assert_eq(wegman_carter_sign(ends.alice, &a, &b, &number, second), 0);
	cr_expect_eq(number, 1);
	cr_expect_neq(memcmp(first, second, sizeof(first)), 0);
	cr_expect_eq(wegman_carter_check(ends.bob, &b, &a, 0, first), 0);
	cr_expect_eq(wegman_carter_check(ends.bob, &b, &a, 0, first), -EKEYREJECTED); /* replay */
	ends_done(&ends);

	ends = ends_new(4);
	cr_assert_eq(wegman_carter_sign(ends.alice, &a, &b, &number, first), 0);
	cr_assert_eq(wegman_carter_sign(ends.alice, &a, &b, &number, second), 0);
	cr_expect_eq(wegman_carter_check(ends.bob, &b, &a, 1, second), -EKEYREJECTED); /* skipped */
	ends_done(&ends);

	ends = ends_new(4);
	cr_assert_eq(wegman_carter_sign(ends.alice, &a, &b, &number, first), 0);
	/* Alice's own tag sent back to her. */
	cr_expect_eq(wegman_carter_check(ends.alice, &a, &b, 0, first), -EKEYREJECTED);
	ends_done(&ends);
}

Test(wegman_carter, pads_run_out_and_distilled_key_replenishes_them)
{
	struct ends ends = ends_new(1);
	uint8_t unit[WEGMAN_CARTER_UNIT_BYTES], tag[WEGMAN_CARTER_TAG_BYTES];
	struct wegman_carter_stream empty = {};
	uint64_t number;

	cr_expect_eq(wegman_carter_send_left(ends.alice), 1);
	cr_expect_eq(exchange(&ends, "a", "b", "a", "b"), 0);
	cr_expect_eq(wegman_carter_send_left(ends.alice), 0);
	cr_expect_eq(wegman_carter_receive_left(ends.bob), 0);
	cr_expect_eq(wegman_carter_sign(ends.alice, &empty, &empty, &number, tag), -ENOKEY);
	memset(unit, 0x5a, sizeof(unit));
	cr_assert_eq(wegman_carter_add_unit(ends.alice, unit), 0);
	cr_assert_eq(wegman_carter_add_unit(ends.bob, unit), 0);
	cr_expect_eq(exchange(&ends, "a", "b", "a", "b"), 0);
	/* The ring of units: the oldest have been used in one direction only. */
	for (size_t i = 0; i < WEGMAN_CARTER_MAX_UNITS - 2; i++)
		cr_assert_eq(wegman_carter_add_unit(ends.alice, unit), 0);
	cr_expect_eq(wegman_carter_add_unit(ends.alice, unit), -ENOSPC);
	ends_done(&ends);
}

Test(wegman_carter, a_first_secret_without_a_pad_is_refused)
{
	_cleanup_(secret_freep) struct secret *little = NULL;
	struct wegman_carter *wc;

	cr_assert_eq(secret_new(WEGMAN_CARTER_KEY_BYTES + WEGMAN_CARTER_UNIT_BYTES - 1, &little),
		     0);
	cr_expect_eq(wegman_carter_new(gf128_kernel(), WEGMAN_CARTER_ALICE, little, &wc), -EINVAL);
}

Test(wegman_carter, a_saved_state_goes_on_behind_its_margin)
{
	struct ends ends = ends_new(5);
	_cleanup_(secret_freep) struct secret *a = NULL, *b = NULL;
	struct wegman_carter_position position;

	cr_expect_eq(exchange(&ends, "a", "b", "a", "b"), 0);
	cr_assert_eq(wegman_carter_save(ends.alice, 1, &a), 0);
	cr_assert_eq(wegman_carter_save(ends.bob, 0, &b), 0);
	ends_done(&ends);
	cr_assert_eq(wegman_carter_load(gf128_kernel(), WEGMAN_CARTER_ALICE, a, &ends.alice), 0);
	cr_assert_eq(wegman_carter_load(gf128_kernel(), WEGMAN_CARTER_BOB, b, &ends.bob), 0);
	cr_expect_eq(wegman_carter_send_left(ends.alice), 3);
	wegman_carter_position(ends.alice, &position);
	cr_assert_eq(wegman_carter_resume(ends.bob, &position), 0);
	wegman_carter_position(ends.bob, &position);
	cr_assert_eq(wegman_carter_resume(ends.alice, &position), 0);
	cr_expect_eq(exchange(&ends, "a", "b", "a", "b"), 0);
	cr_expect_eq(wegman_carter_send_left(ends.alice), 2);
	ends_done(&ends);
}

Test(wegman_carter, units_that_one_end_alone_has_are_forgotten)
{
	struct ends ends = ends_new(2);
	uint8_t unit[WEGMAN_CARTER_UNIT_BYTES] = {1};
	struct wegman_carter_position a, b;

	cr_assert_eq(wegman_carter_add_unit(ends.bob, unit), 0);
	wegman_carter_position(ends.alice, &a);
	wegman_carter_position(ends.bob, &b);
	cr_assert_eq(wegman_carter_resume(ends.bob, &a), 0);
	cr_assert_eq(wegman_carter_resume(ends.alice, &b), 0);
	cr_expect_eq(wegman_carter_send_left(ends.bob), 2);
	a.next[0] = a.end;
	cr_expect_eq(wegman_carter_resume(ends.bob, &a), -ESTALE);
	ends_done(&ends);
}

Test(wegman_carter, what_is_no_saved_state_is_refused)
{
	struct ends ends = ends_new(2);
	_cleanup_(secret_freep) struct secret *saved = NULL, *cut = NULL;
	struct wegman_carter *wc;

	cr_assert_eq(wegman_carter_save(ends.alice, 0, &saved), 0);
	cr_assert_eq(secret_new_copy(saved->bytes, saved->size_bytes - 1, &cut), 0);
	cr_expect_eq(wegman_carter_load(gf128_kernel(), WEGMAN_CARTER_ALICE, cut, &wc), -EBADMSG);
	saved->bytes[8] = 3; /* more used than there are */
	cr_expect_eq(wegman_carter_load(gf128_kernel(), WEGMAN_CARTER_ALICE, saved, &wc), -EBADMSG);
	saved->bytes[0] = 0;
	cr_expect_eq(wegman_carter_load(gf128_kernel(), WEGMAN_CARTER_ALICE, saved, &wc), -EBADMSG);
	ends_done(&ends);
}
