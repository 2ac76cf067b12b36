/* SPDX-License-Identifier: MIT */
/* Checks the keyring quota at start, when an administrator still looks, and not at the last key. */

#include "keyring-quota.h"

#include "common/events.h"
#include "common/log.h"
#include "common/pool.h"

#define SPARE_KEYS         64  /* rings, and what is not ours */
#define KEY_OVERHEAD_BYTES 100 /* description without the peer's name, link, rounding */
#define DEFAULT_KEY_BYTES  32

struct keyring_need keyring_quota_need(size_t peers, size_t name_chars, size_t key_bytes)
{
	uint64_t keys = peers * (uint64_t)(POOL_PEER_CAP_DEFAULT + POOL_UNLINK_BLOCK) + SPARE_KEYS;

	keys = MIN(keys, (uint64_t)POOL_RING_MAX_LINKS + SPARE_KEYS);
	return (struct keyring_need){
		.keys = keys,
		.bytes = keys * (KEY_OVERHEAD_BYTES + name_chars + key_bytes),
	};
}

static struct keyring_need need_of(const struct issuer *issuer)
{
	size_t name_chars = 0, key_bytes = DEFAULT_KEY_BYTES;
	size_t count = issuer_store_count(issuer);
	struct store_status status;

	for (size_t i = 0; i < count; i++) {
		if (issuer_store_status(issuer, i, &status) < 0)
			continue;
		name_chars = MAX(name_chars, strlen(status.peer));
		key_bytes = MAX(key_bytes, (size_t)status.key_bits / 8);
	}
	return keyring_quota_need(count, name_chars, key_bytes);
}

static void log_too_small(const char *setting, uint64_t have, uint64_t need)
{
	log_event(LOG_WARNING, EVENT_QUOTA_TOO_SMALL, NULL,
		  "The keyring quota is too small for the pool of keys: "
		  "raise %s from %llu to %llu (sysctl.d(5))",
		  setting, (unsigned long long)have, (unsigned long long)need);
}

void keyring_quota_check(const struct issuer *issuer)
{
	struct keyring_need need = need_of(issuer);
	bool root = geteuid() == 0;
	struct key_quota quota;
	int r = key_get_quota(geteuid(), &quota);

	if (r < 0) {
		log_debug("cannot read the keyring quota: %s", strerror(-r));
		return;
	}
	if (quota.keys_max < need.keys)
		log_too_small(root ? "kernel.keys.root_maxkeys" : "kernel.keys.maxkeys",
			      quota.keys_max, need.keys);
	if (quota.bytes_max < need.bytes)
		log_too_small(root ? "kernel.keys.root_maxbytes" : "kernel.keys.maxbytes",
			      quota.bytes_max, need.bytes);
}
