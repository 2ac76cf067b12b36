/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The messages of ETSI GS QKD 014 V1.1.1, pure: requests are built, answers are verified, nothing
 * is sent. Everything in an answer is taken for hostile. Sections cited are the standard's.
 */

#include "drivers/driver.h"
#include "drivers/recent-set.h"

#define ETSI014_SAE_MAX_CHARS   256
#define ETSI014_WHAT_CHARS      256
#define ETSI014_URL_MAX_CHARS   2048
#define ETSI014_QUOTE_MAX_CHARS 120 /* of a KME's own words in a sentence of ours */

enum etsi014_call {
	ETSI014_STATUS,   /* section 5.1 */
	ETSI014_ENC_KEYS, /* section 5.2 */
	ETSI014_DEC_KEYS, /* section 5.3 */
};

/* "https://HOST[:PORT]PREFIX/api/v1/keys/SAE/CALL"; the SAE id is %-encoded. prefix may be "" or
 * end in '/'. port 0: none. -ENAMETOOLONG. */
int etsi014_build_url(const char *host, uint16_t port, const char *prefix, const char *sae,
		      enum etsi014_call call, char **ret);
/* Section 6.2, Key request. */
int etsi014_build_enc_keys(size_t count, uint32_t key_bits, char **ret);
/* Section 6.4, Key IDs. */
int etsi014_build_dec_keys(const struct uuid *ids, size_t count, char **ret);

/* Section 6.1. What is absent is 0 or empty: real KMEs leave out what they do not know. */
struct etsi014_status {
	char master_sae[ETSI014_SAE_MAX_CHARS + 1], slave_sae[ETSI014_SAE_MAX_CHARS + 1];
	uint32_t key_bits, min_key_bits, max_key_bits, max_key_per_request;
	uint64_t stored_key_count, max_key_count;
};
/* -EPROTO with a sentence in ret_what; so do the others below. */
int etsi014_verify_status(const void *text, size_t size_bytes, struct etsi014_status *ret,
			  char ret_what[static ETSI014_WHAT_CHARS]);

struct etsi014_expected {
	const struct uuid *ids; /* NULL: fresh keys */
	size_t count, key_bytes;
	struct recent_set *seen; /* ids and keys given before; what is accepted is added */
};
/*
 * Section 6.3, Key container. Fresh keys: at most count of them; each that fails a check is left
 * out as if it had not come, and ret_what then says how many and why (else it is empty); -EPROTO
 * when keys came and none is left, -EAGAIN for an empty container. By id: exactly the expected ones
 * in their order; -ENOKEY when one is missing, -EPROTO when one fails a check.
 */
int etsi014_verify_keys(const void *text, size_t size_bytes,
			const struct etsi014_expected *expected, struct key_batch **ret,
			char ret_what[static ETSI014_WHAT_CHARS]);

/* What an HTTP status other than 200 means for a call: the result for its caller, and whether the
 * session is over. text may be NULL; it may hold an Error (section 6.5), or anything. */
struct etsi014_refusal {
	int result;
	bool ends;
	enum device_end end;
	char what[ETSI014_WHAT_CHARS];
};
void etsi014_verify_refusal(enum etsi014_call call, long http_status, const void *text,
			    size_t size_bytes, struct etsi014_refusal *ret);
