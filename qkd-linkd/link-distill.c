/* SPDX-License-Identifier: MIT */
/*
 * Distillation for one link: hello, the worker's queues, the authentication key's file, and the
 * stock of keys.
 */

#include "qkd-linkd/link-distill.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include "qkd-linkd/distill-stock.h"
#include "qkd-linkd/distill-worker.h"

#define STATE_NAME      "authentication"
#define STATE_NEW_NAME  "authentication.new"
#define STATE_MAX_BYTES (1u << 20)
#define HELLO_TYPE      0xf0 /* no type of block-wire.h */
#define HELLO_VERSION   1
#define HELLO_BYTES     (4 + 8 + 3 * 8 + 4)

struct link_distill {
	sd_event *event;
	struct link_distill_handler handler;
	void *userdata;
	struct distill_config config;
	struct detection_source source;
	struct storage *storage;
	struct wegman_carter *authentication;
	struct distill_stock *stock;
	struct distill_worker *worker;
	sd_event_source *io;
	bool has_said_hello, has_heard_hello;
	uint64_t nonce, peer_nonce, session;
	struct wegman_carter_position peer_position;
	uint32_t newest_block; /* released in this session */
	bool has_released;
};

/* The authentication key's file */

static int write_state(struct link_distill *distill, const struct secret *state)
{
	struct storage *storage = distill->storage;
	int file = storage->ops->open(storage, STATE_NEW_NAME, STORAGE_WRITE | STORAGE_CREATE), r;

	if (file < 0)
		return file;
	r = storage->ops->truncate(storage, file, 0);
	if (r >= 0)
		r = storage->ops->write_at(storage, file, state->bytes, state->size_bytes, 0);
	if (r >= 0)
		r = storage->ops->sync(storage, file);
	storage->ops->close(storage, file);
	if (r >= 0)
		r = storage->ops->rename(storage, STATE_NEW_NAME, STATE_NAME);
	return r < 0 ? r : storage->ops->sync_directory(storage, ".");
}

static int save_state(struct link_distill *distill, uint64_t margin)
{
	_cleanup_(secret_freep) struct secret *state = NULL;
	int r = wegman_carter_save(distill->authentication, margin, &state);

	return r < 0 ? r : write_state(distill, state);
}

static int load_state(struct link_distill *distill)
{
	_cleanup_(secret_freep) struct secret *state = NULL;
	struct storage *storage = distill->storage;
	int file = storage->ops->open(storage, STATE_NAME, STORAGE_READ), r;
	uint64_t size;

	if (file < 0)
		return file;
	r = storage->ops->size(storage, file, &size);
	if (r >= 0 && (size == 0 || size > STATE_MAX_BYTES))
		r = -EBADMSG;
	if (r >= 0)
		r = secret_new(size, &state);
	if (r >= 0 && storage->ops->read_at(storage, file, state->bytes, size, 0) != (ssize_t)size)
		r = -EIO;
	storage->ops->close(storage, file);
	return r < 0 ? r
		     : wegman_carter_load(gf128_kernel(), distill->config.role, state,
					  &distill->authentication);
}

static int load_provisioned(struct link_distill *distill, const char *path)
{
	_cleanup_(secret_freep) struct secret *buffer = NULL, *secret = NULL;
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	int r;

	if (fd < 0)
		return -errno;
	r = secret_new(STATE_MAX_BYTES, &buffer);
	if (r < 0)
		return r;
	n = read(fd, buffer->bytes, buffer->size_bytes);
	if (n <= 0)
		return n < 0 ? -errno : -EINVAL;
	r = secret_new_copy(buffer->bytes, (size_t)n, &secret);
	return r < 0 ? r
		     : wegman_carter_new(gf128_kernel(), distill->config.role, secret,
					 &distill->authentication);
}

/* Beginning and end */

static void fill_config(struct distill_config *config, const struct link_distill_settings *settings)
{
	const struct detection_source *source = &settings->source;

	distill_config_defaults(config);
	config->role = source->transmits ? WEGMAN_CARTER_ALICE : WEGMAN_CARTER_BOB;
	config->bound = source->intensity_count == 2 ? DISTILL_BOUND_WIESEMANN : DISTILL_BOUND_LIM;
	config->source.intensity_count = source->intensity_count;
	memcpy(config->source.mean_photons, source->mean_photons, sizeof(source->mean_photons));
	memcpy(config->source.probability, source->probability, sizeof(source->probability));
	config->block_frames = settings->block_frames;
	config->window = settings->window;
	config->count_both_directions = settings->count_both_directions;
}

int link_distill_new(sd_event *event, const struct link_distill_settings *settings,
		     const struct link_distill_handler *handler, void *userdata,
		     struct link_distill **ret)
{
	_cleanup_(link_distill_freep) struct link_distill *distill = calloc(1, sizeof(*distill));
	int r;

	if (!distill)
		return -ENOMEM;
	distill->event = sd_event_ref(event);
	distill->handler = *handler;
	distill->userdata = userdata;
	distill->storage = settings->storage;
	distill->source = settings->source;
	fill_config(&distill->config, settings);
	if (distill_config_fault(&distill->config))
		return -EINVAL;
	r = distill_stock_new(settings->key_bits / 8, &distill->stock);
	if (r >= 0)
		r = load_state(distill);
	if (r == -ENOENT)
		r = load_provisioned(distill, settings->secret_path);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(distill);
	return 0;
}

struct link_distill *link_distill_free(struct link_distill *distill)
{
	if (!distill)
		return NULL;
	link_distill_end(distill);
	distill_stock_free(distill->stock);
	wegman_carter_free(distill->authentication);
	sd_event_unref(distill->event);
	free(distill);
	return NULL;
}

void link_distill_end(struct link_distill *distill)
{
	distill->io = sd_event_source_disable_unref(distill->io);
	if (distill->worker) {
		distill->worker = distill_worker_free(distill->worker);
		/* No more tags, so none has to be given up for a crash. If this fails, the state on
		 * disk gives some up. */
		(void)save_state(distill, 0);
	}
	distill->has_said_hello = distill->has_heard_hello = distill->has_released = false;
}

bool link_distill_is_begun(const struct link_distill *distill)
{
	return distill->worker != NULL;
}

static void fail(struct link_distill *distill, int result, const char *reason)
{
	link_distill_end(distill);
	distill->handler.on_failed(result, reason, distill->userdata);
}

/* The worker's output */

static const char *failure_reason(int result)
{
	switch (result) {
	case -EKEYREJECTED:
		return "the authentication of the classical channel failed";
	case -ENODATA:
		return "the receiver's clock could not be aligned";
	case -EBADMSG:
		return "the other end violates the distillation protocol";
	default:
		return strerror(-result);
	}
}

static int add_key(struct link_distill *distill, struct distill_output *output)
{
	int r = distill_stock_add(distill->stock, distill->session, output->block,
				  TAKE_PTR(output->key));

	if (r < 0)
		return r;
	distill->newest_block = MAX(distill->newest_block, output->block);
	distill->has_released = true;
	return 0;
}

/* False: the session has ended in it. */
static bool handle_output(struct link_distill *distill, struct distill_output *output)
{
	int r = 0;

	switch (output->kind) {
	case DISTILL_OUTPUT_FRAME:
		r = distill->handler.send(output->bytes, output->size_bytes, distill->userdata);
		break;
	case DISTILL_OUTPUT_KEY:
		r = add_key(distill, output);
		break;
	case DISTILL_OUTPUT_STATE:
		r = write_state(distill, output->key);
		break;
	case DISTILL_OUTPUT_REPORT:
		distill->handler.on_report(&output->report, distill->userdata);
		break;
	case DISTILL_OUTPUT_ALARM:
		distill->handler.on_alarm(output->raised, distill->userdata);
		break;
	case DISTILL_OUTPUT_FAILED:
		r = output->result;
		break;
	}
	if (r < 0)
		fail(distill, r, failure_reason(r));
	return r >= 0;
}

static int on_worker(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct link_distill *distill = userdata;
	struct distill_output *next;
	bool had_keys = false;

	distill_worker_clear(distill->worker);
	while (distill->worker && (next = distill_worker_next(distill->worker)) != NULL) {
		_cleanup_(distill_output_freep) struct distill_output *output = next;

		had_keys |= output->kind == DISTILL_OUTPUT_KEY;
		if (!handle_output(distill, output))
			return 0;
	}
	if (had_keys)
		distill->handler.on_keys(distill->userdata);
	if (distill->worker)
		distill->handler.on_room(distill->userdata);
	return 0;
}

/* Hello */

static int start_worker(struct link_distill *distill)
{
	int r;

	if (!distill->has_said_hello || !distill->has_heard_hello)
		return 0;
	r = wegman_carter_resume(distill->authentication, &distill->peer_position);
	if (r >= 0)
		r = save_state(distill, DISTILL_WORKER_TAG_MARGIN);
	if (r >= 0)
		r = distill_worker_new(&distill->config, &distill->source, distill->authentication,
				       &distill->worker);
	if (r >= 0)
		r = sd_event_add_io(distill->event, &distill->io,
				    distill_worker_fd(distill->worker), EPOLLIN, on_worker,
				    distill);
	if (r < 0) {
		fail(distill, r,
		     r == -ESTALE ? "no authentication key is left: provision a new secret"
				  : strerror(-r));
		return 0;
	}
	distill->session = distill->nonce ^ distill->peer_nonce;
	distill->newest_block = 0;
	distill->handler.on_room(distill->userdata);
	return 0;
}

int link_distill_begin(struct link_distill *distill)
{
	uint8_t hello[HELLO_BYTES] = {HELLO_TYPE, HELLO_VERSION, (uint8_t)distill->config.role};
	struct wegman_carter_position position;
	int r;

	if (distill->has_said_hello)
		return 0;
	if (getrandom(&distill->nonce, sizeof(distill->nonce), 0) != sizeof(distill->nonce))
		return -EIO;
	wegman_carter_position(distill->authentication, &position);
	block_wire_put64(hello + 4, distill->nonce);
	block_wire_put64(hello + 12, position.next[0]);
	block_wire_put64(hello + 20, position.next[1]);
	block_wire_put64(hello + 28, position.end);
	block_wire_put32(hello + 36, distill->config.block_frames);
	r = distill->handler.send(hello, sizeof(hello), distill->userdata);
	if (r < 0)
		return r;
	distill->has_said_hello = true;
	return start_worker(distill);
}

static int on_hello(struct link_distill *distill, const uint8_t *hello, size_t size_bytes)
{
	if (size_bytes != HELLO_BYTES || hello[1] != HELLO_VERSION || distill->has_heard_hello)
		return -EBADMSG;
	if (hello[2] == distill->config.role ||
	    block_wire_get32(hello + 36) != distill->config.block_frames) {
		fail(distill, -EINVAL, "the two ends are configured differently");
		return 0;
	}
	distill->peer_nonce = block_wire_get64(hello + 4);
	distill->peer_position.next[0] = block_wire_get64(hello + 12);
	distill->peer_position.next[1] = block_wire_get64(hello + 20);
	distill->peer_position.end = block_wire_get64(hello + 28);
	distill->has_heard_hello = true;
	return start_worker(distill);
}

int link_distill_receive(struct link_distill *distill, const uint8_t *bytes, size_t size_bytes)
{
	if (size_bytes > 0 && bytes[0] == HELLO_TYPE)
		return on_hello(distill, bytes, size_bytes);
	if (!distill->worker)
		return -EBADMSG;
	return distill_worker_frame(distill->worker, bytes, size_bytes);
}

/* Light and keys */

size_t link_distill_room(const struct link_distill *distill)
{
	size_t pending;

	if (!distill->worker || distill_stock_bytes(distill->stock) > LINK_DISTILL_STOCK_BYTES)
		return 0;
	pending = distill_worker_pending(distill->worker);
	return pending < LINK_DISTILL_PENDING_INPUT ? LINK_DISTILL_PENDING_INPUT - pending : 0;
}

int link_distill_detections(struct link_distill *distill, const struct detection *detections,
			    size_t count)
{
	if (!distill->worker)
		return -ENOTCONN;
	return distill_worker_detections(distill->worker, detections, count);
}

bool link_distill_has_keys(const struct link_distill *distill)
{
	return distill_stock_bytes(distill->stock) > 0;
}

int link_distill_take(struct link_distill *distill, size_t count, struct key_batch **ret)
{
	return distill_stock_take(distill->stock, count, ret);
}

/* This end may release a block later than the other. */
static bool may_come(const struct link_distill *distill, const struct uuid *id)
{
	uint64_t session;
	uint32_t block;

	if (!distill->worker || !distill_stock_parse_id(id, &session, &block))
		return false;
	return ((session ^ distill->session) & UINT64_C(0xffffffffffff0fff)) == 0 &&
	       (!distill->has_released || block > distill->newest_block);
}

int link_distill_take_by_id(struct link_distill *distill, const struct uuid *ids, size_t count,
			    struct key_batch **ret)
{
	int r = distill_stock_take_by_id(distill->stock, ids, count, ret);

	for (size_t i = 0; r == -ENOKEY && i < count; i++)
		if (may_come(distill, &ids[i]))
			return -EAGAIN;
	return r;
}
