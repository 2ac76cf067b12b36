/* SPDX-License-Identifier: MIT */
/*
 * Every call is answered exactly once, from the loop, and an end is told after the last of them:
 * easy to get wrong in each driver, so it is written down once.
 */

#include "drivers/call-queue.h"

static struct queued_call *call_free(struct queued_call *call)
{
	if (!call)
		return NULL;
	call->source = sd_event_source_disable_unref(call->source);
	if (call->queue->release)
		call->queue->release(call);
	free(call->ids);
	free(call);
	return NULL;
}

static void append(struct queued_call **list, struct queued_call *call)
{
	while (*list)
		list = &(*list)->next;
	call->next = NULL;
	*list = call;
}

static bool unlink_from(struct queued_call **list, struct queued_call *call)
{
	while (*list && *list != call)
		list = &(*list)->next;
	if (!*list)
		return false;
	*list = call->next;
	return true;
}

int call_queue_add(struct call_queue *queue, const struct uuid *ids, size_t count,
		   device_keys_t done, void *userdata, struct queued_call **ret)
{
	_cleanup_(freep) struct uuid *copy = NULL;
	struct queued_call *call;

	if (queue->device->state != DEVICE_SESSION_STARTED)
		return -ENOTCONN;
	if (count == 0 || count > DRIVER_MAX_KEYS)
		return -EINVAL;
	if (queue->count == DRIVER_MAX_CALLS)
		return -EBUSY;
	if (ids) {
		copy = malloc(count * sizeof(*ids));
		if (!copy)
			return -ENOMEM;
		memcpy(copy, ids, count * sizeof(*ids));
	}
	call = calloc(1, sizeof(*call));
	if (!call)
		return -ENOMEM;
	call->queue = queue;
	call->ids = TAKE_PTR(copy);
	call->count = count;
	call->done = done;
	call->userdata = userdata;
	append(&queue->active, call);
	queue->count++;
	*ret = call;
	return 0;
}

void call_queue_drop(struct queued_call *call)
{
	struct call_queue *queue = call->queue;

	if (unlink_from(&queue->active, call) || unlink_from(&queue->ended, call))
		queue->count--;
	call_free(call);
}

void call_queue_answer(struct queued_call *call, int result, struct key_batch *batch,
		       const char *reason)
{
	struct call_queue *queue = call->queue;
	struct device *device = queue->device;
	device_keys_t done = call->done;
	void *userdata = call->userdata;

	call_queue_drop(call);
	if (queue->answered)
		queue->answered(queue);
	done(device, result, batch, reason, userdata);
}

/* One answer each round, because each may close the device; then the end. */
static int on_drain(sd_event_source *source, void *userdata)
{
	struct call_queue *queue = userdata;
	_cleanup_(freep) char *reason = NULL;
	bool telling;

	if (queue->ended) {
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
		call_queue_answer(queue->ended, -ECANCELED, NULL, "the session has ended");
		return 0;
	}
	queue->drain = sd_event_source_unref(queue->drain);
	telling = queue->telling;
	queue->telling = false;
	reason = TAKE_PTR(queue->reason);
	if (telling)
		queue->handler.on_end(queue->device, queue->end, reason ?: "", queue->userdata);
	return 0;
}

/* Calls under way stop working for us now; their owners hear of it later. */
static void stop_calls(struct call_queue *queue)
{
	while (queue->active) {
		struct queued_call *call = queue->active;

		queue->active = call->next;
		call->source = sd_event_source_disable_unref(call->source);
		if (queue->release)
			queue->release(call);
		append(&queue->ended, call);
	}
}

bool call_queue_is_idle(const struct call_queue *queue)
{
	return queue->device->state == DEVICE_INACTIVE && !queue->step && !queue->telling;
}

static int on_step(sd_event_source *source, void *userdata)
{
	struct call_queue *queue = userdata;
	struct device *device = queue->device;

	device->state++;
	if (device->state == queue->target)
		queue->step = sd_event_source_unref(queue->step);
	else
		sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	queue->handler.on_state(device, device->state, queue->userdata);
	return 0;
}

int call_queue_step_to(struct call_queue *queue, enum device_state target)
{
	queue->target = target;
	if (queue->step)
		return 0;
	return sd_event_add_defer(queue->event, &queue->step, on_step, queue);
}

static void become_inactive(struct call_queue *queue)
{
	queue->device->state = DEVICE_INACTIVE;
	queue->step = sd_event_source_disable_unref(queue->step);
	stop_calls(queue);
}

void call_queue_end_quietly(struct call_queue *queue)
{
	become_inactive(queue);
	queue->telling = false;
	if (queue->ended && !queue->drain)
		sd_event_add_defer(queue->event, &queue->drain, on_drain, queue);
}

void call_queue_end(struct call_queue *queue, enum device_end end, const char *reason)
{
	become_inactive(queue);
	queue->telling = true;
	queue->end = end;
	free(queue->reason);
	queue->reason = strdup(reason);
	if (!queue->drain)
		sd_event_add_defer(queue->event, &queue->drain, on_drain, queue);
}

static void free_list(struct queued_call **list)
{
	while (*list) {
		struct queued_call *call = *list;

		*list = call->next;
		call_free(call);
	}
}

void call_queue_done(struct call_queue *queue)
{
	free_list(&queue->active);
	free_list(&queue->ended);
	queue->count = 0;
	queue->step = sd_event_source_disable_unref(queue->step);
	queue->drain = sd_event_source_disable_unref(queue->drain);
	free(queue->reason);
	queue->reason = NULL;
}
