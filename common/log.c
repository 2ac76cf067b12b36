// SPDX-License-Identifier: MIT
/*
 * Journal entries: composes the fields of one entry and hands them to journald, or writes one line
 * to standard error where there is no journald. Everything goes through here so that every entry
 * carries the same fields and no control character of a peer reaches a terminal.
 */

#include <stdarg.h>
#include <time.h>

#include <systemd/sd-journal.h>

#include "common/log.h"

#define LOG_MESSAGE_MAX_CHARS 2048
#define LOG_TEXT_MAX_BYTES    (LOG_MESSAGE_MAX_CHARS + 1024)
#define LOG_MAX_FIELDS        16
#define LOG_NAME_MAX_CHARS    96
#define LOG_JOURNAL_SOCKET    "/run/systemd/journal/socket"

const char *const log_level_names[] = {"emerg",  "alert", "crit",  "err", "warning",
				       "notice", "info",  "debug", NULL};
_Static_assert(LOG_ERR == 3 && LOG_DEBUG == 7, "the words stand in syslog's order");

/* Fields of one entry, laid out one after another in text. */
struct entry {
	char text[LOG_TEXT_MAX_BYTES];
	size_t used;
	struct iovec fields[LOG_MAX_FIELDS];
	size_t count;
};

static struct {
	char program[LOG_NAME_MAX_CHARS];
	char site[LOG_NAME_MAX_CHARS];
	char link[LOG_NAME_MAX_CHARS];
	int max_level;
	bool to_stderr;
	log_sink_t sink;
	void *sink_userdata;
} state = {.max_level = LOG_INFO};

static void set_name(char field[static LOG_NAME_MAX_CHARS], const char *value)
{
	snprintf(field, LOG_NAME_MAX_CHARS, "%s", value ?: "");
}

void log_set_identity(const char *program, const char *site, const char *link)
{
	set_name(state.program, program);
	set_name(state.site, site);
	set_name(state.link, link);
}

void log_set_max_level(int level)
{
	state.max_level = level;
}

int log_max_level(void)
{
	return state.max_level;
}

void log_to_stderr(void)
{
	state.to_stderr = true;
}

void log_set_sink(log_sink_t sink, void *userdata)
{
	state.sink = sink;
	state.sink_userdata = userdata;
}

/* A field that is empty or does not fit is left out: an entry with fewer fields beats none. */
static void entry_add(struct entry *entry, const char *name, const char *value)
{
	size_t room = sizeof(entry->text) - entry->used;
	char *start = entry->text + entry->used;
	int length;

	if (!value || !*value || entry->count == LOG_MAX_FIELDS)
		return;
	length = snprintf(start, room, "%s=%s", name, value);
	if (length < 0 || (size_t)length >= room)
		return;
	entry->fields[entry->count++] = (struct iovec){start, (size_t)length};
	entry->used += (size_t)length + 1;
}

static void entry_add_number(struct entry *entry, const char *name, int value)
{
	char digits[12];

	snprintf(digits, sizeof(digits), "%d", value);
	entry_add(entry, name, digits);
}

static void replace_control_characters(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void write_to_stderr(const char *message)
{
	const char *separator = *state.site && *state.link ? "/" : "";

	if (*state.site || *state.link)
		fprintf(stderr, "%s[%s%s%s]: %s\n", state.program, state.site, separator,
			state.link, message);
	else
		fprintf(stderr, "%s%s%s\n", state.program, *state.program ? ": " : "", message);
}

static void entry_send(const struct entry *entry, const char *message)
{
	if (state.sink)
		state.sink(entry->fields, entry->count, state.sink_userdata);
	else if (state.to_stderr || access(LOG_JOURNAL_SOCKET, W_OK) < 0 ||
		 sd_journal_sendv(entry->fields, (int)entry->count) < 0)
		write_to_stderr(message);
}

static void log_entry(int level, const char *message_id, const struct log_fields *fields,
		      const char *format, va_list arguments)
{
	char message[LOG_MESSAGE_MAX_CHARS], key_id[UUID_CHARS + 1] = "";
	struct entry entry = {.used = 0};

	vsnprintf(message, sizeof(message), format, arguments);
	replace_control_characters(message);
	if (fields->key_id)
		uuid_format(fields->key_id, key_id);

	entry_add(&entry, "MESSAGE", message);
	entry_add_number(&entry, "PRIORITY", level);
	entry_add(&entry, "SYSLOG_IDENTIFIER", state.program);
	entry_add(&entry, "MESSAGE_ID", message_id);
	entry_add(&entry, "QKD_SITE", state.site);
	entry_add(&entry, "QKD_LINK", fields->link ?: state.link);
	entry_add(&entry, "QKD_PEER", fields->peer);
	entry_add(&entry, "QKD_KEY_ID", key_id);
	entry_add(&entry, "QKD_LABEL", fields->label);
	entry_add(&entry, "QKD_TRANSACTION", fields->transaction);
	entry_add(&entry, "QKD_REASON", fields->reason);
	if (fields->error)
		entry_add_number(&entry, "ERRNO", fields->error);
	entry_send(&entry, message);
}

void log_line(int level, const char *format, ...)
{
	va_list arguments;
	int saved_errno = errno;

	if (level > state.max_level)
		return;
	va_start(arguments, format);
	log_entry(level, NULL, &(struct log_fields){0}, format, arguments);
	va_end(arguments);
	errno = saved_errno;
}

void log_event(int level, const char *message_id, const struct log_fields *fields,
	       const char *format, ...)
{
	va_list arguments;
	int saved_errno = errno;

	if (level > state.max_level)
		return;
	va_start(arguments, format);
	log_entry(level, message_id, fields ?: &(struct log_fields){0}, format, arguments);
	va_end(arguments);
	errno = saved_errno;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

bool log_ratelimit_pass(struct log_ratelimit *limit, unsigned *ret_suppressed)
{
	uint64_t now = now_usec();

	if (!limit->window_start_usec || now - limit->window_start_usec >= limit->interval_usec) {
		limit->window_start_usec = now;
		limit->seen = 0;
	}
	if (limit->seen >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->seen++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
