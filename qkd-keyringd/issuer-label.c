/* SPDX-License-Identifier: MIT */

/*
 * What both ends of a label have in common: asking for its key here, its record, and when it is
 * forgotten.
 */

#include "qkd-keyringd/issuer-private.h"

void issuer_label_entry(const struct label *label, bool ended, struct issue_label *ret)
{
	*ret = (struct issue_label){
		.generation = label->generation,
		.expires_usec = label->expires_usec,
		.bits = label->bits,
		.id = label->id,
		.served = label->served,
		.ended = ended,
	};
	strcpy(ret->peer, label->store->peer_name);
	strcpy(ret->label, label->name);
}

void issuer_label_record(struct label *label, bool ended)
{
	struct issuer *issuer = label->store->issuer;
	struct issue_label entry;

	issuer_label_entry(label, ended, &entry);
	issuer_check_log(issuer, issue_log_label(issuer->log, &entry));
	issuer_loop_flush_soon(issuer);
}

void issuer_label_drop_idle(struct label *label)
{
	if (label->busy || label->state != LABEL_NEW || !list_is_empty(&label->waiting) ||
	    !list_is_empty(&label->asks) || site_request_is_pending(&label->request) ||
	    !list_is_empty(&label->waiter.link))
		return;
	label_remove(&label->store->labels, label);
}

/* Whatever ended it: here this label has no key any more until it expires. */
void issuer_label_key_ended(struct label *label)
{
	if (label->state == LABEL_NEW)
		return;
	label->served = true;
	issuer_label_record(label, false);
	issuer_operation_wake(&label->waiting);
}

static void label_step(struct issue_operation *operation)
{
	if (operation->finished)
		return;
	if (operation->store->leads)
		issuer_label_home_operation(operation);
	else
		issuer_label_guest_operation(operation);
}

/* The last to ask for a label that nobody has chosen a key for. */
static void undo_label(struct issue_operation *operation)
{
	struct label *label = label_find(&operation->store->labels, operation->label);

	if (label)
		issuer_label_drop_idle(label);
}

int issuer_deliver_label(struct issuer *issuer, const char *peer, const char *label, uint32_t bits,
			 uint32_t ttl_sec, uid_t owner, uint64_t deadline_usec,
			 issue_delivered_t done, void *userdata, struct issue_operation **ret)
{
	struct issue_operation *operation;
	int r;

	if (!label_is_valid(label) || ttl_sec > SITE_TTL_MAX_SEC || bits > SITE_BITS_MAX)
		return -EINVAL;
	r = issuer_operation_new(issuer, peer, owner, deadline_usec, label_step, &operation);
	if (r < 0)
		return r;
	operation->delivered = done;
	operation->userdata = userdata;
	operation->bits = bits;
	operation->ttl_sec = ttl_sec;
	strcpy(operation->label, label);
	operation->undo = operation->finished ? NULL : undo_label;
	label_step(operation);
	*ret = operation;
	return 0;
}
