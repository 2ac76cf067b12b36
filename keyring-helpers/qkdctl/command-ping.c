/* SPDX-License-Identifier: MIT */
/* qkdctl ping: how long the smallest request takes to a peer and back. */

#include "commands.h"

#define PING_COUNT 5u

static int ping(struct ctl *ctl, double *ret_msec)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	uint64_t usec;

	if (ctl_call(ctl, "PingSite", CTL_CALL_USEC, &reply, "s", ctl->words[0]) < 0)
		return -EIO;
	if (sd_bus_message_read(reply, "t", &usec) < 0) {
		ctl_tell_error("ping", "keyringd's answer is not understood", NULL);
		return -EBADMSG;
	}
	*ret_msec = (double)usec / 1e3;
	return 0;
}

static int print_json(const char *peer, const double *msec)
{
	_cleanup_(json_decrefp) json_t *document = json_pack("{s:s,s:[]}", "peer", peer, "msec");

	for (size_t i = 0; document && i < PING_COUNT; i++)
		json_array_append_new(json_object_get(document, "msec"), json_real(msec[i]));
	return document && ctl_print_json(document) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void print(const char *peer, const double *msec)
{
	double least = msec[0], most = msec[0], sum = 0;

	for (size_t i = 0; i < PING_COUNT; i++) {
		least = MIN(least, msec[i]);
		most = MAX(most, msec[i]);
		sum += msec[i];
	}
	printf("%s: %.3f ms on average of %u round trips, from %.3f to %.3f\n", peer,
	       sum / PING_COUNT, PING_COUNT, least, most);
}

int command_ping(struct ctl *ctl)
{
	double msec[PING_COUNT];

	for (size_t i = 0; i < PING_COUNT; i++)
		if (ping(ctl, &msec[i]) < 0)
			return EXIT_FAILURE;
	if (ctl->json)
		return print_json(ctl->words[0], msec);
	print(ctl->words[0], msec);
	return EXIT_SUCCESS;
}
