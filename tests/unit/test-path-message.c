/* SPDX-License-Identifier: MIT */

/* What sites tell each other about paths. */

#include <criterion/criterion.h>

#include "qkd-keyringd/path-message.h"

#define ID "11111111-2222-4333-8444-555555555555"

static int verify(const char *text, struct path_message *ret)
{
	json_t *json = json_loads(text, 0, NULL);
	int r;

	cr_assert_not_null(json, "%s", text);
	r = path_message_verify(json, ret);
	json_decref(json);
	return r;
}

static void assert_comes_back(const char *text)
{
	json_t *json = json_loads(text, 0, NULL), *again;
	struct path_message message;

	cr_assert_eq(path_message_verify(json, &message), 0, "%s", text);
	again = path_message_build(&message);
	cr_assert(json_equal(json, again), "%s", text);
	cr_assert_leq(strlen(text), path_message_size_bytes(&message));
	path_message_done(&message);
	json_decref(json);
	json_decref(again);
}

static const char *const good[] = {
	"{\"step\":\"build-xor-key\",\"build\":\"" ID "\",\"legs\":[[\"a\",\"b\",\"c\"]],"
	"\"bits\":256,\"count\":2,\"wait_msec\":3000}",
	"{\"step\":\"bind-key\",\"build\":\"" ID "\",\"leg\":0,\"path\":[\"a\",\"b\",\"c\"],"
	"\"store\":\"" ID "\",\"generation\":0,\"ids\":[\"" ID "\"],\"sequences\":[4],"
	"\"bits\":256,\"wait_msec\":3000,\"push\":true}",
	"{\"step\":\"combined-key\",\"build\":\"" ID "\",\"leg\":1,\"bytes\":\"AAECAwQFBgc=\","
	"\"error\":0,\"site\":\"\"}",
	"{\"step\":\"store-reserved-key\",\"build\":\"" ID "\",\"store\":\"" ID "\","
	"\"generation\":7,\"first\":4096,\"bits\":256,\"ids\":[\"" ID "\"]}",
	"{\"step\":\"store-reserved-key\",\"build\":\"" ID "\",\"store\":\"" ID "\","
	"\"generation\":7,\"first\":4096,\"bits\":256,\"ids\":[]}",
	"{\"step\":\"start-node\",\"path\":[\"a\",\"b\"],\"weight\":3,\"stock\":100,"
	"\"disjoint\":2,\"wait_msec\":1}",
	"{\"step\":\"end-key-exchange\",\"path\":[\"a\",\"b\"],\"wait_msec\":1}",
	"{\"step\":\"answer\",\"error\":13,\"site\":\"bob\",\"bytes\":\"\"}",
};

Test(path_message, every_step_is_built_as_it_was_verified)
{
	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_comes_back(good[i]);
}

static const char *const bad[] = {
	"{}",
	"{\"step\":\"hello\"}",
	/* a member more, one less, one twice as long, out of range */
	"{\"step\":\"answer\",\"error\":0,\"site\":\"\",\"bytes\":\"\",\"more\":1}",
	"{\"step\":\"answer\",\"error\":0,\"site\":\"\"}",
	"{\"step\":\"answer\",\"error\":-1,\"site\":\"\",\"bytes\":\"\"}",
	"{\"step\":\"answer\",\"error\":0,\"site\":\"A b\",\"bytes\":\"\"}",
	"{\"step\":\"answer\",\"error\":0,\"site\":\"\",\"bytes\":\"AA\"}",
	"{\"step\":\"end-key-exchange\",\"path\":[\"a\"],\"wait_msec\":1}",
	"{\"step\":\"end-key-exchange\",\"path\":[\"a\",\"b\",\"a\"],\"wait_msec\":1}",
	"{\"step\":\"end-key-exchange\",\"path\":[\"a\",1],\"wait_msec\":1}",
	"{\"step\":\"start-node\",\"path\":[\"a\",\"b\"],\"weight\":0,\"stock\":0,"
	"\"disjoint\":1,\"wait_msec\":1}",
	"{\"step\":\"build-xor-key\",\"build\":\"" ID "\",\"legs\":[],\"bits\":256,\"count\":2,"
	"\"wait_msec\":1}",
	"{\"step\":\"build-xor-key\",\"build\":\"" ID "\",\"legs\":[[\"a\",\"b\"]],\"bits\":250,"
	"\"count\":2,\"wait_msec\":1}",
	"{\"step\":\"build-xor-key\",\"build\":\"" ID "\",\"legs\":[[\"a\",\"b\"]],\"bits\":256,"
	"\"count\":257,\"wait_msec\":1}",
	"{\"step\":\"bind-key\",\"build\":\"" ID "\",\"leg\":0,\"path\":[\"a\",\"b\",\"c\"],"
	"\"store\":\"" ID "\",\"generation\":0,\"ids\":[\"" ID "\"],\"sequences\":[4,5],"
	"\"bits\":256,\"wait_msec\":3000,\"push\":true}",
	"{\"step\":\"bind-key\",\"build\":\"" ID "\",\"leg\":0,\"path\":[\"a\",\"b\",\"c\"],"
	"\"store\":\"" ID "\",\"generation\":0,\"ids\":[],\"sequences\":[],"
	"\"bits\":256,\"wait_msec\":3000,\"push\":true}",
};

Test(path_message, anything_else_is_refused)
{
	struct path_message message;

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_lt(verify(bad[i], &message), 0, "%s", bad[i]);
}
