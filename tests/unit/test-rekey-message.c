/* SPDX-License-Identifier: MIT */
/* Rekeying datagrams: what is sent is what is read, and a proof covers all of it. */

#include <criterion/criterion.h>

#include "keyring-helpers/qkd-xfrmd/rekey-message.h"

static const struct rekey_message offer = {
	.type = REKEY_OFFER,
	.connection = "office",
	.generation = 0x0123456789abcdef,
	.current = 7,
	.spi = 0xc0ffee01,
	.nonce = {1, 2, 3},
};

static struct secret *key_of(uint8_t byte)
{
	struct secret *key;

	cr_assert_eq(secret_new(SA_DERIVE_CONTROL_BYTES, &key), 0);
	memset(key->bytes, byte, key->size_bytes);
	return key;
}

Test(rekey_message, arrives_as_it_was_sent)
{
	_cleanup_(secret_freep) struct secret *one = key_of(1), *two = key_of(2);
	uint8_t bytes[REKEY_MESSAGE_BYTES];
	struct rekey_message got;

	cr_assert_eq(rekey_message_encode(&offer, one, two, bytes), 0);
	cr_assert_eq(rekey_message_decode(bytes, sizeof(bytes), &got), 0);
	cr_assert_eq(got.type, REKEY_OFFER);
	cr_assert_str_eq(got.connection, "office");
	cr_assert_eq(got.generation, offer.generation);
	cr_assert_eq(got.current, 7);
	cr_assert_eq(got.spi, offer.spi);
	cr_assert_arr_eq(got.nonce, offer.nonce, sizeof(got.nonce));
	cr_assert(rekey_message_is_proven(&got, one));
	cr_assert(rekey_message_is_proven_current(&got, two));
	cr_assert_not(rekey_message_is_proven(&got, two));
	cr_assert_not(rekey_message_is_proven_current(&got, one));
}

Test(rekey_message, without_a_key_proves_nothing)
{
	_cleanup_(secret_freep) struct secret *one = key_of(1);
	uint8_t bytes[REKEY_MESSAGE_BYTES];
	struct rekey_message got;

	cr_assert_eq(rekey_message_encode(&offer, NULL, NULL, bytes), 0);
	cr_assert_eq(rekey_message_decode(bytes, sizeof(bytes), &got), 0);
	cr_assert_not(rekey_message_is_proven(&got, one));
	cr_assert_not(rekey_message_is_proven(&got, NULL));
}

Test(rekey_message, proves_every_byte)
{
	_cleanup_(secret_freep) struct secret *one = key_of(1);
	uint8_t bytes[REKEY_MESSAGE_BYTES], changed[REKEY_MESSAGE_BYTES];
	struct rekey_message got;

	cr_assert_eq(rekey_message_encode(&offer, one, one, bytes), 0);
	for (size_t bit = 0; bit < 8 * sizeof(bytes); bit++) {
		memcpy(changed, bytes, sizeof(bytes));
		changed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (rekey_message_decode(changed, sizeof(changed), &got) < 0)
			continue;
		cr_assert_not(rekey_message_is_proven(&got, one) &&
				      rekey_message_is_proven_current(&got, one),
			      "bit %zu", bit);
	}
}

Test(rekey_message, of_another_shape_is_refused)
{
	static const struct {
		size_t offset;
		uint8_t value;
		const char *what;
	} wrong[] = {
		{0, 'q', "magic"},
		{4, 2, "version"},
		{5, 0, "type"},
		{5, 6, "type"},
		{6, 1, "zero"},
		{7, 1, "zero"},
		{8, 0, "no name"},
		{47, 'x', "after the name"},
		{5, 5, "WANT with a generation"},
		{5, 3, "CONFIRM with an SPI"},
	};
	uint8_t bytes[REKEY_MESSAGE_BYTES + 1] = {0}, changed[REKEY_MESSAGE_BYTES];
	struct rekey_message got;

	cr_assert_eq(rekey_message_encode(&offer, NULL, NULL, bytes), 0);
	cr_assert_eq(rekey_message_decode(bytes, sizeof(bytes), &got), -EBADMSG);
	cr_assert_eq(rekey_message_decode(bytes, sizeof(bytes) - 2, &got), -EBADMSG);
	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		memcpy(changed, bytes, sizeof(changed));
		changed[wrong[i].offset] = wrong[i].value;
		cr_assert_eq(rekey_message_decode(changed, sizeof(changed), &got), -EBADMSG, "%s",
			     wrong[i].what);
	}
	memcpy(changed, bytes, sizeof(changed));
	memset(changed + 64, 0, 4);
	cr_assert_eq(rekey_message_decode(changed, sizeof(changed), &got), -EBADMSG, "SPI 0");
}
