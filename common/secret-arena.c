/* SPDX-License-Identifier: MIT */
/*
 * Small objects, runs of chunks and big mappings in memory that is never swapped, dumped or forked.
 *
 * Why not malloc: JSON and HTTP bodies of both daemons live here, tens of thousands of small
 * objects a second, so a look-up has to be O(1) and a mapping for each object is out of the
 * question. One range of addresses is set aside at the start; the chunk that an address is in
 * gives the entry in a table in ordinary memory that says everything about it:
 *
 *   slab   one chunk of equal slots of a size class, a bit for each free one
 *
 *   run    chunks in a row within a region for one object, kept for reuse, because a page of
 *          secret memory costs the kernel 10 us or more when it is first touched
 *
 *   big    its own mapping, given back to the kernel when released
 *
 * After fork() the child has none of the pages (MADV_DONTFORK). Its table marks them as lost, so
 * that releasing an inherited object does nothing, and it goes on with regions of its own.
 */

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "common/macros.h"
#include "common/secret-arena.h"

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define CHUNK_SHIFT    14
#define CHUNK_BYTES    (1u << CHUNK_SHIFT)
#define PAGE_BYTES     4096u
#define REGION_CHUNKS  32u
#define REGION_BYTES   (REGION_CHUNKS * CHUNK_BYTES)
#define RESERVED_BYTES (1ul << 30)
#define CHUNKS         (RESERVED_BYTES / CHUNK_BYTES)
#define REGIONS        (RESERVED_BYTES / REGION_BYTES)
#define RUN_MAX_BYTES  (REGION_BYTES / 2)
#define GRANULE_BYTES  16u
#define SLOTS_MAX      (CHUNK_BYTES / GRANULE_BYTES)
#define SLOT_MAX_BYTES 4096u
#define NO_CHUNK       UINT32_MAX

enum chunk_kind {
	CHUNK_UNMAPPED,
	CHUNK_FREE, /* in a region, zero, for a slab or a run */
	CHUNK_SLAB,
	CHUNK_RUN,
	CHUNK_BIG,
	CHUNK_INSIDE, /* not the first of its run or mapping */
	CHUNK_LOST,   /* the parent's, before fork() */
};

struct chunk {
	uint8_t kind, class;
	uint16_t free_words; /* which words of free_bits are not zero */
	uint32_t free_slots;
	uint32_t previous, next; /* slabs of the class that have a free slot */
	size_t size_bytes;       /* of a run's or mapping's object, whole pages */
	uint64_t free_bits[SLOTS_MAX / 64];
};

static const uint16_t class_bytes[] = {
	16,   32,   48,   64,   80,
	96,   112,  128,  160,  192,
	224,  256,  320,  384,  448,
	512,  640,  768,  896,  1024,
	1280, 1632, 2048, 2720, SLOT_MAX_BYTES,
};

static struct {
	pthread_mutex_t mutex;
	uint8_t *base;
	bool is_ready, is_memfd;
	uint32_t used_regions; /* of the range, from its start */
	uint32_t with_room[ELEMENTSOF(class_bytes)];
	uint8_t class_of[SLOT_MAX_BYTES / GRANULE_BYTES + 1];
	uint32_t reciprocal[ELEMENTSOF(class_bytes)]; /* 2^32 / class size, rounded up */
	uint32_t free_chunks[REGIONS];                /* a bit for each */
} arena = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Apart, so that only the pages of chunks in use are ever touched. */
static struct chunk chunks[CHUNKS];

static uint32_t chunk_of(const void *pointer)
{
	return (uint32_t)(((const uint8_t *)pointer - arena.base) >> CHUNK_SHIFT);
}

static uint8_t *chunk_start(uint32_t chunk)
{
	return arena.base + ((size_t)chunk << CHUNK_SHIFT);
}

/*
 * The kernel
 */

static int map_memfd(void *address, size_t size_bytes)
{
	_cleanup_(closep) int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size_bytes) < 0)
		return -errno;
	if (mmap(address, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED)
		return -errno;
	return 0;
}

static int map_locked(void *address, size_t size_bytes)
{
	if (mmap(address, size_bytes, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	if (mlock2(address, size_bytes, MLOCK_ONFAULT) < 0)
		return -errno;
	return 0;
}

static void unmap(uint32_t chunk, size_t size_bytes)
{
	(void)mmap(chunk_start(chunk), size_bytes, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static int map_protected(uint32_t chunk, size_t size_bytes)
{
	void *address = chunk_start(chunk);
	int r = arena.is_memfd ? map_memfd(address, size_bytes) : map_locked(address, size_bytes);

	if (r >= 0 && (madvise(address, size_bytes, MADV_DONTDUMP) < 0 ||
		       madvise(address, size_bytes, MADV_DONTFORK) < 0))
		r = -errno;
	if (r < 0)
		unmap(chunk, size_bytes);
	return r;
}

/*
 * Start and fork
 */

static void forget_slabs(void)
{
	memset(arena.free_chunks, 0, arena.used_regions * sizeof(arena.free_chunks[0]));
	for (size_t i = 0; i < ELEMENTSOF(arena.with_room); i++)
		arena.with_room[i] = NO_CHUNK;
}

static void before_fork(void)
{
	pthread_mutex_lock(&arena.mutex);
}

static void after_fork_in_parent(void)
{
	pthread_mutex_unlock(&arena.mutex);
}

static void after_fork_in_child(void)
{
	size_t used = arena.used_regions * (size_t)REGION_CHUNKS;

	for (size_t i = 0; i < used; i++)
		chunks[i].kind = CHUNK_LOST;
	if (used > 0)
		unmap(0, used * CHUNK_BYTES);
	forget_slabs();
	pthread_mutex_unlock(&arena.mutex);
}

static void fill_class_tables(void)
{
	size_t class = 0;

	for (size_t granules = 0; granules < ELEMENTSOF(arena.class_of); granules++) {
		if (granules * GRANULE_BYTES > class_bytes[class])
			class ++;
		arena.class_of[granules] = (uint8_t) class;
	}
	for (size_t i = 0; i < ELEMENTSOF(class_bytes); i++)
		arena.reciprocal[i] = (uint32_t)((UINT64_C(1) << 32) / class_bytes[i] +
						 ((UINT64_C(1) << 32) % class_bytes[i] != 0));
}

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
void __lsan_register_root_region(const void *begin, size_t size_bytes);
#define register_root_region(begin, size_bytes) __lsan_register_root_region(begin, size_bytes)
#else
#define register_root_region(begin, size_bytes) ((void)0)
#endif

static int set_up(void)
{
	int fd;

	arena.base = mmap(NULL, RESERVED_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena.base == MAP_FAILED)
		return -ENOMEM;
	fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	arena.is_memfd = fd >= 0;
	closep(&fd);
	fill_class_tables();
	forget_slabs();
	/* libcurl keeps pointers to ordinary memory in here. */
	register_root_region(arena.base, RESERVED_BYTES);
	if (pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) != 0)
		return -ENOMEM;
	arena.is_ready = true;
	return 0;
}

/*
 * Regions and runs of chunks
 */

/* Finds count regions of addresses in a row that nothing is mapped in. */
static int find_regions(uint32_t count, uint32_t *ret_first)
{
	uint32_t found = 0;

	for (uint32_t region = 0; region < REGIONS; region++) {
		found = chunks[region * REGION_CHUNKS].kind == CHUNK_UNMAPPED ? found + 1 : 0;
		if (found < count)
			continue;
		*ret_first = region + 1 - count;
		arena.used_regions = MAX(arena.used_regions, region + 1);
		return 0;
	}
	return -ENOMEM;
}

static int add_region(void)
{
	uint32_t region, first;
	int r;

	r = find_regions(1, &region);
	if (r < 0)
		return r;
	first = region * REGION_CHUNKS;
	r = map_protected(first, REGION_BYTES);
	if (r < 0)
		return r;
	for (uint32_t i = first; i < first + REGION_CHUNKS; i++)
		chunks[i].kind = CHUNK_FREE;
	arena.free_chunks[region] = UINT32_MAX;
	return 0;
}

static uint32_t find_run(uint32_t count)
{
	for (uint32_t region = 0; region < arena.used_regions; region++) {
		uint32_t starts = arena.free_chunks[region];

		for (uint32_t i = 1; i < count; i++)
			starts &= arena.free_chunks[region] >> i;
		if (starts != 0)
			return region * REGION_CHUNKS + (uint32_t)__builtin_ctz(starts);
	}
	return NO_CHUNK;
}

static void occupy(uint32_t first, uint32_t count, enum chunk_kind kind, size_t size_bytes)
{
	chunks[first].kind = (uint8_t)kind;
	chunks[first].size_bytes = size_bytes;
	for (uint32_t i = first + 1; i < first + count; i++)
		chunks[i].kind = CHUNK_INSIDE;
}

static uint32_t chunks_for(size_t size_bytes)
{
	return (uint32_t)((size_bytes + CHUNK_BYTES - 1) >> CHUNK_SHIFT);
}

static uint32_t run_mask(uint32_t first, uint32_t count)
{
	return ((1u << count) - 1) << (first % REGION_CHUNKS);
}

static uint32_t take_run(uint32_t count, enum chunk_kind kind, size_t size_bytes)
{
	uint32_t first = find_run(count);

	if (first == NO_CHUNK) {
		if (add_region() < 0)
			return NO_CHUNK;
		first = find_run(count);
	}
	occupy(first, count, kind, size_bytes);
	arena.free_chunks[first / REGION_CHUNKS] &= ~run_mask(first, count);
	return first;
}

static void give_run(uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++)
		chunks[i].kind = CHUNK_FREE;
	arena.free_chunks[first / REGION_CHUNKS] |= run_mask(first, count);
}

static void *allocate_big(size_t size_bytes)
{
	uint32_t regions = (uint32_t)((size_bytes + REGION_BYTES - 1) / REGION_BYTES), first;

	if (find_regions(regions, &first) < 0)
		return NULL;
	first *= REGION_CHUNKS;
	if (map_protected(first, (size_t)chunks_for(size_bytes) * CHUNK_BYTES) < 0)
		return NULL;
	occupy(first, regions * REGION_CHUNKS, CHUNK_BIG, size_bytes);
	return chunk_start(first);
}

static void release_big(uint32_t first)
{
	uint32_t count = chunks_for(chunks[first].size_bytes);
	uint32_t regions = (count + REGION_CHUNKS - 1) / REGION_CHUNKS;

	/* A memfd's pages the kernel wipes itself, those that were never touched at no cost. */
	if (!arena.is_memfd)
		explicit_bzero(chunk_start(first), chunks[first].size_bytes);
	unmap(first, (size_t)count * CHUNK_BYTES);
	for (uint32_t i = first; i < first + regions * REGION_CHUNKS; i++)
		chunks[i].kind = CHUNK_UNMAPPED;
}

/*
 * Slabs
 */

static void list_add(uint32_t index)
{
	struct chunk *chunk = &chunks[index];
	uint32_t *head = &arena.with_room[chunk->class];

	chunk->previous = NO_CHUNK;
	chunk->next = *head;
	if (*head != NO_CHUNK)
		chunks[*head].previous = index;
	*head = index;
}

static void list_remove(uint32_t index)
{
	struct chunk *chunk = &chunks[index];

	if (chunk->previous == NO_CHUNK)
		arena.with_room[chunk->class] = chunk->next;
	else
		chunks[chunk->previous].next = chunk->next;
	if (chunk->next != NO_CHUNK)
		chunks[chunk->next].previous = chunk->previous;
}

static int add_slab(uint8_t class)
{
	uint32_t index = take_run(1, CHUNK_SLAB, 0), slots = CHUNK_BYTES / class_bytes[class];
	struct chunk *chunk;

	if (index == NO_CHUNK)
		return -ENOMEM;
	chunk = &chunks[index];
	chunk->class = class;
	chunk->free_slots = slots;
	chunk->free_words = 0;
	for (uint32_t word = 0; word < ELEMENTSOF(chunk->free_bits); word++) {
		uint32_t left = slots > word * 64 ? slots - word * 64 : 0;

		chunk->free_bits[word] = left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
		if (left > 0)
			chunk->free_words |= (uint16_t)(1u << word);
	}
	list_add(index);
	return 0;
}

static void *allocate_slot(uint8_t class)
{
	struct chunk *chunk;
	uint32_t index, word, bit;

	if (arena.with_room[class] == NO_CHUNK && add_slab(class) < 0)
		return NULL;
	index = arena.with_room[class];
	chunk = &chunks[index];
	word = (uint32_t)__builtin_ctz(chunk->free_words);
	bit = (uint32_t)__builtin_ctzll(chunk->free_bits[word]);
	chunk->free_bits[word] &= chunk->free_bits[word] - 1;
	if (chunk->free_bits[word] == 0)
		chunk->free_words &= (uint16_t) ~(1u << word);
	if (--chunk->free_slots == 0)
		list_remove(index);
	return chunk_start(index) + (size_t)(word * 64 + bit) * class_bytes[class];
}

static void release_slot(uint32_t index, uint8_t *pointer)
{
	struct chunk *chunk = &chunks[index];
	uint8_t class = chunk->class;
	uint32_t offset = (uint32_t)(pointer - chunk_start(index));
	uint32_t slot = (uint32_t)(((uint64_t)offset * arena.reciprocal[class]) >> 32);
	uint64_t bit = UINT64_C(1) << (slot % 64);

	/* Released twice, or not an address that we gave out: our bug, and keys are at stake. */
	if (slot * class_bytes[class] != offset || (chunk->free_bits[slot / 64] & bit) != 0)
		abort();
	explicit_bzero(pointer, class_bytes[class]);
	chunk->free_bits[slot / 64] |= bit;
	chunk->free_words |= (uint16_t)(1u << (slot / 64));
	if (++chunk->free_slots == 1)
		list_add(index);
	/* One empty slab of a class stays, so that a lone object coming and going costs nothing. */
	if (chunk->free_slots < CHUNK_BYTES / class_bytes[class] ||
	    (chunk->previous == NO_CHUNK && chunk->next == NO_CHUNK))
		return;
	list_remove(index);
	give_run(index, 1);
}

/*
 * What callers see
 */

static void *allocate(size_t size_bytes)
{
	uint32_t first;

	if (!arena.is_ready && set_up() < 0)
		return NULL;
	if (size_bytes <= SLOT_MAX_BYTES)
		return allocate_slot(
			arena.class_of[(size_bytes + GRANULE_BYTES - 1) / GRANULE_BYTES]);
	size_bytes = (size_bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	if (size_bytes > RUN_MAX_BYTES)
		return size_bytes <= RESERVED_BYTES / 2 ? allocate_big(size_bytes) : NULL;
	first = take_run(chunks_for(size_bytes), CHUNK_RUN, size_bytes);
	return first == NO_CHUNK ? NULL : chunk_start(first);
}

void *secret_arena_allocate(size_t size_bytes)
{
	void *pointer;

	pthread_mutex_lock(&arena.mutex);
	pointer = allocate(size_bytes);
	pthread_mutex_unlock(&arena.mutex);
	return pointer;
}

static void release(uint8_t *pointer)
{
	uint32_t index = chunk_of(pointer);

	switch ((enum chunk_kind)chunks[index].kind) {
	case CHUNK_SLAB:
		release_slot(index, pointer);
		return;
	case CHUNK_RUN:
		explicit_bzero(pointer, chunks[index].size_bytes);
		give_run(index, chunks_for(chunks[index].size_bytes));
		return;
	case CHUNK_BIG:
		release_big(index);
		return;
	case CHUNK_LOST:
		return;
	case CHUNK_UNMAPPED:
	case CHUNK_FREE:
	case CHUNK_INSIDE:
		abort();
	}
}

void secret_arena_release(void *pointer)
{
	uintptr_t offset = (uintptr_t)pointer - (uintptr_t)arena.base;

	if (offset >= RESERVED_BYTES)
		abort();
	pthread_mutex_lock(&arena.mutex);
	release(pointer);
	pthread_mutex_unlock(&arena.mutex);
}

size_t secret_arena_usable(const void *pointer)
{
	const struct chunk *chunk = &chunks[chunk_of(pointer)];

	/* No lock: the entry of an object that lives does not change. */
	switch ((enum chunk_kind)chunk->kind) {
	case CHUNK_SLAB:
		return class_bytes[chunk->class];
	case CHUNK_RUN:
	case CHUNK_BIG:
		return chunk->size_bytes;
	case CHUNK_UNMAPPED:
	case CHUNK_FREE:
	case CHUNK_INSIDE:
	case CHUNK_LOST:
		break;
	}
	return 0;
}

bool secret_arena_is_memfd(void)
{
	bool is_memfd;

	pthread_mutex_lock(&arena.mutex);
	is_memfd = (arena.is_ready || set_up() >= 0) && arena.is_memfd;
	pthread_mutex_unlock(&arena.mutex);
	return is_memfd;
}
