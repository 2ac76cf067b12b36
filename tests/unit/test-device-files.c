/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "common/secret.h"
#include "qkd-keyringd/device-files.h"
#include "tests/unit/support/memory-storage.h"

static const struct keyringd_config config = {
	.site = "alice",
	.home = "/var/lib/qkd",
	.runtime = "/run/qkd",
	.bus = "system",
	.tls_ca = "/ca",
	.tls_certificate = "/c",
	.tls_key = "/run/credentials/unit/tls-key",
};

static json_t *compose(const char *settings)
{
	_cleanup_(freep) char *text = NULL, *what = NULL;
	int r = device_files_compose(&config, "alice-bob", settings, &text, &what);

	cr_assert_eq(r, 0, "%s", what);
	return json_loads(text, JSON_REJECT_DUPLICATES, NULL);
}

static void expect(json_t *object, const char *name, const char *value)
{
	cr_expect_str_eq(json_string_value(json_object_get(object, name)), value, "%s", name);
}

Test(device_files, the_sites_own_settings_are_added_to_what_was_given)
{
	_cleanup_(json_decrefp) json_t *object =
		compose("{\"peer\": \"bob\", \"device\": \"sim://x\", \"window\": 3}");

	expect(object, "peer", "bob");
	expect(object, "site", "alice");
	expect(object, "link", "alice-bob");
	expect(object, "home", "/var/lib/qkd");
	cr_expect_eq(json_integer_value(json_object_get(object, "window")), 3);
	expect(json_object_get(object, "tls"), "ca", "/ca");
}

/* As in the daemon, where what jansson has allocated is not free()'s to free. */
Test(device_files, the_text_is_in_ordinary_memory)
{
	json_set_alloc_funcs(secret_malloc, secret_mfree);
	json_decref(compose("{\"peer\": \"bob\", \"device\": \"sim://x\"}"));
}

Test(device_files, a_credential_keeps_its_name_and_not_its_directory)
{
	_cleanup_(json_decrefp) json_t *object = NULL;

	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/unit", 1);
	object = compose("{}");
	expect(json_object_get(object, "tls"), "key", "credential:tls-key");
	expect(json_object_get(object, "tls"), "certificate", "/c");
}

Test(device_files, nobody_chooses_whose_keys_are_read_or_where_keys_go)
{
	static const struct {
		const char *settings, *words;
	} cases[] = {
		{"{\"tls\": {\"key\": \"/x\"}}", "tls: is the site's own, and cannot be given"},
		{"{\"home\": \"/x\"}", "home: is the site's own"},
		{"{\"runtime\": \"/x\"}", "runtime: is"},
		{"{\"bus\": \"none\"}", "bus: is"},
		{"{\"site\": \"alice\"}", "site: is"},
		{"{\"link\": \"x\"}", "link: is"},
		{"{\"kernel_shared\": true}", "kernel_shared: is"},
		{"[]", "not a JSON object"},
		{"{\"peer\": \"b\", \"peer\": \"c\"}", "not JSON"},
		{"", "not JSON"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		_cleanup_(freep) char *text = NULL, *what = NULL;

		cr_expect_eq(device_files_compose(&config, "l", cases[i].settings, &text, &what),
			     -EINVAL, "%s", cases[i].settings);
		cr_expect_null(text);
		cr_expect_not_null(strstr(what, cases[i].words), "%s", what);
	}
}

Test(device_files, settings_have_a_limit)
{
	_cleanup_(freep) char *text = NULL, *what = NULL;
	char *settings = malloc(DEVICE_FILES_MAX_BYTES + 2);

	memset(settings, ' ', DEVICE_FILES_MAX_BYTES + 1);
	settings[DEVICE_FILES_MAX_BYTES + 1] = '\0';
	cr_expect_eq(device_files_compose(&config, "l", settings, &text, &what), -EINVAL);
	cr_expect_not_null(strstr(what, "longer"), "%s", what);
	free(settings);
}

static int note(const char *link, void *userdata)
{
	strcat(strcat(userdata, link), " ");
	return 0;
}

Test(device_files, a_file_counts_when_it_is_settled_and_until_it_is_removed)
{
	struct memory_storage *memory;
	struct storage *disk;
	char seen[64] = "";

	cr_assert_eq(memory_storage_new(&memory), 0);
	disk = memory_storage_storage(memory);
	cr_expect_eq(device_files_foreach(disk, note, seen), 0, "no directory yet");
	cr_assert_eq(device_files_write(disk, "alice-bob", "{}"), 0);
	cr_expect_not(device_files_has(disk, "alice-bob"));
	cr_expect_eq(device_files_foreach(disk, note, seen), 0);
	cr_expect_str_eq(seen, "", "it is new");
	cr_assert_eq(device_files_settle(disk, "alice-bob"), 0);
	cr_expect(device_files_has(disk, "alice-bob"));
	cr_expect_eq(device_files_foreach(disk, note, seen), 0);
	cr_expect_str_eq(seen, "alice-bob ");
	cr_assert_eq(device_files_remove(disk, "alice-bob", false), 0);
	cr_expect_not(device_files_has(disk, "alice-bob"));
	cr_expect_eq(device_files_remove(disk, "alice-bob", false), -ENOENT);
	memory_storage_free(memory);
}
