/* SPDX-License-Identifier: MIT */
/*
 * A thread that runs one distillation session. Frames go before detections: they free the room that
 * detections wait for. Time tags are aligned here too.
 */

#include "qkd-linkd/distill-worker.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>

#include "qkd-linkd/distill/align.h"

#define SYNC_SHARE 0.95 /* of the pattern; then there are tags enough to align */
#define GATE_SHARE 0.4  /* of the pulses' period, on either side */

struct input {
	struct input *next;
	size_t size_bytes;            /* a frame's */
	size_t count;                 /* detections */
	struct detection *detections; /* secret memory */
	uint8_t bytes[];
};

struct input_queue {
	struct input *first, **last;
};

struct distill_worker {
	pthread_t thread;
	bool is_running;
	pthread_mutex_t mutex;
	pthread_cond_t wake;
	int fd;
	/* Under the mutex. */
	bool is_ending;
	struct input_queue frames, detections;
	size_t pending;
	struct input *spare; /* buffers of detections, kept: new secret memory is slow */
	struct distill_output *first_output, **last_output;
	/* The thread's own. */
	struct distill *distill;
	struct wegman_carter *authentication; /* borrowed */
	struct detection_source source;
	struct align_parameters align_parameters;
	struct align align;
	bool is_aligned;
	int64_t *tags;
	size_t tag_count;
	uint64_t last_slot;
	bool has_last_slot;
};

struct distill_output *distill_output_free(struct distill_output *output)
{
	if (!output)
		return NULL;
	secret_free(output->key);
	free(output);
	return NULL;
}

static void input_free(struct input *input)
{
	if (!input)
		return;
	secret_mfree(input->detections);
	free(input);
}

static void tell(struct distill_worker *worker)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then it is readable. */
	if (write(worker->fd, &one, sizeof(one)) < 0)
		return;
}

static int put_output(struct distill_worker *worker, struct distill_output *output)
{
	pthread_mutex_lock(&worker->mutex);
	*worker->last_output = output;
	worker->last_output = &output->next;
	pthread_mutex_unlock(&worker->mutex);
	tell(worker);
	return 0;
}

static struct distill_output *output_new(enum distill_output_kind kind, size_t size_bytes)
{
	struct distill_output *output = calloc(1, sizeof(*output) + size_bytes);

	if (!output)
		return NULL;
	output->kind = kind;
	output->size_bytes = size_bytes;
	return output;
}

/* What the session says */

static int on_send(const void *bytes, size_t size_bytes, void *userdata)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_FRAME, size_bytes);

	if (!output)
		return -ENOMEM;
	memcpy(output->bytes, bytes, size_bytes);
	return put_output(userdata, output);
}

static int on_key(uint32_t block, struct secret *key, void *userdata)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_KEY, 0);

	if (!output) {
		secret_free(key);
		return -ENOMEM;
	}
	output->block = block;
	output->key = key;
	return put_output(userdata, output);
}

static void put_state(struct distill_worker *worker)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_STATE, 0);

	if (!output)
		return;
	if (wegman_carter_save(worker->authentication, DISTILL_WORKER_TAG_MARGIN, &output->key) < 0)
		distill_output_free(output);
	else
		put_output(worker, output);
}

static void on_report(const struct distill_report *report, void *userdata)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_REPORT, 0);

	if (!output)
		return;
	output->report = *report;
	put_output(userdata, output);
	if (report->drop == BLOCK_DROP_NONE) /* a dropped block has no tags */
		put_state(userdata);
}

static void on_alarm(bool raised, void *userdata)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_ALARM, 0);

	if (!output)
		return;
	output->raised = raised;
	put_output(userdata, output);
}

static int on_random(void *ret_bytes, size_t size_bytes, void *userdata)
{
	uint8_t *to = ret_bytes;

	while (size_bytes > 0) {
		ssize_t n = getrandom(to, size_bytes, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			to += n;
			size_bytes -= (size_t)n;
		}
	}
	return 0;
}

static uint64_t cpu_nsec(void *userdata)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Alignment */

/* Tags are kept until the pattern is nearly over, then they tell the clock's offset and rate. */
static int acquire(struct distill_worker *worker, int64_t tag)
{
	double pattern = (double)worker->source.sync_slots * worker->source.period_ps;
	int r;

	if (worker->tag_count == 0 || (double)(tag - worker->tags[0]) < SYNC_SHARE * pattern) {
		if (worker->tag_count < ALIGN_MAX_TAGS)
			worker->tags[worker->tag_count++] = tag;
		return 0;
	}
	r = align_acquire(&worker->align_parameters, worker->tags, worker->tag_count,
			  &worker->align);
	worker->is_aligned = r >= 0;
	return r < 0 ? -ENODATA : 0;
}

/* Replaces tags by slots and leaves out what has none; how many are left. */
static ssize_t align(struct distill_worker *worker, struct detection *detections, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t tag = (int64_t)detections[i].time;
		uint64_t slot;
		int r = worker->is_aligned ? 0 : acquire(worker, tag);

		if (r < 0)
			return r;
		if (!worker->is_aligned || !align_slot(&worker->align, tag, &slot) ||
		    slot < worker->source.sync_slots ||
		    (worker->has_last_slot && slot <= worker->last_slot))
			continue;
		worker->last_slot = slot;
		worker->has_last_slot = true;
		detections[kept] = detections[i];
		detections[kept++].time = slot;
	}
	return (ssize_t)kept;
}

/* Detections' buffers serve the next ones. */
static void input_done(struct distill_worker *worker, struct input *input)
{
	if (!input->detections) {
		input_free(input);
		return;
	}
	pthread_mutex_lock(&worker->mutex);
	input->next = worker->spare;
	worker->spare = input;
	pthread_mutex_unlock(&worker->mutex);
}

/* The thread */

static struct input *take_input(struct input_queue *queue)
{
	struct input *input = queue->first;

	queue->first = input->next;
	if (!queue->first)
		queue->last = &queue->first;
	return input;
}

/* With the mutex held: what can be worked on now, or NULL. */
static struct input *choose(struct distill_worker *worker)
{
	if (worker->frames.first)
		return take_input(&worker->frames);
	if (worker->detections.first &&
	    worker->detections.first->count <= distill_room(worker->distill)) {
		worker->pending -= worker->detections.first->count;
		return take_input(&worker->detections);
	}
	return NULL;
}

static int work(struct distill_worker *worker, struct input *input)
{
	ssize_t count = (ssize_t)input->count;

	if (!input->detections)
		return distill_receive(worker->distill, input->bytes, input->size_bytes);
	if (worker->source.time_is_tag)
		count = align(worker, input->detections, input->count);
	if (count <= 0)
		return (int)count;
	return distill_detections(worker->distill, input->detections, (size_t)count);
}

static void report_failure(struct distill_worker *worker, int result)
{
	struct distill_output *output = output_new(DISTILL_OUTPUT_FAILED, 0);

	if (!output)
		abort(); /* a session that has failed in silence would look like a slow one */
	output->result = result;
	put_output(worker, output);
}

static void *run(void *userdata)
{
	struct distill_worker *worker = userdata;
	bool has_failed = false;

	pthread_mutex_lock(&worker->mutex);
	while (!worker->is_ending) {
		struct input *input = has_failed ? NULL : choose(worker);
		bool had_detections = input && input->detections;
		int r;

		if (!input) {
			pthread_cond_wait(&worker->wake, &worker->mutex);
			continue;
		}
		pthread_mutex_unlock(&worker->mutex);
		r = work(worker, input);
		input_done(worker, input);
		if (r < 0) {
			has_failed = true;
			report_failure(worker, r);
		} else if (had_detections) {
			tell(worker);
		}
		pthread_mutex_lock(&worker->mutex);
	}
	pthread_mutex_unlock(&worker->mutex);
	return NULL;
}

/* Signals are the daemon's loop's. */
static int start_thread(struct distill_worker *worker)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->is_running = r == 0;
	return -r;
}

static void set_alignment(struct distill_worker *worker)
{
	struct align_parameters *p = &worker->align_parameters;

	align_parameters_defaults(p);
	p->period_ps = worker->source.period_ps;
	p->gate_ps = GATE_SHARE * worker->source.period_ps;
	p->pattern = worker->source.sync_word;
	p->pattern_seed = worker->source.sync_seed;
	p->pattern_slots = worker->source.sync_slots;
}

int distill_worker_new(const struct distill_config *config, const struct detection_source *source,
		       struct wegman_carter *authentication, struct distill_worker **ret)
{
	static const struct distill_handler handler = {
		.send = on_send,
		.on_key = on_key,
		.on_report = on_report,
		.on_alarm = on_alarm,
		.random = on_random,
		.cpu_nsec = cpu_nsec,
	};
	_cleanup_(distill_worker_freep) struct distill_worker *worker = calloc(1, sizeof(*worker));
	int r;

	if (!worker)
		return -ENOMEM;
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->wake, NULL);
	worker->frames.last = &worker->frames.first;
	worker->detections.last = &worker->detections.first;
	worker->last_output = &worker->first_output;
	worker->source = *source;
	worker->authentication = authentication;
	set_alignment(worker);
	worker->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->tags = malloc(ALIGN_MAX_TAGS * sizeof(*worker->tags));
	if (worker->fd < 0 || !worker->tags)
		return worker->fd < 0 ? -errno : -ENOMEM;
	r = distill_new(config, &handler, worker, authentication, &worker->distill);
	if (r >= 0)
		r = start_thread(worker);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(worker);
	return 0;
}

static void queue_done(struct input_queue *queue)
{
	while (queue->first)
		input_free(take_input(queue));
}

struct distill_worker *distill_worker_free(struct distill_worker *worker)
{
	struct distill_output *output;

	if (!worker)
		return NULL;
	if (worker->is_running) {
		pthread_mutex_lock(&worker->mutex);
		worker->is_ending = true;
		pthread_cond_signal(&worker->wake);
		pthread_mutex_unlock(&worker->mutex);
		pthread_join(worker->thread, NULL);
	}
	queue_done(&worker->frames);
	queue_done(&worker->detections);
	while (worker->spare) {
		struct input *input = worker->spare;

		worker->spare = input->next;
		input_free(input);
	}
	while ((output = distill_worker_next(worker)) != NULL)
		distill_output_free(output);
	distill_free(worker->distill);
	pthread_cond_destroy(&worker->wake);
	pthread_mutex_destroy(&worker->mutex);
	closep(&worker->fd);
	free(worker->tags);
	free(worker);
	return NULL;
}

/* A buffer for so many detections; there are never more than wait at once. */
static struct input *take_buffer(struct distill_worker *worker)
{
	struct input *input;

	pthread_mutex_lock(&worker->mutex);
	input = worker->spare;
	if (input)
		worker->spare = input->next;
	pthread_mutex_unlock(&worker->mutex);
	if (input)
		return input;
	input = calloc(1, sizeof(*input));
	if (!input)
		return NULL;
	input->detections =
		secret_malloc(DISTILL_WORKER_MAX_DETECTIONS * sizeof(*input->detections));
	if (input->detections)
		return input;
	free(input);
	return NULL;
}

static void put_input(struct distill_worker *worker, struct input_queue *queue, struct input *input)
{
	pthread_mutex_lock(&worker->mutex);
	*queue->last = input;
	queue->last = &input->next;
	worker->pending += input->count;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->mutex);
}

int distill_worker_frame(struct distill_worker *worker, const void *bytes, size_t size_bytes)
{
	struct input *input = malloc(sizeof(*input) + size_bytes);

	if (!input)
		return -ENOMEM;
	*input = (struct input){.size_bytes = size_bytes};
	memcpy(input->bytes, bytes, size_bytes);
	put_input(worker, &worker->frames, input);
	return 0;
}

int distill_worker_detections(struct distill_worker *worker, const struct detection *detections,
			      size_t count)
{
	struct input *input;

	if (count > DISTILL_WORKER_MAX_DETECTIONS)
		return -EINVAL;
	input = take_buffer(worker);
	if (!input)
		return -ENOMEM;
	input->next = NULL;
	input->count = count;
	memcpy(input->detections, detections, count * sizeof(*detections));
	put_input(worker, &worker->detections, input);
	return 0;
}

size_t distill_worker_pending(struct distill_worker *worker)
{
	size_t pending;

	pthread_mutex_lock(&worker->mutex);
	pending = worker->pending;
	pthread_mutex_unlock(&worker->mutex);
	return pending;
}

int distill_worker_fd(const struct distill_worker *worker)
{
	return worker->fd;
}

void distill_worker_clear(struct distill_worker *worker)
{
	uint64_t count;

	if (read(worker->fd, &count, sizeof(count)) < 0)
		return; /* it was not set */
}

struct distill_output *distill_worker_next(struct distill_worker *worker)
{
	struct distill_output *output;

	pthread_mutex_lock(&worker->mutex);
	output = worker->first_output;
	if (output) {
		worker->first_output = output->next;
		if (!worker->first_output)
			worker->last_output = &worker->first_output;
	}
	pthread_mutex_unlock(&worker->mutex);
	return output;
}
