/* SPDX-License-Identifier: MIT */
#pragma once

/* Stands for what D-Bus asks about paths and other sites, in tests that have no issuer. */

#include "qkd-keyringd/path-bus.h"
#include "qkd-keyringd/site-ping.h"

int path_bus_start(struct path_manager *manager, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, NULL);
}

int path_bus_stop(struct path_manager *manager, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, NULL);
}

int path_bus_set(struct path_manager *manager, const char *site, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, NULL);
}

int path_bus_list(struct path_manager *manager, struct multihop *multihop, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, "aa{sv}", 0);
}

int path_bus_connected_sites(struct issuer *issuer, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, "as", 0);
}

int site_pings_bus(struct site_pings *pings, sd_bus_message *message)
{
	return sd_bus_reply_method_return(message, "t", UINT64_C(1));
}
