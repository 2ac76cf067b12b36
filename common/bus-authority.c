/* SPDX-License-Identifier: MIT */
/*
 * Asks who calls and then, of callers who are nobody special, polkit. The bus's own policy file
 * lets such callers through to the methods that come here, and to no other.
 */

#include "common/bus-authority.h"

#include <grp.h>

#define POLKIT_SERVICE     "org.freedesktop.PolicyKit1"
#define POLKIT_PATH        "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE   "org.freedesktop.PolicyKit1.Authority"
#define POLKIT_INTERACTIVE 1u
#define GROUP_BUFFER_BYTES 16384

/* A call that waits. */
struct question {
	struct bus_authority *authority;
	sd_bus_message *message; /* NULL: free */
	const char *action;
	sd_bus_message_handler_t method;
	void *userdata;
	sd_bus_slot *slot; /* what was asked, of the bus or of polkit */
};

struct bus_authority {
	struct bus_callers *callers;
	gid_t group; /* (gid_t)-1: there is none of that name */
	struct question open[BUS_AUTHORITY_MAX_OPEN];
};

static gid_t find_group(void)
{
	char buffer[GROUP_BUFFER_BYTES];
	struct group group, *found = NULL;

	if (getgrnam_r(BUS_AUTHORITY_GROUP, &group, buffer, sizeof(buffer), &found) != 0 || !found)
		return (gid_t)-1;
	return group.gr_gid;
}

int bus_authority_new(struct bus_callers *callers, struct bus_authority **ret)
{
	struct bus_authority *authority = calloc(1, sizeof(*authority));

	if (!authority)
		return -ENOMEM;
	authority->callers = callers;
	authority->group = find_group();
	*ret = authority;
	return 0;
}

static void close_question(struct question *question)
{
	sd_bus_slot_unref(question->slot);
	sd_bus_message_unref(question->message);
	*question = (struct question){0};
}

struct bus_authority *bus_authority_free(struct bus_authority *authority)
{
	if (!authority)
		return NULL;
	for (size_t i = 0; i < BUS_AUTHORITY_MAX_OPEN; i++)
		close_question(&authority->open[i]);
	free(authority);
	return NULL;
}

void bus_authority_forget(struct bus_authority *authority, sd_bus *bus)
{
	for (size_t i = 0; authority && i < BUS_AUTHORITY_MAX_OPEN; i++) {
		struct question *question = &authority->open[i];

		if (question->message && sd_bus_message_get_bus(question->message) == bus)
			close_question(question);
	}
}

static void deny(struct question *question)
{
	sd_bus_reply_method_errorf(question->message, SD_BUS_ERROR_ACCESS_DENIED,
				   "Not allowed: only root, members of group %s, and whom polkit "
				   "allows %s",
				   BUS_AUTHORITY_GROUP, question->action);
	close_question(question);
}

/* The method may be the last to use this authority: the question is closed before. */
static void run_method(struct question *question)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = TAKE_PTR(question->message);
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message_handler_t method = question->method;
	void *userdata = question->userdata;
	int r;

	close_question(question);
	r = method(message, userdata, &error);
	if (r < 0 || sd_bus_error_is_set(&error))
		sd_bus_reply_method_errno(message, r, &error);
}

/* polkit's answer: (bba{ss}), is authorised, could be after a challenge, details. */
static int on_polkit(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct question *question = userdata;
	int authorised = false;

	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
	    sd_bus_message_read(reply, "b", &authorised) < 0 || !authorised)
		deny(question);
	else
		run_method(question);
	return 0;
}

static int ask_polkit(struct question *question)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus *bus = sd_bus_message_get_bus(question->message);
	bool person = sd_bus_message_get_allow_interactive_authorization(question->message) > 0;
	int r = sd_bus_message_new_method_call(bus, &call, POLKIT_SERVICE, POLKIT_PATH,
					       POLKIT_INTERFACE, "CheckAuthorization");

	if (r < 0)
		return r;
	r = sd_bus_message_append(call, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name", "s",
				  sd_bus_message_get_sender(question->message), question->action, 0,
				  person ? POLKIT_INTERACTIVE : 0u, "");
	if (r < 0)
		return r;
	return sd_bus_call_async(bus, &question->slot, call, on_polkit, question,
				 person ? BUS_AUTHORITY_PERSON_USEC : BUS_AUTHORITY_USEC);
}

static bool is_special(const struct bus_authority *authority, const struct bus_caller *caller)
{
	if (caller->uid == 0 || caller->uid == geteuid())
		return true;
	for (size_t i = 0; authority->group != (gid_t)-1 && i < caller->group_count; i++)
		if (caller->groups[i] == authority->group)
			return true;
	return false;
}

static void on_identified(int result, const struct bus_caller *caller, void *userdata)
{
	struct question *question = userdata;

	question->slot = sd_bus_slot_unref(question->slot);
	if (result >= 0 && is_special(question->authority, caller))
		run_method(question);
	else if (result < 0 ||
		 sd_bus_is_bus_client(sd_bus_message_get_bus(question->message)) <= 0 ||
		 ask_polkit(question) < 0)
		deny(question);
}

static struct question *find_free(struct bus_authority *authority)
{
	for (size_t i = 0; i < BUS_AUTHORITY_MAX_OPEN; i++)
		if (!authority->open[i].message)
			return &authority->open[i];
	return NULL;
}

int bus_authority_run(struct bus_authority *authority, sd_bus_message *message, const char *action,
		      sd_bus_message_handler_t method, void *userdata)
{
	struct question *question = find_free(authority);
	sd_bus_slot *slot = NULL;
	int r;

	if (!question)
		return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "Too many calls wait for an authorisation");
	*question = (struct question){
		.authority = authority,
		.message = sd_bus_message_ref(message),
		.action = action,
		.method = method,
		.userdata = userdata,
	};
	r = bus_callers_identify(authority->callers, message, on_identified, question, &slot);
	if (r < 0)
		deny(question);
	else if (slot)
		question->slot = slot;
	return 1;
}
