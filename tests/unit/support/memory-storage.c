/* SPDX-License-Identifier: MIT */
/*
 * The disk in memory: names, handles, faults. Each directory's operations are kept until it is
 * synced; what a crash leaves of a file is memory-inode.c's.
 */

#include "tests/unit/support/memory-inode.h"
#include "tests/unit/support/memory-names.h"

struct handle {
	int inode; /* -1: closed */
	bool is_writable;
};

struct memory_storage {
	struct storage base;
	struct memory_inode inodes[MEMORY_STORAGE_INODES];
	struct memory_names names;
	struct handle handles[MEMORY_STORAGE_HANDLES];
	uint64_t operations, syncs, capacity;
	uint64_t fail_at, off_at; /* UINT64_MAX: never */
	int fail_error;
	bool is_off, syncs_fail;
};

static struct memory_storage *of(struct storage *storage)
{
	return CONTAINER_OF(storage, struct memory_storage, base);
}

/*
 * Faults
 */

enum fault {
	FAULT_NONE,
	FAULT_ERROR, /* nothing happens but the error */
	FAULT_POWER, /* it happens, nobody is told, and it is the last */
};

static enum fault next_fault(struct memory_storage *memory, int *ret_error)
{
	uint64_t n = memory->operations++;

	*ret_error = -EIO;
	if (memory->is_off)
		return FAULT_ERROR;
	if (n == memory->off_at) {
		memory->is_off = true;
		return FAULT_POWER;
	}
	if (n != memory->fail_at)
		return FAULT_NONE;
	*ret_error = memory->fail_error;
	return FAULT_ERROR;
}

/* In front of what an operation does: answers for one that fails or is the last one. */
#define RETURN_ON_FAULT(memory, operation)                       \
	({                                                       \
		int error_;                                      \
		enum fault fault_ = next_fault(memory, &error_); \
		if (fault_ == FAULT_POWER)                       \
			(void)(operation);                       \
		if (fault_ != FAULT_NONE)                        \
			return error_;                           \
	})

/*
 * Names
 */

static bool parent_exists(const struct memory_storage *memory, const char *name)
{
	char parent[MEMORY_STORAGE_NAME_MAX];
	const char *slash = strchr(name, '/');
	int inode;

	if (!slash)
		return true;
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
	inode = memory_names_find(&memory->names, parent);
	return inode >= 0 && memory->inodes[inode].is_directory;
}

static int check_name(const struct memory_storage *memory, const char *name)
{
	const char *slash = strchr(name, '/');

	if (name[0] == '\0' || name[0] == '.' || slash == name ||
	    strlen(name) >= MEMORY_STORAGE_NAME_MAX ||
	    (slash && (slash[1] == '\0' || slash[1] == '.' || strchr(slash + 1, '/'))))
		return -EINVAL;
	return parent_exists(memory, name) ? 0 : -ENOENT;
}

/*
 * Inodes
 */

static bool is_referenced(const struct memory_storage *memory, int inode)
{
	for (size_t i = 0; i < MEMORY_STORAGE_HANDLES; i++)
		if (memory->handles[i].inode == inode)
			return true;
	return memory_names_refer_to(&memory->names, inode);
}

static int take_inode(struct memory_storage *memory, bool is_directory)
{
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++) {
		struct memory_inode *inode = &memory->inodes[i];

		if (inode->is_used && is_referenced(memory, i))
			continue;
		memory_inode_empty(inode);
		inode->is_used = true;
		inode->is_directory = is_directory;
		return i;
	}
	abort();
}

/*
 * Crashes
 */

void memory_storage_crash(struct memory_storage *memory, enum memory_crash crash,
			  memory_choose_t choose, void *userdata)
{
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++)
		if (memory->inodes[i].is_used)
			memory_inode_crash(&memory->inodes[i], crash, choose, userdata);
	if (crash != MEMORY_CRASH_PROCESS)
		memory_names_crash(&memory->names, crash, choose, userdata);
	for (size_t i = 0; i < MEMORY_STORAGE_HANDLES; i++)
		memory->handles[i].inode = -1;
	memory_storage_power_on(memory);
}

/*
 * The operations
 */

static int open_handle(struct memory_storage *memory, int inode, bool is_writable)
{
	for (int i = 0; i < MEMORY_STORAGE_HANDLES; i++)
		if (memory->handles[i].inode < 0) {
			memory->handles[i] = (struct handle){inode, is_writable};
			return i;
		}
	abort();
}

static struct memory_inode *handle_inode(struct memory_storage *memory, int file)
{
	if (file < 0 || file >= MEMORY_STORAGE_HANDLES || memory->handles[file].inode < 0)
		abort(); /* the code under test uses a file that it has closed */
	return &memory->inodes[memory->handles[file].inode];
}

static int make_inode(struct memory_storage *memory, const char *name, bool is_directory)
{
	int inode = take_inode(memory, is_directory);

	memory_names_note(&memory->names, "", name, inode);
	return inode;
}

static int memory_open(struct storage *storage, const char *name, int flags)
{
	struct memory_storage *memory = of(storage);
	bool is_create = flags & STORAGE_WRITE && flags & STORAGE_CREATE;
	int inode, r;

	r = check_name(memory, name);
	if (r < 0)
		return r;
	inode = memory_names_find(&memory->names, name);
	if (inode < 0 && !is_create)
		return -ENOENT;
	if (inode >= 0 && is_create && flags & STORAGE_EXCLUSIVE)
		return -EEXIST;
	if (inode >= 0 && memory->inodes[inode].is_directory)
		return -EISDIR;
	RETURN_ON_FAULT(memory, inode < 0 ? make_inode(memory, name, false) : 0);
	if (inode < 0)
		inode = make_inode(memory, name, false);
	return open_handle(memory, inode, flags & STORAGE_WRITE);
}

static void memory_close(struct storage *storage, int file)
{
	(void)handle_inode(of(storage), file);
	of(storage)->handles[file].inode = -1;
}

static ssize_t memory_read_at(struct storage *storage, int file, void *data, size_t size,
			      uint64_t offset)
{
	const struct memory_inode *inode = handle_inode(of(storage), file);

	if (of(storage)->is_off)
		return -EIO;
	if (offset >= inode->size)
		return 0;
	size = (size_t)MIN((uint64_t)size, inode->size - offset);
	memcpy(data, inode->bytes + offset, size);
	return (ssize_t)size;
}

static int check_space(const struct memory_storage *memory, const struct memory_inode *inode,
		       uint64_t end)
{
	uint64_t held = MAX(inode->size, inode->reserved);

	if (memory->capacity == UINT64_MAX || end <= held)
		return 0;
	return memory_storage_used(memory) - held + end > memory->capacity ? -ENOSPC : 0;
}

static int memory_write_at(struct storage *storage, int file, const void *data, size_t size,
			   uint64_t offset)
{
	struct memory_storage *memory = of(storage);
	struct memory_inode *inode = handle_inode(memory, file);
	int r;

	if (!memory->handles[file].is_writable)
		return -EBADF;
	RETURN_ON_FAULT(memory, (memory_inode_write(inode, data, size, offset), 0));
	r = check_space(memory, inode, offset + size);
	if (r < 0)
		return r;
	memory_inode_write(inode, data, size, offset);
	return 0;
}

static int memory_reserve(struct storage *storage, int file, uint64_t offset, uint64_t size)
{
	struct memory_storage *memory = of(storage);
	struct memory_inode *inode = handle_inode(memory, file);
	int r;

	RETURN_ON_FAULT(memory, 0);
	r = check_space(memory, inode, offset + size);
	if (r < 0)
		return r;
	inode->reserved = MAX(inode->reserved, offset + size);
	return 0;
}

static int memory_truncate(struct storage *storage, int file, uint64_t size)
{
	struct memory_storage *memory = of(storage);
	struct memory_inode *inode = handle_inode(memory, file);

	if (!memory->handles[file].is_writable)
		return -EINVAL;
	RETURN_ON_FAULT(memory, (memory_inode_truncate(inode, size), 0));
	memory_inode_truncate(inode, size);
	return 0;
}

static int memory_sync(struct storage *storage, int file)
{
	struct memory_storage *memory = of(storage);
	struct memory_inode *inode = handle_inode(memory, file);
	int error;

	memory->syncs++;
	switch (next_fault(memory, &error)) {
	case FAULT_NONE:
		break;
	case FAULT_ERROR:
		inode->is_sync_lost |= !memory->is_off;
		return error;
	case FAULT_POWER: /* some of it may have been written: the crash decides */
		return error;
	}
	if (memory->syncs_fail) {
		inode->is_sync_lost = true;
		return -EIO;
	}
	memory_inode_sync(inode);
	return 0;
}

static int memory_size(struct storage *storage, int file, uint64_t *ret_bytes)
{
	*ret_bytes = handle_inode(of(storage), file)->size;
	return 0;
}

static int memory_rename(struct storage *storage, const char *from, const char *to)
{
	struct memory_storage *memory = of(storage);
	int inode, r;

	r = check_name(memory, from);
	if (r == 0)
		r = check_name(memory, to);
	if (r < 0)
		return r;
	inode = memory_names_find(&memory->names, from);
	if (inode < 0)
		return -ENOENT;
	RETURN_ON_FAULT(memory, (memory_names_note(&memory->names, from, to, inode), 0));
	memory_names_note(&memory->names, from, to, inode);
	return 0;
}

static bool is_empty(const struct memory_storage *memory, const char *directory)
{
	for (size_t i = 0; i < memory->names.current.count; i++)
		if (memory_names_is_in(memory->names.current.entries[i].text, directory))
			return false;
	return true;
}

static int memory_remove(struct storage *storage, const char *name)
{
	struct memory_storage *memory = of(storage);
	int inode, r;

	r = check_name(memory, name);
	if (r < 0)
		return r;
	inode = memory_names_find(&memory->names, name);
	if (inode < 0)
		return -ENOENT;
	if (memory->inodes[inode].is_directory && !is_empty(memory, name))
		return -ENOTEMPTY;
	RETURN_ON_FAULT(memory, (memory_names_note(&memory->names, name, "", inode), 0));
	memory_names_note(&memory->names, name, "", inode);
	return 0;
}

static int memory_make_directory(struct storage *storage, const char *name)
{
	struct memory_storage *memory = of(storage);
	int r;

	r = check_name(memory, name);
	if (r < 0)
		return r;
	if (memory_names_find(&memory->names, name) >= 0)
		return -EEXIST;
	RETURN_ON_FAULT(memory, make_inode(memory, name, true));
	make_inode(memory, name, true);
	return 0;
}

static int memory_sync_directory(struct storage *storage, const char *name)
{
	struct memory_storage *memory = of(storage);
	int inode;

	memory->syncs++;
	if (!str_equal(name, ".")) {
		inode = memory_names_find(&memory->names, name);
		if (inode < 0 || !memory->inodes[inode].is_directory)
			return inode < 0 ? -ENOENT : -ENOTDIR;
	}
	RETURN_ON_FAULT(memory, 0);
	if (memory->syncs_fail)
		return -EIO;
	memory_names_sync(&memory->names, name);
	return 0;
}

static int memory_list(struct storage *storage, const char *name,
		       int (*entry)(const char *name, void *userdata), void *userdata)
{
	struct memory_storage *memory = of(storage);
	struct memory_table *names;
	int r = 0;

	if (!str_equal(name, ".") && memory_names_find(&memory->names, name) < 0)
		return -ENOENT;
	names = malloc(sizeof(*names)); /* a copy: entry() may change them */
	if (!names)
		return -ENOMEM;
	*names = memory->names.current;
	for (size_t i = 0; r == 0 && i < names->count; i++) {
		const char *text = names->entries[i].text, *slash = strchr(text, '/');

		if (memory_names_is_in(text, name))
			r = entry(slash ? slash + 1 : text, userdata);
	}
	free(names);
	return r;
}

static void memory_free_nothing(struct storage *storage)
{
}

static const struct storage_ops memory_ops = {
	.open = memory_open,
	.close = memory_close,
	.read_at = memory_read_at,
	.write_at = memory_write_at,
	.reserve = memory_reserve,
	.truncate = memory_truncate,
	.sync = memory_sync,
	.size = memory_size,
	.rename = memory_rename,
	.remove = memory_remove,
	.make_directory = memory_make_directory,
	.sync_directory = memory_sync_directory,
	.list = memory_list,
	.free = memory_free_nothing,
};

/*
 * The test's side
 */

int memory_storage_new(struct memory_storage **ret)
{
	struct memory_storage *memory = calloc(1, sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	memory->base.ops = &memory_ops;
	memory_storage_reset(memory);
	*ret = memory;
	return 0;
}

struct memory_storage *memory_storage_free(struct memory_storage *memory)
{
	if (!memory)
		return NULL;
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++)
		memory_inode_done(&memory->inodes[i]);
	free(memory);
	return NULL;
}

struct storage *memory_storage_storage(struct memory_storage *memory)
{
	return &memory->base;
}

void memory_storage_reset(struct memory_storage *memory)
{
	memory_storage_crash(memory, MEMORY_CRASH_PROCESS, NULL, NULL);
	memory_names_reset(&memory->names);
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++)
		if (memory->inodes[i].is_used)
			memory_inode_empty(&memory->inodes[i]);
	memory->operations = memory->syncs = 0;
	memory->capacity = UINT64_MAX;
}

int memory_storage_copy(struct memory_storage *target, const struct memory_storage *source)
{
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++)
		if (source->inodes[i].is_used)
			memory_inode_copy(&target->inodes[i], &source->inodes[i]);
		else if (target->inodes[i].is_used)
			memory_inode_empty(&target->inodes[i]);
	memory_names_copy(&target->names, &source->names);
	memcpy(&target->handles, &source->handles,
	       sizeof(*source) - offsetof(struct memory_storage, handles));
	return 0;
}

void memory_storage_fail_at(struct memory_storage *memory, uint64_t n, int error)
{
	memory->fail_at = memory->operations + n;
	memory->fail_error = error;
}

void memory_storage_power_off_at(struct memory_storage *memory, uint64_t n)
{
	memory->off_at = memory->operations + n;
}

void memory_storage_power_on(struct memory_storage *memory)
{
	memory->fail_at = memory->off_at = UINT64_MAX;
	memory->is_off = memory->syncs_fail = false;
}

bool memory_storage_is_off(const struct memory_storage *memory)
{
	return memory->is_off;
}

bool memory_storage_has_lost(const struct memory_storage *memory)
{
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++)
		if (memory->inodes[i].is_used && memory->inodes[i].is_sync_lost)
			return true;
	return false;
}

void memory_storage_fail_syncs(struct memory_storage *memory, bool fail)
{
	memory->syncs_fail = fail;
}

void memory_storage_set_capacity(struct memory_storage *memory, uint64_t bytes)
{
	memory->capacity = bytes;
}

uint64_t memory_storage_used(const struct memory_storage *memory)
{
	uint64_t used = 0;

	for (int i = 0; i < MEMORY_STORAGE_INODES; i++) {
		const struct memory_inode *inode = &memory->inodes[i];

		if (inode->is_used && is_referenced(memory, i))
			used += MAX(inode->size, inode->reserved);
	}
	return used;
}

uint64_t memory_storage_operations(const struct memory_storage *memory)
{
	return memory->operations;
}

uint64_t memory_storage_syncs(const struct memory_storage *memory)
{
	return memory->syncs;
}

uint8_t *memory_storage_content(struct memory_storage *memory, const char *name,
				size_t *ret_size_bytes)
{
	int inode = memory_names_find(&memory->names, name);

	if (inode < 0)
		return NULL;
	*ret_size_bytes = (size_t)memory->inodes[inode].size;
	return memory->inodes[inode].bytes;
}

bool memory_storage_holds(const struct memory_storage *memory, const void *bytes, size_t size_bytes)
{
	for (int i = 0; i < MEMORY_STORAGE_INODES; i++) {
		const struct memory_inode *inode = &memory->inodes[i];

		if (inode->is_used && inode->size > 0 &&
		    memmem(inode->bytes, (size_t)inode->size, bytes, size_bytes))
			return true;
	}
	return false;
}
