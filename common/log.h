/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The journal: one structured entry for every event that an administrator acts on.
 *
 * An event has a message id (common/events.h, catalogue in systemd/qkd-keyring.catalog) and fields;
 * everything else is a plain line. Goes to journald when its socket is there, else to standard
 * error. Only daemons log above debug. Key bytes never come here: no function of this file takes
 * any, and ids are not secret.
 */

#include <sys/uio.h>
#include <syslog.h>

#include "common/macros.h"
#include "common/name.h"

/* Fields that every entry of this process carries; copied; NULL leaves one out. */
void log_set_identity(const char *program, const char *site, const char *link);
void log_set_max_level(int level); /* LOG_ERR ... LOG_DEBUG; default LOG_INFO */
int log_max_level(void);
/* Syslog's words by level, ended by NULL: the choices of a setting. */
extern const char *const log_level_names[];
void log_to_stderr(void); /* even where there is a journal */

void log_line(int level, const char *format, ...) _printf_(2, 3);

struct log_fields {
	const char *peer;          /* QKD_PEER= */
	const char *link;          /* QKD_LINK=, over the process's own */
	const struct uuid *key_id; /* QKD_KEY_ID= */
	const char *label;         /* QKD_LABEL= */
	const char *transaction;   /* QKD_TRANSACTION= */
	const char *reason;        /* QKD_REASON=, a word */
	int error;                 /* ERRNO=, positive; 0 leaves it out */
};

/* message_id: 32 hexadecimal digits. */
void log_event(int level, const char *message_id, const struct log_fields *fields,
	       const char *format, ...) _printf_(4, 5);

#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_error(...)   log_line(LOG_ERR, __VA_ARGS__)

/* Takes every entry's "NAME=value" fields instead of the journal; NULL: the journal again. Tests.
 */
typedef void (*log_sink_t)(const struct iovec *fields, size_t count, void *userdata);
void log_set_sink(log_sink_t sink, void *userdata);

/* Lets burst entries through per interval, then counts; for what a peer or requester can provoke.
 */
struct log_ratelimit {
	uint64_t interval_usec;
	unsigned burst;
	uint64_t window_start_usec;
	unsigned seen, suppressed;
};
/* True: log, and *ret_suppressed entries were left out since the last one. */
bool log_ratelimit_pass(struct log_ratelimit *limit, unsigned *ret_suppressed);
