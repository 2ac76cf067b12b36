/* SPDX-License-Identifier: MIT */
/* The rekeying datagrams: building, taking apart, proving. */

#include "rekey-message.h"

#include <endian.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define MAGIC       "QKDX"
#define MAGIC_BYTES 4
#define VERSION     1
#define BODY_BYTES  (REKEY_MESSAGE_BYTES - 2 * REKEY_MESSAGE_PROOF_BYTES)

enum offset {
	OFFSET_VERSION = 4,
	OFFSET_TYPE = 5,
	OFFSET_ZERO = 6,
	OFFSET_NAME = 8,
	OFFSET_GENERATION = 48,
	OFFSET_CURRENT = 56,
	OFFSET_SPI = 64,
	OFFSET_NONCE = 68,
	OFFSET_PROOF = 84,
	OFFSET_PROOF_CURRENT = 116,
};

static void put_u64(uint8_t *bytes, uint64_t value)
{
	value = htobe64(value);
	memcpy(bytes, &value, sizeof(value));
}

static uint64_t get_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static void encode_body(const struct rekey_message *m, uint8_t body[static BODY_BYTES])
{
	uint32_t spi = htobe32(m->spi);

	memset(body, 0, BODY_BYTES);
	memcpy(body, MAGIC, MAGIC_BYTES);
	body[OFFSET_VERSION] = VERSION;
	body[OFFSET_TYPE] = (uint8_t)m->type;
	memcpy(body + OFFSET_NAME, m->connection,
	       strnlen(m->connection, sizeof(m->connection) - 1));
	put_u64(body + OFFSET_GENERATION, m->generation);
	put_u64(body + OFFSET_CURRENT, m->current);
	memcpy(body + OFFSET_SPI, &spi, sizeof(spi));
	memcpy(body + OFFSET_NONCE, m->nonce, sizeof(m->nonce));
}

static int prove(const uint8_t *body, const struct secret *control,
		 uint8_t ret[static REKEY_MESSAGE_PROOF_BYTES])
{
	unsigned size = REKEY_MESSAGE_PROOF_BYTES;

	if (!control) {
		memset(ret, 0, REKEY_MESSAGE_PROOF_BYTES);
		return 0;
	}
	return HMAC(EVP_sha256(), control->bytes, (int)control->size_bytes, body, BODY_BYTES, ret,
		    &size)
		       ? 0
		       : -ENOMEM;
}

int rekey_message_encode(const struct rekey_message *message, const struct secret *control,
			 const struct secret *control_current,
			 uint8_t ret_bytes[static REKEY_MESSAGE_BYTES])
{
	uint8_t bytes[REKEY_MESSAGE_BYTES];
	int r;

	encode_body(message, bytes);
	r = prove(bytes, control, bytes + OFFSET_PROOF);
	if (r >= 0)
		r = prove(bytes, control_current, bytes + OFFSET_PROOF_CURRENT);
	if (r >= 0)
		memcpy(ret_bytes, bytes, sizeof(bytes));
	return r;
}

static bool header_is_valid(const uint8_t *bytes)
{
	return memcmp(bytes, MAGIC, MAGIC_BYTES) == 0 && bytes[OFFSET_VERSION] == VERSION &&
	       bytes[OFFSET_TYPE] >= REKEY_OFFER && bytes[OFFSET_TYPE] <= REKEY_WANT &&
	       bytes[OFFSET_ZERO] == 0 && bytes[OFFSET_ZERO + 1] == 0;
}

/* One to 39 characters, nothing after the NUL. */
static bool name_is_valid(const char *name)
{
	size_t length = strnlen(name, REKEY_MESSAGE_NAME_BYTES);

	for (size_t i = length; i < REKEY_MESSAGE_NAME_BYTES; i++)
		if (name[i])
			return false;
	return length > 0 && length < REKEY_MESSAGE_NAME_BYTES;
}

/* WANT has no generation; the two with an SPI have one that ESP can use, the others none. */
static bool numbers_are_valid(const struct rekey_message *m)
{
	bool has_spi = m->type == REKEY_OFFER || m->type == REKEY_ACCEPT;

	if ((m->generation == 0) != (m->type == REKEY_WANT))
		return false;
	return has_spi ? m->spi >= REKEY_SPI_MIN : m->spi == 0;
}

int rekey_message_decode(const uint8_t *bytes, size_t size_bytes, struct rekey_message *ret)
{
	struct rekey_message m = {0};
	uint32_t spi;

	if (size_bytes != REKEY_MESSAGE_BYTES || !header_is_valid(bytes) ||
	    !name_is_valid((const char *)bytes + OFFSET_NAME))
		return -EBADMSG;
	m.type = (enum rekey_message_type)bytes[OFFSET_TYPE];
	memcpy(m.connection, bytes + OFFSET_NAME, sizeof(m.connection));
	m.generation = get_u64(bytes + OFFSET_GENERATION);
	m.current = get_u64(bytes + OFFSET_CURRENT);
	memcpy(&spi, bytes + OFFSET_SPI, sizeof(spi));
	m.spi = be32toh(spi);
	memcpy(m.nonce, bytes + OFFSET_NONCE, sizeof(m.nonce));
	memcpy(m.proof, bytes + OFFSET_PROOF, sizeof(m.proof));
	memcpy(m.proof_current, bytes + OFFSET_PROOF_CURRENT, sizeof(m.proof_current));
	if (!numbers_are_valid(&m))
		return -EBADMSG;
	*ret = m;
	return 0;
}

static bool is_proven(const struct rekey_message *message, const struct secret *control,
		      const uint8_t *proof)
{
	uint8_t body[BODY_BYTES], expected[REKEY_MESSAGE_PROOF_BYTES];

	if (!control)
		return false;
	encode_body(message, body);
	return prove(body, control, expected) == 0 &&
	       CRYPTO_memcmp(expected, proof, sizeof(expected)) == 0;
}

bool rekey_message_is_proven(const struct rekey_message *message, const struct secret *control)
{
	return is_proven(message, control, message->proof);
}

bool rekey_message_is_proven_current(const struct rekey_message *message,
				     const struct secret *control_current)
{
	return is_proven(message, control_current, message->proof_current);
}
