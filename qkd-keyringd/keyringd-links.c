/* SPDX-License-Identifier: MIT */
/*
 * Watches the bus for org.qkd.Link1.* and listens to their KeysAgreed, but only to those that run
 * as our user or root: whoever else sends that signal cannot make us look into a directory. A linkd
 * that (re)appears makes the issuer look through the directories, for what was signalled unheard.
 */

#include "keyringd-links.h"

#include <ctype.h>

#include "common/log.h"
#include "list.h"

#define LINK_NAME_PREFIX "org.qkd.Link1."
#define LINK_INTERFACE   "org.qkd.Link1"
#define LINK_PATH        "/org/qkd/Link1"

#define DBUS_SERVICE "org.freedesktop.DBus"
#define DBUS_PATH    "/org/freedesktop/DBus"

struct bus_link {
	struct list link;
	struct keyringd_links *links;
	char *name;       /* org.qkd.Link1.LINK */
	char *owner;      /* unique name, once known */
	bool trusted;     /* runs as our uid or root */
	sd_bus_slot *ask; /* the question that is open: owner, then its uid */
};

struct keyringd_links {
	sd_bus *bus;
	struct issuer *issuer;
	struct list list;
	size_t count;
	sd_bus_slot *names, *owners, *signals; /* ListNames, and the two matches */
};

static struct bus_link *find_link(struct keyringd_links *links, const char *name)
{
	LIST_FOREACH (link, &links->list) {
		struct bus_link *l = LIST_ENTRY(link, struct bus_link, link);

		if (str_equal(l->name, name))
			return l;
	}
	return NULL;
}

static void free_link(struct bus_link *link)
{
	list_remove(&link->link);
	link->links->count--;
	sd_bus_slot_unref(link->ask);
	free(link->name);
	free(link->owner);
	free(link);
}

static int count_one(const char *name, void *userdata)
{
	++*(size_t *)userdata;
	return 0;
}

size_t keyringd_links_count(const struct keyringd_links *links)
{
	size_t count = 0;

	keyringd_links_foreach(links, count_one, &count);
	return count;
}

int keyringd_links_foreach(const struct keyringd_links *links,
			   int (*each)(const char *name, void *userdata), void *userdata)
{
	for (const struct list *at = links->list.next; at != &links->list; at = at->next) {
		const struct bus_link *link = LIST_ENTRY(at, struct bus_link, link);
		int r = link->trusted ? each(link->name, userdata) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

sd_bus *keyringd_links_bus(const struct keyringd_links *links)
{
	return links->bus;
}

/* A bus name has '_' where a link's name has a character that it cannot hold. */
static bool names_link(const char *bus_name, const char *link)
{
	const char *p = bus_name + strlen(LINK_NAME_PREFIX), *q = link;

	while (*p && *q && (*p == *q || (*p == '_' && !isalnum((unsigned char)*q)))) {
		p++;
		q++;
	}
	return !*p && !*q;
}

struct search {
	const char *link, *found;
};

static int match_one(const char *name, void *userdata)
{
	struct search *search = userdata;

	if (names_link(name, search->link))
		search->found = name;
	return 0;
}

const char *keyringd_links_find(const struct keyringd_links *links, const char *link)
{
	struct search search = {.link = link};

	keyringd_links_foreach(links, match_one, &search);
	return search.found;
}

/* The answer to GetConnectionUnixUser. */
static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_link *link = userdata;
	uint32_t uid;

	if (sd_bus_message_read(reply, "u", &uid) < 0)
		return 0; /* it went away again */
	link->trusted = uid == 0 || uid == geteuid();
	if (link->trusted)
		issuer_rescan(link->links->issuer);
	else
		log_warning("%s runs as uid %u, not ours: its signals are ignored", link->name,
			    uid);
	return 0;
}

static int ask_user(struct bus_link *link)
{
	link->ask = sd_bus_slot_unref(link->ask);
	return sd_bus_call_method_async(link->links->bus, &link->ask, DBUS_SERVICE, DBUS_PATH,
					DBUS_SERVICE, "GetConnectionUnixUser", on_user, link, "s",
					link->owner);
}

static int set_owner(struct bus_link *link, const char *owner)
{
	char *copy = strdup(owner);

	if (!copy)
		return -ENOMEM;
	free(link->owner);
	link->owner = copy;
	link->trusted = false;
	return ask_user(link);
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_link *link = userdata;
	const char *owner;

	if (sd_bus_message_read(reply, "s", &owner) >= 0)
		set_owner(link, owner);
	return 0;
}

static int add_link(struct keyringd_links *links, const char *name, struct bus_link **ret)
{
	struct bus_link *link;

	if (links->count >= KEYRINGD_LINKS_MAX)
		return -E2BIG;
	link = calloc(1, sizeof(*link));
	if (!link)
		return -ENOMEM;
	link->name = strdup(name);
	if (!link->name) {
		free(link);
		return -ENOMEM;
	}
	link->links = links;
	list_append(&links->list, &link->link);
	links->count++;
	*ret = link;
	return 0;
}

static bool is_link_name(const char *name)
{
	return strncmp(name, LINK_NAME_PREFIX, strlen(LINK_NAME_PREFIX)) == 0;
}

/* A linkd that was there before us. */
static void note_present(struct keyringd_links *links, const char *name)
{
	struct bus_link *link;

	if (!is_link_name(name) || find_link(links, name) || add_link(links, name, &link) < 0)
		return;
	sd_bus_call_method_async(links->bus, &link->ask, DBUS_SERVICE, DBUS_PATH, DBUS_SERVICE,
				 "GetNameOwner", on_owner, link, "s", name);
}

static int on_names(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const char *name;

	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_enter_container(reply, 'a', "s") < 0)
		return 0;
	while (sd_bus_message_read(reply, "s", &name) > 0)
		note_present(userdata, name);
	return 0;
}

static int on_owner_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct keyringd_links *links = userdata;
	const char *name, *old_owner, *new_owner;
	struct bus_link *link;

	if (sd_bus_message_read(message, "sss", &name, &old_owner, &new_owner) < 0 ||
	    !is_link_name(name))
		return 0;
	link = find_link(links, name);
	if (!*new_owner) {
		if (link)
			free_link(link);
		return 0;
	}
	if (!link && add_link(links, name, &link) < 0)
		return 0;
	set_owner(link, new_owner);
	return 0;
}

static bool is_trusted_sender(struct keyringd_links *links, const char *sender)
{
	LIST_FOREACH (link, &links->list) {
		struct bus_link *l = LIST_ENTRY(link, struct bus_link, link);

		if (l->trusted && sender && str_equal(l->owner, sender))
			return true;
	}
	return false;
}

static int on_keys_agreed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct keyringd_links *links = userdata;
	const char *directory;
	uint64_t first, count;
	int r;

	if (!is_trusted_sender(links, sd_bus_message_get_sender(message)) ||
	    sd_bus_message_read(message, "stt", &directory, &first, &count) < 0 ||
	    directory[0] == '.' || strchr(directory, '/'))
		return 0;
	r = issuer_keys_agreed(links->issuer, directory, first, count);
	if (r < 0)
		log_debug("keys agreed in %s: %s", directory, strerror(-r));
	return 0;
}

static int watch(struct keyringd_links *links)
{
	int r = sd_bus_add_match_async(links->bus, &links->owners,
				       "type='signal',sender='" DBUS_SERVICE "',path='" DBUS_PATH
				       "',interface='" DBUS_SERVICE "',member='NameOwnerChanged',"
				       "arg0namespace='" LINK_INTERFACE "'",
				       on_owner_changed, NULL, links);

	if (r < 0)
		return r;
	r = sd_bus_add_match_async(links->bus, &links->signals,
				   "type='signal',interface='" LINK_INTERFACE "',path='" LINK_PATH
				   "',member='KeysAgreed'",
				   on_keys_agreed, NULL, links);
	if (r < 0)
		return r;
	return sd_bus_call_method_async(links->bus, &links->names, DBUS_SERVICE, DBUS_PATH,
					DBUS_SERVICE, "ListNames", on_names, links, NULL);
}

int keyringd_links_new(sd_bus *bus, struct issuer *issuer, struct keyringd_links **ret)
{
	_cleanup_(keyringd_links_freep) struct keyringd_links *links = calloc(1, sizeof(*links));
	int r;

	if (!links)
		return -ENOMEM;
	list_init(&links->list);
	links->bus = sd_bus_ref(bus);
	links->issuer = issuer;
	r = watch(links);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(links);
	return 0;
}

struct keyringd_links *keyringd_links_free(struct keyringd_links *links)
{
	if (!links)
		return NULL;
	LIST_FOREACH (link, &links->list)
		free_link(LIST_ENTRY(link, struct bus_link, link));
	sd_bus_slot_unref(links->names);
	sd_bus_slot_unref(links->owners);
	sd_bus_slot_unref(links->signals);
	sd_bus_unref(links->bus);
	free(links);
	return NULL;
}
