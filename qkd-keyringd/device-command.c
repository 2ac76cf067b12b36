/* SPDX-License-Identifier: MIT */
/*
 * Adds one device at a time: compose, check, write, start; each step that fails takes back what
 * came before it. Nothing is kept in memory of those that are there: the files say it.
 */

#include "device-command.h"

#include <limits.h>

#include "bus-call.h"
#include "common/events.h"
#include "common/log.h"
#include "device-check.h"
#include "link-command.h"

#define LINKD "qkd-linkd"

struct devices {
	sd_event *event;
	struct storage *state;
	const struct keyringd_config *config;
	char *program;
	/* The one that is being added or removed. */
	sd_bus_message *message; /* NULL: none */
	struct device_check *check;
	sd_bus *bus; /* of the links, while their unit is started or stopped */
	sd_bus_slot *slot;
	char link[NAME_MAX_CHARS + 1];
};

int devices_find_program(char **ret)
{
	char path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n < 0)
		return -errno;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return asprintf(ret, "%s/" LINKD, path) < 0 ? -ENOMEM : 0;
}

int devices_new(sd_event *event, struct storage *state, const struct keyringd_config *config,
		const char *program, struct devices **ret)
{
	_cleanup_(devices_freep) struct devices *devices = calloc(1, sizeof(*devices));

	if (!devices)
		return -ENOMEM;
	devices->event = sd_event_ref(event);
	devices->state = state;
	devices->config = config;
	devices->program = strdup(program);
	if (!devices->program)
		return -ENOMEM;
	*ret = TAKE_PTR(devices);
	return 0;
}

static void finish(struct devices *devices)
{
	devices->message = sd_bus_message_unref(devices->message);
	devices->check = device_check_free(devices->check);
	devices->slot = sd_bus_slot_unref(devices->slot);
	devices->bus = sd_bus_unref(devices->bus);
}

struct devices *devices_free(struct devices *devices)
{
	if (!devices)
		return NULL;
	finish(devices);
	sd_event_unref(devices->event);
	free(devices->program);
	free(devices);
	return NULL;
}

void devices_forget(struct devices *devices, sd_bus *bus)
{
	if (devices && devices->message &&
	    (sd_bus_message_get_bus(devices->message) == bus || devices->bus == bus))
		finish(devices);
}

static void answer_error(struct devices *devices, const char *name, const char *what)
{
	sd_bus_reply_method_errorf(devices->message, name, "%s", what);
	finish(devices);
}

static int begin(struct devices *devices, sd_bus *bus, const char *link, sd_bus_message *message)
{
	if (devices->message)
		return bus_call_reply_error(message, -EDQUOT,
					    "Another device is being added or removed");
	if (!link_name_is_valid(link))
		return bus_call_reply_error(message, -EINVAL, "That is not a link's name");
	snprintf(devices->link, sizeof(devices->link), "%s", link);
	devices->message = sd_bus_message_ref(message);
	devices->bus = sd_bus_ref(bus);
	return 0;
}

/* Adding: started last. */

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct devices *devices = userdata;
	const struct log_fields fields = {.link = devices->link};

	if (sd_bus_message_is_method_error(reply, NULL)) {
		device_files_remove(devices->state, devices->link, false);
		answer_error(devices, SD_BUS_ERROR_FAILED,
			     sd_bus_message_get_error(reply)->message);
		return 0;
	}
	log_event(LOG_NOTICE, EVENT_DEVICE_ADDED, &fields, "Link %s was added", devices->link);
	sd_bus_reply_method_return(devices->message, NULL);
	finish(devices);
	return 0;
}

static void on_checked(int result, const char *what, void *userdata)
{
	struct devices *devices = userdata;
	int r;

	if (result < 0) {
		device_files_remove(devices->state, devices->link, true);
		answer_error(devices, BUS_ERROR_INVALID, what);
		return;
	}
	r = device_files_settle(devices->state, devices->link);
	if (r >= 0)
		r = link_command_unit(devices->bus, "StartUnit", devices->link, on_started, devices,
				      &devices->slot);
	if (r < 0) {
		device_files_remove(devices->state, devices->link, false);
		answer_error(devices, SD_BUS_ERROR_FAILED, strerror(-r));
	}
}

static int start_check(struct devices *devices, const char *text)
{
	char name[DEVICE_FILES_NAME_CHARS];
	_cleanup_(freep) char *path = NULL;
	int r = device_files_write(devices->state, devices->link, text);

	if (r < 0)
		return r;
	device_files_name(devices->link, true, name);
	if (asprintf(&path, "%s/%s", devices->config->home, name) < 0)
		return -ENOMEM;
	return device_check_new(devices->event, devices->program, path, on_checked, devices,
				&devices->check);
}

int devices_add(struct devices *devices, struct keyringd_links *links, sd_bus_message *message)
{
	_cleanup_(freep) char *text = NULL, *what = NULL;
	const char *link, *settings;
	int r = sd_bus_message_read(message, "ss", &link, &settings);

	if (r >= 0)
		r = begin(devices, keyringd_links_bus(links), link, message);
	if (r != 0)
		return r;
	if (keyringd_links_find(links, link) || device_files_has(devices->state, link)) {
		answer_error(devices, DEVICE_ERROR_EXISTS, "There is a link of that name");
		return 1;
	}
	r = device_files_compose(devices->config, link, settings, &text, &what);
	if (r >= 0)
		r = start_check(devices, text);
	if (r < 0)
		answer_error(devices, r == -EINVAL ? BUS_ERROR_INVALID : SD_BUS_ERROR_FAILED,
			     what ? what : strerror(-r));
	return 1;
}

/* Removing: the file goes when the unit has been told to stop. */

static int on_stopped(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct devices *devices = userdata;
	const struct log_fields fields = {.link = devices->link};
	int r;

	if (sd_bus_message_is_method_error(reply, NULL) &&
	    !sd_bus_message_is_method_error(reply, "org.freedesktop.systemd1.NoSuchUnit")) {
		answer_error(devices, SD_BUS_ERROR_FAILED,
			     sd_bus_message_get_error(reply)->message);
		return 0;
	}
	r = device_files_remove(devices->state, devices->link, false);
	if (r < 0) {
		answer_error(devices, SD_BUS_ERROR_FAILED, strerror(-r));
		return 0;
	}
	log_event(LOG_NOTICE, EVENT_DEVICE_REMOVED, &fields, "Link %s was removed", devices->link);
	sd_bus_reply_method_return(devices->message, NULL);
	finish(devices);
	return 0;
}

int devices_remove(struct devices *devices, struct keyringd_links *links, sd_bus_message *message)
{
	const char *link;
	int r = sd_bus_message_read(message, "s", &link);

	if (r >= 0)
		r = begin(devices, keyringd_links_bus(links), link, message);
	if (r != 0)
		return r;
	if (!device_files_has(devices->state, link)) {
		answer_error(devices, DEVICE_ERROR_UNKNOWN,
			     "No link of that name was added over D-Bus; one that has its file in "
			     "/etc/qkd/links.d is removed by who wrote it");
		return 1;
	}
	r = link_command_unit(devices->bus, "StopUnit", link, on_stopped, devices, &devices->slot);
	if (r < 0)
		answer_error(devices, SD_BUS_ERROR_FAILED, strerror(-r));
	return 1;
}

/* Starting again. */

static int on_start_tried(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	if (sd_bus_message_is_method_error(reply, NULL))
		log_warning("A link that was added cannot be started: %s",
			    sd_bus_message_get_error(reply)->message);
	return 0;
}

static int start_one(const char *link, void *userdata)
{
	return link_command_unit(userdata, "StartUnit", link, on_start_tried, NULL, NULL);
}

void devices_start_all(struct devices *devices, sd_bus *bus)
{
	int r = devices ? device_files_foreach(devices->state, start_one, bus) : 0;

	if (r < 0)
		log_warning("Cannot start the links that were added: %s", strerror(-r));
}
