/* SPDX-License-Identifier: MIT */
/* Messages of ETSI GS QKD 014 V1.1.1; the sections named are the standard's. */

#include <criterion/criterion.h>

#include "drivers/etsi014-message.h"
#include "tests/unit/support/test-allocation.h"

#define ID_1 "11111111-1111-4111-8111-111111111111"
#define ID_2 "22222222-2222-4222-9222-222222222222"
#define ID_3 "33333333-3333-4333-a333-333333333333"
/* 16 bytes each: "quantum key no 1" ... */
#define KEY_1          "cXVhbnR1bSBrZXkgbm8gMQ=="
#define KEY_2          "cXVhbnR1bSBrZXkgbm8gMg=="
#define KEY_3          "cXVhbnR1bSBrZXkgbm8gMw=="
#define ENTRY(id, key) "{\"key_ID\":\"" id "\",\"key\":\"" key "\"}"
#define KEYS(entries)  "{\"keys\":[" entries "]}"

static struct uuid uuid(const char *text)
{
	struct uuid id;

	cr_assert_eq(uuid_parse(text, &id), 0);
	return id;
}

/* ---- requests ---- */

Test(etsi014_message, urls_are_those_of_section_5)
{
	static const struct {
		const char *host, *prefix, *sae;
		uint16_t port;
		enum etsi014_call call;
		const char *url;
	} rows[] = {
		{"kme", "", "bob", 0, ETSI014_STATUS, "https://kme/api/v1/keys/bob/status"},
		{"kme", "/", "bob", 8443, ETSI014_ENC_KEYS,
		 "https://kme:8443/api/v1/keys/bob/enc_keys"},
		{"fd00::1", "/a b/", "bob", 1, ETSI014_DEC_KEYS,
		 "https://[fd00::1]:1/a%20b/api/v1/keys/bob/dec_keys"},
		{"kme", "/x//", "sae/\?#% ~", 0, ETSI014_STATUS,
		 "https://kme/x/api/v1/keys/sae%2F%3F%23%25%20~/status"},
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_(freep) char *url = NULL;

		cr_assert_eq(etsi014_build_url(rows[i].host, rows[i].port, rows[i].prefix,
					       rows[i].sae, rows[i].call, &url),
			     0);
		cr_assert_str_eq(url, rows[i].url);
	}
}

Test(etsi014_message, an_endless_url_is_refused)
{
	char sae[ETSI014_URL_MAX_CHARS + 1];
	char *url = NULL;

	memset(sae, 'a', sizeof(sae) - 1);
	sae[sizeof(sae) - 1] = '\0';
	cr_assert_eq(etsi014_build_url("kme", 0, "", sae, ETSI014_STATUS, &url), -ENAMETOOLONG);
	cr_assert_null(url);
}

Test(etsi014_message, requests_are_those_of_sections_6_2_and_6_4)
{
	const struct uuid ids[] = {uuid(ID_1), uuid(ID_2)};
	_cleanup_(freep) char *enc = NULL, *dec = NULL;

	cr_assert_eq(etsi014_build_enc_keys(3, 256, &enc), 0);
	cr_assert_str_eq(enc, "{\"number\":3,\"size\":256}");
	cr_assert_eq(etsi014_build_dec_keys(ids, 2, &dec), 0);
	cr_assert_str_eq(dec,
			 "{\"key_IDs\":[{\"key_ID\":\"" ID_1 "\"},{\"key_ID\":\"" ID_2 "\"}]}");
}

/* ---- status, section 6.1 ---- */

Test(etsi014_message, a_status_is_read)
{
	static const char text[] =
		"{\"source_KME_ID\":\"AAAABBBBCCCCDDDD\",\"target_KME_ID\":\"EEEEFFFFGGGGHHHH\","
		"\"master_SAE_ID\":\"IIIIJJJJKKKKLLLL\",\"slave_SAE_ID\":\"MMMMNNNNOOOOPPPP\","
		"\"key_size\":352,\"stored_key_count\":25000,\"max_key_count\":100000,"
		"\"max_key_per_request\":128,\"max_key_size\":1024,\"min_key_size\":64,"
		"\"max_SAE_ID_count\":0,\"status_extension\":{\"x\":1},\"vendor\":[]}";
	char what[ETSI014_WHAT_CHARS];
	struct etsi014_status status;

	cr_assert_eq(etsi014_verify_status(text, strlen(text), &status, what), 0);
	cr_assert_str_eq(status.master_sae, "IIIIJJJJKKKKLLLL");
	cr_assert_str_eq(status.slave_sae, "MMMMNNNNOOOOPPPP");
	cr_assert_eq(status.key_bits, 352);
	cr_assert_eq(status.min_key_bits, 64);
	cr_assert_eq(status.max_key_bits, 1024);
	cr_assert_eq(status.max_key_per_request, 128);
	cr_assert_eq(status.stored_key_count, 25000);
	cr_assert_eq(status.max_key_count, 100000);
}

Test(etsi014_message, what_a_status_leaves_out_is_nothing)
{
	char what[ETSI014_WHAT_CHARS];
	struct etsi014_status status;

	cr_assert_eq(etsi014_verify_status("{\"key_size\":null}", 17, &status, what), 0);
	cr_assert_eq(status.key_bits, 0);
	cr_assert_eq(status.max_key_per_request, 0);
	cr_assert_str_eq(status.master_sae, "");
}

Test(etsi014_message, a_status_that_is_nonsense_is_refused)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{",
		"null",
		"<html>",
		"{\"key_size\":\"256\"}",
		"{\"key_size\":-1}",
		"{\"key_size\":2147483648}",
		"{\"key_size\":1.5}",
		"{\"key_size\":99999999999999999999}",
		"{\"key_size\":1,\"key_size\":2}",
		"{\"max_key_per_request\":true}",
		"{\"stored_key_count\":[]}",
		"{\"master_SAE_ID\":1}",
		"{\"slave_SAE_ID\":{}}",
		"{\"slave_SAE_ID\":\"a\\u0000b\"}",
		"{\"key_size\":1}x",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		char what[ETSI014_WHAT_CHARS] = "";
		struct etsi014_status status;

		cr_assert_eq(etsi014_verify_status(texts[i], strlen(texts[i]), &status, what),
			     -EPROTO, "%s", texts[i]);
		cr_assert(what[0], "%s", texts[i]);
	}
}

/* ---- key containers, section 6.3 ---- */

static const struct {
	const char *text;
	int result;
	size_t count;     /* of 2 that were asked for */
	const char *what; /* part of the sentence; "": none */
} fresh[] = {
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2)), 0, 2, ""},
	{"{\"keys\":[{\"key_ID\":\"" ID_1 "\",\"key\":\"" KEY_1
	 "\",\"key_ID_extension\":{},\"key_extension\":{},\"x\":[1]}],"
	 "\"key_container_extension\":{},\"vendor\":null}",
	 0, 1, ""},
	/* fewer, more, none */
	{KEYS(ENTRY(ID_1, KEY_1)), 0, 1, ""},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2) "," ENTRY(ID_3, KEY_3)), 0, 2,
	 "1 of 3 keys of the KME are refused: more keys than asked for"},
	{KEYS(""), -EAGAIN, 0, "gave no key"},
	/* a key that fails is as if it had not come */
	{KEYS(ENTRY(ID_1, "AAAA") "," ENTRY(ID_2, KEY_2)), 0, 1,
	 "1 of 2 keys of the KME are "
	 "refused: a key of another size"},
	{KEYS(ENTRY("no-uuid", KEY_1) "," ENTRY(ID_2, KEY_2)), 0, 1, "not a UUID"},
	{KEYS("7," ENTRY(ID_2, KEY_2)), 0, 1, "not a UUID"},
	{KEYS("null," ENTRY(ID_2, KEY_2)), 0, 1, "not a UUID"},
	{KEYS("{\"key_ID\":7,\"key\":\"" KEY_1 "\"}," ENTRY(ID_2, KEY_2)), 0, 1, "not a UUID"},
	{KEYS("{\"key_ID\":\"" ID_1 "\"}," ENTRY(ID_2, KEY_2)), 0, 1, "no key beside"},
	{KEYS("{\"key_ID\":\"" ID_1 "\",\"key\":7}," ENTRY(ID_2, KEY_2)), 0, 1, "no key beside"},
	/* base64: RFC 4648 section 4, padding and all */
	{KEYS(ENTRY(ID_1, "")), -EPROTO, 0, "1 of 1 keys"},
	{KEYS(ENTRY(ID_1, "cXVhbnR1bSBrZXkgbm8gMQ")), -EPROTO, 0, "not base64"},
	{KEYS(ENTRY(ID_1, "cXVhbnR1bSBrZXkgbm8gMQ=")), -EPROTO, 0, "not base64"},
	{KEYS(ENTRY(ID_1, "*XVhbnR1bSBrZXkgbm8gMQ==")), -EPROTO, 0, "not base64"},
	{KEYS(ENTRY(ID_1, "cXVhbnR1bSBrZXkgbm8gMR==")), -EPROTO, 0, "not base64"},
	{KEYS(ENTRY(ID_1, "cXVhbnR1bS\\nrZXkgbm8gMQ==")), -EPROTO, 0, "not base64"},
	/* duplicates within one answer: nobody knows which one the other side has */
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_1, KEY_2)), -EPROTO, 0, "twice in one answer"},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2) "," ENTRY(ID_1, KEY_1)), 0, 1,
	 "2 of 3 keys of the KME are refused: a key_ID twice"},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_1)), 0, 1, "under another key_ID"},
	/* not a container */
	{"", -EPROTO, 0, "not a JSON object"},
	{"[]", -EPROTO, 0, "not a JSON object"},
	{"<html>", -EPROTO, 0, "not a JSON object"},
	{"{\"keys\":[", -EPROTO, 0, "not a JSON object"},
	{"{\"keys\":[],\"keys\":[]}", -EPROTO, 0, "not a JSON object"},
	{"{}", -EPROTO, 0, "no array 'keys'"},
	{"{\"keys\":{}}", -EPROTO, 0, "no array 'keys'"},
	{"{\"keys\":\"" KEY_1 "\"}", -EPROTO, 0, "no array 'keys'"},
	{"{\"message\":\"503\"}", -EPROTO, 0, "no array 'keys'"},
};

static int verify(const char *text, const struct uuid *ids, size_t count, struct recent_set *seen,
		  struct key_batch **ret, char what[static ETSI014_WHAT_CHARS])
{
	const struct etsi014_expected expected = {ids, count, 16, seen};

	strcpy(what, "unset");
	return etsi014_verify_keys(text, strlen(text), &expected, ret, what);
}

Test(etsi014_message, fresh_keys_are_taken_and_bad_ones_left_out)
{
	for (size_t i = 0; i < ELEMENTSOF(fresh); i++) {
		_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
		_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
		char what[ETSI014_WHAT_CHARS];

		cr_assert_eq(recent_set_new(&seen), 0);
		cr_assert_eq(verify(fresh[i].text, NULL, 2, seen, &batch, what), fresh[i].result,
			     "%s: %s", fresh[i].text, what);
		cr_assert_eq(batch ? batch->count : 0, fresh[i].count, "%s: %s", fresh[i].text,
			     what);
		cr_assert(fresh[i].what[0] ? strstr(what, fresh[i].what) != NULL : what[0] == '\0',
			  "%s: %s", fresh[i].text, what);
		cr_assert_null(strstr(what, "XVhbnR1bSBrZXkgbm8g"), "the key is told: %s", what);
	}
}

Test(etsi014_message, keys_and_ids_stand_in_the_order_of_the_answer)
{
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	char what[ETSI014_WHAT_CHARS];
	struct uuid second = uuid(ID_1);

	cr_assert_eq(verify(KEYS(ENTRY(ID_2, KEY_2) "," ENTRY(ID_1, KEY_1)), NULL, 2, NULL, &batch,
			    what),
		     0);
	cr_assert(uuid_equal(&batch->ids[1], &second));
	cr_assert_eq(memcmp(key_batch_key(batch, 0), "quantum key no 2", 16), 0);
	cr_assert_eq(memcmp(key_batch_key(batch, 1), "quantum key no 1", 16), 0);
}

Test(etsi014_message, what_was_given_before_is_refused)
{
	static const char *const again[] = {
		KEYS(ENTRY(ID_1, KEY_1)),
		KEYS(ENTRY(ID_1, KEY_2)),
		KEYS(ENTRY(ID_2, KEY_1)),
	};
	_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
	char what[ETSI014_WHAT_CHARS];
	struct key_batch *batch = NULL;

	cr_assert_eq(recent_set_new(&seen), 0);
	cr_assert_eq(verify(again[0], NULL, 1, seen, &batch, what), 0);
	key_batch_free(batch);
	for (size_t i = 0; i < ELEMENTSOF(again); i++)
		cr_assert_eq(verify(again[i], NULL, 1, seen, &batch, what), -EPROTO, "%s",
			     again[i]);
	cr_assert_eq(verify(KEYS(ENTRY(ID_2, KEY_2)), NULL, 1, seen, &batch, what), 0);
	key_batch_free(batch);
}

static const struct {
	const char *text;
	int result;
} by_id[] = {
	{KEYS(ENTRY(ID_2, KEY_2) "," ENTRY(ID_1, KEY_1)), 0},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2)), 0},
	/* what was not asked for is no harm */
	{KEYS(ENTRY(ID_3, KEY_3) "," ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2)), 0},
	{KEYS("5," ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2)), 0},
	{KEYS(""), -ENOKEY},
	{KEYS(ENTRY(ID_1, KEY_1)), -ENOKEY},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_3, KEY_3)), -ENOKEY},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY("x", KEY_2)), -ENOKEY},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_1)), -EPROTO},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, "AAAA")), -EPROTO},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, "====")), -EPROTO},
	{KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2) "," ENTRY(ID_2, KEY_3)), -EPROTO},
	{"{\"keys\":7}", -EPROTO},
};

Test(etsi014_message, keys_by_id_come_all_or_not_at_all_in_the_order_asked)
{
	const struct uuid ids[] = {uuid(ID_2), uuid(ID_1)};

	for (size_t i = 0; i < ELEMENTSOF(by_id); i++) {
		_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
		_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
		char what[ETSI014_WHAT_CHARS];

		cr_assert_eq(recent_set_new(&seen), 0);
		cr_assert_eq(verify(by_id[i].text, ids, 2, seen, &batch, what), by_id[i].result,
			     "%s: %s", by_id[i].text, what);
		cr_assert_eq(by_id[i].result == 0, batch != NULL);
		if (!batch)
			continue;
		cr_assert_eq(batch->count, 2);
		cr_assert(uuid_equal(&batch->ids[0], &ids[0]));
		cr_assert_eq(memcmp(key_batch_key(batch, 0), "quantum key no 2", 16), 0);
		cr_assert_eq(memcmp(key_batch_key(batch, 1), "quantum key no 1", 16), 0);
	}
}

Test(etsi014_message, a_refused_answer_by_id_can_be_asked_for_again)
{
	const struct uuid ids[] = {uuid(ID_1), uuid(ID_2)};
	_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
	_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
	char what[ETSI014_WHAT_CHARS];

	cr_assert_eq(recent_set_new(&seen), 0);
	cr_assert_eq(verify(KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, "AAAA")), ids, 2, seen, &batch,
			    what),
		     -EPROTO);
	cr_assert_eq(
		verify(KEYS(ENTRY(ID_1, KEY_1) "," ENTRY(ID_2, KEY_2)), ids, 2, seen, &batch, what),
		0);
}

Test(etsi014_message, more_keys_than_any_transaction_holds_are_refused)
{
	_cleanup_(freep) char *text = NULL;
	char what[ETSI014_WHAT_CHARS];
	struct key_batch *batch = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	fputs("{\"keys\":[0", stream);
	for (unsigned i = 0; i < DRIVER_MAX_KEYS; i++)
		fputs(",0", stream);
	fputs("]}", stream);
	fclose(stream);
	cr_assert_eq(verify(text, NULL, 2, NULL, &batch, what), -EPROTO);
	cr_assert(strstr(what, "more than 1024 keys"));
}

/* ---- refusals, sections 5.1 to 5.3 and 6.5 ---- */

static const struct {
	enum etsi014_call call;
	long status;
	const char *text;
	int result;
	bool ends;
	enum device_end end;
	const char *what;
} refusals[] = {
	{ETSI014_ENC_KEYS, 400, "{\"message\":\"size shall be a multiple of 8\"}", -EINVAL, true,
	 DEVICE_WRONG_CONFIGURATION, "HTTP status 400: size shall be a multiple of 8"},
	{ETSI014_ENC_KEYS, 400,
	 "{\"message\":\"not all extension_mandatory parameters are supported\",\"details\":"
	 "[{\"extension_mandatory_unsupported\":\"abc_1\"}]}",
	 -EINVAL, true, DEVICE_WRONG_CONFIGURATION, "not all extension_mandatory"},
	{ETSI014_ENC_KEYS, 400, "{\"message\":\"no keys\",\"details\":[\"a\",\"b\"]}", -EAGAIN,
	 false, 0, "no keys"},
	{ETSI014_ENC_KEYS, 400, NULL, -EAGAIN, false, 0, "enc_keys with HTTP status 400"},
	{ETSI014_ENC_KEYS, 401, NULL, -EACCES, false, 0,
	 "the KME refuses our certificate or SAE, it answered enc_keys with HTTP status 401"},
	{ETSI014_ENC_KEYS, 403, "{}", -EACCES, false, 0, "refuses our certificate or SAE"},
	{ETSI014_ENC_KEYS, 404, "<html>", -EAGAIN, false, 0, "404"},
	{ETSI014_ENC_KEYS, 409, "{\"message\":7}", -EAGAIN, false, 0, "409"},
	{ETSI014_ENC_KEYS, 412, "{", -EAGAIN, false, 0, "412"},
	{ETSI014_ENC_KEYS, 429, NULL, -EAGAIN, false, 0, "429"},
	{ETSI014_ENC_KEYS, 500, NULL, -EREMOTEIO, false, 0, "500"},
	{ETSI014_ENC_KEYS, 503, "{\"message\":\"KME\"}", -EAGAIN, false, 0, "503: KME"},
	{ETSI014_ENC_KEYS, 504, NULL, -EREMOTEIO, false, 0, "504"},
	{ETSI014_ENC_KEYS, 405, NULL, -EPROTO, true, DEVICE_GIVE_UP, "405"},
	{ETSI014_ENC_KEYS, 302, NULL, -EPROTO, false, 0, "302"},
	{ETSI014_ENC_KEYS, 204, NULL, -EPROTO, false, 0, "204"},
	{ETSI014_DEC_KEYS, 400,
	 "{\"message\":\"one or more keys specified are not found on KME\","
	 "\"details\":[{\"key_ID\":\"x\"}]}",
	 -ENOKEY, false, 0, "not found on KME"},
	{ETSI014_DEC_KEYS, 401, NULL, -EACCES, false, 0, "401"},
	{ETSI014_DEC_KEYS, 403, NULL, -ENOKEY, false, 0,
	 "the KME answered dec_keys with HTTP status 403"},
	{ETSI014_DEC_KEYS, 404, NULL, -ENOKEY, false, 0, "404"},
	{ETSI014_DEC_KEYS, 409, NULL, -ENOKEY, false, 0, "409"},
	{ETSI014_DEC_KEYS, 412, NULL, -ENOKEY, false, 0, "412"},
	{ETSI014_DEC_KEYS, 500, NULL, -EREMOTEIO, false, 0, "500"},
	{ETSI014_DEC_KEYS, 503, NULL, -EAGAIN, false, 0, "503"},
	{ETSI014_DEC_KEYS, 504, NULL, -EREMOTEIO, false, 0, "504"},
	{ETSI014_STATUS, 400, NULL, -EREMOTEIO, true, DEVICE_RETRY, "status with HTTP status 400"},
	{ETSI014_STATUS, 401, NULL, -EACCES, true, DEVICE_RETRY, "401"},
	{ETSI014_STATUS, 404, NULL, -EREMOTEIO, true, DEVICE_RETRY, "404"},
	{ETSI014_STATUS, 503, NULL, -EREMOTEIO, true, DEVICE_RETRY, "503"},
	{ETSI014_STATUS, 501, NULL, -EREMOTEIO, true, DEVICE_GIVE_UP, "501"},
};

Test(etsi014_message, each_refusal_has_its_meaning)
{
	for (size_t i = 0; i < ELEMENTSOF(refusals); i++) {
		const char *text = refusals[i].text;
		struct etsi014_refusal refusal;

		etsi014_verify_refusal(refusals[i].call, refusals[i].status, text,
				       text ? strlen(text) : 0, &refusal);
		cr_assert_eq(refusal.result, refusals[i].result, "row %zu: %d", i, refusal.result);
		cr_assert_eq(refusal.ends, refusals[i].ends, "row %zu", i);
		cr_assert(!refusal.ends || refusal.end == refusals[i].end, "row %zu", i);
		cr_assert(strstr(refusal.what, refusals[i].what), "row %zu: %s", i, refusal.what);
	}
}

Test(etsi014_message, a_hostile_message_is_made_harmless_and_short)
{
	char text[600] = "{\"message\":\"a\\nb\\u001b[31m", *end = text + strlen(text);
	struct etsi014_refusal refusal;

	memset(end, 'x', 400);
	strcpy(end + 400, "\"}");
	etsi014_verify_refusal(ETSI014_STATUS, 400, text, strlen(text), &refusal);
	cr_assert(strstr(refusal.what, "400: a?b?[31mxxx"), "%s", refusal.what);
	cr_assert_lt(strlen(refusal.what), ETSI014_QUOTE_MAX_CHARS + 60);
}

/* ---- lack of memory ---- */

Test(etsi014_message, requests_are_built_whole_or_not_at_all)
{
	struct uuid ids[100];

	memset(ids, 0x11, sizeof(ids));
	TEST_EACH_ALLOCATION (number, 1) {
		_cleanup_(freep) char *url = NULL, *enc = NULL, *dec = NULL;
		int r;

		r = etsi014_build_url("kme", 1, "/p/", "sae", ETSI014_STATUS, &url);
		if (r == 0)
			r = etsi014_build_enc_keys(1, 256, &enc);
		if (r == 0)
			r = etsi014_build_dec_keys(ids, ELEMENTSOF(ids), &dec);
		cr_assert(r == 0 || (r == -ENOMEM && test_allocation_has_failed()));
		if (r == 0) {
			cr_assert_str_eq(enc, "{\"number\":1,\"size\":256}");
			cr_assert_str_eq(url, "https://kme:1/p/api/v1/keys/sae/status");
			cr_assert_eq(strlen(dec), strlen("{\"key_IDs\":[]}") + 100 * 50 - 1);
		}
	}
}

Test(etsi014_message, keys_are_taken_whole_or_not_at_all)
{
	TEST_EACH_ALLOCATION (number, 1) {
		_cleanup_(recent_set_freep) struct recent_set *seen = NULL;
		_cleanup_(key_batch_freep) struct key_batch *batch = NULL;
		char what[ETSI014_WHAT_CHARS];
		int r = recent_set_new(&seen);

		if (r == 0)
			r = verify(fresh[0].text, NULL, 2, seen, &batch, what);
		cr_assert_eq(r == 0, batch != NULL);
		cr_assert(r == 0 || test_allocation_has_failed());
	}
}
