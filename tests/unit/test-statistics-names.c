/* SPDX-License-Identifier: MIT */
/*
 * Every statistic of every daemon stands in qkd-statistics(7) with its kind and unit, nothing else
 * does, and all of them together make correct OpenMetrics.
 */

#include <criterion/criterion.h>
#include <ctype.h>

#include "common/metrics-text.h"
#include "keyring-helpers/qkd-metrics/metrics-site.h"
#include "qkd-keyringd/bus-call.h"
#include "qkd-keyringd/issue-log.h"
#include "qkd-keyringd/keyringd-statistics.h"
#include "qkd-keyringd/multihop.h"
#include "qkd-keyringd/site-peer.h"
#include "qkd-keyringd/upcall.h"
#include "qkd-linkd/distill-statistics.h"
#include "qkd-linkd/link-device.h"
#include "qkd-linkd/link-statistics.h"
#include "qkd-linkd/sync-statistics.h"
#include "tests/unit/support/openmetrics.h"

#define PAGE      "man/qkd-statistics.7"
#define DASHBOARD "docs/grafana-dashboard.json"

static const struct table {
	const struct statistics_definition *definitions;
	size_t count;
} tables[] = {
	{link_statistics_definitions, LINK_STATISTIC_COUNT_},
	{link_device_definitions, LINK_DEVICE_STATISTIC_COUNT_},
	{sync_statistics, SYNC_STATISTIC_COUNT_},
	{distill_statistics, DISTILL_STATISTIC_COUNT_},
	{keyringd_statistics_store, STORE_STATISTIC_COUNT_},
	{site_peer_definitions, SITE_PEER_STATISTIC_COUNT_},
	{upcall_definitions, UPCALL_STATISTIC_COUNT_},
	{bus_call_definitions, BUS_CALL_STATISTIC_COUNT_},
	{issue_log_definitions, ISSUE_LOG_STATISTIC_COUNT_},
	{multihop_definitions, MULTIHOP_STATISTIC_COUNT_},
	{metrics_site_definitions, METRICS_SITE_COUNT_},
};

static const struct statistics_definition *find(const char *name)
{
	for (size_t t = 0; t < ELEMENTSOF(tables); t++)
		for (size_t i = 0; i < tables[t].count; i++)
			if (str_equal(tables[t].definitions[i].name, name))
				return &tables[t].definitions[i];
	return NULL;
}

Test(statistics_names, every_definition_is_whole_and_its_name_its_own)
{
	for (size_t t = 0; t < ELEMENTSOF(tables); t++)
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct statistics_definition *d = &tables[t].definitions[i];

			cr_assert(d->name && d->unit && d->help, "table %zu, %zu", t, i);
			cr_assert(statistics_name_is_valid(d->name), "%s", d->name);
			cr_assert_geq(strlen(d->help), 10, "%s: %s", d->name, d->help);
			cr_assert_eq(find(d->name), d, "%s stands twice", d->name);
			if (d->type == STATISTICS_TIME)
				cr_assert_str_eq(d->unit, "seconds", "%s", d->name);
		}
}

/* "Counter, keys." or "Gauge." */
static void check_line(const char *name, const char *line)
{
	const struct statistics_definition *d = find(name);
	char wanted[128];

	cr_assert(d, "%s stands in the page and nobody counts it", name);
	snprintf(wanted, sizeof(wanted), "%s%s%s.\n", statistics_kind_name(d->kind),
		 *d->unit ? ", " : "", d->unit);
	wanted[0] = (char)toupper((unsigned char)wanted[0]);
	cr_assert_str_eq(line, wanted, "%s", name);
}

static size_t read_page(void)
{
	FILE *page = fopen(PAGE, "re");
	char line[256], name[128];
	size_t count = 0;

	cr_assert_not_null(page);
	while (fgets(line, sizeof(line), page)) {
		if (sscanf(line, ".It Va %127s", name) != 1)
			continue;
		cr_assert_not_null(fgets(line, sizeof(line), page));
		check_line(name, line);
		count++;
	}
	fclose(page);
	return count;
}

Test(statistics_names, the_manual_page_has_each_of_them_once_and_right)
{
	size_t count = 0;

	for (size_t t = 0; t < ELEMENTSOF(tables); t++)
		count += tables[t].count;
	cr_assert_eq(read_page(), count, "%zu in the page, %zu are counted", read_page(), count);
}

static struct openmetrics *all_metrics(void)
{
	struct statistics_reading readings[256];
	struct openmetrics *metrics = NULL;
	_cleanup_(freep) char *text = NULL;
	size_t size_bytes, count = 0;
	const char *wrong;

	for (size_t t = 0; t < ELEMENTSOF(tables); t++)
		for (size_t i = 0; i < tables[t].count; i++) {
			const struct statistics_definition *d = &tables[t].definitions[i];

			readings[count++] = (struct statistics_reading){.name = d->name,
									.kind = d->kind,
									.unit = d->unit,
									.help = d->help,
									.count = 1};
		}
	cr_assert_eq(metrics_text_build(readings, count, &text, &size_bytes), 0);
	wrong = openmetrics_parse(text, size_bytes, &metrics);
	cr_assert_null(wrong, "%s", wrong);
	return metrics;
}

Test(statistics_names, all_of_them_together_make_correct_metrics)
{
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = all_metrics();

	cr_assert_gt(openmetrics_family_count(metrics), 60);
}

Test(statistics_names, the_dashboard_shows_nothing_that_is_not_there)
{
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = all_metrics();
	FILE *dashboard = fopen(DASHBOARD, "re");
	char line[1024], name[256];
	unsigned count = 0;
	double value;

	cr_assert_not_null(dashboard);
	while (fgets(line, sizeof(line), dashboard))
		for (const char *at = line; (at = strstr(at, "qkd_")); at += strlen(name)) {
			cr_assert_eq(sscanf(at, "%255[a-z_]", name), 1);
			cr_assert(openmetrics_find(metrics, name, &value), "%s", name);
			count++;
		}
	fclose(dashboard);
	cr_assert_gt(count, 30);
}
