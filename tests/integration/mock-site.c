/* SPDX-License-Identifier: MIT */
/*
 * A large site for whoever looks at it: keyringd and many linkd on a bus, which do nothing but tell
 * their properties. Words: ADDRESS LINKS STORES SILENT; so many of the links do not answer. Says
 * "ready", ends with its standard input.
 */

#include <sys/epoll.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "common/macros.h"

#define LINKS_MAX 256

static const char *const texts[][2] = {
	{"State", "SessionStarted"}, {"Device", "sim_pair_0__256_alice"},
	{"Driver", "sim"},           {"Directory", "peer"},
	{"LastError", ""},           {"PeerError", ""},
	{"Site", "large"},           {"Version", "0"},
};

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const char *value = userdata; /* the name of this link or peer */

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		if (str_equal(property, texts[i][0]))
			value = texts[i][1];
	return sd_bus_message_append(reply, "s", value);
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "t", UINT64_C(123456));
}

static int get_size(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "u", 256);
}

static int get_real(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "d", str_equal(property, "ErrorRate") ? 0.021 : 987.6);
}

static int get_truth(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "b", str_equal(property, "Connected"));
}

static const sd_bus_vtable link_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Link", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Site", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Peer", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("State", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Device", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Driver", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Directory", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("KeyBits", "u", get_size, 0, 0),
	SD_BUS_PROPERTY("NextSequence", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("KeysAgreed", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("KeysPerSecond", "d", get_real, 0, 0),
	SD_BUS_PROPERTY("OpenTransactions", "u", get_size, 0, 0),
	SD_BUS_PROPERTY("Connected", "b", get_truth, 0, 0),
	SD_BUS_PROPERTY("LastError", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("PeerError", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("ErrorRate", "d", get_real, 0, 0),
	SD_BUS_PROPERTY("Alarm", "b", get_truth, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable keyring_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Site", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Version", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("KernelShared", "b", get_truth, 0, 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable store_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Peer", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Connected", "b", get_truth, 0, 0),
	SD_BUS_PROPERTY("PeerError", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("KeyBits", "u", get_size, 0, 0),
	SD_BUS_PROPERTY("AvailableOwn", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("AvailablePeer", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Reserved", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Delivering", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Issued", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Destroyed", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Labels", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("LostAhead", "t", get_number, 0, 0),
	SD_BUS_PROPERTY("Directories", "u", get_size, 0, 0),
	SD_BUS_VTABLE_END,
};

static int join(sd_event *event, const char *address, const char *name, sd_bus **ret)
{
	int r = sd_bus_new(ret);

	if (r >= 0)
		r = sd_bus_set_address(*ret, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(*ret, true);
	if (r >= 0)
		r = sd_bus_start(*ret);
	if (r >= 0)
		r = sd_bus_request_name(*ret, name, 0);
	if (r >= 0 && event) /* one that no loop serves does not answer */
		r = sd_bus_attach_event(*ret, event, 0);
	return r;
}

static int add_link(sd_event *event, const char *address, int i)
{
	char name[64], *link;
	sd_bus *bus = NULL;
	int r;

	snprintf(name, sizeof(name), "org.qkd.Link1.link_%d", i);
	r = join(event, address, name, &bus);
	if (r >= 0 && asprintf(&link, "link-%d", i) < 0)
		r = -ENOMEM;
	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/qkd/Link1", "org.qkd.Link1",
					     link_vtable, link);
	return r;
}

static int add_store(sd_bus *bus, int i)
{
	char path[64], *peer;

	snprintf(path, sizeof(path), "/org/qkd/Keyring1/store/peer%d", i);
	if (asprintf(&peer, "peer%d", i) < 0)
		return -ENOMEM;
	return sd_bus_add_object_vtable(bus, NULL, path, "org.qkd.Keyring1.Store", store_vtable,
					peer);
}

static int add_keyring(sd_event *event, const char *address, int stores)
{
	sd_bus *bus = NULL;
	int r = join(event, address, "org.qkd.Keyring1", &bus);

	if (r >= 0)
		r = sd_bus_add_object_vtable(bus, NULL, "/org/qkd/Keyring1", "org.qkd.Keyring1",
					     keyring_vtable, NULL);
	if (r >= 0)
		r = sd_bus_add_object_manager(bus, NULL, "/org/qkd/Keyring1");
	for (int i = 0; r >= 0 && i < stores; i++)
		r = add_store(bus, i);
	return r;
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

int main(int argc, char **argv)
{
	sd_event *event;
	int links, silent, r;

	if (argc != 5)
		return 2;
	links = MIN(atoi(argv[2]), LINKS_MAX);
	silent = atoi(argv[4]);
	r = sd_event_default(&event);
	if (r >= 0)
		r = add_keyring(event, argv[1], atoi(argv[3]));
	for (int i = 0; r >= 0 && i < links; i++)
		r = add_link(i < silent ? NULL : event, argv[1], i);
	if (r >= 0)
		r = sd_event_add_io(event, NULL, STDIN_FILENO, EPOLLIN, on_input, NULL);
	if (r < 0) {
		fprintf(stderr, "mock-site: %s\n", strerror(-r));
		return EXIT_FAILURE;
	}
	puts("ready");
	fflush(stdout);
	return sd_event_loop(event);
}
