/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the upcall helper and keyringd say to each other: one SOCK_SEQPACKET packet each way, then
 * one that reports the delivery. Fixed layout, native byte order (same machine), no pointers. The
 * helper includes this header and nothing else of the project's.
 */

#include <stdint.h>

#define UPCALL_DIRECTORY       "/run/qkd/upcall" /* UPCALL_DIRECTORY/SITE/socket */
#define UPCALL_DEFAULT_SITE    "_"               /* descriptions that name no site */
#define UPCALL_MAGIC           0x51554b31u       /* "1KUQ" */
#define UPCALL_DESCRIPTION_MAX 256
#define UPCALL_CALLOUT_MAX     256
#define UPCALL_KEY_MAX         512
#define UPCALL_WAIT_MAX_SEC    5
#define UPCALL_NEGATIVE_SEC    2 /* how long a rejection is cached */

struct upcall_request {
	uint32_t magic;
	uint32_t requester_uid, requester_gid;
	int32_t requester_tid; /* 0: not asked for */
	int32_t key_serial;
	char type[16]; /* "user" or "logon" */
	char description[UPCALL_DESCRIPTION_MAX];
	char callout[UPCALL_CALLOUT_MAX];
};

struct upcall_reply {
	uint32_t magic;
	uint32_t error; /* 0, else the errno that the requester is to see */
	uint32_t permission;
	uint32_t timeout_sec; /* 0: none */
	uint32_t key_bytes;
	uint8_t key[UPCALL_KEY_MAX];
};

struct upcall_report {
	uint32_t magic;
	uint32_t delivered; /* 1: instantiated; 0: not */
	uint32_t error;
};
