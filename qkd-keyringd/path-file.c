/* SPDX-License-Identifier: MIT */

/* A new file, synced, renamed over the old one: after a crash either is there. */

#include "qkd-keyringd/path-file.h"

#include "common/issue-record.h"

#define PATH_FILE     ISSUE_RECORD_DIRECTORY "/paths"
#define PATH_FILE_NEW ISSUE_RECORD_DIRECTORY "/paths.new"

int path_file_read(struct storage *state, json_t **ret)
{
	int file = state->ops->open(state, PATH_FILE, STORAGE_READ);
	_cleanup_(freep) char *text = NULL;
	ssize_t size;
	json_t *document;

	if (file < 0)
		return file;
	text = malloc(PATH_FILE_MAX_BYTES + 1);
	size = text ? state->ops->read_at(state, file, text, PATH_FILE_MAX_BYTES + 1, 0) : -ENOMEM;
	state->ops->close(state, file);
	if (size < 0)
		return (int)size;
	document = size <= (ssize_t)PATH_FILE_MAX_BYTES
			   ? json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, NULL)
			   : NULL;
	if (!document)
		return -EBADMSG;
	*ret = document;
	return 0;
}

int path_file_write(struct storage *state, const json_t *document)
{
	size_t size = json_dumpb(document, NULL, 0, JSON_INDENT(1));
	_cleanup_(freep) char *text = malloc(size + 1);
	int file, r;

	if (!text || json_dumpb(document, text, size, JSON_INDENT(1)) != size)
		return -ENOMEM;
	r = state->ops->make_directory(state, ISSUE_RECORD_DIRECTORY);
	if (r < 0 && r != -EEXIST)
		return r;
	file = state->ops->open(state, PATH_FILE_NEW, STORAGE_WRITE | STORAGE_CREATE);
	if (file < 0)
		return file;
	r = state->ops->truncate(state, file, 0);
	if (r >= 0)
		r = state->ops->write_at(state, file, text, size, 0);
	if (r >= 0)
		r = state->ops->sync(state, file);
	state->ops->close(state, file);
	if (r >= 0)
		r = state->ops->rename(state, PATH_FILE_NEW, PATH_FILE);
	return r < 0 ? r : state->ops->sync_directory(state, ISSUE_RECORD_DIRECTORY);
}
