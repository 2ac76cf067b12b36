/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * HTTPS requests on an sd_event loop: libcurl's multi interface driven by its socket and timer
 * callbacks. Bodies live in secret memory, because the answers of a KME are keys.
 */

#include <systemd/sd-event.h>

#include "common/secret.h"

#define HTTP_MAX_BODY_BYTES  (4u << 20)
#define HTTP_CONNECT_USEC    (5 * USEC_PER_SEC)
#define HTTP_MAX_CONNECTIONS 4

struct http_client;
struct http_request;

struct http_client_options {
	const char *ca_file, *certificate_file, *key_file;
	uint64_t timeout_usec;  /* of a whole request */
	const char *connect_to; /* HOST:PORT to connect to whatever the URL names, or NULL */
};

/* result: 0 when an answer came, whatever its status; -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET,
 * -EPROTO (TLS), -EKEYREJECTED (a file of ours cannot be used), -EMSGSIZE (body), ... with a
 * sentence in reason. body is borrowed, NULL when empty. Called from the loop, never from within
 * the call that asked; it may free the client. The request is freed before the callback. */
typedef void (*http_done_t)(int result, long status, const struct secret *body, const char *reason,
			    void *userdata);

int http_client_new(sd_event *event, const struct http_client_options *options,
		    struct http_client **ret);
/* Ends every request without calling back. */
struct http_client *http_client_free(struct http_client *client);
DEFINE_CLEANUP(struct http_client *, http_client_free);

/* url is https://; body is JSON text, copied. *ret_borrowed (NULL: not wanted) is valid until its
 * callback. */
int http_get(struct http_client *client, const char *url, http_done_t done, void *userdata,
	     struct http_request **ret_borrowed);
int http_post_json(struct http_client *client, const char *url, const char *body, http_done_t done,
		   void *userdata, struct http_request **ret_borrowed);
/* Ends one without calling back; NULL is nothing. */
void http_request_cancel(struct http_request *request);
