/* SPDX-License-Identifier: MIT */
/* Rekeying datagrams: no bytes may crash the reader, and what is accepted is written the same. */

#include "keyring-helpers/qkd-xfrmd/rekey-message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t again[REKEY_MESSAGE_BYTES];
	struct rekey_message message;

	if (rekey_message_decode(data, size, &message) < 0)
		return 0;
	if (rekey_message_encode(&message, NULL, NULL, again) < 0)
		return 0;
	if (memcmp(data, again, REKEY_MESSAGE_BYTES - 2 * REKEY_MESSAGE_PROOF_BYTES) != 0)
		abort();
	return 0;
}
