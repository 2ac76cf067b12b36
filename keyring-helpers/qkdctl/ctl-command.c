/* SPDX-License-Identifier: MIT */
/* The tables of commands and options, and looking things up in them. */

#include "ctl-command.h"

#include "commands.h"
#include "ctl-settings.h"

const struct ctl_option_info ctl_options[CTL_OPTION_COUNT_] = {
	[CTL_OPTION_SITE] = {"site", "SITE",
			     "only if this is the site; name it in key descriptions"},
	[CTL_OPTION_JSON] = {"json", NULL, "print one JSON document"},
	[CTL_OPTION_HELP] = {"help", NULL, "this; after a command: about the command"},
	[CTL_OPTION_VERSION] = {"version", NULL, "print the version"},
	[CTL_OPTION_BITS] = {"bits", "N", "the key's size"},
	[CTL_OPTION_REVEAL] = {"reveal", NULL, "print the key too"},
	[CTL_OPTION_FILTER] = {"filter", "NAME", "show only this statistic, or node of their tree",
			       true},
	[CTL_OPTION_EXCLUDE] = {"exclude", "NAME", "do not show it", true},
	[CTL_OPTION_FOLLOW] = {"follow", NULL, "go on, and tell what is new"},
	[CTL_OPTION_INTERVAL] = {"interval", "SECONDS", "how often, from 0.1 to 3600 (default: 1)"},
	[CTL_OPTION_KEY] = {"key", "ID", "only what concerns this key"},
	[CTL_OPTION_EXPLAIN] = {"explain", NULL, "say what each entry means and what to do"},
	[CTL_OPTION_SVG] = {"svg", NULL, "draw it, with graphviz"},
	[CTL_OPTION_WEIGHT] = {"weight", "N", "the path's share among others to the same site"},
	[CTL_OPTION_STOCK] = {"stock", "N", "keys to keep ready"},
	[CTL_OPTION_PATHS] = {"paths", "N", "paths without a common relay that each key takes"},
};

#define BIT(option) CTL_OPTION_BIT(CTL_OPTION_##option)

const struct ctl_command ctl_commands[] = {
	{"status", NULL, "", 0, 0, 0, CTL_NEEDS_BUS,
	 "this site, its links and its keys, and what is wrong", command_status},
	{"monitor", NULL, "", 0, 0, BIT(INTERVAL), CTL_NEEDS_BUS,
	 "the same as status, drawn again and again; q quits", command_monitor},
	{"log", NULL, "[LINK]", 0, 1, BIT(KEY) | BIT(FOLLOW) | BIT(EXPLAIN), CTL_NEEDS_NOTHING,
	 "the journal of this service, of a link or of a key", command_log},
	{"key", "new", "PEER", 1, 1, BIT(BITS) | BIT(REVEAL), CTL_NEEDS_KEYRINGD,
	 "a new key into the session keyring", command_key_new},
	{"key", "get", "PEER ID", 2, 2, BIT(REVEAL), CTL_NEEDS_KEYRINGD,
	 "the key that the peer made new", command_key_get},
	{"link", "start", "LINK", 1, 1, 0, CTL_NEEDS_KEYRINGD, "begin agreeing keys",
	 command_link_start},
	{"link", "stop", "LINK", 1, 1, 0, CTL_NEEDS_KEYRINGD, "end it", command_link_stop},
	{"link", "set", "LINK [PARAMETER [VALUE]]", 1, 3, 0, CTL_NEEDS_BUS,
	 "show its settings, or change one while it runs", command_link_set},
	{"set", NULL, "[PARAMETER [VALUE]]", 0, 2, 0, CTL_NEEDS_KEYRINGD,
	 "the same for those of qkd-keyringd", command_set},
	{"path", "start", "SITE SITE...", 2, 16, BIT(WEIGHT) | BIT(STOCK) | BIT(PATHS),
	 CTL_NEEDS_KEYRINGD, "keys with the last site over those between", command_path_start},
	{"path", "stop", "SITE SITE...", 2, 16, 0, CTL_NEEDS_KEYRINGD, "end it", command_path_stop},
	{"path", "set", "PEER [JSON]", 1, 2, 0, CTL_NEEDS_KEYRINGD,
	 "which of the started paths give keys with a site", command_path_set},
	{"path", "list", "", 0, 0, 0, CTL_NEEDS_KEYRINGD, "the paths that this site is part of",
	 command_path_list},
	{"ping", NULL, "PEER", 1, 1, 0, CTL_NEEDS_KEYRINGD, "how long a request to a site takes",
	 command_ping},
	{"device", "list", "", 0, 0, 0, CTL_NEEDS_BUS, "the devices of this site's links",
	 command_device_list},
	{"device", "add", "LINK SETTING=VALUE...", 2, CTL_SETTINGS_MAX + 1, 0, CTL_NEEDS_KEYRINGD,
	 "a link more, until it is removed", command_device_add},
	{"device", "remove", "LINK", 1, 1, 0, CTL_NEEDS_KEYRINGD, "take such a link away",
	 command_device_remove},
	{"graph", NULL, "", 0, 0, BIT(SVG), CTL_NEEDS_BUS,
	 "the network around this site, for graphviz", command_graph},
	{"stats", NULL, "", 0, 0, BIT(FILTER) | BIT(EXCLUDE) | BIT(FOLLOW) | BIT(INTERVAL),
	 CTL_NEEDS_KEYRINGD, "what is counted", command_stats},
};
const size_t ctl_command_count = ELEMENTSOF(ctl_commands);

unsigned ctl_command_words(const struct ctl_command *command)
{
	return command->name ? 2 : 1;
}

const struct ctl_command *ctl_command_find(char *const *words, size_t count)
{
	for (size_t i = 0; i < ctl_command_count; i++) {
		const struct ctl_command *c = &ctl_commands[i];

		if (count > 0 && str_equal(c->group, words[0]) &&
		    (!c->name || (count > 1 && str_equal(c->name, words[1]))))
			return c;
	}
	return NULL;
}

bool ctl_command_is_group(const char *word)
{
	for (size_t i = 0; i < ctl_command_count; i++)
		if (str_equal(ctl_commands[i].group, word))
			return true;
	return false;
}
