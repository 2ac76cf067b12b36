/* SPDX-License-Identifier: MIT */

/*
 * As much of sd-event as the issuer needs: deferred sources and timers, priorities, one-shots.
 */

#include "tests/explore/issuer-fake-loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MAX_SOURCES 32

struct sd_event_source {
	sd_event *event;
	bool is_timer;
	int enabled;
	int64_t priority;
	clockid_t clock;
	uint64_t at_usec, serial; /* of its last arming: first armed, first served */
	sd_event_handler_t defer;
	sd_event_time_handler_t timer;
	void *userdata;
};

struct sd_event {
	unsigned refs;
	uint64_t serial;
	sd_event_source *sources[MAX_SOURCES];
};

static uint64_t monotonic_now;
static int64_t clock_offset;
static struct prng *dice;

void fake_loop_set_time(uint64_t monotonic_usec)
{
	monotonic_now = monotonic_usec;
}

void fake_loop_set_clock(int64_t offset_usec)
{
	clock_offset = offset_usec;
}

void fake_loop_set_dice(struct prng *prng)
{
	dice = prng;
}

static uint64_t now_of(clockid_t clock)
{
	return clock == CLOCK_REALTIME ? monotonic_now + (uint64_t)clock_offset : monotonic_now;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	uint64_t usec = now_of(clock);

	ret->tv_sec = (time_t)(usec / USEC_PER_SEC);
	ret->tv_nsec = (long)(usec % USEC_PER_SEC) * 1000;
	return 0;
}

ssize_t getrandom(void *bytes, size_t size, unsigned flags)
{
	uint8_t *out = bytes;

	for (size_t i = 0; i < size; i++)
		out[i] = dice ? (uint8_t)prng_next(dice) : (uint8_t)(i + 1);
	return (ssize_t)size;
}

int sd_event_new(sd_event **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->refs = 1;
	return 0;
}

sd_event *sd_event_ref(sd_event *event)
{
	event->refs++;
	return event;
}

sd_event *sd_event_unref(sd_event *event)
{
	if (event && --event->refs == 0)
		free(event);
	return NULL;
}

int sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
	*ret = now_of(clock);
	return 0;
}

static int add_source(sd_event *event, void *userdata, sd_event_source **ret)
{
	sd_event_source *source;
	size_t i = 0;

	while (i < MAX_SOURCES && event->sources[i])
		i++;
	if (i == MAX_SOURCES)
		return -ENOMEM;
	source = calloc(1, sizeof(*source));
	if (!source)
		return -ENOMEM;
	source->event = event;
	source->enabled = SD_EVENT_ONESHOT;
	source->userdata = userdata;
	source->serial = ++event->serial;
	*ret = event->sources[i] = source;
	return 0;
}

int sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t callback,
		       void *userdata)
{
	int r = add_source(event, userdata, ret);

	if (r >= 0)
		(*ret)->defer = callback;
	return r;
}

int sd_event_add_time(sd_event *event, sd_event_source **ret, clockid_t clock, uint64_t usec,
		      uint64_t accuracy, sd_event_time_handler_t callback, void *userdata)
{
	int r = add_source(event, userdata, ret);

	if (r < 0)
		return r;
	(*ret)->is_timer = true;
	(*ret)->clock = clock;
	(*ret)->at_usec = usec;
	(*ret)->timer = callback;
	return 0;
}

int sd_event_source_set_time(sd_event_source *source, uint64_t usec)
{
	source->at_usec = usec;
	return 0;
}

int sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
	if (source->enabled == SD_EVENT_OFF && enabled != SD_EVENT_OFF)
		source->serial = ++source->event->serial;
	source->enabled = enabled;
	return 0;
}

int sd_event_source_get_enabled(sd_event_source *source, int *ret)
{
	if (ret)
		*ret = source->enabled;
	return source->enabled != SD_EVENT_OFF;
}

int sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
	source->priority = priority;
	return 0;
}

sd_event_source *sd_event_source_disable_unref(sd_event_source *source)
{
	if (!source)
		return NULL;
	for (size_t i = 0; i < MAX_SOURCES; i++)
		if (source->event->sources[i] == source)
			source->event->sources[i] = NULL;
	free(source);
	return NULL;
}

/* Of a timer on the wall clock as if that went on as it goes now. */
static uint64_t due_at(const sd_event_source *source)
{
	uint64_t now = now_of(source->clock);

	if (source->enabled == SD_EVENT_OFF || source->at_usec == UINT64_MAX)
		return UINT64_MAX;
	if (!source->is_timer || source->at_usec <= now)
		return 0;
	return monotonic_now + (source->at_usec - now);
}

uint64_t fake_loop_next(sd_event *event)
{
	uint64_t next = UINT64_MAX;

	for (size_t i = 0; i < MAX_SOURCES; i++)
		if (event->sources[i])
			next = MIN(next, due_at(event->sources[i]));
	return next;
}

static bool goes_before(const sd_event_source *a, const sd_event_source *b)
{
	return a->priority != b->priority ? a->priority < b->priority : a->serial < b->serial;
}

bool fake_loop_run_one(sd_event *event)
{
	sd_event_source *chosen = NULL;

	for (size_t i = 0; i < MAX_SOURCES; i++) {
		sd_event_source *source = event->sources[i];

		if (source && due_at(source) == 0 && (!chosen || goes_before(source, chosen)))
			chosen = source;
	}
	if (!chosen)
		return false;
	if (chosen->enabled == SD_EVENT_ONESHOT)
		chosen->enabled = SD_EVENT_OFF;
	if (chosen->is_timer)
		(void)chosen->timer(chosen, chosen->at_usec, chosen->userdata);
	else
		(void)chosen->defer(chosen, chosen->userdata);
	return true;
}
