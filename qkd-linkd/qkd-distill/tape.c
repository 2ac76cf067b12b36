/* SPDX-License-Identifier: MIT */
/* A file of recorded detections: whole buffers to and from the kernel. */

#include <fcntl.h>

#include "common/secret.h"
#include "qkd-linkd/qkd-distill/tape.h"

#define BUFFER_BYTES (1u << 16)

struct tape {
	int fd;
	struct recording recording;
	uint8_t *buffer; /* in secret memory */
	size_t start, end;
	uint64_t offset; /* of the file, at start */
};

static int tape_new(int fd, struct tape **ret)
{
	_cleanup_(tape_freep) struct tape *tape = calloc(1, sizeof(*tape));

	if (!tape) {
		close(fd);
		return -ENOMEM;
	}
	tape->fd = fd;
	tape->buffer = secret_malloc(BUFFER_BYTES);
	if (!tape->buffer)
		return -ENOMEM;
	*ret = TAKE_PTR(tape);
	return 0;
}

struct tape *tape_free(struct tape *tape)
{
	if (!tape)
		return NULL;
	close(tape->fd);
	secret_mfree(tape->buffer);
	free(tape);
	return NULL;
}

uint64_t tape_offset(const struct tape *tape)
{
	return tape->offset;
}

int tape_flush(struct tape *tape)
{
	while (tape->start < tape->end) {
		ssize_t written =
			write(tape->fd, tape->buffer + tape->start, tape->end - tape->start);

		if (written < 0 && errno != EINTR)
			return -errno;
		tape->start += written > 0 ? (size_t)written : 0;
	}
	tape->offset += tape->end;
	tape->start = tape->end = 0;
	return 0;
}

int tape_new_record(const char *path, const struct recording_header *header, struct tape **ret)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : tape_new(fd, &tape);

	if (r < 0)
		return r;
	recording_init(&tape->recording, header);
	recording_put_header(header, tape->buffer);
	tape->end = RECORDING_HEADER_BYTES;
	*ret = TAKE_PTR(tape);
	return 0;
}

int tape_write(struct tape *tape, const struct sim_event *events, size_t count)
{
	int r = 0;

	for (size_t i = 0; i < count && r >= 0; i++) {
		uint8_t *to = tape->buffer + tape->end;

		tape->end =
			(size_t)(recording_put(&tape->recording, &events[i], to) - tape->buffer);
		if (BUFFER_BYTES - tape->end < RECORDING_EVENT_MAX_BYTES)
			r = tape_flush(tape);
	}
	return r;
}

/* Until the buffer is full or the file is over. */
static int fill(struct tape *tape)
{
	memmove(tape->buffer, tape->buffer + tape->start, tape->end - tape->start);
	tape->end -= tape->start;
	tape->start = 0;
	while (tape->end < BUFFER_BYTES) {
		ssize_t got = read(tape->fd, tape->buffer + tape->end, BUFFER_BYTES - tape->end);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == 0)
			return 0;
		tape->end += got > 0 ? (size_t)got : 0;
	}
	return 0;
}

int tape_new_replay(const char *path, struct recording_header *ret_header, struct tape **ret,
		    const char **ret_what)
{
	_cleanup_(tape_freep) struct tape *tape = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : tape_new(fd, &tape);

	if (r >= 0)
		r = fill(tape);
	if (r < 0)
		return r;
	if (tape->end < RECORDING_HEADER_BYTES) {
		*ret_what = "is too short for a recording of detections";
		return -EINVAL;
	}
	r = recording_get_header(tape->buffer, ret_header, ret_what);
	if (r < 0)
		return r;
	recording_init(&tape->recording, ret_header);
	tape->start = tape->offset = RECORDING_HEADER_BYTES;
	*ret = TAKE_PTR(tape);
	return 0;
}

ssize_t tape_read(struct tape *tape, struct sim_event *ret_events, size_t max)
{
	for (size_t i = 0; i < max; i++) {
		ssize_t size;
		int r = 0;

		if (tape->end - tape->start < RECORDING_EVENT_MAX_BYTES)
			r = fill(tape);
		if (r < 0)
			return r;
		if (tape->start == tape->end)
			return (ssize_t)i;
		size = recording_get(&tape->recording, tape->buffer + tape->start,
				     tape->end - tape->start, &ret_events[i]);
		if (size < 0)
			return size;
		tape->start += (size_t)size;
		tape->offset += (uint64_t)size;
	}
	return (ssize_t)max;
}
