/* SPDX-License-Identifier: MIT */
/* The connection to keyringd, and errors that say what to try. */

#include "ctl.h"

#include <stdarg.h>

#include "ctl-links.h"
#include "ctl-message.h"

void ctl_tell_error(const char *what, const char *reason, const char *try)
{
	fprintf(stderr, "qkdctl: %s: %s\n", what, reason);
	if (try)
		fprintf(stderr, "  try: %s\n", try);
}

/* By the D-Bus error's name; NULL for one that speaks for itself. */
static const char *advice_for(const char *name)
{
	static const struct {
		const char *name, *advice;
	} table[] = {
		{SD_BUS_ERROR_SERVICE_UNKNOWN, "qkdctl status: do qkd-keyringd and the link run?"},
		{SD_BUS_ERROR_NAME_HAS_NO_OWNER,
		 "qkdctl status: do qkd-keyringd and the link run?"},
		{SD_BUS_ERROR_ACCESS_DENIED, "as root, or as a member of group qkd"},
		{SD_BUS_ERROR_NO_REPLY, "journalctl -u qkd-keyringd"},
		{"org.qkd.Error.NoSuchPeer", "qkdctl status, which lists the peers"},
		{"org.qkd.Error.Timeout",
		 "qkdctl status: is the peer connected, the link in SessionStarted, a key available?"},
		{"org.qkd.Error.Spent", "qkdctl key new at either site: a key is had once"},
		{"org.qkd.Error.NotAllowed",
		 "another user; /etc/qkd/policy.json says who may, see qkd-policy.json(5)"},
		{"org.qkd.Error.NoSuchParameter", "the command without a value, which lists them"},
		{"org.qkd.Error.NeedsRestart",
		 "the configuration file, then systemctl restart; see qkd-configuration(7)"},
		{"org.qkd.Error.DeviceExists", "qkdctl device list; qkdctl device remove"},
		{"org.qkd.Error.NoSuchDevice",
		 "qkdctl link stop: the administrator's files in /etc/qkd/links.d stay"},
		{"org.qkd.Error.Quota", "later: collect or destroy the keys that are reserved"},
	};

	for (size_t i = 0; i < ELEMENTSOF(table); i++)
		if (str_equal(table[i].name, name))
			return table[i].advice;
	return NULL;
}

static int tell_bus_error(const char *what, const sd_bus_error *error, int result)
{
	if (sd_bus_error_is_set(error))
		ctl_tell_error(what, error->message, advice_for(error->name));
	else
		ctl_tell_error(what, strerror(-result), NULL);
	return result;
}

static int call_message(struct ctl *ctl, sd_bus_message *call, uint64_t timeout_usec,
			sd_bus_message **ret_reply)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r = sd_bus_call(ctl->bus, call, timeout_usec, &error, ret_reply);

	return r < 0 ? tell_bus_error(ctl->what, &error, r) : 0;
}

static int call_with(struct ctl *ctl, sd_bus_message *call, uint64_t timeout_usec,
		     sd_bus_message **ret_reply, const char *types, va_list arguments)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = sd_bus_message_appendv(call, types, arguments);

	if (r >= 0) /* polkit may ask whoever sits there */
		r = sd_bus_message_set_allow_interactive_authorization(call, true);
	if (r < 0)
		return tell_bus_error(ctl->what, NULL, r);
	r = call_message(ctl, call, timeout_usec, &reply);
	if (r < 0)
		return r;
	if (ret_reply)
		*ret_reply = TAKE_PTR(reply);
	return 0;
}

int ctl_call(struct ctl *ctl, const char *member, uint64_t timeout_usec, sd_bus_message **ret_reply,
	     const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	va_list arguments;
	int r = sd_bus_message_new_method_call(ctl->bus, &call, CTL_KEYRING_NAME, CTL_KEYRING_PATH,
					       CTL_KEYRING_INTERFACE, member);

	if (r < 0)
		return tell_bus_error(ctl->what, NULL, r);
	va_start(arguments, types);
	r = call_with(ctl, call, timeout_usec, ret_reply, types, arguments);
	va_end(arguments);
	return r;
}

int ctl_new_call(struct ctl *ctl, const char *member, sd_bus_message **ret_call)
{
	int r = sd_bus_message_new_method_call(ctl->bus, ret_call, CTL_KEYRING_NAME,
					       CTL_KEYRING_PATH, CTL_KEYRING_INTERFACE, member);

	return r < 0 ? tell_bus_error(ctl->what, NULL, r) : 0;
}

int ctl_send_call(struct ctl *ctl, sd_bus_message *call, uint64_t timeout_usec)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = sd_bus_message_set_allow_interactive_authorization(call, true);

	return r < 0 ? tell_bus_error(ctl->what, NULL, r)
		     : call_message(ctl, call, timeout_usec, &reply);
}

int ctl_call_link(struct ctl *ctl, const char *link, const char *member, sd_bus_message **ret_reply,
		  const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	char name[CTL_LINK_NAME_CHARS];
	va_list arguments;
	int r;

	if (!link_name_is_valid(link)) {
		ctl_tell_error(link, "not a link's name", "qkdctl status, which lists the links");
		return -EINVAL;
	}
	ctl_links_bus_name(link, name);
	r = sd_bus_message_new_method_call(ctl->bus, &call, name, CTL_LINK_PATH, CTL_LINK_INTERFACE,
					   member);
	if (r < 0)
		return tell_bus_error(ctl->what, NULL, r);
	va_start(arguments, types);
	r = call_with(ctl, call, CTL_CALL_USEC, ret_reply, types, arguments);
	va_end(arguments);
	return r;
}

static int call_standard(struct ctl *ctl, const char *interface, const char *member,
			 const char *argument, sd_bus_message **ret_reply)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r = sd_bus_message_new_method_call(ctl->bus, &call, CTL_KEYRING_NAME, CTL_KEYRING_PATH,
					       interface, member);

	if (r >= 0 && argument)
		r = sd_bus_message_append(call, "s", argument);
	if (r < 0)
		return tell_bus_error(ctl->what, NULL, r);
	return call_message(ctl, call, CTL_CALL_USEC, ret_reply);
}

static int tell_unreadable(int result)
{
	if (result < 0)
		ctl_tell_error("keyringd's answer", strerror(-result), NULL);
	return result;
}

const char *ctl_site(const struct ctl *ctl)
{
	return json_string_value(json_object_get(ctl->keyring, "site"));
}

static int read_keyring(struct ctl *ctl)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = call_standard(ctl, "org.freedesktop.DBus.Properties", "GetAll",
			      CTL_KEYRING_INTERFACE, &reply);

	if (r < 0)
		return r;
	r = ctl_message_read_properties(reply, &ctl->keyring);
	if (r >= 0 && !ctl_site(ctl))
		r = -EBADMSG;
	return tell_unreadable(r);
}

int ctl_connect(struct ctl *ctl)
{
	int r = sd_bus_open_system(&ctl->bus);

	if (r < 0) {
		ctl_tell_error("the system bus", strerror(-r), "systemctl status dbus");
		return r;
	}
	return 0;
}

static int check_name(const struct ctl *ctl, const char *site)
{
	if (!ctl->site || str_equal(ctl->site, site))
		return 0;
	ctl_tell_error(site, "this is the site of the keyringd on this bus",
		       "at the other site, or without --site");
	return -EHOSTUNREACH;
}

int ctl_check_site(struct ctl *ctl)
{
	int r = read_keyring(ctl);

	return r < 0 ? r : check_name(ctl, ctl_site(ctl));
}

int ctl_take_snapshot(struct ctl *ctl, struct ctl_snapshot *ret)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {0};
	const char *site;
	int r = ctl_snapshot_take(ctl->bus, CTL_LINKS_DIRECTORY, CTL_SNAPSHOT_USEC, &snapshot);

	if (r < 0) {
		ctl_tell_error("the system bus", strerror(-r), "systemctl status dbus");
		return r;
	}
	site = json_string_value(json_object_get(snapshot.keyring, "site"));
	r = site ? check_name(ctl, site) : 0;
	if (r < 0)
		return r;
	*ret = snapshot;
	snapshot = (struct ctl_snapshot){0};
	return 0;
}

void ctl_done(struct ctl *ctl)
{
	json_decref(ctl->keyring);
	sd_bus_close_unref(ctl->bus);
}

/* write(2), because stdio would keep a copy of a key. */
static int write_all(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, text, size);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += MAX(n, (ssize_t)0);
		size -= (size_t)MAX(n, (ssize_t)0);
	}
	return 0;
}

int ctl_print_json(const json_t *document)
{
	char *text = json_dumps(document, JSON_REAL_PRECISION(6));
	json_free_t wiping_free;
	int r;

	if (!text)
		return -ENOMEM;
	json_get_alloc_funcs(NULL, &wiping_free);
	r = write_all(text, strlen(text));
	if (r >= 0)
		r = write_all("\n", 1);
	wiping_free(text);
	return r;
}
