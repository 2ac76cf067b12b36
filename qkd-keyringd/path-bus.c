/* SPDX-License-Identifier: MIT */

/* D-Bus calls about paths, from and to what the path manager knows. */

#include "path-bus.h"

#include "bus-call.h"

static const char *reason(int result)
{
	switch (result) {
	case -EINVAL:
		return "the path does not fit this site: it has to be one of its ends, and its "
		       "neighbours and the other end have to be peers";
	case -EACCES:
		return "the site does not take part in it";
	case -EHOSTDOWN:
		return "keyringd is not connected to the bus of the links";
	case -ETIMEDOUT:
		return "no answer in time";
	case -EBUSY:
		return "too many paths are being started";
	default:
		return strerror(-result);
	}
}

static int reply_failure(sd_bus_message *message, int result, const char *site)
{
	return sd_bus_reply_method_errorf(message, bus_call_error_name(result), "Site %s: %s", site,
					  reason(result));
}

static void on_done(int result, const char *site, void *userdata)
{
	sd_bus_message *message = userdata;

	if (result < 0)
		reply_failure(message, result, site);
	else
		sd_bus_reply_method_return(message, NULL);
	sd_bus_message_unref(message);
}

static int read_sites(sd_bus_message *message, struct path *ret)
{
	struct path path = {};
	const char *site;
	int r = sd_bus_message_enter_container(message, 'a', "s");

	while (r >= 0 && (r = sd_bus_message_read(message, "s", &site)) > 0) {
		if (path.count == PATH_MAX_SITES || !site_name_is_valid(site) ||
		    path_find(&path, site) >= 0)
			return -EINVAL;
		strcpy(path.sites[path.count++], site);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(message);
	if (r < 0)
		return r;
	if (path.count < 2)
		return -EINVAL;
	*ret = path;
	return 0;
}

static int bad_path(sd_bus_message *message)
{
	return bus_call_reply_error(message, -EINVAL,
				    "That is not a path: 2 to 16 different sites");
}

int path_bus_start(struct path_manager *manager, sd_bus_message *message)
{
	struct path_definition d = {};
	int r = read_sites(message, &d.path);

	if (r < 0)
		return bad_path(message);
	r = sd_bus_message_read(message, "uuu", &d.weight, &d.stock, &d.disjoint);
	if (r < 0)
		return r;
	if (d.weight < 1 || d.weight > PATH_MAX_WEIGHT || d.stock > PATH_MAX_STOCK ||
	    d.disjoint < 1 || d.disjoint > PATH_MAX_DISJOINT)
		return bus_call_reply_error(message, -EINVAL,
					    "Weight 1 to 1000, stock up to 4096, 1 or 2 disjoint "
					    "paths");
	r = path_manager_start(manager, &d, on_done, sd_bus_message_ref(message));
	if (r >= 0)
		return 1;
	sd_bus_message_unref(message);
	return bus_call_reply_error(message, r, reason(r));
}

int path_bus_stop(struct path_manager *manager, sd_bus_message *message)
{
	struct path path;
	int r = read_sites(message, &path);

	if (r < 0)
		return bad_path(message);
	r = path_manager_stop(manager, &path, on_done, sd_bus_message_ref(message));
	if (r >= 0)
		return 1;
	sd_bus_message_unref(message);
	return bus_call_reply_error(message, r, reason(r));
}

static int parse_set(const char *text, const char *site, const char *peer, struct path_set *ret)
{
	_cleanup_(json_decrefp) json_t *json = NULL;

	if (strlen(text) > PATH_BUS_MAX_TEXT)
		return -EBADMSG;
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	return json ? path_set_parse(json, site, peer, ret) : -EBADMSG;
}

int path_bus_set(struct path_manager *manager, const char *site, sd_bus_message *message)
{
	struct path_set set;
	const char *peer, *text;
	int r = sd_bus_message_read(message, "ss", &peer, &text);

	if (r < 0)
		return r;
	if (*text)
		r = parse_set(text, site, peer, &set);
	if (r >= 0)
		r = path_manager_set(manager, peer, *text ? &set : NULL);
	if (r == -EBADMSG)
		return bus_call_reply_error(message, -EINVAL,
					    "Expected {\"paths\": [{\"sites\": [HERE, ..., PEER], "
					    "\"weight\": 1}...], \"stock\": 0, \"disjoint\": 1}");
	if (r == -ENOENT)
		return bus_call_reply_error(message, -EINVAL, "Start the paths first");
	if (r == -EINVAL)
		return bus_call_reply_error(message, r,
					    "There are not as many paths without a common relay");
	if (r < 0)
		return bus_call_reply_error(message, r, "There is no such peer site");
	return sd_bus_reply_method_return(message, NULL);
}

/* "alice bob carol" */
static void join(const struct path *path, char ret[static PATH_TEXT_MAX])
{
	char *p = ret;

	*p = '\0';
	for (size_t i = 0; i < path->count; i++)
		p += sprintf(p, "%s%s", i ? " " : "", path->sites[i]);
}

static int append_path(sd_bus_message *reply, const struct path_definition *d,
		       const struct multihop_path_status *status)
{
	char text[PATH_TEXT_MAX];
	int r = sd_bus_message_open_container(reply, 'a', "{sv}");

	join(&d->path, text);
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}", "Path", "s", text);
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}", "Weight", "u", d->weight,
					  "Stock", "u", d->stock, "Disjoint", "u", d->disjoint,
					  "Up", "b", (int)status->up);
	if (r >= 0)
		r = sd_bus_message_append(reply, "{sv}{sv}{sv}", "Built", "t", status->built,
					  "Relayed", "t", status->relayed, "Failures", "t",
					  status->failures);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int path_bus_list(struct path_manager *manager, struct multihop *multihop, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const struct path_definition *d;
	int r = sd_bus_message_new_method_return(message, &reply);

	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "a{sv}");
	for (size_t i = 0; r >= 0 && (d = path_manager_get(manager, i)); i++) {
		struct multihop_path_status status = {};

		(void)multihop_path_status(multihop, &d->path, &status);
		r = append_path(reply, d, &status);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_message_send(reply);
}

int path_bus_connected_sites(struct issuer *issuer, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct store_status status;
	int r = sd_bus_message_new_method_return(message, &reply);

	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "s");
	for (size_t i = 0; r >= 0 && i < issuer_store_count(issuer); i++)
		if (issuer_store_status(issuer, i, &status) >= 0 && status.connected)
			r = sd_bus_message_append(reply, "s", status.peer);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_message_send(reply);
}
