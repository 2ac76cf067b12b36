/* SPDX-License-Identifier: MIT */

/*
 * Two issuers under random requests, failed deliveries, cut connections, kills and power cuts. What
 * must hold at every moment: at one site a key goes to one owner for one purpose only, and once it
 * was delivered and that is on record never again; one label is one key at both sites.
 */

#include <criterion/criterion.h>

#include "common/log.h"
#include "tests/unit/support/issuer-pair.h"

#define REQUESTS 64
#define LABELS   200
#define KEYS     4000
#define STEPS    2500

static struct issuer_pair pair;
static uint64_t seed;

static unsigned random_below(unsigned count)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned)(seed >> 33) % count;
}

struct request {
	struct pair_site *site;
	char purpose[32]; /* label, or "id" */
	uid_t owner;
	struct pair_result result;
	bool is_open, is_new;
};

static struct request requests[REQUESTS];

/* By site and key: to whom and what for; delivered: reported as such, and when. */
static struct {
	char purpose[32];
	uid_t owner;
	uint64_t delivered_usec;
} history[2][KEYS];
static uint64_t key_of_label[LABELS]; /* its number and 1 */
static struct uuid known_ids[256];    /* that were made new somewhere */
static unsigned known_count, delivered_count;

static uint64_t number_of(const struct uuid *id)
{
	uint64_t number;

	memcpy(&number, id->bytes + 8, sizeof(number));
	cr_assert_lt(number, KEYS);
	return number;
}

/* One label is one key, whoever asks. */
static void check_label(const char *purpose, uint64_t number)
{
	unsigned label;

	if (sscanf(purpose, "label-%u", &label) != 1)
		return;
	cr_assert(key_of_label[label] == 0 || key_of_label[label] == number + 1, "two keys for %s",
		  purpose);
	key_of_label[label] = number + 1;
}

static void check_delivery(struct request *request, bool reported)
{
	int site = request->site == &pair.bob;
	uint64_t number = number_of(&request->result.id);
	uint8_t key[PAIR_KEY_BYTES];

	pair_key(number, key);
	cr_assert_eq(memcmp(key, request->result.key, sizeof(key)), 0);
	if (*history[site][number].purpose) {
		cr_assert_str_eq(history[site][number].purpose, request->purpose);
		cr_assert_eq(history[site][number].owner, request->owner);
	}
	cr_assert_eq(history[site][number].delivered_usec, 0, "key %zu twice at %s", (size_t)number,
		     request->site->name);
	check_label(request->purpose, number);
	strcpy(history[site][number].purpose, request->purpose);
	history[site][number].owner = request->owner;
	if (reported)
		history[site][number].delivered_usec = pair_now();
	if (!str_equal(request->purpose, "id") && *history[!site][number].purpose)
		cr_assert_str_eq(history[!site][number].purpose, request->purpose);
	delivered_count++;
}

static void collect(void)
{
	for (size_t i = 0; i < REQUESTS; i++) {
		struct request *request = &requests[i];

		if (!request->is_open || !request->result.done)
			continue;
		request->is_open = false;
		if (request->result.result == 0 && request->is_new)
			known_ids[known_count++ % ELEMENTSOF(known_ids)] = request->result.id;
		else if (request->result.result == 0)
			check_delivery(request, !request->result.fail);
	}
}

/* A site that ends does not call back. */
static void forget_requests(struct pair_site *site)
{
	collect();
	for (size_t i = 0; i < REQUESTS; i++)
		if (requests[i].site == site)
			requests[i].is_open = false;
}

static void start_request(struct request *request)
{
	*request = (struct request){.site = random_below(2) ? &pair.bob : &pair.alice,
				    .owner = 1000 + random_below(3),
				    .purpose = "id",
				    .is_open = true};
	request->result.fail = random_below(5) == 0;
	switch (random_below(4)) {
	case 0:
		request->is_new = true;
		pair_ask_new(request->site, 1, request->owner, &request->result);
		break;
	case 1:
		if (known_count == 0) {
			request->is_open = false;
			break;
		}
		pair_ask_id(request->site, &known_ids[random_below(MIN(known_count, 256u))],
			    request->owner, &request->result);
		break;
	default:
		snprintf(request->purpose, sizeof(request->purpose), "label-%u",
			 random_below(LABELS));
		pair_ask_label(request->site, request->purpose, request->owner, &request->result);
	}
}

/* A crash may lose the report of what was delivered just before, as if the helper had never made
 * it; then the same owner can have the key for the same purpose again. A power cut loses what was
 * not synced, kill -9 only what has just been reported. */
static void forget_reports(int site, uint64_t window_usec)
{
	uint64_t now = pair_now();

	for (size_t i = 0; i < KEYS; i++)
		if (history[site][i].delivered_usec + window_usec > now)
			history[site][i].delivered_usec = 0;
}

static void crash(struct pair_site *site)
{
	enum memory_crash how = random_below(2) ? MEMORY_CRASH_LOSE : MEMORY_CRASH_PROCESS;

	forget_requests(site);
	pair_kill_site(site, how);
	forget_requests(site);
	forget_reports(site == &pair.bob, (how == MEMORY_CRASH_LOSE ? 250 : 20) * USEC_PER_MSEC);
	pair_start_site(site);
	pair_connect(&pair);
}

static void one_step(void)
{
	struct request *request = &requests[random_below(REQUESTS)];
	unsigned dice = random_below(200);

	if (dice == 0)
		crash(&pair.alice);
	else if (dice == 1)
		crash(&pair.bob);
	else if (dice == 2 && pair.alice.written + 50 < KEYS)
		pair_add_keys(&pair, 50);
	else if (dice == 3) {
		pair_cut(&pair);
		pair_run_for(&pair, random_below(3000));
		pair_connect(&pair);
	} else if (!request->is_open)
		start_request(request);
	for (unsigned i = random_below(6); i > 0; i--)
		sd_event_run(pair.event, 200);
	collect();
}

static void run(uint64_t start)
{
	seed = start;
	memset(history, 0, sizeof(history));
	memset(requests, 0, sizeof(requests));
	memset(key_of_label, 0, sizeof(key_of_label));
	known_count = delivered_count = 0;
	pair_init(&pair);
	log_set_max_level(-1);
	pair_add_keys(&pair, 2500);
	pair_start(&pair);
	for (unsigned i = 0; i < STEPS; i++)
		one_step();
	forget_requests(&pair.alice);
	forget_requests(&pair.bob);
	cr_assert_eq(pair.alice.fatal + pair.bob.fatal, 0);
	cr_assert_gt(delivered_count, 100);
	pair_done(&pair);
}

Test(issuer_random, nothing_goes_to_two_owners_or_for_two_purposes, .timeout = 120)
{
	for (uint64_t i = 1; i <= 4; i++)
		run(i * 7919);
}
