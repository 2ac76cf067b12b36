/* SPDX-License-Identifier: MIT */

/*
 * Starting a hop: a linkd that is on the bus is asked for its state; one that is idle, or not
 * there, is started. The link is the one that has given keys with that peer before, else
 * SMALLER-LARGER, as links of two sites are usually named.
 */

#include "path-hops.h"

#include "link-command.h"

#define LINK_INTERFACE "org.qkd.Link1"
#define LINK_PATH      "/org/qkd/Link1"
#define LINK_IDLE      "Inactive"

struct hop_start {
	struct list link;
	char name[2 * NAME_MAX_CHARS + 2]; /* of the link */
	sd_bus *bus;
	sd_bus_slot *slot;
	void (*done)(int result, bool began, void *context);
	void *context;
};

void path_hop_starter_init(struct path_hop_starter *starter, const char *site,
			   struct issuer *issuer, struct keyringd_links *const *links)
{
	*starter = (struct path_hop_starter){.site = site, .issuer = issuer, .links = links};
	list_init(&starter->open);
}

static void free_start(struct hop_start *start)
{
	list_remove(&start->link);
	sd_bus_slot_unref(start->slot);
	sd_bus_unref(start->bus);
	free(start);
}

static void end(struct hop_start *start, int result, bool began)
{
	void (*done)(int result, bool began, void *context) = start->done;
	void *context = start->context;

	free_start(start);
	done(result, began, context);
}

static void name_link(const struct path_hop_starter *starter, const char *peer,
		      char ret[static 2 * NAME_MAX_CHARS + 2])
{
	const char *known = issuer_hop_link(starter->issuer, peer);
	bool leads = site_is_leader(starter->site, peer);

	if (known)
		snprintf(ret, 2 * NAME_MAX_CHARS + 2, "%s", known);
	else
		snprintf(ret, 2 * NAME_MAX_CHARS + 2, "%s-%s", leads ? starter->site : peer,
			 leads ? peer : starter->site);
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	int r = -sd_bus_message_get_errno(reply);

	end(userdata, r, true);
	return 1;
}

static int call_start(struct hop_start *start, const char *name)
{
	start->slot = sd_bus_slot_unref(start->slot);
	return sd_bus_call_method_async(start->bus, &start->slot, name, LINK_PATH, LINK_INTERFACE,
					"Start", on_started, start, NULL);
}

static int start_unit(struct hop_start *start)
{
	char unit[sizeof(start->name) + sizeof("qkd-linkd@.service")];

	snprintf(unit, sizeof(unit), "qkd-linkd@%s.service", start->name);
	return sd_bus_call_method_async(start->bus, &start->slot, "org.freedesktop.systemd1",
					"/org/freedesktop/systemd1",
					"org.freedesktop.systemd1.Manager", "StartUnit", on_started,
					start, "ss", unit, "replace");
}

static int on_state(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct hop_start *start = userdata;
	const char *state;
	int r = -sd_bus_message_get_errno(reply);

	if (r >= 0)
		r = sd_bus_message_read(reply, "v", "s", &state);
	if (r >= 0 && !str_equal(state, LINK_IDLE)) {
		end(start, 0, false);
		return 1;
	}
	if (r >= 0)
		r = call_start(start, sd_bus_message_get_sender(reply));
	if (r < 0)
		end(start, r, false);
	return 1;
}

static int ask_state(struct hop_start *start, const char *name)
{
	return sd_bus_call_method_async(start->bus, &start->slot, name, LINK_PATH,
					"org.freedesktop.DBus.Properties", "Get", on_state, start,
					"ss", LINK_INTERFACE, "State");
}

static void start_hop(const char *peer, void (*done)(int result, bool began, void *context),
		      void *context, void *userdata)
{
	struct path_hop_starter *starter = userdata;
	struct keyringd_links *links = *starter->links;
	struct hop_start *start = links ? calloc(1, sizeof(*start)) : NULL;
	const char *name;
	int r;

	if (!start) {
		done(links ? -ENOMEM : -EHOSTDOWN, false, context);
		return;
	}
	start->bus = sd_bus_ref(keyringd_links_bus(links));
	start->done = done;
	start->context = context;
	list_init(&start->link);
	list_append(&starter->open, &start->link);
	name_link(starter, peer, start->name);
	name = keyringd_links_find(links, start->name);
	r = name ? ask_state(start, name) : start_unit(start);
	if (r < 0)
		end(start, r, false);
}

static void forget_starts(void *context, void *userdata)
{
	struct path_hop_starter *starter = userdata;

	LIST_FOREACH (link, &starter->open) {
		struct hop_start *start = LIST_ENTRY(link, struct hop_start, link);

		if (start->context == context)
			free_start(start);
	}
}

static void stop_hop(const char *peer, void *userdata)
{
	struct path_hop_starter *starter = userdata;
	struct keyringd_links *links = *starter->links;
	char link[2 * NAME_MAX_CHARS + 2];
	const char *name;

	if (!links)
		return;
	name_link(starter, peer, link);
	name = keyringd_links_find(links, link);
	if (name)
		(void)sd_bus_call_method_async(keyringd_links_bus(links), NULL, name, LINK_PATH,
					       LINK_INTERFACE, "Stop", NULL, NULL, NULL);
}

const struct path_hops path_hops = {
	.start = start_hop,
	.forget = forget_starts,
	.stop = stop_hop,
};
