/* SPDX-License-Identifier: MIT */
/*
 * Reads device URLs. The text comes from a configuration file or from the bus, so it is taken
 * apart strictly, and every refusal is a sentence that an administrator can act on.
 */

#include "drivers/device-url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <limits.h>
#include <stdarg.h>

#include "common/config.h"

#define SCHEME_MAX_CHARS    32
#define HOST_MAX_CHARS      253 /* RFC 1035, section 2.3.4 */
#define PARAMETER_MAX_CHARS 32  /* a name */
#define SWITCH_MAX_CHARS    64

static const char *const common_parameters[] = {"side", "keybits", "switchname", "switchport",
						NULL};

/* What is being read: text goes forward, what is for the first complaint. */
struct parser {
	const char *text;
	struct device_url *url;
	char *what;
};

static int _printf_(2, 3) complain(struct parser *parser, const char *format, ...)
{
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(&parser->what, format, arguments);
	va_end(arguments);
	if (r < 0) {
		parser->what = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static int take(char **field, const char *start, size_t chars)
{
	*field = strndup(start, chars);
	return *field ? 0 : -ENOMEM;
}

static int check_characters(struct parser *parser)
{
	size_t chars = strnlen(parser->text, DEVICE_URL_MAX_CHARS + 1);

	if (chars == 0)
		return complain(parser, "a device URL is expected, not an empty text");
	if (chars > DEVICE_URL_MAX_CHARS)
		return complain(parser, "a device URL is at most %d characters long",
				DEVICE_URL_MAX_CHARS);
	for (size_t i = 0; i < chars; i++) {
		unsigned char c = (unsigned char)parser->text[i];

		if (c <= ' ' || c >= 0x7f)
			return complain(parser,
					"character 0x%02x at position %zu is not allowed in a URL: "
					"write %%%02X",
					c, i + 1, c);
		if (c == '#')
			return complain(parser, "a device URL has no '#' part");
	}
	return 0;
}

static int parse_scheme(struct parser *parser)
{
	const char *end = strstr(parser->text, "://");
	size_t chars;

	if (!end)
		return complain(parser, "a device URL begins with SCHEME://, as in "
					"etsi014://kme.example:8443/");
	chars = (size_t)(end - parser->text);
	if (chars == 0 || chars > SCHEME_MAX_CHARS)
		return complain(parser, "the scheme has 1 to %d characters", SCHEME_MAX_CHARS);
	for (size_t i = 0; i < chars; i++) {
		unsigned char c = (unsigned char)parser->text[i];

		if (!islower(c) && (i == 0 || !isdigit(c)))
			return complain(parser,
					"the scheme '%.*s' is not lower-case letters and "
					"digits, a letter first",
					(int)chars, parser->text);
	}
	if (take(&parser->url->scheme, parser->text, chars) < 0)
		return -ENOMEM;
	parser->text = end + strlen("://");
	return 0;
}

static int parse_number(const char *text, size_t chars, unsigned long max, unsigned long *ret)
{
	unsigned long value = 0;

	if (chars == 0)
		return -EINVAL;
	for (size_t i = 0; i < chars; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -EINVAL;
		value = value * 10 + (unsigned long)(text[i] - '0');
		if (value > max)
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

static int parse_port(struct parser *parser, const char *text, size_t chars)
{
	unsigned long port;

	if (parse_number(text, chars, UINT16_MAX, &port) < 0 || port == 0)
		return complain(parser, "the port '%.*s' is not a number from 1 to 65535",
				(int)chars, text);
	parser->url->port = (uint16_t)port;
	return 0;
}

/* "[ADDRESS]", RFC 3986 section 3.2.2; *ret_chars counts the brackets too. */
static int parse_host_v6(struct parser *parser, size_t authority_chars, size_t *ret_chars)
{
	const char *end = memchr(parser->text, ']', authority_chars);
	struct in6_addr address;

	if (!end)
		return complain(parser, "the IPv6 address lacks its closing ']'");
	if (take(&parser->url->host, parser->text + 1, (size_t)(end - parser->text) - 1) < 0)
		return -ENOMEM;
	if (inet_pton(AF_INET6, parser->url->host, &address) != 1)
		return complain(parser, "'%s' is not an IPv6 address", parser->url->host);
	*ret_chars = (size_t)(end - parser->text) + 1;
	return 0;
}

static int parse_host_name(struct parser *parser, size_t authority_chars, size_t *ret_chars)
{
	const char *colon = memchr(parser->text, ':', authority_chars);
	size_t chars = colon ? (size_t)(colon - parser->text) : authority_chars;

	if (chars == 0)
		return complain(parser, "the host is missing after '%s://'", parser->url->scheme);
	if (chars > HOST_MAX_CHARS)
		return complain(parser, "the host is longer than %d characters", HOST_MAX_CHARS);
	for (size_t i = 0; i < chars; i++) {
		char c = parser->text[i];

		if (!isalnum((unsigned char)c) && !(i > 0 && strchr("._-", c)))
			return complain(parser,
					"the host '%.*s' is not letters, digits, '.', '_' "
					"and '-', a letter or digit first",
					(int)chars, parser->text);
	}
	*ret_chars = chars;
	return take(&parser->url->host, parser->text, chars);
}

static int parse_authority(struct parser *parser)
{
	size_t chars = strcspn(parser->text, "/?"), host_chars;
	int r;

	if (memchr(parser->text, '@', chars))
		return complain(parser, "a device URL has no user or password: name secrets by "
					"path or credential");
	r = parser->text[0] == '[' ? parse_host_v6(parser, chars, &host_chars)
				   : parse_host_name(parser, chars, &host_chars);
	if (r < 0)
		return r;
	if (host_chars < chars) {
		if (parser->text[host_chars] != ':')
			return complain(parser, "after the host only ':PORT' may follow");
		r = parse_port(parser, parser->text + host_chars + 1, chars - host_chars - 1);
		if (r < 0)
			return r;
	}
	parser->text += chars;
	return 0;
}

static int hex_value(char c)
{
	if (isdigit((unsigned char)c))
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3986 section 2.1; '+' stands for itself. Only printable ASCII may come out. */
static int decode(struct parser *parser, const char *name, const char *text, size_t chars,
		  char **ret)
{
	_cleanup_(freep) char *out = malloc(chars + 1);
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < chars; i++) {
		int high, low;

		if (text[i] != '%') {
			out[n++] = text[i];
			continue;
		}
		high = i + 1 < chars ? hex_value(text[i + 1]) : -1;
		low = i + 2 < chars ? hex_value(text[i + 2]) : -1;
		if (high < 0 || low < 0)
			return complain(parser, "%s: '%%' needs two hexadecimal digits after it",
					name);
		if (high < 2 || high > 7 || (high == 7 && low == 15))
			return complain(parser, "%s: %%%c%c is not a printable ASCII character",
					name, text[i + 1], text[i + 2]);
		out[n++] = (char)(high * 16 + low);
		i += 2;
	}
	out[n] = '\0';
	*ret = TAKE_PTR(out);
	return 0;
}

static int parse_path(struct parser *parser)
{
	size_t chars = strcspn(parser->text, "?");
	int r;

	r = decode(parser, "path", parser->text, chars, &parser->url->path);
	if (r < 0)
		return r;
	parser->text += chars;
	return 0;
}

static int set_side(struct parser *parser, const char *value)
{
	if (str_equal(value, "alice"))
		parser->url->side = DEVICE_SIDE_ALICE;
	else if (str_equal(value, "bob"))
		parser->url->side = DEVICE_SIDE_BOB;
	else
		return complain(parser, "side: 'alice' or 'bob' is expected, not '%s'", value);
	parser->url->side_is_given = true;
	return 0;
}

static int set_key_bits(struct parser *parser, const char *value)
{
	unsigned long bits;

	if (parse_number(value, strlen(value), DEVICE_KEY_BITS_MAX, &bits) < 0 ||
	    bits < DEVICE_KEY_BITS_MIN || bits % 8 != 0)
		return complain(parser,
				"keybits: a multiple of 8 from %d to %d is expected, not '%s'",
				DEVICE_KEY_BITS_MIN, DEVICE_KEY_BITS_MAX, value);
	parser->url->key_bits = (uint32_t)bits;
	return 0;
}

static int set_switch(struct parser *parser, const char *name, char **value, char **field)
{
	size_t chars = strlen(*value);

	if (chars == 0 || chars > SWITCH_MAX_CHARS)
		return complain(parser, "%s: 1 to %d characters are expected", name,
				SWITCH_MAX_CHARS);
	*field = TAKE_PTR(*value);
	return 0;
}

/* One of every scheme's own; *value may be taken. -ENOENT: not one of them. */
static int set_common(struct parser *parser, const char *name, char **value)
{
	if (str_equal(name, "side"))
		return set_side(parser, *value);
	if (str_equal(name, "keybits"))
		return set_key_bits(parser, *value);
	if (str_equal(name, "switchname"))
		return set_switch(parser, name, value, &parser->url->switch_name);
	if (str_equal(name, "switchport"))
		return set_switch(parser, name, value, &parser->url->switch_port);
	return -ENOENT;
}

static int check_parameter_name(struct parser *parser, const char *name, size_t chars)
{
	if (chars == 0)
		return complain(parser, "a parameter has no name: NAME=VALUE is expected");
	if (chars > PARAMETER_MAX_CHARS)
		return complain(parser, "a parameter's name is at most %d characters long",
				PARAMETER_MAX_CHARS);
	for (size_t i = 0; i < chars; i++)
		if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
		    name[i] != '_')
			return complain(parser,
					"the parameter name '%.*s' is not lower-case "
					"letters, digits and '_'",
					(int)chars, name);
	return 0;
}

static bool was_given(const struct parser *parser, const char *name, unsigned seen_common)
{
	for (size_t i = 0; common_parameters[i]; i++)
		if (str_equal(name, common_parameters[i]))
			return seen_common & (1u << i);
	return device_url_get(parser->url, name) != NULL;
}

static void note_given(const char *name, unsigned *seen_common)
{
	for (size_t i = 0; common_parameters[i]; i++)
		if (str_equal(name, common_parameters[i]))
			*seen_common |= 1u << i;
}

static int store_parameter(struct parser *parser, char **name, char **value, unsigned *seen_common)
{
	struct device_url *url = parser->url;
	int r;

	if (was_given(parser, *name, *seen_common))
		return complain(parser, "%s is given twice", *name);
	note_given(*name, seen_common);
	r = set_common(parser, *name, value);
	if (r != -ENOENT)
		return r;
	if (url->parameter_count == DEVICE_URL_MAX_PARAMETERS)
		return complain(parser, "more than %d parameters", DEVICE_URL_MAX_PARAMETERS);
	url->parameters[url->parameter_count++] =
		(struct device_parameter){TAKE_PTR(*name), TAKE_PTR(*value)};
	return 0;
}

static int parse_parameter(struct parser *parser, size_t chars, unsigned *seen_common)
{
	_cleanup_(freep) char *name = NULL, *value = NULL;
	const char *equals = memchr(parser->text, '=', chars);
	size_t name_chars = equals ? (size_t)(equals - parser->text) : chars;
	int r;

	r = check_parameter_name(parser, parser->text, name_chars);
	if (r < 0)
		return r;
	if (take(&name, parser->text, name_chars) < 0)
		return -ENOMEM;
	if (!equals)
		return complain(parser, "%s: '=VALUE' is expected after it", name);
	r = decode(parser, name, equals + 1, chars - name_chars - 1, &value);
	if (r < 0)
		return r;
	return store_parameter(parser, &name, &value, seen_common);
}

static int parse_query(struct parser *parser)
{
	unsigned seen_common = 0;

	if (*parser->text == '\0' || parser->text[1] == '\0')
		return 0;
	do {
		size_t chars;
		int r;

		parser->text++; /* '?' or '&' */
		chars = strcspn(parser->text, "&");
		r = parse_parameter(parser, chars, &seen_common);
		if (r < 0)
			return r;
		parser->text += chars;
	} while (*parser->text != '\0');
	return 0;
}

int device_url_parse(const char *text, struct device_url **ret, char **ret_what)
{
	static int (*const steps[])(struct parser *) = {check_characters, parse_scheme,
							parse_authority, parse_path, parse_query};
	_cleanup_(device_url_freep) struct device_url *url = calloc(1, sizeof(*url));
	struct parser parser = {.text = text, .url = url};

	if (!url)
		return -ENOMEM;
	url->key_bits = DEVICE_KEY_BITS_DEFAULT;
	for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
		int r = steps[i](&parser);

		if (r == -EINVAL)
			*ret_what = parser.what;
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(url);
	return 0;
}

static bool is_known(const char *name, const char *const *known)
{
	for (size_t i = 0; known[i]; i++)
		if (str_equal(name, known[i]))
			return true;
	return false;
}

/* The driver's names and everybody's together, for the search of the nearest. */
static int join_names(const char *const *known, const char ***ret)
{
	size_t count = 0, n = 0;
	const char **all;

	while (known[count])
		count++;
	all = calloc(count + ELEMENTSOF(common_parameters), sizeof(*all));
	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		all[n++] = known[i];
	for (size_t i = 0; common_parameters[i]; i++)
		all[n++] = common_parameters[i];
	*ret = all;
	return 0;
}

int device_url_check_parameters(const struct device_url *url, const char *const *known,
				char **ret_what)
{
	_cleanup_(freep) const char **all = NULL;
	const char *unknown = NULL, *nearest;
	char *what;

	for (size_t i = 0; i < url->parameter_count && !unknown; i++)
		if (!is_known(url->parameters[i].name, known))
			unknown = url->parameters[i].name;
	if (!unknown)
		return 0;
	if (join_names(known, &all) < 0)
		return -ENOMEM;
	nearest = config_nearest(unknown, all);
	if (asprintf(&what, "%s:// has no parameter '%s'%s%s%s", url->scheme, unknown,
		     nearest ? ": is '" : "", nearest ?: "", nearest ? "' meant?" : "") < 0)
		return -ENOMEM;
	*ret_what = what;
	return -EINVAL;
}

struct device_url *device_url_free(struct device_url *url)
{
	if (!url)
		return NULL;
	for (size_t i = 0; i < url->parameter_count; i++) {
		free(url->parameters[i].name);
		free(url->parameters[i].value);
	}
	free(url->scheme);
	free(url->host);
	free(url->path);
	free(url->switch_name);
	free(url->switch_port);
	free(url);
	return NULL;
}

const char *device_url_get(const struct device_url *url, const char *name)
{
	for (size_t i = 0; i < url->parameter_count; i++)
		if (str_equal(url->parameters[i].name, name))
			return url->parameters[i].value;
	return NULL;
}

int device_url_id(const struct device_url *url, char **ret_id)
{
	char *id;

	/* Underscores divide the parts, so within a part they become '-' like other odd ones. */
	if (asprintf(&id, "%s\n%s\n%u\n%s\n%u\n%s", url->scheme, url->host, url->port,
		     url->switch_port ?: "", url->key_bits,
		     url->side == DEVICE_SIDE_ALICE ? "alice" : "bob") < 0)
		return -ENOMEM;
	for (char *c = id; *c; c++)
		if (*c == '\n')
			*c = '_';
		else if (!isalnum((unsigned char)*c) && *c != '.')
			*c = '-';
	*ret_id = id;
	return 0;
}
