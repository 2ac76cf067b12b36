/* SPDX-License-Identifier: MIT */

/*
 * Holds the Promela model (tests/model/sync.pml) and the transition table (qkd-linkd/sync-table.c)
 * together: every row of one must be a row of the other, in role, state, message or event, guard,
 * next state, action and reply.
 */

#include <criterion/criterion.h>

#include "common/macros.h"
#include "qkd-linkd/sync-table.h"

#define MODEL         "tests/model/sync.pml"
#define MODEL_ROWS    256
#define MODEL_COLUMNS 6

struct model_row {
	char role;
	char column[MODEL_COLUMNS][16]; /* state, event, guard, next, action, reply */
};

static size_t model_read(struct model_row *ret_rows)
{
	FILE *file = fopen(MODEL, "re");
	char line[256];
	size_t count = 0;

	cr_assert_not_null(file, "%s: run from the top of the tree", MODEL);
	while (fgets(line, sizeof(line), file)) {
		struct model_row row = {0};
		char(*c)[16] = row.column;

		/* A definition of L or F has lower-case parameters. */
		if (sscanf(line,
			   " %1[LF](%15[A-Z_], %15[A-Z_], %15[A-Z_], %15[A-Z_], %15[A-Z_], %15[A-Z_])",
			   &row.role, c[0], c[1], c[2], c[3], c[4], c[5]) != 1 + MODEL_COLUMNS)
			continue;
		cr_assert_lt(count, MODEL_ROWS);
		ret_rows[count++] = row;
	}
	fclose(file);
	return count;
}

static bool rows_agree(const struct model_row *model, const struct sync_transition *table)
{
	return model->role == sync_role_name(table->role)[0] &&
	       str_equal(model->column[0], sync_state_name(table->state)) &&
	       str_equal(model->column[1], sync_event_name(table->event)) &&
	       str_equal(model->column[2], sync_guard_name(table->guard)) &&
	       str_equal(model->column[3], sync_state_name(table->next)) &&
	       str_equal(model->column[4], sync_action_name(table->action)) &&
	       str_equal(model->column[5], sync_reply_name(table->reply));
}

Test(sync_model, every_row_of_the_table_is_in_the_model)
{
	struct model_row rows[MODEL_ROWS];
	size_t count = model_read(rows);

	for (size_t i = 0; i < sync_table_count; i++) {
		const struct sync_transition *row = &sync_table[i];
		bool found = false;

		for (size_t j = 0; j < count && !found; j++)
			found = rows_agree(&rows[j], row);
		cr_expect(found, "not in the model: %s %s %s %s -> %s %s %s",
			  sync_role_name(row->role), sync_state_name(row->state),
			  sync_event_name(row->event), sync_guard_name(row->guard),
			  sync_state_name(row->next), sync_action_name(row->action),
			  sync_reply_name(row->reply));
	}
}

Test(sync_model, every_row_of_the_model_is_in_the_table)
{
	struct model_row rows[MODEL_ROWS];
	size_t count = model_read(rows);

	cr_expect_eq(count, sync_table_count);
	for (size_t j = 0; j < count; j++) {
		bool found = false;

		for (size_t i = 0; i < sync_table_count && !found; i++)
			found = rows_agree(&rows[j], &sync_table[i]);
		cr_expect(found, "not in the table: %c %s %s %s -> %s %s %s", rows[j].role,
			  rows[j].column[0], rows[j].column[1], rows[j].column[2],
			  rows[j].column[3], rows[j].column[4], rows[j].column[5]);
	}
}
