/* SPDX-License-Identifier: MIT */
/* What is written is OpenMetrics to a strict reader, and says what the statistics say. */

#include <criterion/criterion.h>
#include <math.h>

#include "common/metrics-text.h"
#include "tests/unit/support/openmetrics.h"

static const struct statistics_label alice_bob[] = {{"site", "alice"}, {"link", "alice-bob"}};
static const struct statistics_label alice_carol[] = {{"site", "alice"}, {"link", "alice-carol"}};

static struct statistics_reading reading(const char *name, enum statistics_kind kind,
					 const char *unit, double number)
{
	return (struct statistics_reading){
		.name = name,
		.kind = kind,
		.unit = unit,
		.help = "what it is",
		.labels = alice_bob,
		.label_count = 2,
		.count = 4,
		.last = number,
		.total = number,
		.min = number / 8,
		.max = number / 2,
	};
}

static struct openmetrics *write_and_read(struct statistics_reading *readings, size_t count)
{
	_cleanup_(freep) char *text = NULL;
	struct openmetrics *metrics = NULL;
	const char *wrong;
	size_t size_bytes;

	cr_assert_eq(metrics_text_build(readings, count, &text, &size_bytes), 0);
	cr_assert_eq(strlen(text), size_bytes);
	wrong = openmetrics_parse(text, size_bytes, &metrics);
	cr_assert_null(wrong, "%s:\n%s", wrong, text);
	return metrics;
}

static void check_sample(const struct openmetrics *metrics, const char *sample, double wanted)
{
	double value;

	cr_assert(openmetrics_find(metrics, sample, &value), "no %s", sample);
	cr_assert(value == wanted, "%s is %g", sample, value);
}

Test(metrics_text, nothing_is_a_document_too)
{
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = write_and_read(NULL, 0);

	cr_assert_eq(openmetrics_family_count(metrics), 0);
}

Test(metrics_text, each_kind_is_written_as_its_type)
{
	struct statistics_reading readings[] = {
		reading("link.sync.keys", STATISTICS_COUNTER, "keys", 1234567890123),
		reading("link.aborted", STATISTICS_COUNTER, "transactions", 3),
		reading("store.available", STATISTICS_GAUGE, "keys", 17),
		reading("link.distill.qber", STATISTICS_GAUGE, "", 0.0213),
		reading("link.latency", STATISTICS_SUMMARY, "seconds", 0.8),
	};
	_cleanup_(openmetrics_freep) struct openmetrics *metrics =
		write_and_read(readings, ELEMENTSOF(readings));

#define LABELS "{site=\"alice\",link=\"alice-bob\"}"
	check_sample(metrics, "qkd_link_sync_keys_total" LABELS, 1234567890123);
	check_sample(metrics, "qkd_link_aborted_transactions_total" LABELS, 3);
	check_sample(metrics, "qkd_store_available_keys" LABELS, 17);
	check_sample(metrics, "qkd_link_distill_qber" LABELS, 0.0213);
	check_sample(metrics, "qkd_link_latency_seconds_count" LABELS, 4);
	check_sample(metrics, "qkd_link_latency_seconds_sum" LABELS, 0.8);
	check_sample(metrics, "qkd_link_latency_min_seconds" LABELS, 0.1);
	check_sample(metrics, "qkd_link_latency_max_seconds" LABELS, 0.4);
	cr_assert_eq(openmetrics_family_count(metrics), 7);
}

Test(metrics_text, samples_of_one_family_stand_together_however_they_came)
{
	struct statistics_reading readings[] = {
		reading("link.keys", STATISTICS_COUNTER, "keys", 1),
		reading("link.latency", STATISTICS_SUMMARY, "seconds", 2),
		reading("link.keys", STATISTICS_COUNTER, "keys", 3),
		reading("link.latency", STATISTICS_SUMMARY, "seconds", 4),
	};
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = NULL;

	readings[2].labels = readings[3].labels = alice_carol;
	metrics = write_and_read(readings, ELEMENTSOF(readings));
	check_sample(metrics, "qkd_link_keys_total{site=\"alice\",link=\"alice-carol\"}", 3);
	check_sample(metrics, "qkd_link_latency_seconds_sum{site=\"alice\",link=\"alice-carol\"}",
		     4);
}

Test(metrics_text, a_gauge_that_was_never_set_is_left_out_and_a_counter_is_zero)
{
	struct statistics_reading readings[] = {
		reading("store.available", STATISTICS_GAUGE, "keys", 0),
		reading("link.keys", STATISTICS_COUNTER, "keys", 0),
		reading("link.latency", STATISTICS_SUMMARY, "seconds", 0),
	};
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = NULL;
	double value;

	for (size_t i = 0; i < ELEMENTSOF(readings); i++)
		readings[i].count = 0;
	metrics = write_and_read(readings, ELEMENTSOF(readings));
	cr_assert(!openmetrics_find(metrics, "qkd_store_available_keys" LABELS, &value));
	check_sample(metrics, "qkd_link_keys_total" LABELS, 0);
	check_sample(metrics, "qkd_link_latency_seconds_count" LABELS, 0);
}

Test(metrics_text, label_values_are_escaped)
{
	static const struct statistics_label hostile[] = {{"peer", "a\"b\\c\nd}"}};
	struct statistics_reading one = reading("link.keys", STATISTICS_COUNTER, "keys", 5);
	_cleanup_(openmetrics_freep) struct openmetrics *metrics = NULL;

	one.labels = hostile;
	one.label_count = 1;
	metrics = write_and_read(&one, 1);
	check_sample(metrics, "qkd_link_keys_total{peer=\"a\\\"b\\\\c\\nd}\"}", 5);
}

Test(metrics_text, numbers_come_back_as_they_were)
{
	static const double numbers[] = {0.1,       1e300, 5e-324, 1.0 / 3, 9007199254740993.0,
					 123456789, -2.5};

	for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
		struct statistics_reading one = reading("x", STATISTICS_GAUGE, "", numbers[i]);
		_cleanup_(openmetrics_freep) struct openmetrics *metrics = write_and_read(&one, 1);

		check_sample(metrics, "qkd_x" LABELS, numbers[i]);
	}
}

Test(metrics_text, what_is_no_number_is_written_as_the_format_has_it)
{
	struct statistics_reading readings[] = {
		reading("x", STATISTICS_GAUGE, "", INFINITY),
		reading("y", STATISTICS_GAUGE, "", NAN),
		reading("z", STATISTICS_GAUGE, "", -INFINITY),
	};
	_cleanup_(freep) char *text = NULL;
	size_t size_bytes;

	cr_assert_eq(metrics_text_build(readings, 3, &text, &size_bytes), 0);
	cr_assert(strstr(text, "qkd_x" LABELS " +Inf\n"));
	cr_assert(strstr(text, "qkd_y" LABELS " NaN\n"));
	cr_assert(strstr(text, "qkd_z" LABELS " -Inf\n"));
}

Test(metrics_text, what_cannot_be_written_is_refused)
{
	static const struct statistics_label bad_label[] = {{"a-b", "x"}};
	struct statistics_reading good = reading("link.keys", STATISTICS_COUNTER, "keys", 1);
	struct statistics_reading bad[5] = {good, good, good, good, good};
	char *text = NULL;
	size_t size_bytes;

	bad[0].name = "link keys";
	bad[1].unit = "keys per second";
	bad[2].labels = bad_label;
	bad[2].label_count = 1;
	bad[3].help = "line\nline";
	bad[4].kind = STATISTICS_KIND_COUNT_;
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		cr_assert_eq(metrics_text_build(&bad[i], 1, &text, &size_bytes), -EINVAL, "%zu", i);
	cr_assert_null(text);
}

Test(metrics_text, two_of_the_same_name_and_labels_are_refused)
{
	struct statistics_reading readings[] = {
		reading("link.keys", STATISTICS_COUNTER, "keys", 1),
		reading("link.keys", STATISTICS_COUNTER, "keys", 2),
	};
	char *text = NULL;
	size_t size_bytes;

	cr_assert_eq(metrics_text_build(readings, 2, &text, &size_bytes), -EEXIST);
	readings[1].labels = alice_carol;
	readings[1].unit = "blocks";
	cr_assert_eq(metrics_text_build(readings, 2, &text, &size_bytes), -EINVAL);
	cr_assert_null(text);
}

Test(metrics_text, there_is_a_limit)
{
	static char value[2u << 20];
	static const struct statistics_label label = {"peer", value};
	struct statistics_reading readings[5];
	char names[5][8], *text = NULL;
	size_t size_bytes;

	memset(value, 'x', sizeof(value) - 1);
	for (size_t i = 0; i < ELEMENTSOF(readings); i++) {
		snprintf(names[i], sizeof(names[i]), "x%zu", i);
		readings[i] = reading(names[i], STATISTICS_GAUGE, "", 1);
		readings[i].labels = &label;
		readings[i].label_count = 1;
	}
	cr_assert_eq(metrics_text_build(readings, 5, &text, &size_bytes), -E2BIG);
	cr_assert_null(text);
}

/* The reader itself, so that its strictness is not taken on trust. */
Test(metrics_text, the_strict_reader_refuses_what_the_format_forbids)
{
	static const char *const bad[] = {
		"",
		"# EOF",
		"# EOF\n# EOF\n",
		"\n# EOF\n",
		"a 1\n# EOF\n",
		"# TYPE a gauge\na  1\n# EOF\n",
		"# TYPE a gauge\na 1 \n# EOF\n",
		"# TYPE a gauge\na one\n# EOF\n",
		"# TYPE a gauge\na{} 1\n# EOF\n",
		"# TYPE a gauge\na{b=\"1\",} 1\n# EOF\n",
		"# TYPE a gauge\na{b=\"1\",b=\"2\"} 1\n# EOF\n",
		"# TYPE a gauge\na{b=\"\\t\"} 1\n# EOF\n",
		"# TYPE a gauge\na{b=1} 1\n# EOF\n",
		"# TYPE a gauge\na_total 1\n# EOF\n",
		"# TYPE a gauge\na 1\na 2\n# EOF\n",
		"# TYPE a gauge\na 1\n# HELP a x\n# EOF\n",
		"# TYPE a gauge\n# TYPE a gauge\na 1\n# EOF\n",
		"# TYPE a gauge\n# UNIT a keys\na 1\n# EOF\n",
		"# TYPE a counter\na 1\n# EOF\n",
		"# TYPE a counter\na_total -1\n# EOF\n",
		"# TYPE a summary\na_count 1.5\n# EOF\n",
		"# TYPE a histogram\n# EOF\n",
		"# TYPE a counter\n# TYPE a_total gauge\n# EOF\n",
		"# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# TYPE a gauge\n# EOF\n",
		"# TYPE a gauge\n# HELP a \"x\"\n# EOF\n",
		"# BLAH a gauge\n# EOF\n",
		"#TYPE a gauge\n# EOF\n",
	};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		_cleanup_(openmetrics_freep) struct openmetrics *metrics = NULL;

		cr_assert_not_null(openmetrics_parse(bad[i], strlen(bad[i]), &metrics), "%s",
				   bad[i]);
	}
}
