/* SPDX-License-Identifier: MIT */
#pragma once

/* What callers of keyringd want of the links: start, stop, list. Answers the message later. */

#include "keyringd-links.h"

#define LINK_COMMAND_ASK_USEC (2 * USEC_PER_SEC)  /* a linkd's properties */
#define LINK_COMMAND_USEC     (20 * USEC_PER_SEC) /* Start, Stop, StartUnit */

/* StartLink(s link): the linkd's Start(), or its unit's start when it is not on the bus. */
int link_command_start(struct keyringd_links *links, sd_bus_message *message);
/* StopLink(s link): the linkd's Stop(); what does not run is stopped. */
int link_command_stop(struct keyringd_links *links, sd_bus_message *message);
/* ListLinks() -> aa{sv}: all properties of each linkd that answers in time. */
int link_command_list(struct keyringd_links *links, sd_bus_message *message);

/* method: StartUnit or StopUnit of systemd, for the link's unit. ret_slot NULL: the answer comes as
 * long as the bus lasts. */
int link_command_unit(sd_bus *bus, const char *method, const char *link,
		      sd_bus_message_handler_t answered, void *userdata, sd_bus_slot **ret_slot);
