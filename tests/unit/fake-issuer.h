/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An issuer for the tests of what stands before it: every call is noted, and answered from the loop
 * when the test says so. It defines the functions of issuer.h, so the real one is not linked.
 */

#include "qkd-keyringd/issuer.h"

struct issue_operation {
	issue_delivered_t delivered;
	issue_reserved_t reserved;
	void *userdata;
};

struct delivery {
	int unused;
};

static struct fake_issuer {
	struct issue_operation operation;
	struct delivery delivery;
	bool pending, cancelled;
	char peer[64], label[80];
	struct uuid id;
	uint32_t bits, ttl_sec;
	size_t count;
	uid_t owner;
	uint64_t deadline_usec;
	int refuse; /* what a call answers at once */
	int reports, delivered, abandoned, destroyed, rescans;
	char agreed[64];
} fake;

static int fake_begin(const char *peer, uint32_t bits, uid_t owner, uint64_t deadline_usec,
		      void *userdata, struct issue_operation **ret)
{
	if (fake.refuse < 0)
		return fake.refuse;
	snprintf(fake.peer, sizeof(fake.peer), "%s", peer);
	fake.bits = bits;
	fake.owner = owner;
	fake.deadline_usec = deadline_usec;
	fake.operation = (struct issue_operation){.userdata = userdata};
	fake.pending = true;
	*ret = &fake.operation;
	return 0;
}

int issuer_reserve_new(struct issuer *issuer, const char *peer, uint32_t bits, size_t count,
		       uid_t owner, uint64_t deadline_usec, issue_reserved_t done, void *userdata,
		       struct issue_operation **ret)
{
	int r = fake_begin(peer, bits, owner, deadline_usec, userdata, ret);

	fake.count = count;
	fake.operation.reserved = done;
	return r;
}

int issuer_reserve_existing(struct issuer *issuer, const char *peer, const struct uuid *id,
			    uid_t owner, uint64_t deadline_usec, issue_reserved_t done,
			    void *userdata, struct issue_operation **ret)
{
	int r = fake_begin(peer, 0, owner, deadline_usec, userdata, ret);

	fake.id = *id;
	fake.operation.reserved = done;
	return r;
}

int issuer_deliver_id(struct issuer *issuer, const char *peer, const struct uuid *id, uint32_t bits,
		      uid_t owner, uint64_t deadline_usec, issue_delivered_t done, void *userdata,
		      struct issue_operation **ret)
{
	int r = fake_begin(peer, bits, owner, deadline_usec, userdata, ret);

	fake.id = *id;
	fake.operation.delivered = done;
	return r;
}

int issuer_deliver_label(struct issuer *issuer, const char *peer, const char *label, uint32_t bits,
			 uint32_t ttl_sec, uid_t owner, uint64_t deadline_usec,
			 issue_delivered_t done, void *userdata, struct issue_operation **ret)
{
	int r = fake_begin(peer, bits, owner, deadline_usec, userdata, ret);

	snprintf(fake.label, sizeof(fake.label), "%s", label);
	fake.ttl_sec = ttl_sec;
	fake.operation.delivered = done;
	return r;
}

void issue_operation_cancel(struct issue_operation *operation)
{
	fake.pending = false;
	fake.cancelled = true;
}

void delivery_report(struct delivery *delivery, bool delivered)
{
	fake.reports++;
	fake.delivered += delivered;
}

void delivery_abandon(struct delivery *delivery)
{
	fake.abandoned += delivery != NULL;
}

int issuer_destroy(struct issuer *issuer, const char *peer, const struct uuid *id, uid_t owner)
{
	fake.destroyed++;
	fake.id = *id;
	fake.owner = owner;
	return fake.refuse;
}

size_t issuer_store_count(const struct issuer *issuer)
{
	return 2;
}

int issuer_store_status(const struct issuer *issuer, size_t i, struct store_status *ret)
{
	*ret = (struct store_status){
		.peer = i == 0 ? "bob" : "carol-1",
		.peer_error = i == 0 ? "" : "no route",
		.connected = i == 0,
		.key_bits = 256,
		.available_own = 10 + i,
		.available_peer = 20 + i,
		.directories = 1,
	};
	return 0;
}

int issuer_keys_agreed(struct issuer *issuer, const char *directory, uint64_t first, uint64_t count)
{
	snprintf(fake.agreed, sizeof(fake.agreed), "%s %llu+%llu", directory,
		 (unsigned long long)first, (unsigned long long)count);
	return 0;
}

int issuer_rescan(struct issuer *issuer)
{
	fake.rescans++;
	return 0;
}
