/* SPDX-License-Identifier: MIT */
/* qkdctl link start and stop. */

#include "commands.h"

static int command_link(struct ctl *ctl, const char *member, const char *verb)
{
	_cleanup_(json_decrefp) json_t *document = NULL;
	const char *link = ctl->words[0];

	if (ctl_call(ctl, member, CTL_LINK_USEC, NULL, "s", link) < 0)
		return EXIT_FAILURE;
	if (!ctl->json)
		return EXIT_SUCCESS;
	document = json_pack("{s:s,s:s}", "link", link, "requested", verb);
	return document && ctl_print_json(document) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int command_link_start(struct ctl *ctl)
{
	return command_link(ctl, "StartLink", "start");
}

int command_link_stop(struct ctl *ctl)
{
	return command_link(ctl, "StopLink", "stop");
}
