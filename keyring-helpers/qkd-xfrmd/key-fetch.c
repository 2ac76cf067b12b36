/* SPDX-License-Identifier: MIT */
/* One key at a time, taken by a thread: its thread keyring holds the key until it has been read,
 * and ends with it. */

#include "key-fetch.h"

#include <pthread.h>
#include <sys/eventfd.h>

#include "common/keys.h"

#define DESCRIPTION_MAX_BYTES 256
#define CALLOUT_MAX_BYTES     64

/* Belongs to the thread and to its owner; the last one frees it. */
struct job {
	pthread_mutex_t lock;
	unsigned references;
	bool done;
	int fd; /* eventfd, written when done */
	char description[DESCRIPTION_MAX_BYTES], callout[CALLOUT_MAX_BYTES];
	int result;
	struct secret *key;
};

struct key_fetch {
	sd_event *event;
	key_fetch_handler_t handler;
	void *userdata;
	struct job *job; /* NULL: none is under way */
	sd_event_source *io, *timeout;
	uint64_t tag;
	bool answered;
};

static void job_unref(struct job *job)
{
	bool last;

	pthread_mutex_lock(&job->lock);
	last = --job->references == 0;
	pthread_mutex_unlock(&job->lock);
	if (!last)
		return;
	secret_free(job->key);
	closep(&job->fd);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

/* Unlinked, not invalidated: that would cost the keyring's quota (keyrings(7)). */
static int take(const struct job *job, struct secret **ret)
{
	key_serial_t serial;
	int r = key_request("user", job->description, job->callout, KEY_SPEC_THREAD_KEYRING,
			    &serial);

	if (r < 0)
		return r;
	r = key_read(serial, ret);
	(void)key_unlink(serial, KEY_SPEC_THREAD_KEYRING);
	return r;
}

static void *work(void *userdata)
{
	struct job *job = userdata;
	struct secret *key = NULL;
	int r = take(job, &key);

	pthread_mutex_lock(&job->lock);
	job->key = key;
	job->result = r;
	job->done = true;
	pthread_mutex_unlock(&job->lock);
	(void)eventfd_write(job->fd, 1);
	job_unref(job);
	return NULL;
}

static void forget_job(struct key_fetch *fetch)
{
	fetch->io = sd_event_source_disable_unref(fetch->io);
	fetch->timeout = sd_event_source_disable_unref(fetch->timeout);
	job_unref(TAKE_PTR(fetch->job));
}

static int on_done(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct key_fetch *fetch = userdata;
	_cleanup_(secret_freep) struct secret *key = NULL;
	bool answered = fetch->answered;
	int result;

	pthread_mutex_lock(&fetch->job->lock);
	key = TAKE_PTR(fetch->job->key);
	result = fetch->job->result;
	pthread_mutex_unlock(&fetch->job->lock);
	forget_job(fetch);
	if (!answered)
		fetch->handler(fetch->tag, result, TAKE_PTR(key), fetch->userdata);
	return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct key_fetch *fetch = userdata;

	fetch->answered = true;
	fetch->handler(fetch->tag, -ETIMEDOUT, NULL, fetch->userdata);
	return 0;
}

int key_fetch_new(sd_event *event, key_fetch_handler_t handler, void *userdata,
		  struct key_fetch **ret)
{
	struct key_fetch *fetch = calloc(1, sizeof(*fetch));

	if (!fetch)
		return -ENOMEM;
	fetch->event = sd_event_ref(event);
	fetch->handler = handler;
	fetch->userdata = userdata;
	*ret = fetch;
	return 0;
}

struct key_fetch *key_fetch_free(struct key_fetch *fetch)
{
	if (!fetch)
		return NULL;
	if (fetch->job)
		forget_job(fetch);
	sd_event_unref(fetch->event);
	free(fetch);
	return NULL;
}

static int job_new(const char *description, const char *callout, struct job **ret)
{
	struct job *job;

	if (strlen(description) >= DESCRIPTION_MAX_BYTES || strlen(callout) >= CALLOUT_MAX_BYTES)
		return -EINVAL;
	job = calloc(1, sizeof(*job));
	if (!job)
		return -ENOMEM;
	job->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (job->fd < 0) {
		int r = -errno;

		free(job);
		return r;
	}
	pthread_mutex_init(&job->lock, NULL);
	job->references = 1;
	memcpy(job->description, description, strlen(description) + 1);
	memcpy(job->callout, callout, strlen(callout) + 1);
	*ret = job;
	return 0;
}

static int start_thread(struct job *job)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r = pthread_attr_init(&attributes);

	if (r > 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	job->references++;
	r = pthread_create(&thread, &attributes, work, job);
	pthread_attr_destroy(&attributes);
	if (r > 0)
		job->references--;
	return -r;
}

int key_fetch_start(struct key_fetch *fetch, uint64_t tag, const char *description,
		    const char *callout)
{
	int r;

	if (fetch->job)
		return -EBUSY;
	r = job_new(description, callout, &fetch->job);
	if (r < 0)
		return r;
	fetch->tag = tag;
	fetch->answered = false;
	r = sd_event_add_io(fetch->event, &fetch->io, fetch->job->fd, EPOLLIN, on_done, fetch);
	if (r >= 0)
		r = sd_event_add_time_relative(fetch->event, &fetch->timeout, CLOCK_MONOTONIC,
					       KEY_FETCH_TIMEOUT_USEC, 0, on_timeout, fetch);
	if (r >= 0)
		r = start_thread(fetch->job);
	if (r < 0)
		forget_job(fetch);
	return r;
}
