/* SPDX-License-Identifier: MIT */
/* What qkdctl status finds wrong. */

#include <criterion/criterion.h>

#include "keyring-helpers/qkdctl/ctl-problem.h"

#define LINK_OK                                                                                 \
	"{\"link\":\"alice-bob\",\"peer\":\"bob\",\"running\":true,\"answering\":true,"         \
	"\"state\":\"SessionStarted\",\"connected\":true,\"last_error\":\"\",\"peer_error\":\"" \
	"\"}"
#define STORE_OK "{\"peer\":\"bob\",\"connected\":true,\"peer_error\":\"\",\"available_own\":5}"
#define QUOTA_OK "{\"keys\":10,\"max_keys\":200,\"bytes\":100,\"max_bytes\":20000}"

static char told[1024]; /* "subject: problem (try)" of each, a line each */

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member));
}

/* link: members that differ from a link that works. */
static const char *problems(const char *link, const char *store, const char *quota)
{
	json_t *list, *problem, *link_object = json_loads(LINK_OK, 0, NULL);
	json_t *store_object = json_loads(STORE_OK, 0, NULL);
	struct ctl_snapshot snapshot = {
		.keyring = json_object(),
		.links = json_array(),
		.stores = json_array(),
		.quota = json_loads(quota ? quota : QUOTA_OK, JSON_DECODE_ANY, NULL),
	};
	size_t i, n = 0;

	json_object_update_new(link_object, json_loads(link ? link : "{}", 0, NULL));
	json_object_update_new(store_object, json_loads(store ? store : "{}", 0, NULL));
	json_array_append_new(snapshot.links, link_object);
	json_array_append_new(snapshot.stores, store_object);
	cr_assert_eq(ctl_problem_list(&snapshot, &list), 0);
	told[0] = '\0';
	json_array_foreach (list, i, problem)
		n += (size_t)snprintf(told + n, sizeof(told) - n, "%s: %s (%s)\n",
				      text_of(problem, "subject"), text_of(problem, "problem"),
				      text_of(problem, "try"));
	json_decref(list);
	ctl_snapshot_done(&snapshot);
	return told;
}

static void assert_told(const char *text, const char *words)
{
	cr_assert(strstr(text, words), "no \"%s\" in \"%s\"", words, text);
}

Test(ctl_problem, nothing_is_wrong_with_what_works)
{
	cr_assert_str_empty(problems(NULL, NULL, NULL));
	cr_assert_str_empty(problems(NULL, NULL, "null"));
}

Test(ctl_problem, a_link_without_its_daemon)
{
	assert_told(problems("{\"running\":false}", NULL, NULL),
		    "link alice-bob: its daemon does not run (qkdctl link start alice-bob");
	assert_told(problems("{\"answering\":false}", NULL, NULL), "its daemon does not answer");
}

Test(ctl_problem, a_device_tells_its_error_or_its_state)
{
	assert_told(problems("{\"state\":\"Inactive\",\"last_error\":\"no route\"}", NULL, NULL),
		    "link alice-bob: the device: no route (qkdctl log alice-bob --explain");
	assert_told(problems("{\"last_error\":\"Failed to connect to k port 1\"}", NULL, NULL),
		    "does the device or KME run");
	assert_told(problems("{\"last_error\":\"the KME refuses our certificate\"}", NULL, NULL),
		    "operator register our certificate");
	assert_told(problems("{\"state\":\"Inactive\"}", NULL, NULL),
		    "its session is stopped (qkdctl link start alice-bob)");
	assert_told(problems("{\"state\":\"Listening\"}", NULL, NULL), "as far as Listening");
}

Test(ctl_problem, a_connection_that_fails_leads_to_its_reason)
{
	static const struct {
		const char *reason, *advice;
	} vectors[] = {
		{"the peer's certificate is refused: certificate is not yet valid",
		 "timedatectl here and at bob"},
		{"the peer's certificate is refused: certificate has expired", "timedatectl"},
		{"the peer's certificate names site carol, not bob",
		 "the address, or the certificate of bob"},
		{"the peer does not accept our certificate: alert", "journalctl -x at bob"},
		{"Connection refused", "qkdctl status at bob"},
		{"Connection timed out", "ping bob"},
		{"No route to host", "ping bob"},
		{"the peer refuses us: not allowed", "journalctl -x at bob"},
		{"", "qkdctl status at bob"},
	};
	char link[256];

	for (size_t i = 0; i < ELEMENTSOF(vectors); i++) {
		snprintf(link, sizeof(link), "{\"connected\":false,\"peer_error\":\"%s\"}",
			 vectors[i].reason);
		assert_told(problems(link, NULL, NULL), vectors[i].advice);
		assert_told(told, vectors[i].reason);
		assert_told(problems(NULL, link, NULL), vectors[i].advice);
		assert_told(told, "store bob: not connected with bob");
	}
}

Test(ctl_problem, a_noisy_line_is_an_alarm_with_its_error_rate)
{
	assert_told(problems("{\"alarm\":true,\"error_rate\":0.249}", NULL, NULL), "24.9 %");
	assert_told(told, "somebody who measures");
}

Test(ctl_problem, a_store_without_keys)
{
	assert_told(problems(NULL, "{\"available_own\":0}", NULL),
		    "store bob: no key is available");
	cr_assert_str_empty(problems(NULL, "{\"available_own\":0,\"available_peer\":3}", NULL));
	assert_told(
		problems(NULL, "{\"peer\":\"carol\",\"available_own\":0,\"directories\":1}", NULL),
		"store carol: no key is available");
	cr_assert_str_empty(problems(NULL, "{\"peer\":\"carol\",\"available_own\":0}", NULL),
			    "neither a link nor a path leads there");
}

Test(ctl_problem, a_quota_that_is_used_up)
{
	assert_told(problems(NULL, NULL,
			     "{\"keys\":199,\"max_keys\":200,\"bytes\":1,\"max_bytes\":20000}"),
		    "the keyring quota of user qkd is used up: 199 of 200 keys");
	assert_told(told, "kernel.keys.maxkeys");
	assert_told(problems(NULL, NULL,
			     "{\"keys\":1,\"max_keys\":200,\"bytes\":19900,\"max_bytes\":20000}"),
		    "19900 of 20000 bytes");
}

Test(ctl_problem, a_disk_that_is_full)
{
	struct ctl_snapshot snapshot = {
		.keyring = json_object(),
		.links = json_array(),
		.stores = json_array(),
		.quota = json_null(),
		.disk = json_pack("{s:i,s:i}", "free", 4096, "size", 1 << 20)};
	json_t *list;

	cr_assert_eq(ctl_problem_list(&snapshot, &list), 0);
	assert_told(text_of(json_array_get(list, 0), "problem"), "the disk is full: 4 kB");
	assert_told(text_of(json_array_get(list, 0), "try"), "df /var/lib/qkd");
	json_decref(list);
	ctl_snapshot_done(&snapshot);
}

Test(ctl_problem, a_site_without_keyringd)
{
	struct ctl_snapshot snapshot = {.keyring = json_null(),
					.links = json_array(),
					.stores = json_array(),
					.quota = json_null(),
					.trouble = "it does not run"};
	json_t *list;

	cr_assert_eq(ctl_problem_list(&snapshot, &list), 0);
	cr_assert_eq(json_array_size(list), 1u);
	cr_assert_str_eq(text_of(json_array_get(list, 0), "subject"), "qkd-keyringd");
	json_decref(list);
	ctl_snapshot_done(&snapshot);
}

Test(ctl_problem, a_path_that_gives_no_keys)
{
	struct ctl_snapshot snapshot = {
		.keyring = json_object(),
		.links = json_array(),
		.stores = json_array(),
		.paths = json_loads("[{\"path\":\"alice bob carol\",\"up\":true},"
				    "{\"path\":\"alice dave carol\",\"up\":false}]",
				    0, NULL),
		.quota = json_null(),
	};
	json_t *list;

	cr_assert_eq(ctl_problem_list(&snapshot, &list), 0);
	cr_assert_eq(json_array_size(list), 1u);
	cr_assert_str_eq(text_of(json_array_get(list, 0), "subject"), "path alice dave carol");
	assert_told(text_of(json_array_get(list, 0), "problem"), "it gives no keys");
	json_decref(list);
	ctl_snapshot_done(&snapshot);
}
