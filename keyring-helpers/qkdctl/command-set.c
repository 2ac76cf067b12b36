/* SPDX-License-Identifier: MIT */
/* qkdctl set and link set: settings of the daemons, shown or changed while they run. */

#include "commands.h"
#include "ctl-table.h"

static const struct ctl_column columns[] = {
	{"PARAMETER", "parameter"},
	{"VALUE", "value"},
	{"CHANGEABLE", "changeable"},
};

/* link NULL: keyringd's. */
static int set(struct ctl *ctl, const char *link, const char *parameter, const char *value)
{
	_cleanup_(json_decrefp) json_t *document = NULL;
	int r = link ? ctl_call_link(ctl, link, "SetParameter", NULL, "ss", parameter, value)
		     : ctl_call(ctl, "SetParameter", CTL_CALL_USEC, NULL, "ss", parameter, value);

	if (r < 0)
		return EXIT_FAILURE;
	if (!ctl->json)
		return EXIT_SUCCESS;
	document =
		json_pack("{s:s,s:s,s:s*}", "parameter", parameter, "value", value, "link", link);
	return document && ctl_print_json(document) >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int read_parameters(sd_bus_message *reply, const char *only, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *list = json_array();
	const char *name, *value;
	int changeable, r = sd_bus_message_enter_container(reply, 'a', "(ssb)");

	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssb)", &name, &value, &changeable)) > 0)
		if ((!only || str_equal(only, name)) &&
		    json_array_append_new(list,
					  json_pack("{s:s,s:s,s:b}", "parameter", name, "value",
						    value, "changeable", changeable)) < 0)
			r = -ENOMEM;
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	return 0;
}

static int show(struct ctl *ctl, const char *link, const char *only)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(json_decrefp) json_t *list = NULL;
	struct ctl_terminal terminal;
	int r = link ? ctl_call_link(ctl, link, "ListParameters", &reply, "")
		     : ctl_call(ctl, "ListParameters", CTL_CALL_USEC, &reply, "");

	if (r < 0)
		return EXIT_FAILURE;
	r = read_parameters(reply, only, &list);
	if (r >= 0 && only && json_array_size(list) == 0) {
		ctl_tell_error(only, "there is no such parameter",
			       "the command without it, which lists all");
		return EXIT_FAILURE;
	}
	if (r >= 0 && ctl->json)
		r = ctl_print_json(list);
	if (r < 0) {
		ctl_tell_error(ctl->what, strerror(-r), NULL);
		return EXIT_FAILURE;
	}
	if (ctl->json)
		return EXIT_SUCCESS;
	ctl_terminal_examine(stdout, &terminal);
	ctl_table_print_fitted(list, columns, ELEMENTSOF(columns), &terminal, stdout);
	return EXIT_SUCCESS;
}

int command_link_set(struct ctl *ctl)
{
	if (ctl->word_count == 3)
		return set(ctl, ctl->words[0], ctl->words[1], ctl->words[2]);
	return show(ctl, ctl->words[0], ctl->word_count == 2 ? ctl->words[1] : NULL);
}

int command_set(struct ctl *ctl)
{
	if (ctl->word_count == 2)
		return set(ctl, NULL, ctl->words[0], ctl->words[1]);
	return show(ctl, NULL, ctl->word_count == 1 ? ctl->words[0] : NULL);
}
