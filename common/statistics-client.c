/* SPDX-License-Identifier: MIT */
/* Asks everybody first and waits then: one slow daemon does not keep the others' answers. */

#include "common/statistics-client.h"

#include <time.h>

#include "common/statistics-bus.h"

#define KEYRING_NAME "org.qkd.Keyring1"
#define LINK_PREFIX  "org.qkd.Link1."

#define DBUS_DESTINATION "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"

struct gathering {
	struct statistics_client_answer *answer;
	unsigned pending;
	sd_bus_slot *slots[STATISTICS_CLIENT_MAX_DAEMONS];
	size_t count;
};

bool statistics_client_is_daemon(const char *name)
{
	return str_equal(name, KEYRING_NAME) ||
	       strncmp(name, LINK_PREFIX, strlen(LINK_PREFIX)) == 0;
}

char **statistics_client_free_names(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
	return NULL;
}

int statistics_client_find(sd_bus *bus, uint64_t timeout_usec, char ***ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
	_cleanup_(statistics_client_free_namesp) char **names = NULL;
	size_t kept = 0;
	int r = sd_bus_message_new_method_call(bus, &call, DBUS_DESTINATION, "ListNames");

	if (r >= 0)
		r = sd_bus_call(bus, call, timeout_usec, NULL, &reply);
	if (r >= 0)
		r = sd_bus_message_read_strv(reply, &names);
	if (r < 0)
		return r;
	for (size_t i = 0; names && names[i]; i++) {
		if (statistics_client_is_daemon(names[i]) && kept < STATISTICS_CLIENT_MAX_DAEMONS)
			names[kept++] = names[i];
		else
			free(names[i]);
	}
	if (names)
		names[kept] = NULL;
	*ret = TAKE_PTR(names);
	return 0;
}

int statistics_client_new_call(sd_bus *bus, const char *daemon, const char *member,
			       char *const *names, bool exclude, sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(bus, &call, daemon, STATISTICS_BUS_PATH,
					       STATISTICS_BUS_INTERFACE, member);

	if (r >= 0)
		r = sd_bus_message_append_strv(call, (char **)names);
	if (r >= 0)
		r = sd_bus_message_append(call, "b", exclude);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(call);
	return 0;
}

static void note_trouble(struct statistics_client_answer *answer, sd_bus_message *reply, int result)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	const char *sender = sd_bus_message_get_sender(reply);

	answer->silent++;
	snprintf(answer->trouble, sizeof(answer->trouble), "%s: %s", sender ? sender : "the bus",
		 error && error->message ? error->message : strerror(-result));
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	int r = -EBADMSG;

	gathering->pending--;
	if (!sd_bus_message_is_method_error(reply, NULL))
		r = statistics_message_read(reply, &gathering->answer->list);
	if (r < 0)
		note_trouble(gathering->answer, reply, r);
	else
		gathering->answer->answered++;
	return 0;
}

static int ask(struct gathering *gathering, sd_bus *bus, const char *daemon, char *const *names,
	       bool exclude, uint64_t timeout_usec)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = statistics_client_new_call(bus, daemon, "GetStatistics", names, exclude, &call);

	if (r >= 0)
		r = sd_bus_call_async(bus, &gathering->slots[gathering->count], call, on_reply,
				      gathering, timeout_usec);
	if (r < 0)
		return r;
	gathering->count++;
	gathering->pending++;
	return 0;
}

/* Every call has a time limit, at which the bus answers for whom it was made to; that does not
 * count as something processed. */
static int wait_for_all(const struct gathering *gathering, sd_bus *bus)
{
	while (gathering->pending > 0) {
		int r = sd_bus_process(bus, NULL);

		if (r == 0 && gathering->pending > 0)
			r = sd_bus_wait(bus, UINT64_MAX);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return 0;
}

int statistics_client_gather(sd_bus *bus, char *const *names, bool exclude, uint64_t timeout_usec,
			     struct statistics_client_answer *ret)
{
	_cleanup_(statistics_client_free_namesp) char **daemons = NULL;
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};
	struct gathering gathering = {.answer = &answer};
	int r = statistics_client_find(bus, timeout_usec, &daemons);

	for (char **daemon = daemons; r >= 0 && daemon && *daemon; daemon++)
		r = ask(&gathering, bus, *daemon, names, exclude, timeout_usec);
	if (r >= 0)
		r = wait_for_all(&gathering, bus);
	for (size_t i = 0; i < gathering.count; i++)
		sd_bus_slot_unref(gathering.slots[i]);
	if (r < 0)
		return r;
	*ret = answer;
	answer = (struct statistics_client_answer){0};
	return 0;
}

void statistics_client_answer_done(struct statistics_client_answer *answer)
{
	statistics_list_done(&answer->list);
}
