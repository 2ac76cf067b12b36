/* SPDX-License-Identifier: MIT */
/* The writer and the reader of one signature, side by side so that they stay the same. */

#include "common/statistics-message.h"

static int append_labels(sd_bus_message *message, const struct statistics_reading *reading)
{
	int r = sd_bus_message_open_container(message, 'a', "{ss}");

	for (size_t i = 0; r >= 0 && i < reading->label_count; i++)
		r = sd_bus_message_append(message, "{ss}", reading->labels[i].name,
					  reading->labels[i].value);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_reading(const struct statistics_reading *reading, void *userdata)
{
	sd_bus_message *message = userdata;
	int r = sd_bus_message_open_container(message, 'r', STATISTICS_MESSAGE_ENTRY);

	if (r >= 0)
		r = sd_bus_message_append(message, "ssss", reading->name,
					  statistics_kind_name(reading->kind), reading->unit,
					  reading->help);
	if (r >= 0)
		r = append_labels(message, reading);
	if (r >= 0)
		r = sd_bus_message_append(message, "tdddddd", reading->count, reading->last,
					  reading->total, reading->min, reading->max,
					  reading->average, reading->rate);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

int statistics_message_append(sd_bus_message *message, struct statistics *set,
			      const struct statistics_filter *filter, uint64_t now_usec)
{
	int r = sd_bus_message_open_container(message, 'a', "(" STATISTICS_MESSAGE_ENTRY ")");

	if (r >= 0)
		r = statistics_read(set, filter, now_usec, append_reading, message);
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int read_labels(sd_bus_message *message, struct statistics_label *labels, size_t *ret_count)
{
	size_t count = 0;
	int r = sd_bus_message_enter_container(message, 'a', "{ss}");

	while (r >= 0 && (r = sd_bus_message_enter_container(message, 'e', "ss")) > 0) {
		if (count == STATISTICS_MAX_LABELS)
			return -E2BIG;
		r = sd_bus_message_read(message, "ss", &labels[count].name, &labels[count].value);
		count++;
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	if (r < 0)
		return r;
	*ret_count = count;
	return sd_bus_message_exit_container(message);
}

/* Within the entry's container. */
static int read_entry(sd_bus_message *message, struct statistics_reading *reading,
		      struct statistics_label *labels)
{
	const char *kind;
	int r = sd_bus_message_read(message, "ssss", &reading->name, &kind, &reading->unit,
				    &reading->help);

	if (r < 0)
		return r;
	if (!statistics_name_is_valid(reading->name) ||
	    statistics_kind_parse(kind, &reading->kind) < 0)
		return -EBADMSG;
	r = read_labels(message, labels, &reading->label_count);
	if (r < 0)
		return r;
	return sd_bus_message_read(message, "tdddddd", &reading->count, &reading->last,
				   &reading->total, &reading->min, &reading->max, &reading->average,
				   &reading->rate);
}

/* Room for one more; what is there may move. */
static int grow(struct statistics_list *list, size_t count)
{
	void *grown;

	if (count >= STATISTICS_LIST_MAX)
		return -E2BIG;
	if ((count & (count - 1)) != 0) /* the next power of two was taken before */
		return 0;
	grown = reallocarray(list->readings, MAX(2 * count, (size_t)1), sizeof(*list->readings));
	if (!grown)
		return -ENOMEM;
	list->readings = grown;
	grown = reallocarray(list->labels, MAX(2 * count, (size_t)1) * STATISTICS_MAX_LABELS,
			     sizeof(*list->labels));
	if (!grown)
		return -ENOMEM;
	list->labels = grown;
	return 0;
}

/* The entries behind list->count, which the caller counts when all is well. */
static int read_entries(sd_bus_message *message, struct statistics_list *list, size_t *ret_count)
{
	size_t count = list->count;
	int r = sd_bus_message_enter_container(message, 'a', "(" STATISTICS_MESSAGE_ENTRY ")");

	while (r >= 0 &&
	       (r = sd_bus_message_enter_container(message, 'r', STATISTICS_MESSAGE_ENTRY)) > 0) {
		r = grow(list, count);
		if (r < 0)
			break;
		list->readings[count] = (struct statistics_reading){0};
		r = read_entry(message, &list->readings[count],
			       &list->labels[count * STATISTICS_MAX_LABELS]);
		count++;
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
	}
	if (r < 0)
		return r;
	*ret_count = count;
	return sd_bus_message_exit_container(message);
}

static int keep_message(struct statistics_list *list, sd_bus_message *message)
{
	sd_bus_message **grown =
		reallocarray(list->messages, list->message_count + 1, sizeof(*list->messages));

	if (!grown)
		return -ENOMEM;
	list->messages = grown;
	list->messages[list->message_count++] = sd_bus_message_ref(message);
	return 0;
}

int statistics_message_read(sd_bus_message *message, struct statistics_list *list)
{
	size_t count;
	int r = read_entries(message, list, &count);

	if (r >= 0)
		r = keep_message(list, message);
	if (r < 0)
		return r == -ENXIO ? -EBADMSG : r;
	list->count = count;
	for (size_t i = 0; i < count; i++)
		list->readings[i].labels = &list->labels[i * STATISTICS_MAX_LABELS];
	return 0;
}

void statistics_list_done(struct statistics_list *list)
{
	for (size_t i = 0; i < list->message_count; i++)
		sd_bus_message_unref(list->messages[i]);
	free(list->messages);
	free(list->readings);
	free(list->labels);
	*list = (struct statistics_list){0};
}
