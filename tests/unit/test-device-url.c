/* SPDX-License-Identifier: MIT */
/* Device URLs: what they mean, and the sentence for each that is wrong (design section 3). */

#include <criterion/criterion.h>

#include "drivers/device-url.h"
#include "tests/unit/support/test-allocation.h"

static const char *const known[] = {"sae", "peer_sae", "server_name", "rate", NULL};

static struct device_url *parse(const char *text)
{
	struct device_url *url = NULL;
	char *what = NULL;

	cr_assert_eq(device_url_parse(text, &url, &what), 0, "%s: %s", text, what);
	return url;
}

Test(device_url, every_part_is_read)
{
	_cleanup_(device_url_freep) struct device_url *url =
		parse("etsi014://kme.example:8443/kme%201/?side=bob&sae=qkd%2Falice&keybits=512"
		      "&switchname=sw&switchport=3&peer_sae=a+b&rate=");

	cr_assert_str_eq(url->scheme, "etsi014");
	cr_assert_str_eq(url->host, "kme.example");
	cr_assert_eq(url->port, 8443);
	cr_assert_str_eq(url->path, "/kme 1/");
	cr_assert_eq(url->side, DEVICE_SIDE_BOB);
	cr_assert(url->side_is_given);
	cr_assert_eq(url->key_bits, 512);
	cr_assert_str_eq(url->switch_name, "sw");
	cr_assert_str_eq(url->switch_port, "3");
	cr_assert_str_eq(device_url_get(url, "sae"), "qkd/alice");
	cr_assert_str_eq(device_url_get(url, "peer_sae"), "a+b");
	cr_assert_str_eq(device_url_get(url, "rate"), "");
	cr_assert_null(device_url_get(url, "side"));
	cr_assert_null(device_url_get(url, "seed"));
}

Test(device_url, what_is_not_given_has_a_default)
{
	_cleanup_(device_url_freep) struct device_url *url = parse("sim://x");

	cr_assert_eq(url->port, 0);
	cr_assert_str_eq(url->path, "");
	cr_assert(!url->side_is_given);
	cr_assert_eq(url->key_bits, DEVICE_KEY_BITS_DEFAULT);
	cr_assert_null(url->switch_name);
	cr_assert_null(url->switch_port);
	cr_assert_eq(url->parameter_count, 0);
}

Test(device_url, an_ipv6_host_stands_in_brackets)
{
	_cleanup_(device_url_freep) struct device_url *url = parse("etsi014://[fd00::1]:443/");

	cr_assert_str_eq(url->host, "fd00::1");
	cr_assert_eq(url->port, 443);
}

Test(device_url, an_empty_query_and_no_path_are_legal)
{
	device_url_free(parse("sim://x?"));
	device_url_free(parse("sim://x?side=alice"));
	device_url_free(parse("sim://x/?side=alice"));
	device_url_free(parse("sim://[::1]"));
}

static const struct {
	const char *text, *what;
} wrong[] = {
	{"", "not an empty text"},
	{"sim:x", "begins with SCHEME://"},
	{"://x", "the scheme has 1 to"},
	{"Sim://x", "'Sim' is not lower-case"},
	{"1sim://x", "'1sim' is not lower-case"},
	{"sim://", "the host is missing"},
	{"sim:///path", "the host is missing"},
	{"sim://?side=alice", "the host is missing"},
	{"sim://a b", "character 0x20 at position 8"},
	{"sim://a\nb", "character 0x0a at position 8"},
	{"sim://\xc3\xa4", "character 0xc3"},
	{"sim://x#y", "no '#' part"},
	{"sim://user:pass@x", "no user or password"},
	{"sim://-x", "'-x' is not letters"},
	{"sim://a$b", "'a$b' is not letters"},
	{"sim://a%41b", "'a%41b' is not letters"},
	{"sim://x:", "the port '' is not"},
	{"sim://x:0", "the port '0' is not"},
	{"sim://x:65536", "the port '65536' is not"},
	{"sim://x:99999999999999999999", "the port '99999999999999999999' is not"},
	{"sim://x:+1", "the port '+1' is not"},
	{"sim://x:1:2", "the port '1:2' is not"},
	{"sim://[::1", "lacks its closing ']'"},
	{"sim://[::1]x", "only ':PORT' may follow"},
	{"sim://[1.2.3.4]", "'1.2.3.4' is not an IPv6 address"},
	{"sim://[]", "'' is not an IPv6 address"},
	{"sim://x/%00", "path: %00 is not a printable"},
	{"sim://x/%7f", "path: %7f is not a printable"},
	{"sim://x/%e4", "path: %e4 is not a printable"},
	{"sim://x/%4", "path: '%' needs two"},
	{"sim://x/%zz", "path: '%' needs two"},
	{"sim://x?a=%", "a: '%' needs two"},
	{"sim://x?side=", "side: 'alice' or 'bob' is expected, not ''"},
	{"sim://x?side=carol", "not 'carol'"},
	{"sim://x?keybits=63", "keybits: a multiple of 8"},
	{"sim://x?keybits=56", "keybits: a multiple of 8"},
	{"sim://x?keybits=4104", "keybits: a multiple of 8"},
	{"sim://x?keybits=-256", "not '-256'"},
	{"sim://x?keybits=256x", "not '256x'"},
	{"sim://x?keybits=", "not ''"},
	{"sim://x?switchport=", "switchport: 1 to 64"},
	{"sim://x?a", "a: '=VALUE' is expected"},
	{"sim://x?=b", "a parameter has no name"},
	{"sim://x?a=1&", "a parameter has no name"},
	{"sim://x?a=1&&b=2", "a parameter has no name"},
	{"sim://x?A=1", "the parameter name 'A' is not"},
	{"sim://x?a%62=1", "the parameter name 'a%62' is not"},
	{"sim://x?a=1&a=1", "a is given twice"},
	{"sim://x?side=bob&side=bob", "side is given twice"},
	{"sim://x?keybits=256&a=1&keybits=256", "keybits is given twice"},
	{"sim://x?aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1", "at most 32 characters"},
};

Test(device_url, each_wrong_url_is_refused_with_its_reason)
{
	for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
		struct device_url *url = NULL;
		_cleanup_(freep) char *what = NULL;

		cr_assert_eq(device_url_parse(wrong[i].text, &url, &what), -EINVAL, "%s",
			     wrong[i].text);
		cr_assert_null(url);
		cr_assert_not_null(what);
		cr_assert(strstr(what, wrong[i].what), "%s: '%s' lacks '%s'", wrong[i].text, what,
			  wrong[i].what);
	}
}

Test(device_url, too_many_characters_and_parameters_are_refused)
{
	char text[DEVICE_URL_MAX_CHARS + 2] = "sim://x?";
	_cleanup_(freep) char *what = NULL, *what_parameters = NULL;
	struct device_url *url = NULL;
	size_t n = strlen(text);

	for (unsigned i = 0; i <= DEVICE_URL_MAX_PARAMETERS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%sp%u=1", i ? "&" : "", i);
	cr_assert_eq(device_url_parse(text, &url, &what_parameters), -EINVAL);
	cr_assert(strstr(what_parameters, "more than 32 parameters"));
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	cr_assert_eq(device_url_parse(text, &url, &what), -EINVAL);
	cr_assert(strstr(what, "at most 2048 characters"));
}

Test(device_url, an_unknown_parameter_names_the_nearest)
{
	_cleanup_(device_url_freep) struct device_url *near = parse("sim://x?rate=1&peersae=2");
	_cleanup_(device_url_freep) struct device_url *common = parse("sim://x?keybit=2");
	_cleanup_(device_url_freep) struct device_url *far = parse("sim://x?zzzzzzzz=2");
	_cleanup_(freep) char *a = NULL, *b = NULL, *c = NULL;

	cr_assert_eq(device_url_check_parameters(near, known, &a), -EINVAL);
	cr_assert_str_eq(a, "sim:// has no parameter 'peersae': is 'peer_sae' meant?");
	cr_assert_eq(device_url_check_parameters(common, known, &b), -EINVAL);
	cr_assert_str_eq(b, "sim:// has no parameter 'keybit': is 'keybits' meant?");
	cr_assert_eq(device_url_check_parameters(far, known, &c), -EINVAL);
	cr_assert_str_eq(c, "sim:// has no parameter 'zzzzzzzz'");
}

Test(device_url, known_parameters_pass)
{
	_cleanup_(device_url_freep) struct device_url *url =
		parse("sim://x?rate=1&sae=2&keybits=128&side=alice");
	char *what = NULL;

	cr_assert_eq(device_url_check_parameters(url, known, &what), 0);
}

static const struct {
	const char *text, *id;
} ids[] = {
	{"etsi014://kme.a:8443/?side=bob&keybits=128&switchport=4", "etsi014_kme.a_8443_4_128_bob"},
	{"sim://alice-bob?side=alice", "sim_alice-bob_0__256_alice"},
	{"sim://a_b?side=bob&switchport=%2Fdev%2Fs_1", "sim_a-b_0_-dev-s-1_256_bob"},
	{"etsi014://[fd00::1]:1/", "etsi014_fd00--1_1__256_alice"},
};

Test(device_url, the_id_is_its_parts_joined)
{
	for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
		_cleanup_(device_url_freep) struct device_url *url = parse(ids[i].text);
		_cleanup_(freep) char *id = NULL;

		cr_assert_eq(device_url_id(url, &id), 0);
		cr_assert_str_eq(id, ids[i].id);
	}
}

Test(device_url, lack_of_memory_is_told_and_leaves_nothing_behind)
{
	static const char text[] = "etsi014://kme:1/p?side=bob&switchport=3&sea=x&rate=1";

	TEST_EACH_ALLOCATION (number, 1) {
		_cleanup_(device_url_freep) struct device_url *url = NULL;
		_cleanup_(freep) char *what = NULL, *id = NULL;
		int r = device_url_parse(text, &url, &what);

		if (r == 0)
			r = device_url_id(url, &id);
		if (r == 0)
			r = device_url_check_parameters(url, known, &what) == -EINVAL ? 0 : -ENOMEM;
		/* Without memory for the search no name is the nearest: that is no error. */
		cr_assert(r == 0 || (r == -ENOMEM && test_allocation_has_failed()));
	}
}
