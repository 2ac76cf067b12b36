/* SPDX-License-Identifier: MIT */
/* One connection of the configuration, member by member. */

#include "xfrmd-connection-config.h"

#include "common/address.h"
#include "common/crc32c.h"
#include "common/name.h"

#define REKEY_DEFAULT_SEC   3600
#define HARD_DEFAULT_SEC    14400
#define DRAIN_DEFAULT_SEC   30
#define REKEY_DEFAULT_BYTES (UINT64_C(1) << 34)
#define HARD_DEFAULT_BYTES  (UINT64_C(1) << 36)
#define REKEY_MIN_SEC       2 /* the kernel prefers the newer association by whole seconds */
#define TIME_MAX_SEC        (UINT64_C(31) * 86400)
#define DRAIN_MAX_SEC       60
#define BYTES_MIN           (UINT64_C(1) << 16)
#define BYTES_MAX           (UINT64_C(1) << 62)
#define POINTER_MAX_CHARS   160
#define REQID_OURS          UINT32_C(0x51000000)
#define REQID_NAME_MASK     UINT32_C(0x00ffffff)

static const char *const members[] = {
	"peer",      "local",    "remote",    "control",     "mode",       "selectors", "clear",
	"rekey_sec", "hard_sec", "drain_sec", "rekey_bytes", "hard_bytes", NULL};
static const char *const selector_members[] = {"local",      "remote",      "protocol",
					       "local_port", "remote_port", NULL};

uint32_t xfrmd_reqid(const char *connection)
{
	return REQID_OURS | (crc32c(0, connection, strlen(connection)) & REQID_NAME_MASK);
}

bool xfrmd_reqid_is_ours(uint32_t reqid)
{
	return (reqid & ~REQID_NAME_MASK) == REQID_OURS;
}

/* What is being read, so that an error can be told where it is. */
struct reader {
	struct config *config;
	const char *pointer;
	json_t *object;
};

static void complain(const struct reader *reader, const char *member, const char *what)
{
	char pointer[POINTER_MAX_CHARS];

	snprintf(pointer, sizeof(pointer), "%s/%s", reader->pointer, member);
	config_error(reader->config,
		     json_object_get(reader->object, member) ? pointer : reader->pointer, "%s: %s",
		     member, what);
}

/* NULL when it is not there; an error when it is something else or missing though required. */
static const char *string_of(const struct reader *reader, const char *member, bool required)
{
	json_t *value = json_object_get(reader->object, member);

	if (!value && required)
		complain(reader, member, "missing");
	if (value && !json_is_string(value))
		complain(reader, member, "expected a string");
	return json_string_value(value);
}

static void read_number(const struct reader *reader, const char *member, uint64_t min, uint64_t max,
			uint64_t *value)
{
	json_t *number = json_object_get(reader->object, member);
	char what[80];

	if (!number)
		return;
	if (json_is_integer(number) && json_integer_value(number) >= 0 &&
	    (uint64_t)json_integer_value(number) >= min &&
	    (uint64_t)json_integer_value(number) <= max) {
		*value = (uint64_t)json_integer_value(number);
		return;
	}
	snprintf(what, sizeof(what), "expected a number, %llu to %llu", (unsigned long long)min,
		 (unsigned long long)max);
	complain(reader, member, what);
}

static void read_address(const struct reader *reader, const char *member, struct ip_address *ret)
{
	const char *text = string_of(reader, member, true);

	if (text && ip_address_parse(text, ret) < 0)
		complain(reader, member, "expected an IP address");
}

static void read_prefix(const struct reader *reader, const char *member, struct ip_prefix *ret)
{
	const char *text = string_of(reader, member, false);

	if (text && ip_prefix_parse(text, ret) < 0)
		complain(reader, member, "expected ADDRESS/BITS, with nothing below the bits");
}

static void read_control(const struct reader *reader, struct xfrmd_connection_config *c)
{
	const char *text = string_of(reader, "control", false);
	struct address address;

	c->control = c->remote;
	c->control_port = XFRMD_DEFAULT_PORT;
	if (!text)
		return;
	if (address_parse(text, false, &address) < 0 ||
	    ip_address_parse(address.host, &c->control) < 0)
		complain(reader, "control", "expected IP:PORT or [V6]:PORT");
	else
		c->control_port = (uint16_t)strtoul(address.port, NULL, 10);
}

static void read_mode(const struct reader *reader, struct xfrmd_connection_config *c)
{
	const char *text = string_of(reader, "mode", false);

	c->tunnel = !text || str_equal(text, "tunnel");
	if (text && !c->tunnel && !str_equal(text, "transport"))
		complain(reader, "mode", "expected \"tunnel\" or \"transport\"");
}

static void read_protocol(const struct reader *reader, struct xfrmd_selector *selector)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protocols[] = {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}, {"sctp", 132}};
	const char *text = string_of(reader, "protocol", false);

	for (size_t i = 0; text && i < ELEMENTSOF(protocols); i++)
		if (str_equal(text, protocols[i].name))
			selector->protocol = protocols[i].number;
	if (text && !selector->protocol)
		complain(reader, "protocol", "expected tcp, udp, sctp, icmp or icmpv6");
}

static uint16_t read_port(const struct reader *reader, const char *member)
{
	uint64_t port = 0;

	read_number(reader, member, 1, UINT16_MAX, &port);
	return (uint16_t)port;
}

/* Between two hosts there is nothing but these two. */
static void check_selector(const struct reader *reader, const struct xfrmd_connection_config *c,
			   const struct xfrmd_selector *s)
{
	struct ip_prefix local, remote;

	ip_prefix_of_host(&c->local, &local);
	ip_prefix_of_host(&c->remote, &remote);
	if (s->local.address.family != s->remote.address.family)
		complain(reader, "remote", "is of another family than local");
	if (!c->tunnel &&
	    (!ip_prefix_covers(&local, &s->local) || !ip_prefix_covers(&remote, &s->remote)))
		config_error(
			reader->config, reader->pointer,
			"transport mode protects the two ends only: leave out local and remote");
	if ((s->local_port || s->remote_port) &&
	    (!s->protocol || s->protocol == 1 || s->protocol == 58))
		config_error(reader->config, reader->pointer,
			     "ports need a protocol that has them");
}

static void read_selector(const struct reader *list, const char *member, size_t index,
			  json_t *value, const struct xfrmd_connection_config *c,
			  struct xfrmd_selector *s)
{
	char pointer[POINTER_MAX_CHARS];
	const struct reader reader = {list->config, pointer, value};

	snprintf(pointer, sizeof(pointer), "%s/%s/%zu", list->pointer, member, index);
	ip_prefix_of_host(&c->local, &s->local);
	ip_prefix_of_host(&c->remote, &s->remote);
	if (!json_is_object(value)) {
		config_error(list->config, pointer, "expected {\"local\": ..., \"remote\": ...}");
		return;
	}
	config_check_members(list->config, pointer, value, selector_members);
	read_prefix(&reader, "local", &s->local);
	read_prefix(&reader, "remote", &s->remote);
	read_protocol(&reader, s);
	s->local_port = read_port(&reader, "local_port");
	s->remote_port = read_port(&reader, "remote_port");
	check_selector(&reader, c, s);
}

static void read_list(const struct reader *reader, const char *member,
		      const struct xfrmd_connection_config *c, struct xfrmd_selector *selectors,
		      size_t *count)
{
	json_t *list = json_object_get(reader->object, member);
	json_t *value;
	size_t i;

	if (!list)
		return;
	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > XFRMD_MAX_SELECTORS) {
		complain(reader, member, "expected a list of 1 to 32 selectors");
		return;
	}
	json_array_foreach (list, i, value)
		read_selector(reader, member, i, value, c, &selectors[i]);
	*count = json_array_size(list);
}

/* Without any: all between the two ends, and nothing in clear. */
static void read_selectors(const struct reader *reader, struct xfrmd_connection_config *c)
{
	ip_prefix_of_host(&c->local, &c->selectors[0].local);
	ip_prefix_of_host(&c->remote, &c->selectors[0].remote);
	c->selector_count = 1;
	read_list(reader, "selectors", c, c->selectors, &c->selector_count);
	read_list(reader, "clear", c, c->clear, &c->clear_count);
}

static void read_lifetimes(const struct reader *reader, struct xfrmd_connection_config *c)
{
	c->rekey_sec = REKEY_DEFAULT_SEC;
	c->hard_sec = HARD_DEFAULT_SEC;
	c->drain_sec = DRAIN_DEFAULT_SEC;
	c->rekey_bytes = REKEY_DEFAULT_BYTES;
	c->hard_bytes = HARD_DEFAULT_BYTES;
	read_number(reader, "rekey_sec", REKEY_MIN_SEC, TIME_MAX_SEC, &c->rekey_sec);
	read_number(reader, "hard_sec", REKEY_MIN_SEC, TIME_MAX_SEC, &c->hard_sec);
	read_number(reader, "drain_sec", 1, DRAIN_MAX_SEC, &c->drain_sec);
	read_number(reader, "rekey_bytes", BYTES_MIN, BYTES_MAX, &c->rekey_bytes);
	read_number(reader, "hard_bytes", BYTES_MIN, BYTES_MAX, &c->hard_bytes);
	if (c->hard_sec <= c->rekey_sec)
		complain(reader, "hard_sec", "must be longer than rekey_sec");
	if (c->hard_bytes <= c->rekey_bytes)
		complain(reader, "hard_bytes", "must be more than rekey_bytes");
}

static bool name_is_valid(const char *name)
{
	return link_name_is_valid(name) && strlen(name) <= XFRMD_NAME_MAX_CHARS;
}

int xfrmd_connection_config_parse(struct config *config, const char *pointer, const char *name,
				  json_t *value, struct xfrmd_connection_config *c)
{
	const struct reader reader = {config, pointer, value};
	const char *peer = json_string_value(json_object_get(value, "peer"));

	c->reqid = xfrmd_reqid(name);
	c->name = strdup(name);
	c->peer = strdup(peer ? peer : "");
	if (!c->name || !c->peer)
		return -ENOMEM;
	if (!name_is_valid(name))
		config_error(config, pointer,
			     "expected a name, [a-z0-9][a-z0-9.-]*, at most %d long",
			     XFRMD_NAME_MAX_CHARS);
	if (!json_is_object(value)) {
		config_error(config, pointer, "expected an object");
		return 0;
	}
	config_check_members(config, pointer, value, members);
	if (string_of(&reader, "peer", true) && !site_name_is_valid(peer))
		complain(&reader, "peer", "expected a site's name");
	read_address(&reader, "local", &c->local);
	read_address(&reader, "remote", &c->remote);
	if (c->local.family && c->remote.family && c->local.family != c->remote.family)
		complain(&reader, "remote", "is of another family than local");
	read_control(&reader, c);
	read_mode(&reader, c);
	read_selectors(&reader, c);
	read_lifetimes(&reader, c);
	return 0;
}

void xfrmd_connection_config_done(struct xfrmd_connection_config *connection)
{
	free(connection->name);
	free(connection->peer);
}
