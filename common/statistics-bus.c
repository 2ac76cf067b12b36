/* SPDX-License-Identifier: MIT */

/*
 * Who reads and when. News are noticed by a "post" event source, which runs after others have been
 * dispatched and so never wakes the loop; it is off while every reader is within its interval, and
 * a timer is there only then. So hot paths know nothing of readers.
 */

#include "common/statistics-bus.h"

#include "common/statistics-message.h"
#include "common/statistics-reader.h"

#define SENDER_MAX_CHARS 255 /* of a name on a bus, says the D-Bus specification */

struct reader {
	uint32_t id; /* 0: free */
	struct statistics_reader reader;
	sd_bus *bus;
	char name[SENDER_MAX_CHARS + 1]; /* on the bus; "": it is all there is on its connection */
	sd_bus_track *track;             /* of that name, or NULL */
};

struct statistics_bus {
	sd_event *event;
	struct statistics *set;
	sd_event_source *post, *timer;
	struct reader readers[STATISTICS_BUS_MAX_READERS];
	uint32_t last_id;
};

static uint64_t now_usec(const struct statistics_bus *s)
{
	uint64_t now = 0;

	sd_event_now(s->event, CLOCK_MONOTONIC, &now);
	return now;
}

size_t statistics_bus_reader_count(const struct statistics_bus *s)
{
	size_t count = 0;

	for (size_t i = 0; i < STATISTICS_BUS_MAX_READERS; i++)
		count += s->readers[i].id != 0;
	return count;
}

static void free_reader(struct reader *reader)
{
	sd_bus_track_unref(reader->track);
	sd_bus_unref(reader->bus);
	statistics_reader_done(&reader->reader);
	*reader = (struct reader){0};
}

/* What cannot be sent now is told with the next. */
static void tell(struct statistics_bus *s, struct reader *reader)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	int r = sd_bus_message_new_signal(reader->bus, &message, STATISTICS_BUS_PATH,
					  STATISTICS_BUS_INTERFACE, "Statistics");

	if (r >= 0)
		r = sd_bus_message_append(message, "u", reader->id);
	if (r >= 0)
		r = statistics_message_append(message, s->set, reader->reader.filter, now_usec(s));
	if (r >= 0 && reader->name[0])
		r = sd_bus_send_to(reader->bus, message, reader->name, NULL);
	else if (r >= 0)
		r = sd_bus_send(reader->bus, message, NULL);
	(void)r;
}

/* Tells those who are due. *ret_next is when one of the others is (UINT64_MAX: none); true when
 * there is one that waits for news. */
static bool tell_readers(struct statistics_bus *s, uint64_t *ret_next)
{
	uint64_t now = now_usec(s), next = UINT64_MAX;
	bool waits = false;

	for (size_t i = 0; i < STATISTICS_BUS_MAX_READERS; i++) {
		struct reader *reader = &s->readers[i];
		uint64_t usec = UINT64_MAX;

		if (reader->id == 0)
			continue;
		switch (statistics_reader_check(&reader->reader, s->set, now, &usec)) {
		case STATISTICS_DUE_NOW:
			tell(s, reader);
			usec = reader->reader.next_usec;
			break;
		case STATISTICS_DUE_NOT:
			waits = true;
			break;
		case STATISTICS_DUE_LATER:
			break;
		}
		next = MIN(next, usec);
	}
	*ret_next = next;
	return waits;
}

static int arm(struct statistics_bus *s, uint64_t timer_usec, bool post)
{
	int r = sd_event_source_set_enabled(s->post, post ? SD_EVENT_ON : SD_EVENT_OFF);

	if (r >= 0 && timer_usec != UINT64_MAX)
		r = sd_event_source_set_time(s->timer, timer_usec);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(s->timer, timer_usec != UINT64_MAX ? SD_EVENT_ONESHOT
									      : SD_EVENT_OFF);
}

/* Only here post is enabled, and not by what the timer itself is: so silence stays silence. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct statistics_bus *s = userdata;
	uint64_t next;
	bool waits = tell_readers(s, &next);

	return arm(s, next, waits);
}

/* Something has happened: if it is no news, look again a little later and not at every event. */
static int on_post(sd_event_source *source, void *userdata)
{
	struct statistics_bus *s = userdata;
	uint64_t next;
	bool waits = tell_readers(s, &next);

	return arm(s, waits ? MIN(next, now_usec(s) + STATISTICS_BUS_LOOK_USEC) : next, false);
}

/* Readers */

static bool is_callers(const struct reader *reader, sd_bus_message *message)
{
	const char *sender = sd_bus_message_get_sender(message);

	if (reader->id == 0 || reader->bus != sd_bus_message_get_bus(message))
		return false;
	return reader->name[0] == '\0' || (sender && str_equal(sender, reader->name));
}

static struct reader *find_free(struct statistics_bus *s)
{
	for (size_t i = 0; i < STATISTICS_BUS_MAX_READERS; i++)
		if (s->readers[i].id == 0)
			return &s->readers[i];
	return NULL;
}

static int on_gone(sd_bus_track *track, void *userdata)
{
	free_reader(userdata);
	return 0;
}

/* A bus tells when a caller leaves it; on a connection of its own the caller leaves with it. */
static int follow_sender(struct reader *reader, sd_bus_message *message)
{
	const char *sender = sd_bus_message_get_sender(message);
	int r;

	reader->bus = sd_bus_ref(sd_bus_message_get_bus(message));
	if (sd_bus_is_bus_client(reader->bus) <= 0)
		return 0;
	if (!sender || strlen(sender) > SENDER_MAX_CHARS)
		return -EINVAL;
	strcpy(reader->name, sender);
	r = sd_bus_track_new(reader->bus, &reader->track, on_gone, reader);
	return r < 0 ? r : sd_bus_track_add_sender(reader->track, message);
}

static int add_reader(struct statistics_bus *s, struct reader *reader, sd_bus_message *message)
{
	int r = follow_sender(reader, message);

	if (r >= 0)
		r = arm(s, now_usec(s), false); /* the first time is at once */
	if (r < 0)
		return r;
	reader->id = ++s->last_id ? s->last_id : ++s->last_id;
	return 0;
}

/* Calls */

/* as names, b exclude; answered here when they are not valid. */
static int read_filter(sd_bus_message *message, struct statistics_filter **ret)
{
	char **names = NULL;
	int exclude, r;

	r = sd_bus_message_read_strv(message, &names);
	if (r >= 0)
		r = sd_bus_message_read(message, "b", &exclude);
	if (r >= 0)
		r = statistics_filter_new(names, exclude, ret);
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
	return r;
}

static int refuse(sd_bus_message *message, int result)
{
	if (result == -EINVAL)
		return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_INVALID_ARGS,
						  "The filter names what cannot be a statistic");
	if (result == -E2BIG)
		return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "A filter has at most %u names",
						  STATISTICS_FILTER_MAX_NAMES);
	return result;
}

static int method_get(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct statistics_bus *s = userdata;
	int r = read_filter(message, &filter);

	if (r < 0)
		return refuse(message, r);
	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = statistics_message_append(reply, s->set, filter, now_usec(s));
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int method_subscribe(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;
	struct statistics_bus *s = userdata;
	struct reader *reader = find_free(s);
	uint64_t interval_usec;
	int r = read_filter(message, &filter);

	if (r < 0)
		return refuse(message, r);
	r = sd_bus_message_read(message, "t", &interval_usec);
	if (r < 0)
		return r;
	if (!reader)
		return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_LIMITS_EXCEEDED,
						  "There are %u readers already",
						  STATISTICS_BUS_MAX_READERS);
	statistics_reader_init(&reader->reader, TAKE_PTR(filter), interval_usec);
	r = add_reader(s, reader, message);
	if (r < 0) {
		free_reader(reader);
		return r;
	}
	return sd_bus_reply_method_return(message, "u", reader->id);
}

static int method_unsubscribe(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct statistics_bus *s = userdata;
	uint32_t id;
	int r = sd_bus_message_read(message, "u", &id);

	if (r < 0)
		return r;
	for (size_t i = 0; i < STATISTICS_BUS_MAX_READERS; i++) {
		struct reader *reader = &s->readers[i];

		if (reader->id != id || !is_callers(reader, message))
			continue;
		free_reader(reader);
		return sd_bus_reply_method_return(message, NULL);
	}
	return sd_bus_reply_method_errorf(message, SD_BUS_ERROR_INVALID_ARGS,
					  "You have no subscription %u", id);
}

/* Who may call is the bus policy's. */
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("GetStatistics", SD_BUS_ARGS("as", names, "b", exclude),
				SD_BUS_RESULT(STATISTICS_MESSAGE_SIGNATURE, statistics), method_get,
				SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS(
		"Subscribe", SD_BUS_ARGS("as", names, "b", exclude, "t", interval_usec),
		SD_BUS_RESULT("u", subscription), method_subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unsubscribe", SD_BUS_ARGS("u", subscription), SD_BUS_NO_RESULT,
				method_unsubscribe, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS(
		"Statistics",
		SD_BUS_ARGS("u", subscription, STATISTICS_MESSAGE_SIGNATURE, statistics), 0),
	SD_BUS_VTABLE_END,
};

/* Beginning and end */

int statistics_bus_attach(struct statistics_bus *s, sd_bus *bus)
{
	return sd_bus_add_object_vtable(bus, NULL, STATISTICS_BUS_PATH, STATISTICS_BUS_INTERFACE,
					vtable, s);
}

void statistics_bus_forget(struct statistics_bus *s, sd_bus *bus)
{
	for (size_t i = 0; s && i < STATISTICS_BUS_MAX_READERS; i++)
		if (s->readers[i].id != 0 && s->readers[i].bus == bus)
			free_reader(&s->readers[i]);
}

int statistics_bus_new(sd_event *event, struct statistics *set, struct statistics_bus **ret)
{
	_cleanup_(statistics_bus_freep) struct statistics_bus *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(event);
	s->set = set;
	r = sd_event_add_post(event, &s->post, on_post, s);
	if (r >= 0)
		r = sd_event_add_time(event, &s->timer, CLOCK_MONOTONIC, 0, 1, on_timer, s);
	if (r >= 0)
		r = arm(s, UINT64_MAX, false);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(s);
	return 0;
}

struct statistics_bus *statistics_bus_free(struct statistics_bus *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < STATISTICS_BUS_MAX_READERS; i++)
		free_reader(&s->readers[i]);
	sd_event_source_disable_unref(s->post);
	sd_event_source_disable_unref(s->timer);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}
