/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The datagrams between two qkd-xfrmd: one socket for each family of addresses, past every policy,
 * because what brings the keys cannot wait for them.
 */

#include <systemd/sd-event.h>

#include "ip-prefix.h"
#include "rekey-message.h"

struct xfrmd_control;

/* Senders prove themselves in the message; where it came from is not looked at. */
typedef void (*xfrmd_control_handler_t)(const struct rekey_message *message, void *userdata);

int xfrmd_control_new(sd_event *event, uint16_t port, bool v4, bool v6,
		      xfrmd_control_handler_t handler, void *userdata, struct xfrmd_control **ret);
struct xfrmd_control *xfrmd_control_free(struct xfrmd_control *control);
DEFINE_CLEANUP(struct xfrmd_control *, xfrmd_control_free);
/* Lost or not: whoever needs an answer repeats it. */
void xfrmd_control_send(struct xfrmd_control *control, const struct ip_address *to, uint16_t port,
			const uint8_t bytes[static REKEY_MESSAGE_BYTES]);
