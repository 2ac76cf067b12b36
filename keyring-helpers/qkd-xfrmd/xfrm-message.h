/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Netlink messages of the kernel's IPsec (NETLINK_XFRM): built into memory of the caller's, because
 * one of them holds a key, and taken apart. libnl-xfrm would copy keys into memory that nobody
 * wipes, so only libnl's own layer is used, and that for what has no key in it.
 */

#include <linux/xfrm.h>

#include "common/secret.h"
#include "ip-prefix.h"

struct nlmsghdr;

#define XFRM_MESSAGE_MAX_BYTES 1024 /* of one that we build */

struct xfrm_sa {
	struct ip_address source, destination;
	uint32_t spi, reqid;
	bool tunnel;
	uint64_t soft_sec, hard_sec, soft_bytes, hard_bytes; /* 0: no limit */
};

enum xfrm_direction {
	XFRM_DIRECTION_IN = XFRM_POLICY_IN,
	XFRM_DIRECTION_OUT = XFRM_POLICY_OUT,
	XFRM_DIRECTION_FORWARD = XFRM_POLICY_FWD,
};

struct xfrm_policy_rule {
	enum xfrm_direction direction;
	struct ip_prefix source, destination;
	uint8_t protocol; /* 0: any */
	uint16_t source_port,
		destination_port; /* 0: any; the type of an ICMP message is a source_port */
	uint32_t priority;
	uint32_t index; /* of a new one, if it is free; 0: the kernel's choice */
	bool clear;     /* as it is; else what a packet must have gone through */
	struct ip_address outer_source, outer_destination;
	uint32_t reqid;
	bool tunnel;
};

/* The length, or -ENOBUFS. Every request asks for an acknowledgement; dumps are answered with a
 * multipart message. */
int xfrm_message_new_sa(const struct xfrm_sa *sa, const struct secret *key, uint32_t sequence,
			uint8_t *bytes, size_t size_bytes);
int xfrm_message_delete_sa(const struct xfrm_sa *sa, uint32_t sequence, uint8_t *bytes,
			   size_t size_bytes);
/* Replaces one with the same selector and direction, without a moment between. */
int xfrm_message_set_policy(const struct xfrm_policy_rule *rule, uint32_t sequence, uint8_t *bytes,
			    size_t size_bytes);
int xfrm_message_delete_policy(const struct xfrm_userpolicy_id *id, uint32_t sequence,
			       uint8_t *bytes, size_t size_bytes);
/* By direction and index. */
int xfrm_message_get_policy(const struct xfrm_userpolicy_id *id, uint32_t sequence, uint8_t *bytes,
			    size_t size_bytes);
/* Whether id, from a dump, is what that rule was made with. */
bool xfrm_message_names_policy(const struct xfrm_userpolicy_id *id,
			       const struct xfrm_policy_rule *rule);
int xfrm_message_dump(bool policies, uint32_t sequence, uint8_t *bytes, size_t size_bytes);

enum xfrm_report_type {
	XFRM_REPORT_SA,
	XFRM_REPORT_POLICY,
	XFRM_REPORT_ACQUIRE,
	XFRM_REPORT_EXPIRE,
	XFRM_REPORT_RESULT, /* of a request, or the end of a dump */
};

struct xfrm_report {
	enum xfrm_report_type type;
	uint32_t sequence;
	uint32_t reqid;                   /* all but RESULT; 0 for a policy without a template */
	struct ip_address destination;    /* SA, EXPIRE */
	struct ip_address source;         /* SA, EXPIRE */
	uint32_t spi;                     /* SA, EXPIRE */
	uint64_t added_sec;               /* SA: since 1970 */
	uint64_t used_bytes;              /* SA */
	bool hard;                        /* EXPIRE */
	struct xfrm_userpolicy_id policy; /* POLICY: what names it */
	bool clear;                       /* POLICY: allows, without a template */
	int result;                       /* RESULT: 0 or negative errno */
};

/* -ENOMSG for a kind that is of no interest, -EBADMSG for one that is cut short. */
int xfrm_message_parse(struct nlmsghdr *header, struct xfrm_report *ret);
