/* SPDX-License-Identifier: MIT */

/*
 * qkdctl stats: what keyringd and the linkd of this site count, once or as it changes. With
 * --follow each daemon is a subscription, and one that appears later becomes one.
 */

#include <time.h>

#include "commands.h"
#include "common/statistics-bus.h"
#include "common/statistics-client.h"
#include "common/statistics-filter.h"
#include "ctl-statistics.h"

struct follower {
	struct ctl *ctl;
	struct statistics_filter *filter; /* what the daemons leave to us; or NULL */
	json_t *seen;                     /* updates, by statistic */
	int result;
};

/* A list to include goes to the daemons; one to exclude only if there is no other. */
static char *const *names_for_daemons(const struct ctl *ctl)
{
	return ctl->stats.included[0] ? ctl->stats.included : ctl->stats.excluded;
}

static bool excludes(const struct ctl *ctl)
{
	return !ctl->stats.included[0];
}

/* What is left to do when both are given; also checks the names. */
static int new_filter(const struct ctl *ctl, struct statistics_filter **ret)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *included = NULL;
	int r = statistics_filter_new(ctl->stats.included, false, &included);

	if (r >= 0)
		r = statistics_filter_new(ctl->stats.excluded, true, ret);
	if (r < 0)
		ctl_tell_error("--filter and --exclude",
			       r == -EINVAL ? "not the name of a statistic" : strerror(-r),
			       "qkdctl stats, or man qkd-statistics, for the names");
	return r;
}

/* One object at a time: qkdctl's JSON lies in memory that must not be swapped out, of which there
 * is little, and a large site has thousands of statistics. */
static int print_document(const struct statistics_list *list,
			  const struct statistics_filter *filter)
{
	const char *separator = "[";

	for (size_t i = 0; i < list->count; i++) {
		_cleanup_(json_decrefp) json_t *object = NULL;

		if (!statistics_filter_selects(filter, list->readings[i].name))
			continue;
		object = ctl_statistics_object(&list->readings[i]);
		fputs(separator, stdout);
		if (!object || json_dumpf(object, stdout, JSON_REAL_PRECISION(12)) < 0)
			return -ENOMEM;
		separator = ", ";
	}
	puts(*separator == '[' ? "[]" : "]");
	return 0;
}

static int print_table(const struct statistics_list *list, const struct statistics_filter *filter)
{
	_cleanup_(json_decrefp) json_t *rows = json_array();

	for (size_t i = 0; i < list->count; i++)
		if (statistics_filter_selects(filter, list->readings[i].name) &&
		    json_array_append_new(rows, ctl_statistics_row(&list->readings[i])) < 0)
			return -ENOMEM;
	ctl_table_print(rows, ctl_statistics_columns, ctl_statistics_column_count, stdout);
	return 0;
}

static int print_once(const struct ctl *ctl, const struct statistics_filter *filter)
{
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};
	int r = statistics_client_gather(ctl->bus, names_for_daemons(ctl), excludes(ctl),
					 CTL_CALL_USEC, &answer);

	if (r < 0) {
		ctl_tell_error("statistics", strerror(-r), NULL);
		return EXIT_FAILURE;
	}
	if (answer.silent > 0)
		ctl_tell_error("a daemon does not tell its statistics", answer.trouble,
			       "qkdctl status");
	r = ctl->json ? print_document(&answer.list, filter) : print_table(&answer.list, filter);
	if (r < 0)
		ctl_tell_error("statistics", strerror(-r), "fewer of them, with --filter");
	return r >= 0 && answer.silent == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --follow */

static bool is_new(struct follower *follower, const struct statistics_reading *reading)
{
	char *key = ctl_statistics_key(reading);
	json_t *before = key ? json_object_get(follower->seen, key) : NULL;
	bool new = !before || json_integer_value(before) != (json_int_t)reading->count;

	if (key)
		json_object_set_new(follower->seen, key, json_integer((json_int_t)reading->count));
	free(key);
	return new;
}

static const char *text_of(const json_t *row, const char *member)
{
	const char *text = json_string_value(json_object_get(row, member));

	return text && *text ? text : "-";
}

static void print_news(struct follower *follower, const struct statistics_list *list)
{
	char clock[16];
	time_t now = time(NULL);
	struct tm local;

	strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&now, &local));
	for (size_t i = 0; i < list->count; i++) {
		const struct statistics_reading *reading = &list->readings[i];
		_cleanup_(json_decrefp) json_t *row = NULL;

		if (!statistics_filter_selects(follower->filter, reading->name) ||
		    !is_new(follower, reading))
			continue;
		row = ctl_statistics_row(reading);
		printf("%s %s %s: %s %s, %s/s\n", clock, reading->name, text_of(row, "labels"),
		       text_of(row, "value"), reading->unit, text_of(row, "rate"));
	}
}

static bool selects_any(const struct statistics_list *list, const struct statistics_filter *filter)
{
	for (size_t i = 0; i < list->count; i++)
		if (statistics_filter_selects(filter, list->readings[i].name))
			return true;
	return false;
}

static int on_statistics(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	_cleanup_(statistics_list_done) struct statistics_list list = {0};
	struct follower *follower = userdata;
	uint32_t subscription;
	int r = sd_bus_message_read(message, "u", &subscription);

	if (r >= 0)
		r = statistics_message_read(message, &list);
	if (r < 0 || !selects_any(&list, follower->filter))
		return 0; /* a daemon that has nothing of it, or says nonsense */
	if (follower->ctl->json)
		follower->result = print_document(&list, follower->filter);
	else
		print_news(follower, &list);
	if (fflush(stdout) != 0)
		follower->result = -errno;
	return 0;
}

static int on_subscribed(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *refused = sd_bus_message_get_error(reply);

	if (refused)
		ctl_tell_error("a daemon does not tell its statistics", refused->message,
			       "qkdctl status");
	return 0;
}

static int subscribe(struct follower *follower, const char *daemon)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	const struct ctl *ctl = follower->ctl;
	int r = statistics_client_new_call(ctl->bus, daemon, "Subscribe", names_for_daemons(ctl),
					   excludes(ctl), &call);

	if (r >= 0)
		r = sd_bus_message_append(call, "t", ctl->interval_usec);
	if (r >= 0)
		r = sd_bus_call_async(ctl->bus, NULL, call, on_subscribed, follower, CTL_CALL_USEC);
	return r;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *name, *before, *after;

	if (sd_bus_message_read(message, "sss", &name, &before, &after) >= 0 && *after &&
	    statistics_client_is_daemon(name))
		(void)subscribe(userdata, name);
	return 0;
}

static int subscribe_all(struct follower *follower)
{
	_cleanup_(statistics_client_free_namesp) char **daemons = NULL;
	sd_bus *bus = follower->ctl->bus;
	int r = sd_bus_match_signal(bus, NULL, NULL, STATISTICS_BUS_PATH, STATISTICS_BUS_INTERFACE,
				    "Statistics", on_statistics, follower);

	if (r >= 0)
		r = sd_bus_add_match(bus, NULL,
				     "type='signal',sender='org.freedesktop.DBus',"
				     "member='NameOwnerChanged',arg0namespace='org.qkd'",
				     on_owner, follower);
	if (r >= 0)
		r = statistics_client_find(bus, CTL_CALL_USEC, &daemons);
	for (char **daemon = daemons; r >= 0 && daemon && *daemon; daemon++)
		r = subscribe(follower, *daemon);
	return r;
}

/* Until somebody ends it, or nobody reads what it prints. */
static int follow(struct ctl *ctl, struct statistics_filter *filter)
{
	struct follower follower = {.ctl = ctl, .filter = filter, .seen = json_object()};
	int r = follower.seen ? subscribe_all(&follower) : -ENOMEM;

	while (r >= 0 && follower.result >= 0) {
		r = sd_bus_process(ctl->bus, NULL);
		if (r == 0)
			r = sd_bus_wait(ctl->bus, UINT64_MAX);
	}
	json_decref(follower.seen);
	if (r < 0)
		ctl_tell_error("the system bus", strerror(-r), "systemctl status dbus");
	return EXIT_FAILURE;
}

int command_stats(struct ctl *ctl)
{
	_cleanup_(statistics_filter_freep) struct statistics_filter *filter = NULL;

	if (new_filter(ctl, &filter) < 0)
		return CTL_EXIT_USAGE;
	return ctl->follow ? follow(ctl, filter) : print_once(ctl, filter);
}
