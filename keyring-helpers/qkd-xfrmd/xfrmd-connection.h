/* SPDX-License-Identifier: MIT */
#pragma once

/* One connection at work: its machine, joined to the kernel, the keyring and the other end. */

#include <systemd/sd-event.h>

#include "rekey-machine.h"
#include "xfrm-kernel.h"
#include "xfrmd-config.h"
#include "xfrmd-control.h"

struct xfrmd_connection;

/* What connections share; outlives them. */
struct xfrmd_shared {
	sd_event *event;
	struct xfrm_kernel *kernel;
	struct xfrmd_control *control;
	const struct xfrmd_config *config;
	void (*on_change)(void *userdata); /* the STATUS line has something new */
	void *userdata;
};

int xfrmd_connection_new(const struct xfrmd_shared *shared,
			 const struct xfrmd_connection_config *config,
			 struct xfrmd_connection **ret);
struct xfrmd_connection *xfrmd_connection_free(struct xfrmd_connection *connection);
DEFINE_CLEANUP(struct xfrmd_connection *, xfrmd_connection_free);

/* An association that is in the kernel already. */
void xfrmd_connection_adopt(struct xfrmd_connection *connection, const struct xfrm_report *sa);
void xfrmd_connection_start(struct xfrmd_connection *connection);
void xfrmd_connection_received(struct xfrmd_connection *connection,
			       const struct rekey_message *message);
/* ACQUIRE or EXPIRE with this connection's number. */
void xfrmd_connection_reported(struct xfrmd_connection *connection,
			       const struct xfrm_report *report);

struct xfrmd_connection_status {
	bool secured;
	uint64_t generations, failures;
};
void xfrmd_connection_get_status(const struct xfrmd_connection *connection,
				 struct xfrmd_connection_status *ret);
