/* SPDX-License-Identifier: MIT */
/* The D-Bus objects of keyringd: tables, properties and signals. What a call does is bus-call.c's.
 */

#include "bus-api.h"

#include "common/version.h"
#include "link-command.h"
#include "path-bus.h"

static int method_get_new_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_call_start(&api->calls, BUS_CALL_NEW_KEY, m);
}

static int method_get_new_keys(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_call_start(&api->calls, BUS_CALL_NEW_KEYS, m);
}

static int method_get_existing_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_call_start(&api->calls, BUS_CALL_EXISTING, m);
}

static int method_destroy_key(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_call_start(&api->calls, BUS_CALL_DESTROY, m);
}

static int no_links(sd_bus_message *m)
{
	return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_FAILED,
					  "keyringd is not connected to the bus of the links");
}

static int start_link(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return api->links ? link_command_start(api->links, m) : no_links(m);
}

static int stop_link(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return api->links ? link_command_stop(api->links, m) : no_links(m);
}

static int set_parameter(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return parameters_bus_set(&api->parameters, m);
}

static int add_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return api->links && api->devices ? devices_add(api->devices, api->links, m) : no_links(m);
}

static int remove_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return api->links && api->devices ? devices_remove(api->devices, api->links, m)
					  : no_links(m);
}

static int method_add_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_DEVICES, add_device, api);
}

static int method_remove_device(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_DEVICES, remove_device, api);
}

static int method_start_link(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, start_link, api);
}

static int method_stop_link(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, stop_link, api);
}

static int method_set_parameter(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_PARAMETERS, set_parameter, api);
}

static int method_list_parameters(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return parameters_bus_list(&api->parameters, m);
}

static int method_list_links(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return api->links ? link_command_list(api->links, m) : no_links(m);
}

static int start_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return path_bus_start(api->paths, m);
}

static int stop_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return path_bus_stop(api->paths, m);
}

static int set_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return path_bus_set(api->paths, api->site, m);
}

static int method_start_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, start_path, api);
}

static int method_stop_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, stop_path, api);
}

static int method_set_path(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, set_path, api);
}

static int method_list_paths(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return path_bus_list(api->paths, api->multihop, m);
}

static int method_get_connected_sites(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return path_bus_connected_sites(api->issuer, m);
}

static int ping_site(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return site_pings_bus(api->pings, m);
}

static int method_ping_site(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return bus_authority_run(api->authority, m, BUS_ACTION_LINKS, ping_site, api);
}

static int get_site(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return sd_bus_message_append(reply, "s", api->site);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property,
		       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "s", QKD_VERSION);
}

static int get_kernel_shared(sd_bus *bus, const char *path, const char *interface,
			     const char *property, sd_bus_message *reply, void *userdata,
			     sd_bus_error *error)
{
	struct bus_api *api = userdata;

	return sd_bus_message_append(reply, "b", api->kernel_shared);
}

static const sd_bus_vtable keyring_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetNewKey", SD_BUS_ARGS("s", peer, "u", bits),
				SD_BUS_RESULT("s", id), method_get_new_key,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetNewKeys", SD_BUS_ARGS("s", peer, "u", bits, "u", count),
				SD_BUS_RESULT("as", ids), method_get_new_keys,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetExistingKey", SD_BUS_ARGS("s", peer, "s", id), SD_BUS_NO_RESULT,
				method_get_existing_key, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("DestroyKey", SD_BUS_ARGS("s", peer, "s", id), SD_BUS_NO_RESULT,
				method_destroy_key, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StartLink", SD_BUS_ARGS("s", link), SD_BUS_NO_RESULT,
				method_start_link, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StopLink", SD_BUS_ARGS("s", link), SD_BUS_NO_RESULT,
				method_stop_link, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListLinks", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", links),
				method_list_links, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AddDevice", SD_BUS_ARGS("s", link, "s", settings),
				SD_BUS_NO_RESULT, method_add_device, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("RemoveDevice", SD_BUS_ARGS("s", link), SD_BUS_NO_RESULT,
				method_remove_device, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StartPath",
				SD_BUS_ARGS("as", sites, "u", weight, "u", stock, "u", disjoint),
				SD_BUS_NO_RESULT, method_start_path, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("StopPath", SD_BUS_ARGS("as", sites), SD_BUS_NO_RESULT,
				method_stop_path, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetPath", SD_BUS_ARGS("s", peer, "s", paths), SD_BUS_NO_RESULT,
				method_set_path, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListPaths", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", paths),
				method_list_paths, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("GetConnectedSites", SD_BUS_NO_ARGS, SD_BUS_RESULT("as", sites),
				method_get_connected_sites, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("PingSite", SD_BUS_ARGS("s", site), SD_BUS_RESULT("t", usec),
				method_ping_site, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("SetParameter", SD_BUS_ARGS("s", name, "s", value),
				SD_BUS_NO_RESULT, method_set_parameter, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("ListParameters", SD_BUS_NO_ARGS,
				SD_BUS_RESULT("a(ssb)", parameters), method_list_parameters,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_PROPERTY("Site", "s", get_site, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("KernelShared", "b", get_kernel_shared, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_SIGNAL_WITH_ARGS("LabelReserved", SD_BUS_ARGS("s", peer, "s", label, "s", id), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PathChanged", SD_BUS_ARGS("as", sites, "b", up), 0),
	SD_BUS_SIGNAL_WITH_ARGS("LowWater", SD_BUS_ARGS("s", peer, "t", available), 0),
	SD_BUS_VTABLE_END,
};

/* The store that an object path names. */
static int find_store(sd_bus *bus, const char *path, const char *interface, void *userdata,
		      void **ret_found, sd_bus_error *error)
{
	struct bus_api *api = userdata;
	_cleanup_(freep) char *peer = NULL;
	struct store_status status;
	int r = sd_bus_path_decode(path, BUS_API_STORE_PATH, &peer);

	if (r <= 0)
		return r;
	for (size_t i = 0; i < issuer_store_count(api->issuer); i++) {
		if (issuer_store_status(api->issuer, i, &status) < 0 ||
		    !str_equal(status.peer, peer))
			continue;
		api->stores[i] = (struct bus_api_store){.api = api, .index = i};
		*ret_found = &api->stores[i];
		return 1;
	}
	return 0;
}

static int list_stores(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		       sd_bus_error *error)
{
	struct bus_api *api = userdata;
	size_t count = issuer_store_count(api->issuer);
	char **nodes = calloc(count + 1, sizeof(*nodes)); /* freed by sd-bus */
	struct store_status status;
	int r = 0;

	if (!nodes)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < count; i++) {
		r = issuer_store_status(api->issuer, i, &status);
		if (r >= 0)
			r = sd_bus_path_encode(BUS_API_STORE_PATH, status.peer, &nodes[i]);
	}
	if (r < 0) {
		for (size_t i = 0; nodes[i]; i++)
			free(nodes[i]);
		free(nodes);
		return r;
	}
	*ret_nodes = nodes;
	return 0;
}

/* A property of a store is a field of struct store_status. */
static const struct store_property {
	const char *name;
	char type; /* D-Bus */
	size_t offset;
} store_properties[] = {
	{"Peer", 's', offsetof(struct store_status, peer)},
	{"Connected", 'b', offsetof(struct store_status, connected)},
	{"PeerError", 's', offsetof(struct store_status, peer_error)},
	{"KeyBits", 'u', offsetof(struct store_status, key_bits)},
	{"AvailableOwn", 't', offsetof(struct store_status, available_own)},
	{"AvailablePeer", 't', offsetof(struct store_status, available_peer)},
	{"Reserved", 't', offsetof(struct store_status, reserved)},
	{"Delivering", 't', offsetof(struct store_status, delivering)},
	{"Issued", 't', offsetof(struct store_status, issued)},
	{"Destroyed", 't', offsetof(struct store_status, destroyed)},
	{"Labels", 't', offsetof(struct store_status, labels)},
	{"LostAhead", 't', offsetof(struct store_status, lost_ahead)},
	{"Directories", 'u', offsetof(struct store_status, directories)},
};

static int append_field(sd_bus_message *reply, const struct store_property *property,
			const struct store_status *status)
{
	const void *field = (const char *)status + property->offset;
	int truth;

	switch (property->type) {
	case 's':
		return sd_bus_message_append_basic(reply, 's', *(const char *const *)field);
	case 'b':
		truth = *(const bool *)field;
		return sd_bus_message_append_basic(reply, 'b', &truth);
	default:
		return sd_bus_message_append_basic(reply, property->type, field);
	}
}

static int get_store_property(sd_bus *bus, const char *path, const char *interface,
			      const char *name, sd_bus_message *reply, void *userdata,
			      sd_bus_error *error)
{
	const struct bus_api_store *store = userdata;
	struct store_status status;
	int r = issuer_store_status(store->api->issuer, store->index, &status);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(store_properties); i++)
		if (str_equal(store_properties[i].name, name))
			return append_field(reply, &store_properties[i], &status);
	return -ENOENT;
}

#define STORE_PROPERTY(name, type) \
	SD_BUS_PROPERTY(name, type, get_store_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)

static const sd_bus_vtable store_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Peer", "s", get_store_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	STORE_PROPERTY("Connected", "b"),
	SD_BUS_PROPERTY("PeerError", "s", get_store_property, 0, 0),
	STORE_PROPERTY("KeyBits", "u"),
	STORE_PROPERTY("AvailableOwn", "t"),
	STORE_PROPERTY("AvailablePeer", "t"),
	STORE_PROPERTY("Reserved", "t"),
	STORE_PROPERTY("Delivering", "t"),
	STORE_PROPERTY("Issued", "t"),
	STORE_PROPERTY("Destroyed", "t"),
	STORE_PROPERTY("Labels", "t"),
	STORE_PROPERTY("LostAhead", "t"),
	STORE_PROPERTY("Directories", "u"),
	SD_BUS_VTABLE_END,
};

int bus_api_attach(struct bus_api *api, sd_bus *bus)
{
	int r = sd_bus_add_object_vtable(bus, NULL, BUS_API_PATH, BUS_API_INTERFACE, keyring_vtable,
					 api);

	if (r < 0)
		return r;
	r = sd_bus_add_fallback_vtable(bus, NULL, BUS_API_STORE_PATH, BUS_API_STORE, store_vtable,
				       find_store, api);
	if (r < 0)
		return r;
	r = sd_bus_add_node_enumerator(bus, NULL, BUS_API_STORE_PATH, list_stores, api);
	if (r < 0)
		return r;
	r = sd_bus_add_object_manager(bus, NULL, BUS_API_PATH);
	if (r < 0 || !api->statistics)
		return r;
	return statistics_bus_attach(api->statistics, bus);
}

void bus_api_forget(struct bus_api *api, sd_bus *bus)
{
	bus_authority_forget(api->authority, bus);
	devices_forget(api->devices, bus);
	bus_calls_forget(&api->calls, bus);
	statistics_bus_forget(api->statistics, bus);
}

int bus_api_emit_label_reserved(sd_bus *bus, const char *peer, const char *label,
				const struct uuid *id)
{
	char text[UUID_CHARS + 1];

	uuid_format(id, text);
	return sd_bus_emit_signal(bus, BUS_API_PATH, BUS_API_INTERFACE, "LabelReserved", "sss",
				  peer, label, text);
}

int bus_api_emit_low_water(sd_bus *bus, const char *peer, uint64_t available)
{
	return sd_bus_emit_signal(bus, BUS_API_PATH, BUS_API_INTERFACE, "LowWater", "st", peer,
				  available);
}

int bus_api_emit_path_changed(sd_bus *bus, const struct path *path, bool up)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;
	int r = sd_bus_message_new_signal(bus, &signal, BUS_API_PATH, BUS_API_INTERFACE,
					  "PathChanged");

	if (r >= 0)
		r = sd_bus_message_open_container(signal, 'a', "s");
	for (size_t i = 0; r >= 0 && i < path->count; i++)
		r = sd_bus_message_append(signal, "s", path->sites[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(signal);
	if (r >= 0)
		r = sd_bus_message_append(signal, "b", (int)up);
	return r < 0 ? r : sd_bus_send(bus, signal, NULL);
}

int bus_api_emit_store_changed(sd_bus *bus, const char *peer)
{
	_cleanup_(freep) char *path = NULL;
	int r = sd_bus_path_encode(BUS_API_STORE_PATH, peer, &path);

	if (r < 0)
		return r;
	return sd_bus_emit_properties_changed(bus, path, BUS_API_STORE, "Connected", "KeyBits",
					      "AvailableOwn", "AvailablePeer", "Reserved",
					      "Delivering", "Issued", "Destroyed", "Labels",
					      "LostAhead", "Directories", NULL);
}
