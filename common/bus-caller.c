/* SPDX-License-Identifier: MIT */
/*
 * Identifies callers. libsystemd's own way (sd_bus_query_sender_creds) waits for the bus daemon at
 * every call, which would double the time of a GetNewKey and stop the loop when the bus hangs.
 */

#include "common/bus-caller.h"

#include <sys/socket.h>

#define UNIQUE_NAME_MAX 32

struct known {
	char name[UNIQUE_NAME_MAX];
	struct bus_caller caller;
	uint64_t used;
};

struct bus_callers {
	struct known known[BUS_CALLER_CACHE];
	uint64_t clock; /* counts uses */
};

/* A question to the bus; freed with its slot. */
struct question {
	struct bus_callers *callers;
	char name[UNIQUE_NAME_MAX];
	bus_caller_done_t done;
	void *userdata;
};

int bus_callers_new(struct bus_callers **ret)
{
	struct bus_callers *callers = calloc(1, sizeof(*callers));

	if (!callers)
		return -ENOMEM;
	*ret = callers;
	return 0;
}

struct bus_callers *bus_callers_free(struct bus_callers *callers)
{
	free(callers);
	return NULL;
}

void bus_callers_forget(struct bus_callers *callers)
{
	*callers = (struct bus_callers){0};
}

static const struct bus_caller *find(struct bus_callers *callers, const char *name)
{
	for (size_t i = 0; i < BUS_CALLER_CACHE; i++) {
		struct known *known = &callers->known[i];

		if (known->used > 0 && str_equal(known->name, name)) {
			known->used = ++callers->clock;
			return &known->caller;
		}
	}
	return NULL;
}

static void remember(struct bus_callers *callers, const char *name, const struct bus_caller *caller)
{
	struct known *oldest = &callers->known[0];

	for (size_t i = 1; i < BUS_CALLER_CACHE; i++)
		if (callers->known[i].used < oldest->used)
			oldest = &callers->known[i];
	*oldest = (struct known){.caller = *caller, .used = ++callers->clock};
	snprintf(oldest->name, sizeof(oldest->name), "%s", name);
}

/* One value of GetConnectionCredentials. */
static int read_credential(sd_bus_message *reply, const char *name, struct bus_caller *caller,
			   bool *uid_known)
{
	const gid_t *groups;
	size_t size;
	int r;

	if (str_equal(name, "UnixUserID")) {
		*uid_known = true;
		return sd_bus_message_read(reply, "v", "u", &caller->uid);
	}
	if (!str_equal(name, "UnixGroupIDs"))
		return sd_bus_message_skip(reply, "v");
	r = sd_bus_message_enter_container(reply, 'v', "au");
	if (r < 0)
		return r;
	r = sd_bus_message_read_array(reply, 'u', (const void **)&groups, &size);
	if (r < 0)
		return r;
	caller->group_count = MIN(size / sizeof(*groups), (size_t)BUS_CALLER_MAX_GROUPS);
	if (caller->group_count > 0)
		memcpy(caller->groups, groups, caller->group_count * sizeof(*groups));
	return sd_bus_message_exit_container(reply);
}

static int read_credentials(sd_bus_message *reply, struct bus_caller *ret)
{
	struct bus_caller caller = {0};
	bool uid_known = false;
	const char *name;
	int r = sd_bus_message_enter_container(reply, 'a', "{sv}");

	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		r = sd_bus_message_read(reply, "s", &name);
		if (r >= 0)
			r = read_credential(reply, name, &caller, &uid_known);
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	if (r < 0)
		return r;
	if (!uid_known)
		return -EBADMSG;
	*ret = caller;
	return 0;
}

static int on_credentials(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct question *question = userdata;
	struct bus_caller caller;
	int r = sd_bus_message_is_method_error(reply, NULL) ? -sd_bus_message_get_errno(reply)
							    : read_credentials(reply, &caller);

	if (r >= 0)
		remember(question->callers, question->name, &caller);
	question->done(r, r < 0 ? NULL : &caller, question->userdata);
	return 0;
}

static void free_question(void *userdata)
{
	free(userdata);
}

static int ask_bus(struct bus_callers *callers, sd_bus_message *message, bus_caller_done_t done,
		   void *userdata, sd_bus_slot **ret_slot)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	_cleanup_(freep) struct question *question = calloc(1, sizeof(*question));
	sd_bus *bus = sd_bus_message_get_bus(message);
	const char *sender = sd_bus_message_get_sender(message);
	sd_bus_slot *slot;
	int r;

	if (!question)
		return -ENOMEM;
	*question = (struct question){.callers = callers, .done = done, .userdata = userdata};
	snprintf(question->name, sizeof(question->name), "%s", sender);
	r = sd_bus_message_new_method_call(bus, &call, "org.freedesktop.DBus",
					   "/org/freedesktop/DBus", "org.freedesktop.DBus",
					   "GetConnectionCredentials");
	if (r < 0)
		return r;
	r = sd_bus_message_append(call, "s", sender);
	if (r < 0)
		return r;
	r = sd_bus_call_async(bus, &slot, call, on_credentials, question, BUS_CALLER_TIMEOUT_USEC);
	if (r < 0)
		return r;
	sd_bus_slot_set_destroy_callback(slot, free_question);
	(void)TAKE_PTR(question);
	*ret_slot = slot;
	return 0;
}

/* On our own socket: what the kernel says of the connection. */
static int read_peer(sd_bus *bus, struct bus_caller *ret)
{
	struct bus_caller caller = {0};
	socklen_t groups_size = sizeof(caller.groups) - sizeof(gid_t);
	struct ucred credentials;
	socklen_t size = sizeof(credentials);
	int fd = sd_bus_get_fd(bus);

	if (fd < 0)
		return fd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	caller.uid = credentials.uid;
	caller.groups[0] = credentials.gid;
	caller.group_count = 1;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, &caller.groups[1], &groups_size) == 0)
		caller.group_count += groups_size / sizeof(gid_t);
	*ret = caller;
	return 0;
}

int bus_callers_identify(struct bus_callers *callers, sd_bus_message *message,
			 bus_caller_done_t done, void *userdata, sd_bus_slot **ret_slot)
{
	sd_bus *bus = sd_bus_message_get_bus(message);
	const char *sender = sd_bus_message_get_sender(message);
	const struct bus_caller *known;
	struct bus_caller peer;
	int r;

	if (sd_bus_is_bus_client(bus) <= 0) {
		r = read_peer(bus, &peer);
		known = &peer;
	} else {
		known = sender ? find(callers, sender) : NULL;
		if (!known && sender && strlen(sender) < UNIQUE_NAME_MAX)
			return ask_bus(callers, message, done, userdata, ret_slot);
		r = known ? 0 : -EBADMSG;
	}
	if (r < 0)
		return r;
	*ret_slot = NULL;
	done(0, known, userdata);
	return 0;
}
