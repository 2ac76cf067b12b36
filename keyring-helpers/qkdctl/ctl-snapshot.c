/* SPDX-License-Identifier: MIT */
/* One question to each, then answers as they come. */

#include "ctl-snapshot.h"

#include <sys/statvfs.h>
#include <time.h>

#include "common/keys.h"
#include "ctl-links.h"
#include "ctl-message.h"
#include "ctl.h"

#define PROPERTIES "org.freedesktop.DBus.Properties"
#define MANAGER    "org.freedesktop.DBus.ObjectManager"

/* keyringd's properties, its stores, its user, the names on the bus */
#define FIXED_QUESTIONS 5

struct gathering {
	sd_bus *bus;
	struct ctl_snapshot *snapshot;
	uint64_t end_usec;
	unsigned pending;
	int result;
	sd_bus_slot *slots[FIXED_QUESTIONS + CTL_MAX_LINKS];
	size_t slot_count;
};

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* Takes what building the call came to. argument NULL: none. */
static int ask(struct gathering *gathering, sd_bus_message *call, int built, const char *argument,
	       sd_bus_message_handler_t handler)
{
	uint64_t now = now_usec();
	int r = built;

	if (r >= 0)
		r = sd_bus_message_set_auto_start(call, false);
	if (r >= 0 && argument)
		r = sd_bus_message_append(call, "s", argument);
	if (r >= 0 && gathering->slot_count == ELEMENTSOF(gathering->slots))
		r = -E2BIG;
	if (r >= 0)
		r = sd_bus_call_async(gathering->bus, &gathering->slots[gathering->slot_count],
				      call, handler, gathering,
				      now < gathering->end_usec ? gathering->end_usec - now : 1);
	if (r < 0)
		return r;
	gathering->slot_count++;
	gathering->pending++;
	return 0;
}

/* keyringd */

static void note_trouble(struct gathering *gathering, sd_bus_message *reply, int result)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	const char *text = strerror(-result);

	if (error && (str_equal(error->name, SD_BUS_ERROR_SERVICE_UNKNOWN) ||
		      str_equal(error->name, SD_BUS_ERROR_NAME_HAS_NO_OWNER)))
		text = "it does not run";
	else if (error && (str_equal(error->name, SD_BUS_ERROR_NO_REPLY) ||
			   str_equal(error->name, SD_BUS_ERROR_TIMEOUT)))
		text = "it does not answer";
	else if (error && error->message)
		text = error->message;
	snprintf(gathering->snapshot->trouble, sizeof(gathering->snapshot->trouble), "%s", text);
}

static int on_keyring(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	json_t *keyring = NULL;
	int r = -EIO;

	gathering->pending--;
	if (!sd_bus_message_is_method_error(reply, NULL))
		r = ctl_message_read_properties(reply, &keyring);
	if (r < 0) {
		note_trouble(gathering, reply, r);
		return 0;
	}
	json_decref(gathering->snapshot->keyring);
	gathering->snapshot->keyring = keyring;
	return 0;
}

static int on_stores(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	json_t *stores;

	gathering->pending--;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    ctl_message_read_objects(reply, CTL_STORE_INTERFACE, &stores) < 0)
		return 0;
	json_decref(gathering->snapshot->stores);
	gathering->snapshot->stores = ctl_links_sort(stores, "peer");
	return 0;
}

static int on_paths(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	json_t *paths;

	gathering->pending--;
	if (sd_bus_message_is_method_error(reply, NULL) || ctl_message_read_list(reply, &paths) < 0)
		return 0;
	json_decref(gathering->snapshot->paths);
	gathering->snapshot->paths = paths;
	return 0;
}

static int on_user(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	struct key_quota quota;
	uint32_t uid;

	gathering->pending--;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    sd_bus_message_read(reply, "u", &uid) < 0 || key_get_quota(uid, &quota) < 0)
		return 0;
	json_decref(gathering->snapshot->quota);
	gathering->snapshot->quota = json_pack("{s:I,s:I,s:I,s:I}", "keys", (json_int_t)quota.keys,
					       "max_keys", (json_int_t)quota.keys_max, "bytes",
					       (json_int_t)quota.bytes, "max_bytes",
					       (json_int_t)quota.bytes_max);
	return 0;
}

/* Links */

static int on_link(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	json_t *link;
	int r;

	gathering->pending--;
	if (sd_bus_message_is_method_error(reply, NULL) ||
	    ctl_message_read_properties(reply, &link) < 0)
		return 0; /* it stays what it was when it was asked */
	json_object_set_new(link, "running", json_true());
	json_object_set_new(link, "answering", json_true());
	r = ctl_links_replace(gathering->snapshot->links, link);
	if (r < 0)
		gathering->result = r;
	return 0;
}

static int ask_link(struct gathering *gathering, const char *name)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(gathering->bus, &call, name, CTL_LINK_PATH,
					       PROPERTIES, "GetAll");

	r = ask(gathering, call, r, CTL_LINK_INTERFACE, on_link);
	return r < 0 ? r : ctl_links_mark_running(gathering->snapshot->links, name);
}

static int on_names(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct gathering *gathering = userdata;
	const char *name;
	unsigned links = 0;
	int r;

	gathering->pending--;
	if (sd_bus_message_is_method_error(reply, NULL)) {
		gathering->result = -sd_bus_message_get_errno(reply);
		return 0;
	}
	r = sd_bus_message_enter_container(reply, 'a', "s");
	while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0)
		if (ctl_links_is_name(name) && links++ < CTL_MAX_LINKS)
			r = ask_link(gathering, name);
	if (r < 0)
		gathering->result = r;
	return 0;
}

/* All */

static int ask_keyringd(struct gathering *gathering, const char *interface, const char *member,
			const char *argument, sd_bus_message_handler_t handler)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(gathering->bus, &call, CTL_KEYRING_NAME,
					       CTL_KEYRING_PATH, interface, member);

	return ask(gathering, call, r, argument, handler);
}

static int ask_bus(struct gathering *gathering, const char *member, const char *argument,
		   sd_bus_message_handler_t handler)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(gathering->bus, &call, "org.freedesktop.DBus",
					       "/org/freedesktop/DBus", "org.freedesktop.DBus",
					       member);

	return ask(gathering, call, r, argument, handler);
}

static int wait_for_all(struct gathering *gathering)
{
	while (gathering->pending > 0 && gathering->result >= 0) {
		int r = sd_bus_process(gathering->bus, NULL);

		if (r == 0 && gathering->pending > 0)
			r = sd_bus_wait(gathering->bus, UINT64_MAX);
		if (r < 0 && r != -EINTR)
			return r;
	}
	return gathering->result;
}

static int gather(struct gathering *gathering)
{
	int r = ask_bus(gathering, "ListNames", NULL, on_names);

	if (r >= 0)
		r = ask_bus(gathering, "GetConnectionUnixUser", CTL_KEYRING_NAME, on_user);
	if (r >= 0)
		r = ask_keyringd(gathering, PROPERTIES, "GetAll", CTL_KEYRING_INTERFACE,
				 on_keyring);
	if (r >= 0)
		r = ask_keyringd(gathering, MANAGER, "GetManagedObjects", NULL, on_stores);
	if (r >= 0)
		r = ask_keyringd(gathering, CTL_KEYRING_INTERFACE, "ListPaths", NULL, on_paths);
	if (r >= 0)
		r = wait_for_all(gathering);
	for (size_t i = 0; i < gathering->slot_count; i++)
		sd_bus_slot_unref(gathering->slots[i]);
	return r;
}

static json_t *read_disk(const char *path)
{
	struct statvfs disk;

	if (statvfs(path, &disk) < 0)
		return json_null();
	return json_pack("{s:I,s:I}", "free", (json_int_t)(disk.f_bavail * disk.f_frsize), "size",
			 (json_int_t)(disk.f_blocks * disk.f_frsize));
}

int ctl_snapshot_take(sd_bus *bus, const char *links_directory, uint64_t timeout_usec,
		      struct ctl_snapshot *ret)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {.keyring = json_null(),
								     .stores = json_array(),
								     .paths = json_array(),
								     .quota = json_null(),
								     .disk = read_disk(CTL_HOME)};
	struct gathering gathering = {
		.bus = bus, .snapshot = &snapshot, .end_usec = now_usec() + timeout_usec};
	int r = ctl_links_read_configured(links_directory, &snapshot.links);

	if (r >= 0)
		r = gather(&gathering);
	if (r < 0)
		return r;
	snapshot.links = ctl_links_sort(snapshot.links, "link");
	*ret = snapshot;
	snapshot = (struct ctl_snapshot){0};
	return 0;
}

void ctl_snapshot_done(struct ctl_snapshot *snapshot)
{
	json_decref(snapshot->keyring);
	json_decref(snapshot->stores);
	json_decref(snapshot->links);
	json_decref(snapshot->paths);
	json_decref(snapshot->quota);
	json_decref(snapshot->disk);
}
