/* SPDX-License-Identifier: MIT */

#include <criterion/criterion.h>

#include "common/json-text.h"
#include "qkd-linkd/sync-message.h"

static struct uuid ids[SYNC_MAX_KEYS];

static int verify_text(const char *text, struct sync_message *ret)
{
	_cleanup_(json_decrefp) json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *what = NULL;
	int r;

	cr_assert_not_null(json, "%s", text);
	r = sync_message_verify(json, ids, ret, &what);
	cr_assert_eq(r < 0, what != NULL);
	return r;
}

static void round_trip(const struct sync_message *message, struct sync_message *ret)
{
	_cleanup_(json_decrefp) json_t *json = NULL;
	const char *what = NULL;

	cr_assert_eq(sync_message_build(message, &json), 0);
	cr_assert_eq(sync_message_verify(json, ids, ret, &what), 0, "%s", what);
	cr_assert_eq(ret->kind, message->kind);
	cr_assert_eq(ret->txn, message->txn);
}

Test(sync_message, a_syn_of_1024_keys_comes_back_the_same)
{
	static struct uuid many[SYNC_MAX_KEYS];
	struct sync_message back, syn = {.kind = SYNC_SYN, .txn = 7};

	for (size_t i = 0; i < SYNC_MAX_KEYS; i++)
		cr_assert_eq(uuid_new_random(&many[i]), 0);
	syn.syn.alpha = UINT64_C(0xfedcba9876543210);
	syn.syn.count = SYNC_MAX_KEYS;
	syn.syn.ids = many;
	round_trip(&syn, &back);
	cr_assert_eq(back.syn.alpha, syn.syn.alpha);
	cr_assert_eq(back.syn.count, (size_t)SYNC_MAX_KEYS);
	cr_assert_arr_eq(back.syn.ids, many, sizeof(many));
}

Test(sync_message, the_small_messages_come_back_the_same)
{
	struct sync_message back, message = {.kind = SYNC_SYN_ACK, .txn = SYNC_MAX_NUMBER - 1};

	message.syn_ack.alpha_plus_one = 0; /* alpha was all ones */
	message.syn_ack.beta = UINT64_MAX;
	message.syn_ack.has_tag = true;
	memset(message.syn_ack.tag, 0x5c, SYNC_TAG_BYTES);
	round_trip(&message, &back);
	cr_assert_eq(back.syn_ack.beta, UINT64_MAX);
	cr_assert_arr_eq(back.syn_ack.tag, message.syn_ack.tag, SYNC_TAG_BYTES);

	message = (struct sync_message){.kind = SYNC_ACK, .txn = 1};
	message.ack.first = SYNC_MAX_NUMBER - 1;
	message.ack.count = SYNC_MAX_KEYS;
	round_trip(&message, &back);
	cr_assert_eq(back.ack.first, message.ack.first);
	cr_assert_eq(back.ack.count, (uint32_t)SYNC_MAX_KEYS);

	for (unsigned reason = 0; reason < SYNC_REASON_COUNT_; reason++) {
		message = (struct sync_message){.kind = SYNC_NAK, .txn = 1};
		message.nak.reason = (enum sync_reason)reason;
		round_trip(&message, &back);
		cr_assert_eq(back.nak.reason, message.nak.reason);
	}
	round_trip(&(struct sync_message){.kind = SYNC_DONE, .txn = 3}, &back);
	round_trip(&(struct sync_message){.kind = SYNC_ABORT, .txn = 4}, &back);
}

Test(sync_message, a_resume_comes_back_the_same)
{
	struct sync_message back, message = {.kind = SYNC_RESUME};
	struct sync_resume *resume = &message.resume;

	*resume = (struct sync_resume){.session = 9,
				       .generation = 3,
				       .next = 100,
				       .next_txn = 8,
				       .key_bits = 256,
				       .confirm = true,
				       .open_count = 2};
	cr_assert_eq(uuid_new_random(&resume->store), 0);
	resume->open[0] = (struct sync_open){.txn = 6, .count = 4};
	resume->open[1] = (struct sync_open){.txn = 7, .count = 1, .first = 100, .committed = true};
	round_trip(&message, &back);
	cr_assert(uuid_equal(&back.resume.store, &resume->store));
	cr_assert_eq(back.resume.open_count, 2u);
	cr_assert_not(back.resume.open[0].committed);
	cr_assert(back.resume.open[1].committed);
	cr_assert_eq(back.resume.open[1].first, 100u);

	resume->store = (struct uuid){};
	round_trip(&message, &back);
	cr_assert(uuid_is_null(&back.resume.store));
}

#define ID  "AAAAAAAAAAAAAAAAAAAAAA=="
#define ID2 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define HEX "\"0123456789abcdef\""
#define RESUME_                                                                               \
	"\"type\":\"RESUME\",\"session\":" HEX ",\"store\":\"\",\"generation\":0,\"next\":0," \
	"\"next_txn\":1,\"key_bits\":256,\"confirm\":false"

Test(sync_message, what_differs_from_a_good_message_is_refused)
{
	static const char *const good[] = {
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":" HEX ",\"ids\":\"" ID "\"}",
		"{\"type\":\"DONE\",\"txn\":1}",
		"{" RESUME_ ",\"version\":1,\"open\":[]}",
	};
	static const char *const bad[] = {
		"{}",
		"[]",
		"{\"type\":3}",
		"{\"type\":\"SYNC\",\"txn\":1}",
		"{\"type\":\"DONE\"}",
		"{\"type\":\"DONE\",\"txn\":0}",
		"{\"type\":\"DONE\",\"txn\":-1}",
		"{\"type\":\"DONE\",\"txn\":\"1\"}",
		"{\"type\":\"DONE\",\"txn\":9007199254740992}",
		"{\"type\":\"DONE\",\"txn\":1,\"more\":1}",
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":" HEX ",\"ids\":\"\"}",
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":" HEX ",\"ids\":\"AAAA\"}",
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":" HEX ",\"ids\":\"" ID2
		"\"}", /* twice the same */
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":\"0123\",\"ids\":\"" ID "\"}",
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":\"0123456789abcdeg\",\"ids\":\"" ID "\"}",
		"{\"type\":\"SYN\",\"txn\":1,\"alpha\":7,\"ids\":\"" ID "\"}",
		"{\"type\":\"SYN_ACK\",\"txn\":1,\"alpha\":" HEX "}",
		"{\"type\":\"SYN_ACK\",\"txn\":1,\"alpha\":" HEX ",\"beta\":" HEX
		",\"tag\":\"AAAA\"}",
		"{\"type\":\"NAK\",\"txn\":1,\"reason\":\"because\"}",
		"{\"type\":\"ACK\",\"txn\":1,\"beta\":" HEX ",\"first\":-1,\"count\":1}",
		"{\"type\":\"ACK\",\"txn\":1,\"beta\":" HEX ",\"first\":0,\"count\":0}",
		"{\"type\":\"ACK\",\"txn\":1,\"beta\":" HEX ",\"first\":0,\"count\":1025}",
		"{" RESUME_ ",\"version\":2,\"open\":[]}",
		"{" RESUME_ ",\"version\":1,\"open\":{}}",
		"{" RESUME_ ",\"version\":1,\"open\":[[1]]}",
		"{" RESUME_ ",\"version\":1,\"open\":[[1,1,1,1]]}",
		"{" RESUME_ ",\"version\":1,\"open\":[[1,1025]]}",
		"{" RESUME_ ",\"version\":1,\"open\":[[0,1]]}",
		"{" RESUME_ ",\"version\":1,\"open\":[1]}",
	};
	struct sync_message message;

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		cr_assert_eq(verify_text(good[i], &message), 0, "%s", good[i]);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_expect_eq(verify_text(bad[i], &message), -EBADMSG, "%s", bad[i]);
}

Test(sync_message, more_than_the_limits_is_refused)
{
	_cleanup_(json_decrefp) json_t *syn = NULL, *resume = NULL;
	static char text[24 * (SYNC_MAX_KEYS + 2)];
	struct sync_message message;
	const char *what;

	memset(text, 'A', (SYNC_MAX_KEYS + 2) * 16 / 3 * 4);
	syn = json_pack("{s:s,s:i,s:s,s:s}", "type", "SYN", "txn", 1, "alpha", "0123456789abcdef",
			"ids", text);
	cr_assert_eq(sync_message_verify(syn, ids, &message, &what), -EBADMSG);

	resume = json_loads("{" RESUME_ ",\"version\":1,\"open\":[]}", 0, NULL);
	for (unsigned i = 0; i <= SYNC_MAX_OPEN; i++)
		json_array_append_new(json_object_get(resume, "open"), json_pack("[ii]", i + 1, 1));
	cr_assert_eq(sync_message_verify(resume, ids, &message, &what), -EBADMSG);
	json_array_remove(json_object_get(resume, "open"), 0);
	cr_assert_eq(sync_message_verify(resume, ids, &message, &what), 0);
}
