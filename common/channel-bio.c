// SPDX-License-Identifier: MIT
/*
 * OpenSSL's way to a channel's socket. Its own socket BIO calls write(2), and a library must
 * neither die of SIGPIPE nor change the process's signals; send(2) with MSG_NOSIGNAL does neither.
 */

#include <openssl/bio.h>
#include <pthread.h>

#include "common/channel-internal.h"

static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int bio_fd(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static bool is_temporary(int error)
{
	return error == EAGAIN || error == EINTR;
}

static int bio_read(BIO *bio, char *bytes, int size_bytes)
{
	ssize_t n = recv(bio_fd(bio), bytes, (size_t)size_bytes, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && is_temporary(errno))
		BIO_set_retry_read(bio);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int size_bytes)
{
	ssize_t n = send(bio_fd(bio), bytes, (size_t)size_bytes, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && is_temporary(errno))
		BIO_set_retry_write(bio);
	return (int)n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	switch (command) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DUP:
		return 1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	default: /* OpenSSL's commands, not an enum of ours */
		return 0;
	}
}

static void make_method(void)
{
	BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "channel");

	if (made && BIO_meth_set_read(made, bio_read) && BIO_meth_set_write(made, bio_write) &&
	    BIO_meth_set_ctrl(made, bio_control))
		method = made;
	else
		BIO_meth_free(made);
}

BIO *channel_bio_new(int fd)
{
	BIO *bio;

	pthread_once(&method_once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, (void *)(intptr_t)fd);
	BIO_set_init(bio, 1);
	return bio;
}
