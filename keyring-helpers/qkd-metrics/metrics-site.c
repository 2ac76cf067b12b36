/* SPDX-License-Identifier: MIT */
/* Adds to what the daemons say how many of them said it: a monitor has to notice silence. */

#include "metrics-site.h"

#include "common/metrics-text.h"
#include "common/statistics-client.h"

const struct statistics_definition metrics_site_definitions[METRICS_SITE_COUNT_] = {
	[METRICS_SITE_ANSWERED] = {"metrics.answered", STATISTICS_GAUGE, STATISTICS_INTEGER,
				   "daemons", "daemons of this site that told their statistics"},
	[METRICS_SITE_SILENT] = {"metrics.silent", STATISTICS_GAUGE, STATISTICS_INTEGER, "daemons",
				 "daemons on the bus that did not"},
};

struct collected {
	struct statistics_reading *readings;
	size_t count;
};

static int collect(const struct statistics_reading *reading, void *userdata)
{
	struct collected *collected = userdata;

	collected->readings[collected->count++] = *reading;
	return 0;
}

/* The daemons' readings and our own, in one array. */
static int join(const struct statistics_client_answer *answer, struct collected *ret)
{
	struct statistic values[METRICS_SITE_COUNT_] = {0};
	struct statistics_group group = {.definitions = metrics_site_definitions,
					 .values = values,
					 .count = METRICS_SITE_COUNT_};
	size_t count = answer->list.count;
	struct statistics set;

	ret->readings = calloc(count + METRICS_SITE_COUNT_, sizeof(*ret->readings));
	if (!ret->readings)
		return -ENOMEM;
	if (count > 0)
		memcpy(ret->readings, answer->list.readings, count * sizeof(*ret->readings));
	ret->count = count;
	statistics_set(&values[METRICS_SITE_ANSWERED], answer->answered);
	statistics_set(&values[METRICS_SITE_SILENT], answer->silent);
	statistics_init(&set, 0);
	statistics_add_group(&set, &group);
	return statistics_read(&set, NULL, 0, collect, ret);
}

int metrics_site_build(sd_bus *bus, char **ret, size_t *ret_size_bytes,
		       char ret_trouble[static 160])
{
	_cleanup_(statistics_client_answer_done) struct statistics_client_answer answer = {0};
	struct collected collected = {0};
	int r = statistics_client_gather(bus, NULL, false, METRICS_SITE_USEC, &answer);

	if (r < 0)
		return r;
	r = join(&answer, &collected);
	if (r >= 0)
		r = metrics_text_build(collected.readings, collected.count, ret, ret_size_bytes);
	free(collected.readings);
	if (r >= 0)
		snprintf(ret_trouble, 160, "%s", answer.trouble);
	return r;
}
