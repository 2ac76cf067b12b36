/* SPDX-License-Identifier: MIT */
/*
 * HTTPS requests that never block a daemon's loop: libcurl says which sockets and which time it
 * waits for, sd_event waits.
 *
 * An answer is told from a deferred source, one each round, never from within libcurl: so a
 * callback may do what it likes, even free the client. HTTP/1.1 only, no redirect, no proxy: a KME
 * is a machine beside us, and what it gives are keys.
 */

#include "common/http.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <time.h>

#define FIRST_BODY_BYTES 4096
#define ACCURACY_USEC    (10 * USEC_PER_MSEC)

struct http_socket {
	struct http_client *client;
	struct http_socket *next;
	sd_event_source *source;
};

struct http_client {
	sd_event *event;
	CURLM *multi;
	sd_event_source *timer, *deliver;
	struct http_socket *sockets;
	struct http_request *requests;
	struct curl_slist *headers, *connect_to;
	char *ca_file, *certificate_file, *key_file;
	long timeout_msec;
};

struct http_request {
	struct http_client *client;
	struct http_request *next;
	CURL *easy;
	struct secret *body; /* body_bytes of it are filled */
	size_t body_bytes;
	bool body_too_big, ended;
	CURLcode code;
	http_done_t done;
	void *userdata;
	char error[CURL_ERROR_SIZE];
};

/* ---- requests ---- */

static struct http_request *request_free(struct http_request *request)
{
	if (!request)
		return NULL;
	if (request->easy) {
		curl_multi_remove_handle(request->client->multi, request->easy);
		curl_easy_cleanup(request->easy);
	}
	secret_free(request->body);
	free(request);
	return NULL;
}
DEFINE_CLEANUP(struct http_request *, request_free);

static void request_unlink(struct http_request *request)
{
	struct http_request **link = &request->client->requests;

	while (*link && *link != request)
		link = &(*link)->next;
	if (*link)
		*link = request->next;
}

void http_request_cancel(struct http_request *request)
{
	if (!request)
		return;
	request_unlink(request);
	request_free(request);
}

static int body_reserve(struct http_request *request, size_t more)
{
	_cleanup_(secret_freep) struct secret *bigger = NULL;
	size_t size = request->body ? request->body->size_bytes : FIRST_BODY_BYTES;
	int r;

	while (size < request->body_bytes + more)
		size *= 2;
	if (request->body && size == request->body->size_bytes)
		return 0;
	r = secret_new(size, &bigger);
	if (r < 0)
		return r;
	if (request->body)
		memcpy(bigger->bytes, request->body->bytes, request->body_bytes);
	secret_free(request->body);
	request->body = TAKE_PTR(bigger);
	return 0;
}

/* libcurl's: anything but what it gave us ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *userdata)
{
	struct http_request *request = userdata;
	size_t more = size * count;

	if (more > HTTP_MAX_BODY_BYTES - request->body_bytes) {
		request->body_too_big = true;
		return 0;
	}
	if (more == 0 || body_reserve(request, more) < 0)
		return 0;
	memcpy(request->body->bytes + request->body_bytes, bytes, more);
	request->body_bytes += more;
	return more;
}

static int code_to_errno(const struct http_request *request)
{
	switch (request->code) {
	case CURLE_OK:
		return 0;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
		return -ECONNREFUSED;
	case CURLE_COULDNT_RESOLVE_HOST:
		return -EHOSTUNREACH;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return -ECONNRESET;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return -EPROTO;
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CACERT_BADFILE:
		return -EKEYREJECTED;
	case CURLE_FILESIZE_EXCEEDED:
		return -EMSGSIZE;
	case CURLE_WRITE_ERROR:
		return request->body_too_big ? -EMSGSIZE : -ENOMEM;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_WEIRD_SERVER_REPLY:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

/* A sentence for the result, in the request's own buffer. */
static const char *reason_for(struct http_request *request)
{
	if (request->code == CURLE_OK)
		return "";
	if (request->body_too_big || request->code == CURLE_FILESIZE_EXCEEDED)
		return "the answer is longer than 4 MiB";
	return request->error[0] ? request->error : curl_easy_strerror(request->code);
}

/* Frees the request first: what the callback needs is on this stack. */
static void request_tell(struct http_request *request)
{
	_cleanup_(secret_freep) struct secret *owned = TAKE_PTR(request->body);
	struct secret body = {owned ? owned->bytes : NULL, request->body_bytes};
	char reason[CURL_ERROR_SIZE];
	int result = code_to_errno(request);
	http_done_t done = request->done;
	void *userdata = request->userdata;
	long status = 0;

	snprintf(reason, sizeof(reason), "%s", reason_for(request));
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	request_unlink(request);
	request_free(request);
	done(result, status, result == 0 && body.size_bytes > 0 ? &body : NULL, reason, userdata);
}

/* ---- libcurl on the loop ---- */

static int on_deliver(sd_event_source *source, void *userdata)
{
	struct http_client *client = userdata;
	struct http_request *request = client->requests;

	while (request && !request->ended)
		request = request->next;
	if (!request)
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	request_tell(request);
	return 0;
}

static void note_ended(struct http_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left))) {
		struct http_request *request = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		request->code = message->data.result;
		request->ended = true;
		sd_event_source_set_enabled(client->deliver, SD_EVENT_ONESHOT);
	}
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct http_socket *socket = userdata;
	struct http_client *client = socket->client;
	int running, mask = 0;

	if (events & (EPOLLIN | EPOLLRDHUP))
		mask |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	curl_multi_socket_action(client->multi, fd, mask, &running);
	note_ended(client);
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct http_client *client = userdata;
	int running;

	curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	note_ended(client);
	return 0;
}

static void socket_free(struct http_socket *socket)
{
	struct http_socket **link = &socket->client->sockets;

	while (*link != socket)
		link = &(*link)->next;
	*link = socket->next;
	sd_event_source_disable_unref(socket->source);
	free(socket);
}

static int socket_new(struct http_client *client, curl_socket_t fd, uint32_t events)
{
	struct http_socket *socket = calloc(1, sizeof(*socket));

	if (!socket)
		return -1;
	if (sd_event_add_io(client->event, &socket->source, fd, events, on_io, socket) < 0) {
		free(socket);
		return -1;
	}
	socket->client = client;
	socket->next = client->sockets;
	client->sockets = socket;
	curl_multi_assign(client->multi, fd, socket);
	return 0;
}

/* libcurl's: from now on it waits for this on that socket. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_userdata)
{
	struct http_client *client = userdata;
	struct http_socket *socket = socket_userdata;
	uint32_t events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (socket)
			socket_free(socket);
		return 0;
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= EPOLLIN;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= EPOLLOUT;
	if (socket)
		return sd_event_source_set_io_events(socket->source, events) < 0 ? -1 : 0;
	return socket_new(client, fd, events);
}

/* libcurl's: call again after so many milliseconds; -1: not at all. */
static int on_timeout_wanted(CURLM *multi, long timeout_msec, void *userdata)
{
	struct http_client *client = userdata;

	if (timeout_msec < 0)
		return sd_event_source_set_enabled(client->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	if (sd_event_source_set_time_relative(client->timer,
					      (uint64_t)timeout_msec * USEC_PER_MSEC) < 0)
		return -1;
	return sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT) < 0 ? -1 : 0;
}

/* ---- the client ---- */

static int copy_options(struct http_client *client, const struct http_client_options *options)
{
	_cleanup_(freep) char *connect_to = NULL;

	client->timeout_msec = (long)(options->timeout_usec / USEC_PER_MSEC);
	client->ca_file = strdup(options->ca_file);
	client->certificate_file = strdup(options->certificate_file);
	client->key_file = strdup(options->key_file);
	if (!client->ca_file || !client->certificate_file || !client->key_file)
		return -ENOMEM;
	if (!options->connect_to)
		return 0;
	if (asprintf(&connect_to, "::%s", options->connect_to) < 0) {
		connect_to = NULL;
		return -ENOMEM;
	}
	client->connect_to = curl_slist_append(NULL, connect_to);
	return client->connect_to ? 0 : -ENOMEM;
}

/* "Expect: 100-continue" would cost a round trip, so the empty one takes it back. */
static int make_headers(struct http_client *client)
{
	static const char *const lines[] = {"Content-Type: application/json",
					    "Accept: application/json", "Expect:"};

	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		struct curl_slist *longer = curl_slist_append(client->headers, lines[i]);

		if (!longer)
			return -ENOMEM;
		client->headers = longer;
	}
	return 0;
}

static int make_multi(struct http_client *client)
{
	CURLM *multi = curl_multi_init();

	if (!multi)
		return -ENOMEM;
	client->multi = multi;
	if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) != CURLM_OK ||
	    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) != CURLM_OK ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted) != CURLM_OK ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) != CURLM_OK ||
	    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)HTTP_MAX_CONNECTIONS) !=
		    CURLM_OK)
		return -ENOMEM;
	return 0;
}

static int make_sources(struct http_client *client)
{
	int r;

	r = sd_event_add_time(client->event, &client->timer, CLOCK_MONOTONIC, 0, ACCURACY_USEC,
			      on_timer, client);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_defer(client->event, &client->deliver, on_deliver, client);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(client->deliver, SD_EVENT_OFF);
}

int http_client_new(sd_event *event, const struct http_client_options *options,
		    struct http_client **ret)
{
	_cleanup_(http_client_freep) struct http_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	/* Counted by libcurl: keeps the wiping allocator where the process has set it before. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	client->event = sd_event_ref(event);
	r = copy_options(client, options);
	if (r >= 0)
		r = make_headers(client);
	if (r >= 0)
		r = make_sources(client);
	if (r >= 0)
		r = make_multi(client);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(client);
	return 0;
}

struct http_client *http_client_free(struct http_client *client)
{
	if (!client)
		return NULL;
	while (client->requests)
		http_request_cancel(client->requests);
	if (client->multi)
		curl_multi_cleanup(client->multi);
	while (client->sockets)
		socket_free(client->sockets);
	sd_event_source_disable_unref(client->timer);
	sd_event_source_disable_unref(client->deliver);
	curl_slist_free_all(client->headers);
	curl_slist_free_all(client->connect_to);
	free(client->ca_file);
	free(client->certificate_file);
	free(client->key_file);
	sd_event_unref(client->event);
	free(client);
	return NULL;
}

/* ---- asking ---- */

/* OpenSSL wipes what it has decrypted as soon as it is read. */
static CURLcode on_tls_context(CURL *easy, void *context, void *userdata)
{
	SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
	return CURLE_OK;
}

struct http_option {
	CURLoption option;
	const void *value;
};

static bool set_pointers(CURL *easy, const struct http_option *options, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (options[i].value &&
		    curl_easy_setopt(easy, options[i].option, options[i].value) != CURLE_OK)
			return false;
	return true;
}

static bool set_numbers(CURL *easy, const struct http_client *client)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
		{CURLOPT_NOSIGNAL, 1},
		{CURLOPT_FOLLOWLOCATION, 0},
		{CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
		{CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
		{CURLOPT_SSL_VERIFYPEER, 1},
		{CURLOPT_SSL_VERIFYHOST, 2},
		{CURLOPT_CONNECTTIMEOUT_MS, (long)(HTTP_CONNECT_USEC / USEC_PER_MSEC)},
		{CURLOPT_TIMEOUT_MS, client->timeout_msec},
		{CURLOPT_MAXFILESIZE, (long)HTTP_MAX_BODY_BYTES},
	};

	for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
		if (curl_easy_setopt(easy, numbers[i].option, numbers[i].value) != CURLE_OK)
			return false;
	return true;
}

static bool set_callbacks(struct http_request *request)
{
	CURL *easy = request->easy;

	return curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_WRITEDATA, request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_PRIVATE, request) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error) == CURLE_OK &&
	       curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context) == CURLE_OK;
}

static bool set_options(struct http_request *request, const char *url, const char *body)
{
	const struct http_client *client = request->client;
	const struct http_option pointers[] = {
		{CURLOPT_URL, url},
		{CURLOPT_PROTOCOLS_STR, "https"},
		{CURLOPT_NOPROXY, "*"},
		{CURLOPT_CAINFO, client->ca_file},
		{CURLOPT_SSLCERT, client->certificate_file},
		{CURLOPT_SSLKEY, client->key_file},
		{CURLOPT_HTTPHEADER, client->headers},
		{CURLOPT_CONNECT_TO, client->connect_to},
		{CURLOPT_COPYPOSTFIELDS, body},
	};

	return set_pointers(request->easy, pointers, ELEMENTSOF(pointers)) &&
	       set_numbers(request->easy, client) && set_callbacks(request);
}

int http_post_json(struct http_client *client, const char *url, const char *body, http_done_t done,
		   void *userdata, struct http_request **ret_borrowed)
{
	_cleanup_(request_freep) struct http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->client = client;
	request->done = done;
	request->userdata = userdata;
	request->easy = curl_easy_init();
	if (!request->easy || !set_options(request, url, body))
		return -ENOMEM;
	if (curl_multi_add_handle(client->multi, request->easy) != CURLM_OK)
		return -ENOMEM;
	if (ret_borrowed)
		*ret_borrowed = request;
	request->next = client->requests;
	client->requests = TAKE_PTR(request);
	return 0;
}

int http_get(struct http_client *client, const char *url, http_done_t done, void *userdata,
	     struct http_request **ret_borrowed)
{
	return http_post_json(client, url, NULL, done, userdata, ret_borrowed);
}
