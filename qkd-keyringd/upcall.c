/* SPDX-License-Identifier: MIT */
/*
 * Serves the upcall helper. Each connection goes reading -> issuing -> reporting and ends in every
 * state by its deadline or when the helper goes away; a key whose delivery nobody reported stays
 * with its label or id and is never given to another.
 */

#include "upcall.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "common/unix-socket.h"
#include "list.h"
#include "upcall-packet.h"

#define ACCEPT_MAX_AT_ONCE 64

#define COUNTER(n, h)                                                              \
	{                                                                          \
		"upcall." n, STATISTICS_COUNTER, STATISTICS_INTEGER, "requests", h \
	}

const struct statistics_definition upcall_definitions[UPCALL_STATISTIC_COUNT_] = {
	[UPCALL_STATISTIC_OPEN] = {"upcall.open", STATISTICS_GAUGE, STATISTICS_INTEGER, "requests",
				   "requests that are being served"},
	[UPCALL_STATISTIC_DELIVERED] = COUNTER("delivered", "keys that the kernel has taken"),
	[UPCALL_STATISTIC_UNDELIVERED] =
		COUNTER("undelivered", "keys that it did not take, or nobody told"),
	[UPCALL_STATISTIC_NOT_ALLOWED] = COUNTER("not_allowed", "refused by the policy (EACCES)"),
	[UPCALL_STATISTIC_TOO_MANY] =
		COUNTER("too_many", "refused as too many or too fast (EDQUOT)"),
	[UPCALL_STATISTIC_NO_PEER] = COUNTER("no_peer", "no such peer (ENOKEY)"),
	[UPCALL_STATISTIC_TOO_LATE] = COUNTER("too_late", "no key in time (ETIMEDOUT)"),
	[UPCALL_STATISTIC_SPENT] = COUNTER("spent", "label or id spent (EKEYEXPIRED)"),
	[UPCALL_STATISTIC_INVALID] = COUNTER("invalid", "malformed, or of another size (EINVAL)"),
	[UPCALL_STATISTIC_FAILED] = COUNTER("failed", "failed by a fault of ours (ENOKEY)"),
	[UPCALL_STATISTIC_LATENCY] = {"upcall.latency", STATISTICS_SUMMARY, STATISTICS_TIME,
				      "seconds", "from a request to its key"},
};

enum upcall_state {
	UPCALL_READING,
	UPCALL_ISSUING,
	UPCALL_REPORTING,
};

struct upcall {
	struct list link;
	struct upcall_server *server;
	enum upcall_state state;
	int fd;
	sd_event_source *io, *timer;
	struct upcall_packet packet;
	struct issue_operation *operation; /* issuing */
	struct delivery *delivery;         /* reporting */
	struct uuid id;                    /* of the key, for the log */
	uint64_t begun_usec;
};

struct upcall_server {
	struct upcall_server_options options;
	char *path, *site;
	int fd;
	sd_event_source *io;
	struct list open;
	size_t open_count;
	struct secret *reply; /* the one that is being sent */
	struct statistic statistics[UPCALL_STATISTIC_COUNT_];
};

static void count(struct upcall *upcall, enum upcall_statistic which, uint64_t value)
{
	statistics_update(&upcall->server->statistics[which], value);
}

static void upcall_free(struct upcall *upcall)
{
	list_remove(&upcall->link);
	upcall->server->open_count--;
	if (upcall->operation)
		issue_operation_cancel(upcall->operation);
	if (upcall->delivery)
		count(upcall, UPCALL_STATISTIC_UNDELIVERED, 1);
	delivery_abandon(upcall->delivery);
	sd_event_source_disable_unref(upcall->io);
	sd_event_source_disable_unref(upcall->timer);
	close(upcall->fd);
	free(upcall);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct upcall *upcall = userdata;

	log_debug("upcall helper said nothing in time (%s)",
		  upcall->state == UPCALL_READING ? "request" : "report");
	upcall_free(upcall);
	return 0;
}

/* One timer for each upcall, armed while we wait for the helper. */
static int limit_wait(struct upcall *upcall, uint64_t usec)
{
	sd_event *event = upcall->server->options.event;
	int r;

	if (!upcall->timer)
		return sd_event_add_time_relative(event, &upcall->timer, CLOCK_MONOTONIC, usec,
						  USEC_PER_SEC / 4, on_deadline, upcall);
	r = sd_event_source_set_time_relative(upcall->timer, usec);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(upcall->timer, SD_EVENT_ONESHOT);
}

/* What a requester may see of an error; the rest is our own trouble and says "no key". */
static uint32_t errno_for_requester(int result)
{
	switch (result) {
	case -EACCES:
	case -EDQUOT:
	case -EINVAL:
	case -EKEYEXPIRED:
	case -ETIMEDOUT:
		return (uint32_t)-result;
	default:
		return ENOKEY;
	}
}

static int send_reply(struct upcall *upcall, const struct upcall_reply *reply)
{
	ssize_t n = send(upcall->fd, reply, sizeof(*reply), MSG_NOSIGNAL | MSG_DONTWAIT);

	return n == sizeof(*reply) ? 0 : -EPIPE;
}

static enum upcall_statistic statistic_of(int result)
{
	switch (result) {
	case -EACCES:
		return UPCALL_STATISTIC_NOT_ALLOWED;
	case -EDQUOT:
		return UPCALL_STATISTIC_TOO_MANY;
	case -ENOKEY:
		return UPCALL_STATISTIC_NO_PEER;
	case -ETIMEDOUT:
		return UPCALL_STATISTIC_TOO_LATE;
	case -EKEYEXPIRED:
		return UPCALL_STATISTIC_SPENT;
	case -EINVAL:
		return UPCALL_STATISTIC_INVALID;
	default:
		return UPCALL_STATISTIC_FAILED;
	}
}

static void refuse(struct upcall *upcall, int result)
{
	const struct upcall_reply reply = {
		.magic = UPCALL_MAGIC,
		.error = errno_for_requester(result),
	};

	count(upcall, statistic_of(result), 1);
	send_reply(upcall, &reply);
	upcall_free(upcall);
}

static void refuse_and_log(struct upcall *upcall, const char *reason, int result)
{
	const struct upcall_packet *packet = &upcall->packet;

	admission_log_refusal(upcall->server->options.admission, packet->uid,
			      packet->text.peer[0] ? packet->text.peer : NULL, packet->description,
			      reason, result);
	refuse(upcall, result);
}

/* The shorter of what the requester wants and the key has; 0 is no limit. */
static uint32_t choose_timeout(uint32_t wanted_sec, uint32_t key_sec)
{
	if (wanted_sec == 0 || key_sec == 0)
		return MAX(wanted_sec, key_sec);
	return MIN(wanted_sec, key_sec);
}

static int send_key(struct upcall *upcall, const struct issued_key *key)
{
	struct upcall_reply *reply = (struct upcall_reply *)upcall->server->reply->bytes;
	size_t size = key->key->size_bytes;
	int r;

	if (size == 0 || size > sizeof(reply->key))
		return -EMSGSIZE;
	*reply = (struct upcall_reply){
		.magic = UPCALL_MAGIC,
		.permission = upcall->packet.permission,
		.timeout_sec = choose_timeout(upcall->packet.text.ttl_sec, key->expires_sec),
		.key_bytes = (uint32_t)size,
	};
	memcpy(reply->key, key->key->bytes, size);
	r = send_reply(upcall, reply);
	secret_wipe(reply, sizeof(*reply));
	count(upcall, UPCALL_STATISTIC_LATENCY, statistics_clock_usec() - upcall->begun_usec);
	return r;
}

static const char *reason_of(int result)
{
	switch (result) {
	case -ENOKEY:
		return "no such peer";
	case -ETIMEDOUT:
		return "no key in time";
	case -EKEYEXPIRED:
		return "spent";
	case -EACCES:
		return "reserved for another user";
	case -EINVAL:
		return "another size was agreed";
	case -EDQUOT:
		return "too many reservations";
	default:
		return "failed";
	}
}

static void on_issued(int result, const struct issued_key *key, void *userdata)
{
	struct upcall *upcall = userdata;

	upcall->operation = NULL;
	if (result < 0) {
		refuse_and_log(upcall, reason_of(result), result);
		return;
	}
	upcall->delivery = key->delivery;
	upcall->state = UPCALL_REPORTING;
	if (send_key(upcall, key) < 0 || limit_wait(upcall, UPCALL_REPORT_USEC) < 0)
		upcall_free(upcall);
}

static uint64_t deadline_of(uint32_t wait_sec)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000 +
	       MAX(wait_sec * USEC_PER_SEC, UPCALL_MIN_BUDGET_USEC);
}

static int start_issuing(struct upcall *upcall)
{
	const struct upcall_packet *packet = &upcall->packet;
	const struct request_text *text = &packet->text;
	struct issuer *issuer = upcall->server->options.admission->issuer;
	uint64_t deadline = deadline_of(text->wait_sec);

	upcall->state = UPCALL_ISSUING;
	if (text->by_id)
		return issuer_deliver_id(issuer, text->peer, &text->id, text->bits, packet->uid,
					 deadline, on_issued, upcall, &upcall->operation);
	return issuer_deliver_label(issuer, text->peer, text->label, text->bits, text->ttl_sec,
				    packet->uid, deadline, on_issued, upcall, &upcall->operation);
}

static bool is_well_formed(const struct upcall *upcall)
{
	const struct request_text *text = &upcall->packet.text;

	return upcall->packet.well_formed &&
	       (!text->site[0] || str_equal(text->site, upcall->server->site));
}

static void handle_request(struct upcall *upcall)
{
	const struct request_text *text = &upcall->packet.text;
	const struct policy_request request = {
		.uid = upcall->packet.uid,
		.groups = &upcall->packet.gid,
		.group_count = 1,
		.peer = text->peer,
		.label = text->by_id ? NULL : text->label,
		.bits = text->bits,
		.count = 1,
	};
	int r;

	if (!is_well_formed(upcall)) {
		refuse_and_log(upcall, "malformed", -EINVAL);
		return;
	}
	r = admission_check(upcall->server->options.admission, &request);
	if (r < 0) {
		refuse(upcall, r);
		return;
	}
	r = start_issuing(upcall);
	if (r < 0)
		refuse_and_log(upcall, reason_of(r), r);
}

/* False: nothing there yet. */
static bool read_request(struct upcall *upcall)
{
	uint8_t bytes[sizeof(struct upcall_request) + 1];
	ssize_t n = recv(upcall->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (n <= 0 || upcall_packet_parse(bytes, (size_t)n, &upcall->packet) < 0) {
		log_debug("upcall helper sent no request");
		upcall_free(upcall);
		return true;
	}
	if (upcall->timer)
		sd_event_source_set_enabled(upcall->timer, SD_EVENT_OFF);
	handle_request(upcall);
	return true;
}

static void read_report(struct upcall *upcall)
{
	struct upcall_report report;
	ssize_t n = recv(upcall->fd, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(report) && report.magic == UPCALL_MAGIC) {
		count(upcall,
		      report.delivered == 1 ? UPCALL_STATISTIC_DELIVERED
					    : UPCALL_STATISTIC_UNDELIVERED,
		      1);
		delivery_report(TAKE_PTR(upcall->delivery), report.delivered == 1);
		if (report.delivered != 1)
			admission_log_refusal(upcall->server->options.admission, upcall->packet.uid,
					      upcall->packet.text.peer, upcall->packet.description,
					      "the kernel did not take it", -(int)report.error);
	}
	upcall_free(upcall);
}

static int on_helper(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct upcall *upcall = userdata;

	switch (upcall->state) {
	case UPCALL_READING:
		read_request(upcall);
		break;
	case UPCALL_ISSUING: /* it has nothing to say now: it has gone */
		upcall_free(upcall);
		break;
	case UPCALL_REPORTING:
		read_report(upcall);
		break;
	}
	return 0;
}

static bool is_helper(const struct upcall_server *server, int fd)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
	       credentials.uid == server->options.helper_uid;
}

/* Takes the descriptor, also on failure. */
static int upcall_new(struct upcall_server *server, int fd)
{
	struct upcall *upcall;
	int r;

	upcall = calloc(1, sizeof(*upcall));
	if (!upcall) {
		close(fd);
		return -ENOMEM;
	}
	upcall->server = server;
	upcall->fd = fd;
	upcall->begun_usec = statistics_clock_usec();
	list_append(&server->open, &upcall->link);
	server->open_count++;
	r = sd_event_add_io(server->options.event, &upcall->io, fd, EPOLLIN, on_helper, upcall);
	if (r < 0) {
		upcall_free(upcall);
		return r;
	}
	/* The helper sends as soon as it is connected: its request is mostly here by now. */
	if (read_request(upcall))
		return 0;
	r = limit_wait(upcall, UPCALL_READ_USEC);
	if (r < 0)
		upcall_free(upcall);
	return r;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct upcall_server *server = userdata;
	int r;

	for (unsigned i = 0; i < ACCEPT_MAX_AT_ONCE; i++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (accepted < 0)
			return 0;
		if (server->open_count >= UPCALL_MAX_OPEN || !is_helper(server, accepted)) {
			close(accepted);
			continue;
		}
		r = upcall_new(server, accepted);
		if (r < 0)
			log_debug("cannot serve an upcall: %s", strerror(-r));
	}
	return 0;
}

static int make_directory(const char *path)
{
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* The directory is ours alone; the parent, made by systemd-tmpfiles, may be shared by sites. */
static int prepare_directory(const struct upcall_server_options *options, char **ret_path)
{
	_cleanup_(freep) char *directory = NULL;
	int r;

	if (asprintf(&directory, "%s/%s", options->directory, options->name) < 0)
		return -ENOMEM;
	r = make_directory(options->directory);
	if (r == 0)
		r = make_directory(directory);
	if (r < 0)
		return r;
	return asprintf(ret_path, "%s/socket", directory) < 0 ? -ENOMEM : 0;
}

int upcall_server_new(const struct upcall_server_options *options, struct upcall_server **ret)
{
	_cleanup_(upcall_server_freep) struct upcall_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->options = *options;
	server->fd = -1;
	list_init(&server->open);
	server->site = strdup(options->site);
	if (!server->site)
		return -ENOMEM;
	r = secret_new(sizeof(struct upcall_reply), &server->reply);
	if (r < 0)
		return r;
	r = prepare_directory(options, &server->path);
	if (r < 0)
		return r;
	r = unix_socket_listen(server->path, SOCK_SEQPACKET, 0600, UPCALL_MAX_OPEN, &server->fd);
	if (r < 0)
		return r;
	r = sd_event_add_io(options->event, &server->io, server->fd, EPOLLIN, on_connection,
			    server);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(server);
	return 0;
}

struct upcall_server *upcall_server_free(struct upcall_server *server)
{
	if (!server)
		return NULL;
	LIST_FOREACH (link, &server->open)
		upcall_free(LIST_ENTRY(link, struct upcall, link));
	sd_event_source_disable_unref(server->io);
	if (server->fd >= 0) {
		close(server->fd);
		unlink(server->path);
	}
	secret_free(server->reply);
	free(server->path);
	free(server->site);
	free(server);
	return NULL;
}

struct statistic *upcall_server_statistics(struct upcall_server *server)
{
	return server->statistics;
}

size_t upcall_server_open_count(const struct upcall_server *server)
{
	return server->open_count;
}
