/* SPDX-License-Identifier: MIT */
/*
 * The names of the disk in memory, apart from its files: each directory's operations are kept until
 * it is synced, and a crash lets a prefix of them survive.
 */

#include "tests/unit/support/memory-names.h"

static int find_name(const struct memory_table *table, const char *text)
{
	for (size_t i = 0; i < table->count; i++)
		if (str_equal(table->entries[i].text, text))
			return (int)i;
	return -1;
}

static void forget_name(struct memory_table *table, const char *text)
{
	int i = find_name(table, text);

	if (i >= 0)
		table->entries[i] = table->entries[--table->count];
}

static void put_name(struct memory_table *table, const char *text, int inode)
{
	forget_name(table, text);
	if (table->count == MEMORY_STORAGE_NAMES)
		abort();
	strcpy(table->entries[table->count].text, text);
	table->entries[table->count++].inode = inode;
}

static void apply_renaming(struct memory_table *table, const struct memory_renaming *renaming)
{
	if (renaming->from[0])
		forget_name(table, renaming->from);
	if (renaming->to[0])
		put_name(table, renaming->to, renaming->inode);
}

bool memory_names_is_in(const char *name, const char *directory)
{
	const char *slash = strchr(name, '/');

	if (str_equal(directory, "."))
		return !slash;
	return slash && strlen(directory) == (size_t)(slash - name) &&
	       strncmp(name, directory, strlen(directory)) == 0;
}

static bool belongs_to(const struct memory_renaming *renaming, const char *directory)
{
	return memory_names_is_in(renaming->to[0] ? renaming->to : renaming->from, directory);
}

static void copy_table(struct memory_table *target, const struct memory_table *source)
{
	memcpy(target, source,
	       offsetof(struct memory_table, entries) + source->count * sizeof(source->entries[0]));
}

/* The first count operations on the directory become durable; the rest stay or are forgotten. */
static void settle_directory(struct memory_names *names, const char *directory, size_t count,
			     bool keep_rest)
{
	size_t kept = 0;

	for (size_t i = 0; i < names->renaming_count; i++) {
		struct memory_renaming *renaming = &names->renamings[i];
		bool ours = belongs_to(renaming, directory);

		if (ours && count > 0) {
			apply_renaming(&names->durable, renaming);
			count--;
		} else if (!ours || keep_rest) {
			names->renamings[kept++] = *renaming;
		}
	}
	names->renaming_count = kept;
}

void memory_names_note(struct memory_names *names, const char *from, const char *to, int inode)
{
	struct memory_renaming *renaming;

	if (names->renaming_count == MEMORY_STORAGE_RENAMINGS)
		abort();
	renaming = &names->renamings[names->renaming_count++];
	strcpy(renaming->from, from);
	strcpy(renaming->to, to);
	renaming->inode = inode;
	apply_renaming(&names->current, renaming);
}

void memory_names_sync(struct memory_names *names, const char *directory)
{
	settle_directory(names, directory, SIZE_MAX, true);
}

static void crash_directory(struct memory_names *names, const char *directory,
			    enum memory_crash crash, memory_choose_t choose, void *userdata)
{
	unsigned count = 0;

	for (size_t i = 0; i < names->renaming_count; i++)
		count += belongs_to(&names->renamings[i], directory);
	if (count == 0)
		return;
	if (crash == MEMORY_CRASH_LOSE)
		count = 0;
	else
		count = choose(count + 1, userdata);
	settle_directory(names, directory, count, false);
}

static bool parent_exists(const struct memory_table *table, const char *name)
{
	char parent[MEMORY_STORAGE_NAME_MAX];
	const char *slash = strchr(name, '/');

	if (!slash)
		return true;
	snprintf(parent, sizeof(parent), "%.*s", (int)(slash - name), name);
	return find_name(table, parent) >= 0;
}

/* Names in directories that a crash has lost. */
static void drop_orphans(struct memory_names *names)
{
	for (size_t i = 0; i < names->current.count;) {
		const char *name = names->current.entries[i].text;

		if (parent_exists(&names->current, name))
			i++;
		else
			names->current.entries[i] = names->current.entries[--names->current.count];
	}
	copy_table(&names->durable, &names->current);
}

void memory_names_crash(struct memory_names *names, enum memory_crash crash, memory_choose_t choose,
			void *userdata)
{
	char directory[MEMORY_STORAGE_NAME_MAX];

	while (names->renaming_count > 0) {
		const struct memory_renaming *first = &names->renamings[0];
		const char *name = first->to[0] ? first->to : first->from;
		const char *slash = strchr(name, '/');

		snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - name) : 1,
			 slash ? name : ".");
		crash_directory(names, directory, crash, choose, userdata);
	}
	copy_table(&names->current, &names->durable);
	drop_orphans(names);
}

void memory_names_reset(struct memory_names *names)
{
	names->current.count = names->durable.count = names->renaming_count = 0;
}

void memory_names_copy(struct memory_names *target, const struct memory_names *source)
{
	copy_table(&target->current, &source->current);
	copy_table(&target->durable, &source->durable);
	memcpy(target->renamings, source->renamings,
	       source->renaming_count * sizeof(source->renamings[0]));
	target->renaming_count = source->renaming_count;
}

int memory_names_find(const struct memory_names *names, const char *text)
{
	int i = find_name(&names->current, text);

	return i < 0 ? -1 : names->current.entries[i].inode;
}

static bool table_refers_to(const struct memory_table *table, int inode)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].inode == inode)
			return true;
	return false;
}

bool memory_names_refer_to(const struct memory_names *names, int inode)
{
	for (size_t i = 0; i < names->renaming_count; i++)
		if (names->renamings[i].inode == inode)
			return true;
	return table_refers_to(&names->current, inode) || table_refers_to(&names->durable, inode);
}
