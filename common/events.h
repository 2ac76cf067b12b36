/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Message ids of the journal entries that an administrator acts on. Each has an entry in
 * systemd/qkd-keyring.catalog (a test compares the two).
 */

#define EVENT_DAEMON_STARTED     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e01"
#define EVENT_CONFIG_INVALID     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e02"
#define EVENT_DISK_FAILED        "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e03"
#define EVENT_CONNECTION_REFUSED "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e04"
#define EVENT_RELOADED           "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e05"
#define EVENT_PARAMETER_CHANGED  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e06"
#define EVENT_PEER_UNREACHABLE   "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e08"
#define EVENT_START_FAILED       "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e09"
#define EVENT_DISK_FULL          "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e0a"

/* qkd-linkd: ...1eXX from 10 */
#define EVENT_LINK_STATE         "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e10"
#define EVENT_PEER_CONNECTED     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e11"
#define EVENT_PEER_LOST          "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e12"
#define EVENT_DEVICE_FAILED      "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e13"
#define EVENT_SYNC_VIOLATION     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e14"
#define EVENT_GENERATION_RETIRED "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e15"
#define EVENT_RECOVERED          "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e16"
#define EVENT_BLOCK_DROPPED      "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e17"
#define EVENT_DISTILL_ALARM      "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e18"
#define EVENT_DISTILL_FAILED     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e19"
#define EVENT_KEY_AGREED         "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e1a"

/* qkd-keyringd: ...1eXX from 40 */
#define EVENT_STORE_CHANGED   "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e40"
#define EVENT_KEY_ISSUED      "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e41"
#define EVENT_REQUEST_REFUSED "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e42"
#define EVENT_LOW_WATER       "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e43"
#define EVENT_STORES_DIFFER   "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e44"
#define EVENT_QUOTA_TOO_SMALL "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e45"
#define EVENT_PATH_UP         "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e50"
#define EVENT_PATH_DOWN       "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e51"
#define EVENT_PATH_FAILED     "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e52"
#define EVENT_PATH_UNEQUAL    "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e53"
#define EVENT_DEVICE_ADDED    "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e46"
#define EVENT_DEVICE_REMOVED  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e47"
#define EVENT_KEY_RESERVED    "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e48"
#define EVENT_KEY_DESTROYED   "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e49"
#define EVENT_KEYS_AVAILABLE  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e4a"

/* qkd-xfrmd: ...1eXX from 70 */
#define EVENT_XFRM_SECURED "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e70"
#define EVENT_XFRM_BLOCKED "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e71"
#define EVENT_XFRM_NO_KEY  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e72"
#define EVENT_XFRM_SILENT  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e73"
#define EVENT_XFRM_FAILED  "1f6e8a0d5d0e4a0c9d6a7f0b2f7c1e74"
