/* SPDX-License-Identifier: MIT */
/*
 * Accepts D-Bus connections on a socket of our own. Only root, our own user and our group can open
 * it, as only they may call us on the system bus.
 */

#include "keyringd-direct-bus.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "common/log.h"
#include "common/unix-socket.h"

#define LISTEN_BACKLOG 64

struct connection {
	struct list link;
	struct keyringd_direct_bus *server;
	sd_bus *bus;
};

struct keyringd_direct_bus {
	sd_event *event;
	struct bus_api *api;
	char *path;
	int fd;
	sd_event_source *io;
	struct list connections;
	unsigned count;
};

static void free_connection(struct connection *connection)
{
	list_remove(&connection->link);
	connection->server->count--;
	if (connection->bus) {
		bus_api_forget(connection->server->api, connection->bus);
		sd_bus_detach_event(connection->bus);
		sd_bus_close_unref(connection->bus);
	}
	free(connection);
}

static int on_disconnected(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	free_connection(userdata);
	return 0;
}

/* Takes the descriptor, also on failure. */
static int start_bus(struct connection *connection, int descriptor)
{
	struct keyringd_direct_bus *server = connection->server;
	_cleanup_(closep) int fd = descriptor;
	sd_id128_t id;
	int r = sd_id128_randomize(&id);

	if (r < 0)
		return r;
	r = sd_bus_new(&connection->bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(connection->bus, fd, fd);
	if (r < 0)
		return r;
	(void)TAKE_FD(fd);
	r = sd_bus_set_server(connection->bus, true, id);
	if (r < 0)
		return r;
	r = sd_bus_match_signal(connection->bus, NULL, NULL, "/org/freedesktop/DBus/Local",
				"org.freedesktop.DBus.Local", "Disconnected", on_disconnected,
				connection);
	if (r < 0)
		return r;
	r = bus_api_attach(server->api, connection->bus);
	if (r < 0)
		return r;
	r = sd_bus_start(connection->bus);
	if (r < 0)
		return r;
	return sd_bus_attach_event(connection->bus, server->event, SD_EVENT_PRIORITY_NORMAL);
}

/* Takes the descriptor. */
static void add_connection(struct keyringd_direct_bus *server, int fd)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int r;

	if (!connection) {
		close(fd);
		return;
	}
	connection->server = server;
	list_append(&server->connections, &connection->link);
	server->count++;
	r = start_bus(connection, fd);
	if (r < 0) {
		log_debug("cannot serve a connection to %s: %s", server->path, strerror(-r));
		free_connection(connection);
	}
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct keyringd_direct_bus *server = userdata;
	int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (accepted < 0)
		return 0;
	if (server->count < KEYRINGD_DIRECT_BUS_MAX)
		add_connection(server, accepted);
	else
		close(accepted);
	return 0;
}

int keyringd_direct_bus_new(sd_event *event, const char *path, struct bus_api *api,
			    struct keyringd_direct_bus **ret)
{
	_cleanup_(keyringd_direct_bus_freep) struct keyringd_direct_bus *server =
		calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->event = sd_event_ref(event);
	server->api = api;
	server->fd = -1;
	list_init(&server->connections);
	server->path = strdup(path);
	if (!server->path)
		return -ENOMEM;
	r = unix_socket_listen(path, SOCK_STREAM, 0660, LISTEN_BACKLOG, &server->fd);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &server->io, server->fd, EPOLLIN, on_connection, server);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

struct keyringd_direct_bus *keyringd_direct_bus_free(struct keyringd_direct_bus *server)
{
	if (!server)
		return NULL;
	LIST_FOREACH (link, &server->connections)
		free_connection(LIST_ENTRY(link, struct connection, link));
	sd_event_source_disable_unref(server->io);
	if (server->fd >= 0) {
		close(server->fd);
		unlink(server->path);
	}
	sd_event_unref(server->event);
	free(server->path);
	free(server);
	return NULL;
}

void keyringd_direct_bus_foreach(struct keyringd_direct_bus *server,
				 void (*each)(sd_bus *bus, void *userdata), void *userdata)
{
	if (!server)
		return;
	LIST_FOREACH (link, &server->connections)
		each(LIST_ENTRY(link, struct connection, link)->bus, userdata);
}
