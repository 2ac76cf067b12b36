/* SPDX-License-Identifier: MIT */
/* Links that are configured and links that run. */

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "keyring-helpers/qkdctl/ctl-links.h"
#include "tests/unit/support/test-certificates.h"
#include "tests/unit/support/test-directory.h"

static json_t *configured(const char *const *files)
{
	char *directory = test_directory_new(), path[512];
	json_t *links;

	for (; *files; files++) {
		snprintf(path, sizeof(path), "%s/%s", directory, *files);
		cr_assert_geq(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	}
	cr_assert_eq(ctl_links_read_configured(directory, &links), 0);
	test_directory_remove(directory);
	return ctl_links_sort(links, "link");
}

static const char *name(const json_t *links, size_t i)
{
	return json_string_value(json_object_get(json_array_get(links, i), "link"));
}

static bool is_running(const json_t *links, size_t i)
{
	return json_is_true(json_object_get(json_array_get(links, i), "running"));
}

Test(ctl_links, names_on_the_bus_are_made_of_what_a_bus_takes)
{
	char bus_name[CTL_LINK_NAME_CHARS];

	ctl_links_bus_name("alice-bob", bus_name);
	cr_assert_str_eq(bus_name, "org.qkd.Link1.alice_bob");
	ctl_links_bus_name("1.a", bus_name);
	cr_assert_str_eq(bus_name, "org.qkd.Link1._1_a");
	cr_assert(ctl_links_is_name(bus_name));
	cr_assert_not(ctl_links_is_name("org.qkd.Keyring1"));
}

Test(ctl_links, are_configured_by_files_with_a_links_name)
{
	static const char *const files[] = {"b.json",  "alice-bob.json", "alice-bob.secret",
					    ".x.json", "README",         NULL};
	json_t *links = configured(files);

	cr_assert_eq(json_array_size(links), 2u);
	cr_assert_str_eq(name(links, 0), "alice-bob");
	cr_assert_str_eq(name(links, 1), "b");
	cr_assert_not(is_running(links, 0));
	json_decref(links);
}

Test(ctl_links, without_a_directory_there_are_none)
{
	json_t *links;

	cr_assert_eq(ctl_links_read_configured("/nonexistent", &links), 0);
	cr_assert_eq(json_array_size(links), 0u);
	json_decref(links);
}

Test(ctl_links, one_on_the_bus_is_the_configured_one_of_that_name)
{
	static const char *const files[] = {"alice-bob.json", NULL};
	json_t *links = configured(files);

	cr_assert_eq(ctl_links_mark_running(links, "org.qkd.Link1.alice_bob"), 0);
	cr_assert_eq(ctl_links_mark_running(links, "org.qkd.Link1.other"), 0);
	cr_assert_eq(json_array_size(links), 2u);
	cr_assert_str_eq(name(links, 0), "alice-bob");
	cr_assert(is_running(links, 0));
	cr_assert_eq(ctl_links_replace(
			     links, json_pack("{s:s,s:s}", "link", "alice-bob", "state", "Ready")),
		     0);
	cr_assert_eq(json_array_size(links), 2u);
	cr_assert_str_eq(json_string_value(json_object_get(json_array_get(links, 0), "state")),
			 "Ready");
	json_decref(links);
}
