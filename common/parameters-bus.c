/* SPDX-License-Identifier: MIT */
/*
 * SetParameter and ListParameters, for both daemons. Values are text as on the command line, so
 * that no caller needs to know the type of a setting.
 */

#include "common/parameters-bus.h"

static const char *error_name(int result)
{
	switch (result) {
	case -ENOENT:
		return PARAMETERS_ERROR_UNKNOWN;
	case -EROFS:
		return PARAMETERS_ERROR_FIXED;
	case -EINVAL:
		return PARAMETERS_ERROR_INVALID;
	default:
		return SD_BUS_ERROR_FAILED;
	}
}

int parameters_bus_set(const struct parameters *parameters, sd_bus_message *message)
{
	_cleanup_(freep) char *what = NULL;
	const char *name, *value;
	int r = sd_bus_message_read(message, "ss", &name, &value);

	if (r < 0)
		return r;
	r = parameters->set(name, value, &what, parameters->userdata);
	if (r < 0)
		return sd_bus_reply_method_errorf(message, error_name(r), "%s",
						  what ? what : strerror(-r));
	return sd_bus_reply_method_return(message, NULL);
}

static int append_one(sd_bus_message *reply, const struct config_setting *setting,
		      const void *values)
{
	_cleanup_(freep) char *text = NULL;
	int r = config_format(setting, values, &text);

	if (r == -EOPNOTSUPP)
		return 0; /* not one value */
	if (r < 0)
		return r;
	return sd_bus_message_append(reply, "(ssb)", setting->name, text,
				     (int)(setting->change == CONFIG_ANY_TIME));
}

int parameters_bus_list(const struct parameters *parameters, sd_bus_message *message)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(message, &reply);

	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(ssb)");
	for (size_t i = 0; r >= 0 && i < parameters->count; i++)
		r = append_one(reply, &parameters->settings[i], parameters->values);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}
