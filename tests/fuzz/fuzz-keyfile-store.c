/* SPDX-License-Identifier: MIT */
/* A "store" file: what is read can be written, and reads the same again. */

#include "common/keyfile.h"
#include "tests/unit/support/memory-storage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct keyfile_store *store)
{
	static struct memory_storage *memory;
	struct keyfile_store again = {0};
	struct storage *disk;

	if (!memory && memory_storage_new(&memory) < 0)
		abort();
	memory_storage_reset(memory);
	disk = memory_storage_storage(memory);
	if (disk->ops->make_directory(disk, "d") < 0 || keyfile_store_write(disk, "d", store) < 0 ||
	    keyfile_store_read(disk, "d", &again) < 0)
		abort();
	if (!uuid_equal(&store->uuid, &again.uuid) || store->generation != again.generation ||
	    store->key_bits != again.key_bits ||
	    store->foreign_consumer != again.foreign_consumer ||
	    !str_equal(store->link, again.link) || !str_equal(store->peer, again.peer))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct keyfile_store store;

	if (keyfile_store_parse((const char *)data, size, &store) == 0)
		check_again(&store);
	return 0;
}
