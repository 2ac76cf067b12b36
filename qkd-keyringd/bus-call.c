/* SPDX-License-Identifier: MIT */
/*
 * D-Bus calls for keys. Key bytes never come here: the answer is an id, reserved for the caller's
 * uid, and the caller collects the key itself by request_key(2).
 */

#include "bus-call.h"

#include <time.h>

#include "request-text.h"

#define COUNTER(n, u, h)                                               \
	{                                                              \
		"bus." n, STATISTICS_COUNTER, STATISTICS_INTEGER, u, h \
	}

const struct statistics_definition bus_call_definitions[BUS_CALL_STATISTIC_COUNT_] = {
	[BUS_CALL_STATISTIC_CALLS] = COUNTER("calls", "calls", "calls for keys over D-Bus"),
	[BUS_CALL_STATISTIC_REFUSED] = COUNTER("refused", "calls", "those that got an error"),
	[BUS_CALL_STATISTIC_RESERVED] = COUNTER("reserved", "keys", "keys reserved for a caller"),
	[BUS_CALL_STATISTIC_DESTROYED] = COUNTER("destroyed", "keys", "keys given up by a caller"),
	[BUS_CALL_STATISTIC_LATENCY] = {"bus.latency", STATISTICS_SUMMARY, STATISTICS_TIME,
					"seconds", "from a call to the keys it reserves"},
};

struct bus_call {
	struct list link;
	struct bus_calls *calls;
	enum bus_call_kind kind;
	sd_bus_message *message;
	sd_bus_slot *question; /* while the caller is being identified */
	struct issue_operation *operation;
	char peer[NAME_MAX_CHARS + 1];
	struct uuid id;
	uint32_t bits, count;
	uint64_t begun_usec;
};

static void count(struct bus_calls *calls, enum bus_call_statistic which, uint64_t value)
{
	statistics_update(&calls->statistics[which], value);
}

int bus_calls_init(struct bus_calls *calls, struct admission *admission)
{
	*calls = (struct bus_calls){.admission = admission};
	list_init(&calls->open);
	return bus_callers_new(&calls->callers);
}

static void bus_call_free(struct bus_call *call)
{
	list_remove(&call->link);
	call->calls->open_count--;
	if (call->operation)
		issue_operation_cancel(call->operation);
	sd_bus_slot_unref(call->question);
	sd_bus_message_unref(call->message);
	free(call);
}

void bus_calls_forget(struct bus_calls *calls, sd_bus *bus)
{
	LIST_FOREACH (link, &calls->open) {
		struct bus_call *call = LIST_ENTRY(link, struct bus_call, link);

		if (sd_bus_message_get_bus(call->message) == bus)
			bus_call_free(call);
	}
	if (sd_bus_is_bus_client(bus) > 0)
		bus_callers_forget(calls->callers);
}

void bus_calls_done(struct bus_calls *calls)
{
	if (!calls->callers)
		return; /* never begun */
	LIST_FOREACH (link, &calls->open)
		bus_call_free(LIST_ENTRY(link, struct bus_call, link));
	calls->callers = bus_callers_free(calls->callers);
}

const char *bus_call_error_name(int result)
{
	switch (result) {
	case -ENOKEY:
		return BUS_ERROR_NO_SUCH_PEER;
	case -ETIMEDOUT:
		return BUS_ERROR_TIMEOUT;
	case -EKEYEXPIRED:
		return BUS_ERROR_SPENT;
	case -EACCES:
		return BUS_ERROR_NOT_ALLOWED;
	case -EINVAL:
		return BUS_ERROR_INVALID;
	case -EDQUOT:
		return BUS_ERROR_QUOTA;
	default:
		return SD_BUS_ERROR_FAILED;
	}
}

int bus_call_reply_error(sd_bus_message *message, int result, const char *text)
{
	return sd_bus_reply_method_errorf(message, bus_call_error_name(result), "%s", text);
}

static const char *error_text(int result)
{
	switch (result) {
	case -ENOKEY:
		return "There is no such peer site";
	case -ETIMEDOUT:
		return "No key was to be had in time";
	case -EKEYEXPIRED:
		return "The key has been issued or destroyed";
	case -EACCES:
		return "Not allowed";
	case -EINVAL:
		return "The key has another size";
	case -EDQUOT:
		return "Too many keys are reserved, or asked for too fast";
	default:
		return strerror(-result);
	}
}

static void finish_with_error(struct bus_call *call, int result)
{
	count(call->calls, BUS_CALL_STATISTIC_REFUSED, 1);
	bus_call_reply_error(call->message, result, error_text(result));
	bus_call_free(call);
}

static int append_ids(sd_bus_message *reply, const struct uuid *ids, size_t count)
{
	char text[UUID_CHARS + 1];
	int r = sd_bus_message_open_container(reply, 'a', "s");

	for (size_t i = 0; r >= 0 && i < count; i++) {
		uuid_format(&ids[i], text);
		r = sd_bus_message_append(reply, "s", text);
	}
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_ids(struct bus_call *call, const struct uuid *ids, size_t count)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char text[UUID_CHARS + 1];
	int r = sd_bus_message_new_method_return(call->message, &reply);

	if (r < 0)
		return r;
	if (call->kind == BUS_CALL_NEW_KEYS) {
		r = append_ids(reply, ids, count);
	} else if (call->kind == BUS_CALL_NEW_KEY) {
		uuid_format(&ids[0], text);
		r = sd_bus_message_append(reply, "s", text);
	}
	return r < 0 ? r : sd_bus_message_send(reply);
}

static void on_reserved(int result, const struct uuid *ids, size_t id_count, void *userdata)
{
	struct bus_call *call = userdata;

	call->operation = NULL;
	if (result < 0) {
		finish_with_error(call, result);
		return;
	}
	count(call->calls, BUS_CALL_STATISTIC_RESERVED, id_count);
	count(call->calls, BUS_CALL_STATISTIC_LATENCY, statistics_clock_usec() - call->begun_usec);
	reply_ids(call, ids, id_count);
	bus_call_free(call);
}

static uint64_t deadline_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000 +
	       BUS_CALL_BUDGET_USEC;
}

static int start_issuing(struct bus_call *call, uid_t uid)
{
	struct issuer *issuer = call->calls->admission->issuer;

	switch (call->kind) {
	case BUS_CALL_NEW_KEY:
	case BUS_CALL_NEW_KEYS:
		return issuer_reserve_new(issuer, call->peer, call->bits, call->count, uid,
					  deadline_usec(), on_reserved, call, &call->operation);
	case BUS_CALL_EXISTING:
		return issuer_reserve_existing(issuer, call->peer, &call->id, uid, deadline_usec(),
					       on_reserved, call, &call->operation);
	case BUS_CALL_DESTROY:
		break;
	}
	return -EINVAL;
}

static void destroy(struct bus_call *call, uid_t uid)
{
	int r = issuer_destroy(call->calls->admission->issuer, call->peer, &call->id, uid);

	if (r < 0) {
		finish_with_error(call, r);
		return;
	}
	count(call->calls, BUS_CALL_STATISTIC_DESTROYED, 1);
	sd_bus_reply_method_return(call->message, NULL);
	bus_call_free(call);
}

static void on_identified(int result, const struct bus_caller *caller, void *userdata)
{
	struct bus_call *call = userdata;
	struct policy_request request = {.peer = call->peer, .bits = call->bits};
	int r;

	if (result < 0) {
		finish_with_error(call, -EACCES);
		return;
	}
	/* Giving up one's own key needs no policy: the issuer knows whose it is. */
	if (call->kind == BUS_CALL_DESTROY) {
		destroy(call, caller->uid);
		return;
	}
	request.uid = caller->uid;
	request.groups = caller->groups;
	request.group_count = caller->group_count;
	request.count = call->count;
	r = admission_check(call->calls->admission, &request);
	if (r == 0)
		r = start_issuing(call, caller->uid);
	if (r < 0)
		finish_with_error(call, r);
}

/* NULL when the arguments are good, else what is wrong with them. */
static const char *read_peer(struct bus_call *call, const char *peer)
{
	if (!site_name_is_valid(peer))
		return "The peer is not a site's name";
	snprintf(call->peer, sizeof(call->peer), "%s", peer);
	return NULL;
}

static const char *read_new_key(struct bus_call *call)
{
	const char *peer;
	int r;

	call->count = 1;
	if (call->kind == BUS_CALL_NEW_KEYS)
		r = sd_bus_message_read(call->message, "suu", &peer, &call->bits, &call->count);
	else
		r = sd_bus_message_read(call->message, "su", &peer, &call->bits);
	if (r < 0)
		return "The arguments do not fit the method";
	if (call->bits != 0 && !request_text_bits_are_valid(call->bits))
		return "The size is not a multiple of 8 bits within the limit";
	if (call->count == 0 || call->count > ISSUE_MAX_COUNT)
		return "The count is not from 1 to 1024";
	return read_peer(call, peer);
}

static const char *read_id(struct bus_call *call)
{
	const char *peer, *id;

	call->count = 1;
	if (sd_bus_message_read(call->message, "ss", &peer, &id) < 0)
		return "The arguments do not fit the method";
	if (uuid_parse(id, &call->id) < 0)
		return "The id is not a UUID";
	return read_peer(call, peer);
}

static const char *read_arguments(struct bus_call *call)
{
	switch (call->kind) {
	case BUS_CALL_NEW_KEY:
	case BUS_CALL_NEW_KEYS:
		return read_new_key(call);
	case BUS_CALL_EXISTING:
	case BUS_CALL_DESTROY:
		return read_id(call);
	}
	return NULL;
}

int bus_call_start(struct bus_calls *calls, enum bus_call_kind kind, sd_bus_message *message)
{
	struct bus_call *call;
	const char *wrong;
	int r;

	count(calls, BUS_CALL_STATISTIC_CALLS, 1);
	if (calls->open_count >= BUS_CALL_MAX_OPEN)
		return bus_call_reply_error(message, -EDQUOT, "Too many calls at once");
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->calls = calls;
	call->kind = kind;
	call->begun_usec = statistics_clock_usec();
	call->message = sd_bus_message_ref(message);
	list_append(&calls->open, &call->link);
	calls->open_count++;

	wrong = read_arguments(call);
	if (wrong) {
		count(calls, BUS_CALL_STATISTIC_REFUSED, 1);
		r = bus_call_reply_error(message, -EINVAL, wrong);
		bus_call_free(call);
		return r;
	}
	r = bus_callers_identify(calls->callers, message, on_identified, call, &call->question);
	if (r < 0)
		finish_with_error(call, -EACCES);
	return 1;
}
