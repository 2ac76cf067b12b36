/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether this user's keyring quota is enough for the pool of unissued keys, by the formula of
 * systemd/qkd-keyring.sysctl.
 */

#include "issuer.h"

struct keyring_need {
	uint64_t keys, bytes;
};

/* name_chars: of the longest peer's name; key_bytes: of the largest key. Pure. */
struct keyring_need keyring_quota_need(size_t peers, size_t name_chars, size_t key_bytes);
/* Logs EVENT_QUOTA_TOO_SMALL with what to raise; nothing when all is well. */
void keyring_quota_check(const struct issuer *issuer);
