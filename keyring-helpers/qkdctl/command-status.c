/* SPDX-License-Identifier: MIT */
/* qkdctl status: what this site has, how it is, and what is wrong. */

#include "commands.h"
#include "ctl-paths.h"
#include "ctl-report.h"

/* keyringd's properties, null when it does not answer, then everything else. */
static json_t *status_document(const struct ctl_snapshot *snapshot, const json_t *problems)
{
	static const char *const members[] = {"site", "version", "kernel_shared"};
	json_t *document = json_is_null(snapshot->keyring) ? json_object()
							   : json_copy(snapshot->keyring);
	_cleanup_(json_decrefp) json_t *paths = json_deep_copy(snapshot->paths);

	ctl_paths_split(paths);
	for (size_t i = 0; i < ELEMENTSOF(members); i++)
		if (document && !json_object_get(document, members[i]))
			json_object_set_new(document, members[i], json_null());
	if (!document || json_object_set(document, "paths", paths) < 0 ||
	    json_object_set(document, "links", snapshot->links) < 0 ||
	    json_object_set(document, "stores", snapshot->stores) < 0 ||
	    json_object_set(document, "quota", snapshot->quota) < 0 ||
	    json_object_set(document, "disk", snapshot->disk) < 0 ||
	    json_object_set(document, "problems", (json_t *)problems) < 0) {
		json_decref(document);
		return NULL;
	}
	return document;
}

int command_status_print_json(const struct ctl_snapshot *snapshot, const json_t *problems)
{
	_cleanup_(json_decrefp) json_t *document = status_document(snapshot, problems);

	return document ? ctl_print_json(document) : -ENOMEM;
}

static int print_text(const struct ctl_snapshot *snapshot, const json_t *problems)
{
	struct ctl_terminal terminal;

	ctl_terminal_examine(stdout, &terminal);
	ctl_report_heading(snapshot, problems, &terminal, stdout);
	if (json_array_size(problems) > 0)
		printf("\n");
	ctl_report_problems(problems, &terminal, stdout);
	printf("\n");
	ctl_report_links(snapshot->links, &terminal, stdout);
	printf("\n");
	if (!json_is_null(snapshot->keyring))
		ctl_report_stores(snapshot->stores, &terminal, stdout);
	return 0;
}

int command_status(struct ctl *ctl)
{
	_cleanup_(ctl_snapshot_done) struct ctl_snapshot snapshot = {0};
	_cleanup_(json_decrefp) json_t *problems = NULL;
	int r = ctl_take_snapshot(ctl, &snapshot);

	if (r < 0)
		return EXIT_FAILURE;
	r = ctl_problem_list(&snapshot, &problems);
	if (r >= 0)
		r = ctl->json ? command_status_print_json(&snapshot, problems)
			      : print_text(&snapshot, problems);
	if (r < 0)
		ctl_tell_error("status", strerror(-r), NULL);
	if (!json_is_null(snapshot.keyring))
		return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	ctl_tell_error("qkd-keyringd", snapshot.trouble, ctl_problem_advice(&snapshot));
	return EXIT_FAILURE;
}
