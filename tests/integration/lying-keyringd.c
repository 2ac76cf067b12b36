/* SPDX-License-Identifier: MIT */

/*
 * A keyringd that is honest but for what it says as a relay: linked with the real one's objects, it
 * changes what they build. LIE, which the test writes, says how, at every message anew:
 *
 *   xor      the XOR is wrong in one bit
 *   id       the XOR names another build
 *   keys     other keys are bound to the right than were combined: the same ones in another order
 *   silence  the XOR is not sent
 *
 * The linker passes the calls of path_message_build() to the function here (--wrap).
 */

#include <fcntl.h>
#include <unistd.h>

#include "qkd-keyringd/path-message.h"

#define LIE "/etc/qkd/lie"

json_t *__real_path_message_build(const struct path_message *message);
json_t *__wrap_path_message_build(const struct path_message *message);

static bool tells(const char *what)
{
	char text[16] = "";
	int fd = open(LIE, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 && str_equal(text, what);
}

static json_t *build_changed(const struct path_message *message)
{
	struct path_message changed = *message;
	json_t *built;

	if (tells("silence"))
		return NULL;
	if (tells("id"))
		changed.build.bytes[0] ^= 1;
	if (tells("xor"))
		changed.bytes->bytes[0] ^= 1;
	built = __real_path_message_build(&changed);
	if (tells("xor"))
		changed.bytes->bytes[0] ^= 1;
	return built;
}

static json_t *build_rotated(const struct path_message *message)
{
	struct path_message changed = *message;
	size_t count = message->keys.count;
	struct uuid ids[PATH_MESSAGE_MAX_KEYS];
	uint64_t sequences[PATH_MESSAGE_MAX_KEYS];

	for (size_t i = 0; i < count; i++) {
		ids[i] = message->keys.ids[(i + 1) % count];
		sequences[i] = message->keys.sequences[(i + 1) % count];
	}
	changed.keys.ids = ids;
	changed.keys.sequences = sequences;
	return __real_path_message_build(&changed);
}

json_t *__wrap_path_message_build(const struct path_message *message)
{
	if (message->step == PATH_COMBINED && message->bytes)
		return build_changed(message);
	if (message->step == PATH_BIND && tells("keys"))
		return build_rotated(message);
	return __real_path_message_build(message);
}
