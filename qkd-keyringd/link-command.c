/* SPDX-License-Identifier: MIT */
/*
 * Passes commands on to the linkd of this site. Nothing is kept between two commands: a list asks
 * every linkd for all it has to say, at once, and is answered when the last one has answered.
 */

#include "link-command.h"

#include "bus-call.h"

#define LINK_INTERFACE "org.qkd.Link1"
#define LINK_PATH      "/org/qkd/Link1"

#define SYSTEMD_SERVICE "org.freedesktop.systemd1"
#define SYSTEMD_PATH    "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER "org.freedesktop.systemd1.Manager"

static void unref_message(void *userdata)
{
	sd_bus_message_unref(userdata);
}

/* Answers the caller as the other side answered us. */
static int on_passed_on(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	sd_bus_message *message = userdata;

	if (sd_bus_message_is_method_error(reply, NULL))
		return sd_bus_reply_method_error(message, sd_bus_message_get_error(reply));
	return sd_bus_reply_method_return(message, NULL);
}

/* Takes the result of building the call, so that callers need not look at it. */
static int pass_on(sd_bus *bus, sd_bus_message *call, int built, sd_bus_message *message)
{
	sd_bus_slot *slot;
	int r = built;

	if (r >= 0)
		r = sd_bus_call_async(bus, &slot, call, on_passed_on, message, LINK_COMMAND_USEC);
	if (r < 0)
		return r;
	sd_bus_message_ref(message);
	sd_bus_slot_set_destroy_callback(slot, unref_message);
	sd_bus_slot_set_floating(slot, true);
	sd_bus_slot_unref(slot);
	return 1;
}

static int call_link(sd_bus *bus, const char *name, const char *method, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(bus, &call, name, LINK_PATH, LINK_INTERFACE, method);

	return pass_on(bus, call, r, message);
}

static int new_unit_call(sd_bus *bus, const char *method, const char *link, sd_bus_message **ret)
{
	char unit[NAME_MAX_CHARS + sizeof("qkd-linkd@.service")];
	int r = sd_bus_message_new_method_call(bus, ret, SYSTEMD_SERVICE, SYSTEMD_PATH,
					       SYSTEMD_MANAGER, method);

	snprintf(unit, sizeof(unit), "qkd-linkd@%s.service", link);
	return r < 0 ? r : sd_bus_message_append(*ret, "ss", unit, "replace");
}

static int start_unit(sd_bus *bus, const char *link, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = new_unit_call(bus, "StartUnit", link, &call);

	return pass_on(bus, call, r, message);
}

int link_command_unit(sd_bus *bus, const char *method, const char *link,
		      sd_bus_message_handler_t answered, void *userdata, sd_bus_slot **ret_slot)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = new_unit_call(bus, method, link, &call);

	return r < 0 ? r
		     : sd_bus_call_async(bus, ret_slot, call, answered, userdata,
					 LINK_COMMAND_USEC);
}

/* NULL, and *ret_r is what answering came to. */
static const char *read_link(sd_bus_message *message, int *ret_r)
{
	const char *link;
	int r = sd_bus_message_read(message, "s", &link);

	if (r >= 0 && link_name_is_valid(link))
		return link;
	*ret_r = r < 0 ? r : bus_call_reply_error(message, -EINVAL, "That is not a link's name");
	return NULL;
}

int link_command_start(struct keyringd_links *links, sd_bus_message *message)
{
	sd_bus *bus = keyringd_links_bus(links);
	const char *name, *link;
	int r;

	link = read_link(message, &r);
	if (!link)
		return r;
	name = keyringd_links_find(links, link);
	return name ? call_link(bus, name, "Start", message) : start_unit(bus, link, message);
}

int link_command_stop(struct keyringd_links *links, sd_bus_message *message)
{
	const char *name, *link;
	int r;

	link = read_link(message, &r);
	if (!link)
		return r;
	name = keyringd_links_find(links, link);
	if (name)
		return call_link(keyringd_links_bus(links), name, "Stop", message);
	return sd_bus_reply_method_return(message, NULL);
}

/* A list on its way: one reference for each question, and one while they are being asked. */
struct listing {
	unsigned references;
	sd_bus *bus;
	sd_bus_message *reply;
};

static void listing_unref(void *userdata)
{
	struct listing *listing = userdata;

	if (--listing->references > 0)
		return;
	if (sd_bus_message_close_container(listing->reply) >= 0)
		sd_bus_message_send(listing->reply);
	sd_bus_message_unref(listing->reply);
	free(listing);
}

static int on_properties(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	struct listing *listing = userdata;

	if (!sd_bus_message_is_method_error(answer, NULL) &&
	    sd_bus_message_has_signature(answer, "a{sv}"))
		sd_bus_message_copy(listing->reply, answer, true);
	return 0;
}

static int ask_for_properties(const char *name, void *userdata)
{
	struct listing *listing = userdata;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	sd_bus_slot *slot;
	int r = sd_bus_message_new_method_call(listing->bus, &call, name, LINK_PATH,
					       "org.freedesktop.DBus.Properties", "GetAll");

	if (r >= 0)
		r = sd_bus_message_append(call, "s", LINK_INTERFACE);
	if (r >= 0)
		r = sd_bus_call_async(listing->bus, &slot, call, on_properties, listing,
				      LINK_COMMAND_ASK_USEC);
	if (r < 0)
		return r;
	listing->references++;
	sd_bus_slot_set_destroy_callback(slot, listing_unref);
	sd_bus_slot_set_floating(slot, true);
	sd_bus_slot_unref(slot);
	return 0;
}

int link_command_list(struct keyringd_links *links, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct listing *listing;
	int r = sd_bus_message_new_method_return(message, &reply);

	if (r < 0)
		return r;
	r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	if (r < 0)
		return r;
	listing = calloc(1, sizeof(*listing));
	if (!listing)
		return -ENOMEM;
	*listing = (struct listing){
		.references = 1,
		.bus = keyringd_links_bus(links),
		.reply = TAKE_PTR(reply),
	};
	/* One that cannot be asked is left out. */
	keyringd_links_foreach(links, ask_for_properties, listing);
	listing_unref(listing);
	return 1;
}
