/* SPDX-License-Identifier: MIT */
/*
 * qkdctl key new and key get: reserve over D-Bus, then collect by request_key(2) into the session
 * keyring, as any other program would. The bytes come here only to be counted, or with --reveal.
 */

#include "commands.h"
#include "common/encoding.h"
#include "common/keys.h"
#include "common/name.h"
#include "common/secret.h"

#define DESCRIPTION_MAX 256

static const char *advice_for(int result)
{
	switch (result) {
	case -ENOKEY:
		return "is /etc/request-key.d/qkd-keyring.conf there, and qkd-keyringd running?";
	case -EACCES:
		return "another user; /etc/qkd/policy.json says who may, see qkd-policy.json(5)";
	case -EDQUOT:
		return "keyctl unlink what you no longer need, or raise kernel.keys.maxbytes";
	case -ETIMEDOUT:
		return "qkdctl status: is the peer connected?";
	case -EKEYEXPIRED:
		return "qkdctl key new: a key is had once";
	default:
		return NULL;
	}
}

static int collect(const struct ctl *ctl, const char *peer, const char *id, key_serial_t *ret)
{
	bool named = ctl->site || json_is_true(json_object_get(ctl->keyring, "kernel_shared"));
	char description[DESCRIPTION_MAX];
	key_serial_t ring;
	int r;

	snprintf(description, sizeof(description), "qkd%s%s:%s:id=%s", named ? "@" : "",
		 named ? ctl_site(ctl) : "", peer, id);
	/* A process without a session keyring would get one of its own, and the key with it would
	 * end when we do; this makes it the user's. */
	r = key_get_id(KEY_SPEC_SESSION_KEYRING, false, &ring);
	if (r >= 0)
		r = key_request("user", description, "", KEY_SPEC_SESSION_KEYRING, ret);
	if (r < 0)
		ctl_tell_error(description, strerror(-r), advice_for(r));
	return r;
}

/* The key in hex and a newline, in secret memory. */
static int to_hex(const struct secret *key, struct secret **ret)
{
	_cleanup_(secret_freep) struct secret *hex = NULL;
	int r = secret_new(2 * key->size_bytes + 1, &hex);

	if (r < 0)
		return r;
	hex_encode(key->bytes, key->size_bytes, (char *)hex->bytes);
	*ret = TAKE_PTR(hex);
	return 0;
}

static int print_json(const struct ctl *ctl, const char *id, key_serial_t serial, const char *peer,
		      const struct secret *key)
{
	_cleanup_(json_decrefp) json_t *document = NULL;
	_cleanup_(secret_freep) struct secret *hex = NULL;

	document = json_pack("{s:s,s:i,s:i,s:s}", "id", id, "serial", (int)serial, "bits",
			     (int)key->size_bytes * 8, "peer", peer);
	if (!document)
		return -ENOMEM;
	if (ctl->reveal &&
	    (to_hex(key, &hex) < 0 ||
	     json_object_set_new(document, "key", json_string((char *)hex->bytes)) < 0))
		return -ENOMEM;
	return ctl_print_json(document);
}

static int print_text(const struct ctl *ctl, const char *id, key_serial_t serial,
		      const struct secret *key)
{
	_cleanup_(secret_freep) struct secret *hex = NULL;

	printf("%s %d\n", id, (int)serial);
	fflush(stdout);
	if (!ctl->reveal)
		return 0;
	if (to_hex(key, &hex) < 0)
		return -ENOMEM;
	hex->bytes[hex->size_bytes - 1] = '\n';
	return write(STDOUT_FILENO, hex->bytes, hex->size_bytes) < 0 ? -errno : 0;
}

static int collect_and_print(struct ctl *ctl, const char *peer, const char *id)
{
	_cleanup_(secret_freep) struct secret *key = NULL;
	key_serial_t serial;
	int r = collect(ctl, peer, id, &serial);

	if (r < 0)
		return EXIT_FAILURE;
	r = key_read(serial, &key);
	if (r >= 0)
		r = ctl->json ? print_json(ctl, id, serial, peer, key)
			      : print_text(ctl, id, serial, key);
	if (r < 0)
		ctl_tell_error(id, strerror(-r), NULL);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int command_key_new(struct ctl *ctl)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *peer = ctl->words[0], *id;
	int r = ctl_call(ctl, "GetNewKey", CTL_CALL_USEC, &reply, "su", peer, ctl->bits);

	if (r < 0)
		return EXIT_FAILURE;
	r = sd_bus_message_read(reply, "s", &id);
	if (r < 0) {
		ctl_tell_error("keyringd's answer", strerror(-r), NULL);
		return EXIT_FAILURE;
	}
	return collect_and_print(ctl, peer, id);
}

int command_key_get(struct ctl *ctl)
{
	const char *peer = ctl->words[0];
	char id[UUID_CHARS + 1];
	struct uuid uuid;

	if (uuid_parse(ctl->words[1], &uuid) < 0) {
		ctl_tell_error(ctl->words[1], "not a key's id",
			       "the id that qkdctl key new printed");
		return CTL_EXIT_USAGE;
	}
	uuid_format(&uuid, id);
	if (ctl_call(ctl, "GetExistingKey", CTL_CALL_USEC, NULL, "ss", peer, id) < 0)
		return EXIT_FAILURE;
	return collect_and_print(ctl, peer, id);
}
