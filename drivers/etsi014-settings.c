/* SPDX-License-Identifier: MIT */
/*
 * Checks an etsi014:// URL as far as it can be without the KME, so that a wrong path is told when
 * the configuration is checked and not when the first key is due.
 */

#include "drivers/etsi014-settings.h"

#include <stdarg.h>

#include "drivers/etsi014-message.h"

#define DEFAULT_PORT      443
#define CREDENTIAL_PREFIX "credential:"

const char *const etsi014_parameters[] = {"sae", "peer_sae",    "ca", "cert",
					  "key", "server_name", NULL};

static int _printf_(2, 3) complain(char **ret_what, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(ret_what, format, arguments);
	va_end(arguments);
	return r < 0 ? -ENOMEM : -EINVAL;
}

static int copy(const char *text, char **ret)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

/* A name, not a way out of the directory. */
static int read_credential(const char *name, const char *credential, char **ret_what, char **ret)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	if (credential[0] == '\0' || credential[0] == '.' || strchr(credential, '/'))
		return complain(ret_what, "%s: '%s' is not a credential's name", name, credential);
	if (!directory)
		return complain(ret_what, "%s: no credentials were passed to this service", name);
	return asprintf(ret, "%s/%s", directory, credential) < 0 ? -ENOMEM : 0;
}

static int read_file(const struct device_url *url, const char *name, char **ret_what, char **field)
{
	const char *value = device_url_get(url, name);
	int r;

	if (!value)
		return complain(ret_what, "%s: a path or credential:NAME is expected", name);
	if (strncmp(value, CREDENTIAL_PREFIX, strlen(CREDENTIAL_PREFIX)) == 0)
		r = read_credential(name, value + strlen(CREDENTIAL_PREFIX), ret_what, field);
	else if (value[0] != '/')
		r = complain(ret_what,
			     "%s: an absolute path or credential:NAME is expected, not "
			     "'%s'",
			     name, value);
	else
		r = copy(value, field);
	if (r < 0)
		return r;
	if (access(*field, R_OK) < 0)
		return complain(ret_what, "%s: %s cannot be read: %m", name, *field);
	return 0;
}

static int read_files(struct etsi014_settings *settings, const struct device_url *url,
		      char **ret_what)
{
	int r;

	r = read_file(url, "ca", ret_what, &settings->ca_file);
	if (r >= 0)
		r = read_file(url, "cert", ret_what, &settings->certificate_file);
	if (r >= 0)
		r = read_file(url, "key", ret_what, &settings->key_file);
	return r;
}

static int read_sae(const struct device_url *url, const char *name, bool required, char **ret_what,
		    char **field)
{
	const char *value = device_url_get(url, name);
	size_t chars = value ? strlen(value) : 0;

	if (!value && !required)
		return 0;
	if (chars == 0 || chars > ETSI014_SAE_MAX_CHARS)
		return complain(ret_what, "%s: an SAE id of 1 to %d characters is expected", name,
				ETSI014_SAE_MAX_CHARS);
	return copy(value, field);
}

static int read_server(struct etsi014_settings *settings, const struct device_url *url,
		       char **ret_what)
{
	const char *server_name = device_url_get(url, "server_name");
	bool is_v6 = strchr(url->host, ':') != NULL;

	settings->port = url->port ?: DEFAULT_PORT;
	if (!server_name)
		return copy(url->host, &settings->server_name);
	if (server_name[0] == '\0' ||
	    strspn(server_name, "abcdefghijklmnopqrstuvwxyz0123456789"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ-._") != strlen(server_name))
		return complain(ret_what, "server_name: a host's name is expected, not '%s'",
				server_name);
	if (asprintf(&settings->connect_to, is_v6 ? "[%s]:%u" : "%s:%u", url->host,
		     settings->port) < 0) {
		settings->connect_to = NULL;
		return -ENOMEM;
	}
	return copy(server_name, &settings->server_name);
}

int etsi014_settings_read(struct etsi014_settings *settings, const struct device_url *url,
			  char **ret_what)
{
	int r;

	r = device_url_check_parameters(url, etsi014_parameters, ret_what);
	if (r < 0)
		return r;
	if (!url->side_is_given)
		return complain(ret_what, "side: alice or bob is expected");
	settings->key_bits = url->key_bits;
	r = copy(url->path, &settings->prefix);
	if (r >= 0)
		r = read_sae(url, "sae", false, ret_what, &settings->sae);
	if (r >= 0)
		r = read_sae(url, "peer_sae", true, ret_what, &settings->peer_sae);
	if (r >= 0)
		r = read_server(settings, url, ret_what);
	if (r >= 0)
		r = read_files(settings, url, ret_what);
	return r;
}

void etsi014_settings_done(struct etsi014_settings *settings)
{
	free(settings->sae);
	free(settings->peer_sae);
	free(settings->server_name);
	free(settings->connect_to);
	free(settings->prefix);
	free(settings->ca_file);
	free(settings->certificate_file);
	free(settings->key_file);
	*settings = (struct etsi014_settings){};
}
