/* SPDX-License-Identifier: MIT */
/*
 * The rules by which trouble is recognised, and what helps against it. Pure: a snapshot in, a list
 * out.
 */

#include "ctl-problem.h"

#include <stdarg.h>

#define TEXT_CHARS 512

/* Within so much of the limit the next key may not fit. */
#define QUOTA_SPARE_KEYS  2
#define QUOTA_SPARE_BYTES 300

#define DISK_LOW_BYTES (4 << 20) /* a few files of keys and a journal */

static const char *text_of(const json_t *object, const char *member)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text ? text : "";
}

static bool is_true(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member));
}

static json_int_t number_of(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

/* kind and name make the subject; try is a format of what follows it. */
static int _printf_(5, 6) add(json_t *list, const char *kind, const char *name, const char *problem,
			      const char *try, ...)
{
	char subject[TEXT_CHARS], advice[TEXT_CHARS];
	json_t *object;
	va_list arguments;

	va_start(arguments, try);
	vsnprintf(advice, sizeof(advice), try, arguments);
	va_end(arguments);
	snprintf(subject, sizeof(subject), "%s%s%s", kind, *name ? " " : "", name);
	object = json_pack("{s:s,s:s,s:s}", "subject", subject, "problem", problem, "try", advice);
	return json_array_append_new(list, object) < 0 ? -ENOMEM : 0;
}

/* A connection between two sites fails for few reasons; the words are those of the channel and of
 * OpenSSL. The peer's name stands between the two parts of the advice. */
static const struct {
	const char *word, *before, *after;
} connection_advice[] = {
	{"not yet valid", "timedatectl here and at ", ": are the clocks apart?"},
	{"expired", "timedatectl here and at ", "; if the clocks are right, renew the certificate"},
	{"names site", "correct the address, or the certificate of ",
	 " (openssl x509 -noout -subject)"},
	{"is not a peer", "openssl x509 -noout -subject, on the certificate of ", ""},
	{"refuses us", "journalctl -x at ", ", which says why"},
	{"not accept our", "journalctl -x at ", ", which says why; timedatectl at both sites"},
	{"ended TLS", "journalctl -x at ", ", which says why"},
	{"Connection refused", "qkdctl status at ", ": does the daemon run there?"},
	{"timed out", "ping ", ": the network, a firewall, or a wrong address"},
	{"o route", "ping ", ": the network, a firewall, or a wrong address"},
	{"unreachable", "ping ", ": the network, a firewall, or a wrong address"},
};

static int add_unconnected(json_t *list, const char *kind, const char *name, const char *peer,
			   const char *reason)
{
	char problem[TEXT_CHARS];

	snprintf(problem, sizeof(problem), "not connected with %s: %s", peer,
		 *reason ? reason : "it has not been heard of");
	for (size_t i = 0; i < ELEMENTSOF(connection_advice); i++)
		if (strstr(reason, connection_advice[i].word))
			return add(list, kind, name, problem, "%s%s%s", connection_advice[i].before,
				   peer, connection_advice[i].after);
	return add(list, kind, name, problem, "qkdctl status at %s; qkdctl log --explain", peer);
}

/* Links */

/* The words are those of curl, of the kernel and of the drivers. */
static const struct {
	const char *word, *advice;
} device_advice[] = {
	{"onnect to", "does the device or KME run, and is its address right? "},
	{"refuses our certificate", "have the KME's operator register our certificate; "},
	{"alert", "have the KME's operator register our certificate, and compare the CAs; "},
	{"not yet valid", "timedatectl here and at the KME: are the clocks apart? "},
	{"expired", "timedatectl here and at the KME; else renew the certificate; "},
	{"certificate", "compare ca, cert, key and server_name in the device's URL; "},
	{"Broken pipe", "it closed the connection: does it accept our certificate? "},
	{"not connected", "it closed the connection: does it accept our certificate? "},
	{"reset by peer", "it closed the connection: does it accept our certificate? "},
	{"timed out", "ping the device or KME; "},
};

static const char *advice_about(const char *error)
{
	for (size_t i = 0; i < ELEMENTSOF(device_advice); i++)
		if (strstr(error, device_advice[i].word))
			return device_advice[i].advice;
	return "";
}

static int add_device(json_t *list, const json_t *link, const char *name)
{
	const char *error = text_of(link, "last_error"), *state = text_of(link, "state");
	char problem[TEXT_CHARS];

	if (*error) {
		snprintf(problem, sizeof(problem), "the device: %s", error);
		return add(list, "link", name, problem,
			   "%sqkdctl log %s --explain; man qkd-devices", advice_about(error), name);
	}
	if (str_equal(state, "Inactive"))
		return add(list, "link", name, "its session is stopped", "qkdctl link start %s",
			   name);
	/* Without its peer a device that yields detections cannot get further. */
	if (str_equal(state, "SessionStarted") || !is_true(link, "connected"))
		return 0;
	snprintf(problem, sizeof(problem), "the device's session has come as far as %s", state);
	return add(list, "link", name, problem, "in a few seconds again; qkdctl log %s --explain",
		   name);
}

static int add_alarm(json_t *list, const json_t *link, const char *name)
{
	char problem[TEXT_CHARS];

	snprintf(problem, sizeof(problem),
		 "blocks in a row gave no key, the error rate (QBER) is %.1f %%",
		 100 * json_number_value(json_object_get(link, "error_rate")));
	return add(list, "link", name, problem,
		   "the optics: a misaligned device, stray light, or somebody who measures; "
		   "man qkd-distillation");
}

static int add_link(json_t *list, const json_t *link)
{
	const char *name = text_of(link, "link");
	int r = 0;

	if (!is_true(link, "running"))
		return add(list, "link", name, "its daemon does not run",
			   "qkdctl link start %s; qkdctl log %s --explain", name, name);
	if (!is_true(link, "answering"))
		return add(list, "link", name, "its daemon does not answer",
			   "systemctl restart qkd-linkd@%s; qkdctl log %s", name, name);
	if (is_true(link, "alarm"))
		r = add_alarm(list, link, name);
	if (r >= 0)
		r = add_device(list, link, name);
	if (r >= 0 && !is_true(link, "connected"))
		r = add_unconnected(list, "link", name, text_of(link, "peer"),
				    text_of(link, "peer_error"));
	return r;
}

/* Stores */

/* Sites that nobody wants keys with may be peers, too: they are the other ends of others' paths. */
static bool expects_keys(const json_t *store, const json_t *links)
{
	json_t *link;
	size_t i;

	json_array_foreach (links, i, link)
		if (str_equal(text_of(link, "peer"), text_of(store, "peer")))
			return true;
	return number_of(store, "directories") > 0;
}

static int add_store(json_t *list, const json_t *store, const json_t *links)
{
	const char *peer = text_of(store, "peer");

	if (!is_true(store, "connected"))
		return add_unconnected(list, "store", peer, peer, text_of(store, "peer_error"));
	if (number_of(store, "available_own") + number_of(store, "available_peer") > 0 ||
	    !expects_keys(store, links))
		return 0;
	return add(list, "store", peer, "no key is available",
		   "qkdctl status: does a link to %s agree keys, does a path lead there?", peer);
}

/* Paths */

static int add_path(json_t *list, const json_t *path)
{
	const char *sites = text_of(path, "path");

	if (is_true(path, "up"))
		return 0;
	return add(list, "path", sites, "it gives no keys, and is tried again from time to time",
		   "qkdctl status at %s: is each hop connected, and has it keys?", sites);
}

/* The site */

const char *ctl_problem_advice(const struct ctl_snapshot *snapshot)
{
	if (strstr(snapshot->trouble, "not run"))
		return "systemctl start qkd-keyringd; qkdctl log --explain";
	if (strstr(snapshot->trouble, "not answer"))
		return "systemctl restart qkd-keyringd; qkdctl log --explain";
	return "as root, or as a member of group qkd";
}

static int add_keyring(json_t *list, const struct ctl_snapshot *snapshot)
{
	if (!json_is_null(snapshot->keyring))
		return 0;
	return add(list, "qkd-keyringd", "", snapshot->trouble, "%s", ctl_problem_advice(snapshot));
}

static int add_quota(json_t *list, const json_t *quota)
{
	json_int_t keys = number_of(quota, "keys"), max_keys = number_of(quota, "max_keys");
	json_int_t bytes = number_of(quota, "bytes"), max_bytes = number_of(quota, "max_bytes");
	char problem[TEXT_CHARS];

	if (json_is_null(quota) ||
	    (keys + QUOTA_SPARE_KEYS <= max_keys && bytes + QUOTA_SPARE_BYTES <= max_bytes))
		return 0;
	snprintf(problem, sizeof(problem),
		 "the keyring quota of user qkd is used up: %lld of %lld keys, %lld of %lld bytes",
		 (long long)keys, (long long)max_keys, (long long)bytes, (long long)max_bytes);
	return add(list, "keyring", "", problem,
		   "raise kernel.keys.maxkeys and kernel.keys.maxbytes; man qkd-keyring");
}

static int add_disk(json_t *list, const json_t *disk)
{
	char problem[TEXT_CHARS];

	if (!json_is_object(disk) || number_of(disk, "free") >= DISK_LOW_BYTES)
		return 0;
	snprintf(problem, sizeof(problem),
		 "the disk is full: %lld kB are left on that of " CTL_HOME,
		 (long long)number_of(disk, "free") / 1000);
	return add(list, "disk", "", problem,
		   "df " CTL_HOME "; make room, keys are not agreed without");
}

int ctl_problem_list(const struct ctl_snapshot *snapshot, json_t **ret)
{
	_cleanup_(json_decrefp) json_t *list = json_array();
	json_t *object;
	size_t i;
	int r = list ? add_keyring(list, snapshot) : -ENOMEM;

	if (r >= 0)
		r = add_quota(list, snapshot->quota);
	if (r >= 0)
		r = add_disk(list, snapshot->disk);
	json_array_foreach (snapshot->links, i, object)
		if (r >= 0)
			r = add_link(list, object);
	json_array_foreach (snapshot->stores, i, object)
		if (r >= 0)
			r = add_store(list, object, snapshot->links);
	json_array_foreach (snapshot->paths, i, object)
		if (r >= 0)
			r = add_path(list, object);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(list);
	return 0;
}
