/* SPDX-License-Identifier: MIT */
/*
 * Derives ids and keys of a simulated pair from its seed, with AES-256 as the keyed function: with
 * the processor's help this is some millions of keys a second, so the simulator is never what a
 * benchmark measures.
 *
 *   id  = serial (60 bits) | tag (62 bits)         laid out as a UUID of version 4
 *   tag = AES(K_tag, serial | side of its maker)
 *   key = AES(K_key, T ^ 0) | AES(K_key, T ^ 1) | ...   with T = AES(K_mask, id)
 */

#include "drivers/sim-source.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "common/encoding.h"

#define BLOCK_BYTES  16
#define KEY_BLOCKS   (DEVICE_KEY_BITS_MAX / 8 / BLOCK_BYTES)
#define SERIAL_MASK  ((UINT64_C(1) << 60) - 1)
#define SERIAL_BYTES 8

struct sim_source {
	EVP_CIPHER_CTX *tag, *mask, *key, *draw;
	struct secret *scratch; /* one key in whole blocks, in and out */
	enum device_side side;
	size_t key_bytes;
	uint64_t next_serial, next_draw;
};

/* One AES-256 context whose key is HMAC-SHA256(seed, purpose). */
static int cipher_new(const struct secret *seed, const char *purpose, EVP_CIPHER_CTX **ret)
{
	uint8_t key[32];
	EVP_CIPHER_CTX *cipher;
	bool ok;

	if (!HMAC(EVP_sha256(), seed->bytes, (int)seed->size_bytes, (const uint8_t *)purpose,
		  strlen(purpose), key, NULL))
		return -ENOMEM;
	cipher = EVP_CIPHER_CTX_new();
	ok = cipher && EVP_EncryptInit_ex(cipher, EVP_aes_256_ecb(), NULL, key, NULL) == 1 &&
	     EVP_CIPHER_CTX_set_padding(cipher, 0) == 1;
	secret_wipe(key, sizeof(key));
	if (!ok) {
		EVP_CIPHER_CTX_free(cipher);
		return -ENOMEM;
	}
	*ret = cipher;
	return 0;
}

static int encrypt(EVP_CIPHER_CTX *cipher, const uint8_t *in, size_t blocks, uint8_t *ret_out)
{
	int written;

	if (EVP_EncryptUpdate(cipher, ret_out, &written, in, (int)(blocks * BLOCK_BYTES)) != 1)
		return -EIO;
	return 0;
}

static int read_seed(const char *hex, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *seed = NULL;
	size_t digits = strlen(hex);
	int r;

	if (digits % 2 != 0 || digits < 2 * SIM_SEED_MIN_BYTES || digits > 2 * SIM_SEED_MAX_BYTES)
		return -EINVAL;
	r = secret_new(digits / 2, &seed);
	if (r < 0)
		return r;
	if (hex_decode(hex, digits / 2, seed->bytes) < 0)
		return -EINVAL;
	*ret = TAKE_PTR(seed);
	return 0;
}

static int make_ciphers(struct sim_source *source, const struct secret *seed)
{
	int r;

	r = cipher_new(seed, "qkd sim tag", &source->tag);
	if (r >= 0)
		r = cipher_new(seed, "qkd sim mask", &source->mask);
	if (r >= 0)
		r = cipher_new(seed, "qkd sim key", &source->key);
	if (r >= 0)
		r = cipher_new(seed,
			       source->side == DEVICE_SIDE_ALICE ? "qkd sim faults alice"
								 : "qkd sim faults bob",
			       &source->draw);
	return r;
}

int sim_source_new(const char *seed_hex, enum device_side side, size_t key_bytes,
		   struct sim_source **ret)
{
	_cleanup_(sim_source_freep) struct sim_source *source = calloc(1, sizeof(*source));
	_cleanup_(secret_freep) struct secret *seed = NULL;
	int r;

	if (!source)
		return -ENOMEM;
	r = read_seed(seed_hex, &seed);
	if (r < 0)
		return r;
	source->side = side;
	source->key_bytes = key_bytes;
	r = make_ciphers(source, seed);
	if (r < 0)
		return r;
	r = secret_new(2 * KEY_BLOCKS * BLOCK_BYTES, &source->scratch);
	if (r < 0)
		return r;
	if (getrandom(&source->next_serial, sizeof(source->next_serial), 0) < 0)
		return -errno;
	*ret = TAKE_PTR(source);
	return 0;
}

struct sim_source *sim_source_free(struct sim_source *source)
{
	if (!source)
		return NULL;
	EVP_CIPHER_CTX_free(source->tag);
	EVP_CIPHER_CTX_free(source->mask);
	EVP_CIPHER_CTX_free(source->key);
	EVP_CIPHER_CTX_free(source->draw);
	secret_free(source->scratch);
	free(source);
	return NULL;
}

static void put_serial(uint64_t serial, uint8_t bytes[static SERIAL_BYTES])
{
	for (size_t i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(serial >> (52 - 8 * i));
	bytes[6] = 0x40 | ((serial >> 8) & 0x0f); /* version 4 */
	bytes[7] = (uint8_t)serial;
}

static uint64_t get_serial(const uint8_t bytes[static SERIAL_BYTES])
{
	uint64_t serial = 0;

	for (size_t i = 0; i < 6; i++)
		serial = serial << 8 | bytes[i];
	return serial << 12 | (uint64_t)(bytes[6] & 0x0f) << 8 | bytes[7];
}

static int make_id(struct sim_source *source, uint64_t serial, enum device_side maker,
		   struct uuid *ret)
{
	uint8_t block[BLOCK_BYTES] = {}, tag[BLOCK_BYTES];
	int r;

	put_serial(serial, block);
	block[SERIAL_BYTES] = (uint8_t)maker;
	r = encrypt(source->tag, block, 1, tag);
	if (r < 0)
		return r;
	memcpy(ret->bytes, block, SERIAL_BYTES);
	memcpy(ret->bytes + SERIAL_BYTES, tag, sizeof(ret->bytes) - SERIAL_BYTES);
	ret->bytes[SERIAL_BYTES] = 0x80 | (ret->bytes[SERIAL_BYTES] & 0x3f); /* variant */
	return 0;
}

int sim_source_make_ids(struct sim_source *source, struct uuid *ret_ids, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int r = make_id(source, source->next_serial & SERIAL_MASK, source->side,
				&ret_ids[i]);

		if (r < 0)
			return r;
		source->next_serial++;
	}
	return 0;
}

int sim_source_check_id(struct sim_source *source, const struct uuid *id, uint64_t *ret_serial)
{
	enum device_side maker = source->side == DEVICE_SIDE_ALICE ? DEVICE_SIDE_BOB
								   : DEVICE_SIDE_ALICE;
	uint64_t serial = get_serial(id->bytes);
	struct uuid genuine;
	int r;

	r = make_id(source, serial, maker, &genuine);
	if (r < 0)
		return r;
	if (CRYPTO_memcmp(&genuine, id, sizeof(genuine)) != 0)
		return -ENOKEY;
	*ret_serial = serial;
	return 0;
}

int sim_source_derive(struct sim_source *source, const struct uuid *id, uint8_t *ret_key)
{
	size_t blocks = (source->key_bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
	uint8_t *in = source->scratch->bytes, *out = in + KEY_BLOCKS * BLOCK_BYTES;
	int r;

	r = encrypt(source->mask, id->bytes, 1, in);
	if (r < 0)
		return r;
	for (size_t i = blocks; i-- > 0;) {
		memmove(in + i * BLOCK_BYTES, in, BLOCK_BYTES);
		in[i * BLOCK_BYTES] ^= (uint8_t)i;
	}
	r = encrypt(source->key, in, blocks, out);
	if (r < 0)
		return r;
	memcpy(ret_key, out, source->key_bytes);
	return 0;
}

double sim_source_draw(struct sim_source *source)
{
	uint8_t block[BLOCK_BYTES] = {}, out[BLOCK_BYTES] = {};
	uint64_t number;

	memcpy(block, &source->next_draw, sizeof(source->next_draw));
	source->next_draw++;
	if (encrypt(source->draw, block, 1, out) < 0)
		return 0;
	memcpy(&number, out, sizeof(number));
	return (double)(number >> 11) / (double)(UINT64_C(1) << 53);
}
